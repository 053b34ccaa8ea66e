"""Any text: local files (plain, JSON lines, parquet) or a text data set of the Hugging Face hub, as blocks of tokens.

Source    local files; the hub through the package ``datasets``, which streams
Licence   that of the text
Inputs    [block_length] token indices; targets are the tokens after them. Documents follow one another in one stream,
          each with the tokenizer's end token behind it, and the stream is cut into blocks: no padding
Splits    by the names of the files (train.jsonl, validation.jsonl, test-00.parquet) or of the hub's splits; where test
          or validation is missing, 10 % of the training tokens each, contiguous, from the end
Lazily    the tokens are written once to a token file in root/tokens, named by a digest of the text and the tokenizer,
          while the text is read document by document. Above 2**28 tokens the file is mapped and blocks are read when
          they are needed; below, they are in memory. A stream of the hub goes into the file too, up to max_tokens: an
          order that is shuffled, the same for every loss, and goes on exactly after an interruption needs all blocks
          within reach
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Generator

from lossbench.datasets.tokenizers import Tokenizer, tokenizer_of
from lossbench.datasets.tokens import PARTS, TokenDataset, TokenFile, carve_parts, too_short, write_token_file
from lossbench.errors import UsageError, nearest

READERS = {".txt": "plain", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
USUAL_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
MOST_IN_MEMORY = 2**28  # tokens; 2 GiB as int64


def text(
    *,
    generator: Generator,
    path: str,
    name: str | None = None,
    text_column: str = "text",
    tokenizer: str = "bytes",
    block_length: Annotated[int, Ge(1)] = 256,
    max_tokens: Annotated[int, Ge(1)] | None = None,
    root: str = "data",
    in_memory: Literal["auto"] | bool = "auto",
) -> TokenDataset:
    """generator decides nothing: the splits are parts of the text.

    path           a file, a folder of files, or a name on the hub
    name           configuration of a data set of the hub, where it has several
    text_column    of JSON lines, parquet files and data sets of the hub
    tokenizer      bytes, tiktoken:NAME or huggingface:NAME; see lossbench/datasets/tokenizers.py
    block_length   tokens of an example
    max_tokens     read no more of each split than so many; null: everything
    root           where token files are kept, in the folder tokens
    in_memory      false maps the token file; auto: true up to 2**28 tokens
    """
    chosen = tokenizer_of(tokenizer)
    local = Path(path)
    files = _files(local) if local.exists() else {}
    identity = {
        "path": path if not files else None,
        "name": name,
        "files": {part: [_digest(file) for file in found] for part, found in files.items()},
        "text_column": text_column,
        "tokenizer": tokenizer,
        "tokenizer_file": _tokenizer_digest(tokenizer),
        "max_tokens": max_tokens,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    file = TokenFile(Path(root) / "tokens" / f"{local.stem or 'text'}-{key}.tokens")
    if not file.path.is_file():
        documents = _local(files, text_column) if files else _hub(path, name, text_column)
        parts = {part: _tokens(found, chosen, max_tokens) for part, found in documents.items()}
        file = write_token_file(file.path, chosen.size, parts, {"path": path, "tokenizer": tokenizer})
    file.check()
    return dataset_of(file, chosen, block_length, in_memory)


def dataset_of(
    file: TokenFile, tokenizer: Tokenizer, block_length: int, in_memory: Literal["auto"] | bool
) -> TokenDataset:
    """The data set of a token file; parts that it lacks are carved from the end of train."""
    mapped = file.header["count"] > MOST_IN_MEMORY if in_memory == "auto" else not in_memory
    file.header["parts"] = carve_parts(file.header["parts"], {"validation": 0.1, "test": 0.1})
    train, validation, test = (file.split(part, block_length, mapped) for part in PARTS)
    dataset = TokenDataset(train, validation, test, tokenizer.size, tokenizer=tokenizer)
    too_short(dataset, block_length)
    return dataset


def _tokens(documents: Iterator[str], tokenizer: Tokenizer, most: int | None) -> Iterator[Sequence[int]]:
    read = 0
    for document in documents:
        tokens = tokenizer.encode(document)
        if most is not None and read + len(tokens) >= most:
            yield tokens[: most - read]
            return
        yield tokens
        read += len(tokens)
        if tokenizer.end is not None:
            yield [tokenizer.end]
            read += 1


# --- local files ---------------------------------------------------------------------------------------------------


def _files(path: Path) -> dict[str, list[Path]]:
    """The files of each part, in the order of their names; those named for no part count only where none is named."""
    candidates = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in READERS)
    if not candidates or any(p.suffix not in READERS for p in candidates):
        what = f"has no file of text in it (looked for {', '.join(READERS)})" if path.is_dir() else "is no file of text"
        raise UsageError(
            f"dataset.path={path}: {what}. Give a .txt file, JSON lines (.jsonl), a parquet file, a folder of them, or "
            "the name of a data set on the hub."
        )
    named: dict[str, list[Path]] = {}
    for part, names in USUAL_NAMES.items():
        found = [p for p in candidates if p.stem.split(".")[0].split("-")[0].split("_")[0] in names]
        if found:
            named[part] = found
    return named if "train" in named else {"train": candidates}


def _local(files: dict[str, list[Path]], column: str) -> dict[str, Iterator[str]]:
    def documents(found: list[Path]) -> Iterator[str]:
        for path in found:
            if READERS[path.suffix] == "plain":
                yield _plain(path)
            else:
                yield from _rows(_load(READERS[path.suffix], data_files=str(path), split="train"), column, str(path))

    return {part: documents(found) for part, found in files.items()}


def _plain(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"dataset.path: {path} is not UTF-8 (byte {error.start}). Convert it, for example with iconv."
        ) from None


def _digest(path: Path) -> list[Any]:
    with open(path, "rb") as file:
        return [path.name, hashlib.file_digest(file, "sha256").hexdigest()]


def _tokenizer_digest(name: str) -> list[Any] | None:
    """Of the tokenizer's own file, where it is local."""
    what = Path(name.partition(":")[2] or " ")
    what = what / "tokenizer.json" if what.is_dir() else what
    return _digest(what) if what.is_file() else None


# --- Hugging Face datasets ------------------------------------------------------------------------------------------


def _hub(path: str, name: str | None, column: str) -> dict[str, Iterator[str]]:
    found = _load(path, name=name)
    chosen = {part: next((n for n in names if n in found), None) for part, names in USUAL_NAMES.items()}
    if chosen["train"] is None:
        raise UsageError(f"dataset.path={path}: it has no split train. There are: {', '.join(found)}.")
    return {part: _rows(found[split], column, f"{path}, {split}") for part, split in chosen.items() if split}


def _load(path: str, **options: Any) -> Any:
    """Streamed: read once, row by row, without a copy in the cache."""
    import datasets

    try:
        return datasets.load_dataset(path, streaming=True, **options)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        offline = " HF_HUB_OFFLINE is set: unset it to allow a download." if datasets.config.HF_HUB_OFFLINE else ""
        raise UsageError(
            f"dataset.path={path}: cannot be loaded ({reason}). Looked for the file or folder {Path(path).resolve()} "
            f"and on the hub.{offline} Give a file, a folder of files, or the name of a data set on the hub."
        ) from error


def _rows(table: Any, column: str, where: str) -> Iterator[str]:
    import datasets

    try:
        for row in table:
            if column not in row:
                raise UsageError(
                    f"dataset.text_column={column}: {where} has no such column{nearest(column, row) or '.'} "
                    f"There are: {', '.join(row)}."
                )
            if not isinstance(row[column], str):
                raise UsageError(
                    f"dataset.text_column={column}: {where} has {type(row[column]).__name__} there, not text. "
                    f"Choose another column; there are: {', '.join(row)}."
                )
            yield row[column]
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise UsageError(f"dataset.path: {where} cannot be read ({reason}). Is it whole?") from error

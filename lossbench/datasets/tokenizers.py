"""From text to tokens and back: bytes, tiktoken's encodings, Hugging Face's tokenizers (the last two: extra [text]).

bytes                        256 tokens, one a byte; the byte 0, which no text has, ends a document
tiktoken:gpt2                an encoding of tiktoken by its name, or a local file of ranks: tiktoken:path/x.tiktoken
huggingface:path             a local tokenizer.json, or a folder with one; otherwise a name on the hub
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import UsageError, nearest

# How GPT-2 cuts a text into pieces before it merges bytes within them; for files of ranks, which do not say.
GPT2_PIECES = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")


@dataclass(frozen=True)
class Tokenizer:
    """size         of the vocabulary
    encode, decode   text -> token indices; token indices -> text, bytes that are no text replaced by a mark
    token_bytes      bytes of text that each token stands for, [size]; 0 for special tokens, NaN where nobody knows
    end              the token after a document; None: there is none
    """

    name: str
    size: int
    encode: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]
    token_bytes: Tensor
    end: int | None = None


@cache
def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of a config's name. Raises UsageError for one that is not known, or not there."""
    kind, _, what = name.partition(":")
    makers: dict[str, Callable[[str, str], Tokenizer]] = {"tiktoken": _tiktoken, "huggingface": _huggingface}
    if name == "bytes":
        return _bytes()
    if kind not in makers or not what:
        raise UsageError(
            f"dataset.tokenizer={name}: there is no such tokenizer{nearest(kind, ['bytes', *makers]) or '.'} "
            "Give bytes, tiktoken:ENCODING such as tiktoken:gpt2, or huggingface:NAME, a hub name or a tokenizer.json."
        )
    return makers[kind](name, what)


def symbols(names: Sequence[str]) -> Tokenizer:
    """Tokens that are symbols, written with spaces between them: for synthetic data."""
    places = {name: place for place, name in enumerate(names)}

    def encode(text: str) -> list[int]:
        unknown = [word for word in text.split() if word not in places]
        if unknown:
            raise UsageError(f"'{unknown[0]}' is no symbol of this data set. There are: {' '.join(names)}.")
        return [places[word] for word in text.split()]

    nothing = torch.full((len(names),), torch.nan)
    return Tokenizer("symbols", len(names), encode, lambda tokens: " ".join(names[t] for t in tokens), nothing)


def _bytes() -> Tokenizer:
    def encode(text: str) -> bytes:
        return text.encode()

    def decode(tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    return Tokenizer("bytes", 256, encode, decode, torch.ones(256), end=0)


def _tiktoken(name: str, what: str) -> Tokenizer:
    tiktoken = _package("tiktoken", name)
    if what.endswith(".tiktoken"):
        encoding = _from_ranks(tiktoken, what)
    else:
        known = tiktoken.list_encoding_names()
        if what not in known:
            raise UsageError(
                f"dataset.tokenizer={name}: tiktoken has no encoding '{what}'{nearest(what, known) or '.'} "
                f"There are: {', '.join(known)}."
            )
        try:
            encoding = tiktoken.get_encoding(what)
        except Exception as error:  # of its download: whatever its HTTP library raises
            raise UsageError(
                f"dataset.tokenizer={name}: tiktoken could not get its file ({_line(error)}). Load it once where there "
                "is a network with TIKTOKEN_CACHE_DIR set, or give a local file of ranks: tiktoken:path/x.tiktoken."
            ) from None
    size = encoding.n_vocab
    lengths = torch.zeros(size)
    special = {encoding.encode_single_token(text) for text in encoding.special_tokens_set}
    for token in range(size):
        try:
            lengths[token] = 0 if token in special else len(encoding.decode_single_token_bytes(token))
        except KeyError:  # a gap in the numbers
            continue
    end = encoding.eot_token if "<|endoftext|>" in encoding.special_tokens_set else None
    return Tokenizer(name, size, encoding.encode_ordinary, lambda tokens: encoding.decode(list(tokens)), lengths, end)


def _from_ranks(tiktoken: Any, what: str) -> Any:
    from tiktoken.load import load_tiktoken_bpe

    if not Path(what).is_file():
        raise UsageError(
            f"dataset.tokenizer=tiktoken:{what}: there is no such file. Looked for {Path(what).resolve()}."
        )
    try:
        ranks = load_tiktoken_bpe(what)
    except ValueError as error:
        raise UsageError(
            f"dataset.tokenizer=tiktoken:{what}: is no file of ranks ({_line(error)}). Each line must be a token in "
            "base64, a space, its rank."
        ) from None
    special = {ENDS[0]: len(ranks)}
    return tiktoken.Encoding(Path(what).stem, pat_str=GPT2_PIECES, mergeable_ranks=ranks, special_tokens=special)


def _huggingface(name: str, what: str) -> Tokenizer:
    tokenizers = _package("tokenizers", name)
    path = Path(what) / "tokenizer.json" if Path(what).is_dir() else Path(what)
    try:
        if path.is_file():
            made = tokenizers.Tokenizer.from_file(str(path))
        else:
            made = tokenizers.Tokenizer.from_pretrained(what)
    except Exception as error:  # the package raises bare Exceptions
        raise UsageError(
            f"dataset.tokenizer={name}: cannot be loaded ({_line(error)}). Looked for the file {path.resolve()} and on "
            "the hub. Give a tokenizer.json, a folder with one, or a name on the hub."
        ) from None
    size = made.get_vocab_size()
    end = next((token for text in ENDS if (token := made.token_to_id(text)) is not None), None)
    return Tokenizer(
        name,
        size,
        lambda text: made.encode(text, add_special_tokens=False).ids,
        lambda tokens: made.decode(list(tokens), skip_special_tokens=False),
        _lengths(made, size),
        end,
    )


def _lengths(made: Any, size: int) -> Tensor:
    """Bytes of each token: known where tokens are pieces of the text, as in byte-level and SentencePiece vocabularies.
    NaN for the others, WordPiece for example, which forgets spaces and perhaps capitals."""
    special = made.get_added_tokens_decoder()
    texts = [made.id_to_token(token) or "" for token in range(size)]
    own = [text for token, text in enumerate(texts) if token not in special]
    if "ByteLevel" in str(made.decoder):  # each character of a token stands for a byte
        lengths = [float(len(text)) for text in texts]
    elif any(text.startswith("▁") for text in own):  # the mark is a space; <0x0A> is a byte
        pieces = [1 if len(t) == 6 and t.startswith("<0x") else len(t.replace("▁", " ").encode()) for t in texts]
        lengths = [float(length) for length in pieces]
    else:
        lengths = [torch.nan] * size
    return torch.tensor([0.0 if token in special else length for token, length in enumerate(lengths)])


def _package(package: str, name: str) -> Any:
    if find_spec(package) is None:
        raise UsageError(
            f"dataset.tokenizer={name} needs the package {package}, which is not installed. "
            "Install it with: pip install 'lossbench[text]', or choose dataset.tokenizer=bytes."
        )
    return __import__(package)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).removesuffix(".") or type(error).__name__

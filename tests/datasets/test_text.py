"""Text in its real formats, written by the tests; the hub is a folder that the package reads as it reads the hub."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lossbench import run
from lossbench.datasets import text as module
from lossbench.datasets.text import text
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits
from tests.engine import prepared

DOCUMENTS = [f"Document {i}: " + "word " * (i % 7) + "end.\n" for i in range(60)]
STREAM = "".join(document + "\0" for document in DOCUMENTS).encode()  # the byte 0 ends a document


def made(folder, path, **options):
    return text(generator=generator(), path=str(path), root=str(folder / "root"), **{"block_length": 16, **options})


def streams(dataset):
    """The tokens of each split as far as its blocks reach."""
    return [b"".join(bytes(split.inputs[i].tolist()) for i in range(len(split))) for split in splits(dataset)]


def write(folder, kind, documents=DOCUMENTS, stem="data", column="text"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({column: d, "id": i}) + "\n" for i, d in enumerate(documents)))
    elif kind == "parquet":
        pq.write_table(pa.table({column: documents, "id": list(range(len(documents)))}), path)
    else:
        path.write_text("".join(documents))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("in_memory", ["auto", False])
def test_documents(tmp_path, kind, in_memory):
    dataset = made(tmp_path, write(tmp_path, kind), in_memory=in_memory)
    tenth = round(len(STREAM) * 0.1)
    bounds = [0, len(STREAM) - 2 * tenth, len(STREAM) - tenth, len(STREAM)]
    for found, split, start, stop in zip(streams(dataset), splits(dataset), bounds, bounds[1:], strict=False):
        assert len(split) == (stop - start - 1) // 16 > 0
        assert found == STREAM[start : start + 16 * len(split)]
        later = bytes(split.labels["targets"][len(split) - 1].tolist())
        assert later == STREAM[start + 16 * len(split) - 15 : start + 16 * len(split) + 1]
    assert isinstance(dataset.train.inputs, torch.Tensor) is (in_memory == "auto")


def test_plain_file_is_one_document(tmp_path):
    dataset = made(tmp_path, write(tmp_path, "txt", ["line\r\n", "Größe\n"] * 50))
    whole = (("line\r\n" + "Größe\n") * 50).encode()
    assert streams(dataset)[0] == whole[: 16 * len(dataset.train)]


def test_folder_with_named_splits(tmp_path):
    parts = {"train": DOCUMENTS[:30], "validation": DOCUMENTS[30:45], "test": DOCUMENTS[45:]}
    for part, documents in parts.items():
        write(tmp_path / "data", "jsonl", documents, stem=f"{part}-00")
    write(tmp_path / "data", "txt", ["not asked for"], stem="notes")
    found = streams(made(tmp_path, tmp_path / "data"))
    for stream, documents in zip(found, parts.values(), strict=True):
        whole = "".join(d + "\0" for d in documents).encode()
        assert stream == whole[: len(stream)] and len(whole) - len(stream) <= 16


def test_folder_without_named_splits(tmp_path):  # files one after another, in the order of their names
    write(tmp_path / "data", "parquet", DOCUMENTS[:20], stem="a")
    write(tmp_path / "data", "jsonl", DOCUMENTS[20:], stem="b")
    assert streams(made(tmp_path, tmp_path / "data"))[0] == STREAM[: 16 * ((len(STREAM) * 8 // 10 - 1) // 16)]


def test_the_token_file_is_written_once(tmp_path, monkeypatch):
    path = write(tmp_path, "jsonl")
    first = streams(made(tmp_path, path))
    monkeypatch.setattr(module, "_load", lambda *a, **k: pytest.fail("read again"))
    assert streams(made(tmp_path, path)) == first
    files = list((tmp_path / "root" / "tokens").iterdir())
    assert len(files) == 1
    monkeypatch.undo()
    write(tmp_path, "jsonl", DOCUMENTS[::-1])  # other text under the same name
    assert streams(made(tmp_path, path)) != first
    data = bytearray(files[0].read_bytes())
    data[-1] ^= 1
    files[0].write_bytes(data)
    write(tmp_path, "jsonl")
    with pytest.raises(UsageError, match="is damaged"):
        made(tmp_path, path)


def test_most_tokens(tmp_path):
    dataset = made(tmp_path, write(tmp_path, "jsonl"), max_tokens=1000, block_length=9)
    assert STREAM[:801].startswith(streams(dataset)[0]) and len(dataset.train) == 799 // 9


def test_tokenizer(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel({"word": 0, "end": 1, "?": 2, "</s>": 3}, unk_token="?"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.save(str(tmp_path / "tokenizer.json"))
    path = write(tmp_path, "jsonl", ["word end", "word word other"] * 30)
    dataset = made(tmp_path, path, tokenizer=f"huggingface:{tmp_path}", block_length=7)
    assert dataset.num_outputs == 4
    assert dataset.train.inputs[0].tolist() == [0, 1, 3, 0, 0, 2, 3]


def test_streamed_from_the_hub(tmp_path, monkeypatch):
    """The package reads a folder of its own as it reads a repository of the hub; only local files are kept from it."""
    for part, documents in (("train", DOCUMENTS[:30]), ("validation", DOCUMENTS[30:])):
        folder = tmp_path / "repository"
        folder.mkdir(exist_ok=True)
        lines = "".join(json.dumps({"content": d}) + "\n" for d in documents)
        (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setattr(module.Path, "exists", lambda self: False)
    dataset = made(tmp_path, tmp_path / "repository", text_column="content")
    validation = "".join(d + "\0" for d in DOCUMENTS[30:]).encode()
    assert streams(dataset)[1] == validation[: 16 * len(dataset.validation)]  # named; test is carved from train
    with pytest.raises(UsageError, match=r"text_column=text: .*There are: content"):
        made(tmp_path, tmp_path / "repository")


@pytest.mark.parametrize("in_memory", ["auto", "false"])
def test_runs(tmp_path, in_memory):  # mapped blocks, read by the processes of the loader: the same numbers
    path = write(tmp_path, "jsonl")
    options = ["dataset=text", f"dataset.path={path}", f"dataset.root={tmp_path}", "dataset.block_length=16"]
    options += ["model.depth=1", "model.width=16", "model.heads=2", "batch_size=4", "budget.steps=6"]
    losses = {}
    for mode in ("auto", in_memory):
        record = run.execute(prepared(tmp_path / mode, *options, f"dataset.in_memory={mode}", "data.workers=1"))
        losses[mode] = [record["best"][key] for key in ("validation/nll", "test/nll", "test/bits_per_byte")]
    assert losses["auto"] == losses[in_memory]


def test_refusals(tmp_path, monkeypatch):
    path = write(tmp_path, "jsonl")
    with pytest.raises(UsageError, match=r"text_column=txt: .*did you mean 'text'.*There are: text, id"):
        made(tmp_path, path, text_column="txt")
    with pytest.raises(UsageError, match=r"text_column=id: .*has int there"):
        made(tmp_path, path, text_column="id")
    with pytest.raises(UsageError, match=r"dataset\.block_length=4096: the (train|validation) part"):
        made(tmp_path, path, block_length=4096)
    (tmp_path / "image.png").write_bytes(b"png")
    with pytest.raises(UsageError, match=r"is no file of text"):
        made(tmp_path, tmp_path / "image.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no file of text"):
        made(tmp_path, tmp_path / "empty")
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(UsageError, match=r"is not UTF-8 \(byte 2\)"):
        made(tmp_path, tmp_path / "latin.txt")
    (tmp_path / "torn.jsonl").write_text('{"text": "whole"}\n{"text": "to')
    with pytest.raises(UsageError, match=r"torn\.jsonl"):
        made(tmp_path, tmp_path / "torn.jsonl")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=r"nowhere/nothing: cannot be loaded.*on the hub\. HF_HUB_OFFLINE is set"):
        made(tmp_path, "nowhere/nothing")
    assert not list((tmp_path / "root" / "tokens").glob("*nothing*"))

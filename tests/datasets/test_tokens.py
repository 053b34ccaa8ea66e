"""Token files: what is written is what is read, mapped or not; what is damaged is refused."""

import json
import pickle

import numpy as np
import pytest
import torch

from lossbench.datasets.tokens import HEADER, TokenFile, blocks, carve_parts, write_token_file
from lossbench.errors import UsageError


def pieces():
    return iter([[5, 6, 7], b"", bytes([1, 2]), list(range(30))])


def written(folder, vocabulary=256):
    parts = {"train": pieces(), "test": iter([[9, 8, 7, 6, 5]])}
    return write_token_file(folder / "deep" / "x.tokens", vocabulary, parts, {"path": "here"})


@pytest.mark.parametrize(("vocabulary", "width"), [(256, 2), (2**16, 2), (2**16 + 1, 4)])
def test_format(tmp_path, vocabulary, width):  # read with nothing but json and numpy
    path = written(tmp_path, vocabulary).path
    data = path.read_bytes()
    header = json.loads(data[:HEADER])
    assert header["parts"] == {"train": [0, 35], "test": [35, 40]} and header["vocabulary"] == vocabulary
    assert len(data) == HEADER + 40 * width
    tokens = np.frombuffer(data[HEADER:], f"<u{width}").tolist()
    assert tokens == [5, 6, 7, 1, 2, *range(30), 9, 8, 7, 6, 5]
    assert [p.name for p in path.parent.iterdir()] == ["x.tokens"]  # no temporary file is left


def test_mapped_blocks_are_those_in_memory(tmp_path):
    file = written(tmp_path)
    for part in ("train", "test"):
        mapped, loaded = (file.split(part, 4, mapped) for mapped in (True, False))
        assert len(mapped) == len(loaded) == {"train": 8, "test": 1}[part]
        for row in range(len(loaded)):
            for lazy, whole in ((mapped.inputs, loaded.inputs), (mapped.labels["targets"], loaded.labels["targets"])):
                assert torch.equal(lazy[row], whole[row]) and lazy[row].dtype == torch.int64
    chosen = torch.tensor([3, 0, 5])
    train, whole = (file.split("train", 4, mapped).select(chosen) for mapped in (True, False))
    assert torch.equal(train.inputs[1], whole.inputs[1])
    lazy = pickle.loads(pickle.dumps(train.labels["targets"]))  # as it is sent to a process that reads
    assert [lazy[i].tolist() for i in range(3)] == whole.labels["targets"].tolist()
    assert lazy.numel() == 12 and lazy.sample(100).tolist() == whole.labels["targets"].flatten().tolist()
    with pytest.raises(IndexError):
        file.split("test", 4, True).inputs[1]


def test_blocks_hand():  # eight tokens, three at a time: two blocks, the last token is a target of none
    split = blocks(torch.arange(8), 3)
    assert split.inputs.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert split.labels["targets"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert split.inputs.untyped_storage().data_ptr() == split.labels["targets"].untyped_storage().data_ptr()


def test_damage_is_found(tmp_path):
    file = written(tmp_path)
    file.check()
    data = bytearray(file.path.read_bytes())
    for edited in (data[:-2], data + b"\0\0", data[:-1] + bytes([data[-1] ^ 1])):
        file.path.write_bytes(edited)
        with pytest.raises(UsageError, match="is damaged"):
            TokenFile(file.path).check()
    file.path.write_bytes(b"\x80" + bytes(data[1:]))
    with pytest.raises(UsageError, match="is no token file"):
        TokenFile(file.path).check()


def test_nothing_is_there_after_a_failure(tmp_path):
    def stops():
        yield [1, 2]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        write_token_file(tmp_path / "x.tokens", 256, {"train": stops()}, {})
    with pytest.raises(ValueError, match=r"outside of 0\.\.9"):
        write_token_file(tmp_path / "x.tokens", 10, {"train": iter([[3, 10]])}, {})
    assert not list(tmp_path.iterdir())


def test_parts():
    fractions = {"validation": 0.1, "test": 0.2}
    assert carve_parts({"train": (0, 100)}, fractions) == {"train": (0, 70), "validation": (70, 80), "test": (80, 100)}
    kept = carve_parts({"train": (0, 100), "test": (100, 130)}, fractions)
    assert kept == {"train": (0, 90), "validation": (90, 100), "test": (100, 130)}

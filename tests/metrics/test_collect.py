import math

import pytest
import torch

from lossbench.metrics.collect import Collected, to_floats


def test_batches_of_any_size():
    logits, targets = torch.randn(10, 3).bfloat16(), torch.arange(10)
    collected = Collected(10)
    for part in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]):
        collected.append({"targets": targets[part], "logits": logits[part].requires_grad_()})
    actual = collected.finish()
    assert torch.equal(actual["logits"], logits) and torch.equal(actual["targets"], targets)
    assert actual["logits"].dtype == torch.bfloat16 and not actual["logits"].requires_grad


def test_copies():  # a batch whose memory is used again must not change what was collected
    batch, collected = torch.ones(2), Collected(4)
    for value in (1.0, 2.0):
        collected.append({"x": batch.fill_(value)})
    assert collected.finish()["x"].tolist() == [1, 1, 2, 2]


def test_the_next_evaluation_uses_the_same_memory():
    collected, addresses = Collected(4), set()
    for value in (1.0, 2.0):
        collected.append({"x": torch.full((4, 2), value)})
        x = collected.finish()["x"]
        addresses.add(x.data_ptr())
        assert x.eq(value).all()
    assert len(addresses) == 1


def test_refusals():
    collected = Collected(4)
    collected.append({"x": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match="3 examples were collected"):
        collected.finish()
    for wrong in (torch.zeros(2, 2), torch.zeros(1), torch.zeros(1, 1), torch.zeros(1, 3)):
        with pytest.raises(ValueError, match="'x' of a batch has shape"):
            collected.append({"x": wrong})
    with pytest.raises(ValueError, match="It must have"):
        collected.append({"y": torch.zeros(1, 2)})
    collected.append({"x": torch.ones(1, 2)})  # a refused batch has changed nothing
    assert collected.finish()["x"][:, 0].tolist() == [0, 0, 0, 1]
    ragged = Collected(4)
    with pytest.raises(ValueError, match="'y' of a batch has shape"):
        ragged.append({"x": torch.zeros(2), "y": torch.zeros(3)})


def test_to_floats():
    values = {
        "a": torch.tensor(1 / 3, dtype=torch.float64),
        "b": torch.tensor(math.nan),
        "c": torch.tensor(7),
        "d": torch.tensor(math.inf),
    }
    actual = to_floats(values)
    assert list(actual) == ["a", "b", "c", "d"] and all(type(value) is float for value in actual.values())
    assert actual["a"] == 1 / 3 and math.isnan(actual["b"]) and actual["c"] == 7 and actual["d"] == math.inf
    assert to_floats({}) == {}


def test_to_floats_transfers_once(monkeypatch):
    transfers = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: transfers.append(tensor.shape) or tolist(tensor))
    for name in ("item", "__float__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, None)
    to_floats({str(i): torch.tensor(i) for i in range(9)})
    assert transfers == [(9,)]

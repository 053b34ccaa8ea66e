import pytest
import torch

from lossbench import run
from lossbench.datasets.shakespeare import shakespeare
from lossbench.errors import UsageError
from lossbench.variants.repeated_blocks import repeated_blocks
from tests.engine import prepared
from tests.variants.support import generator


def test_counts():
    dataset = shakespeare(generator=generator(), block_length=200)
    made = repeated_blocks(dataset, generator(), number=3, repetitions=5)
    assert len(made.train) == len(dataset.train) + 3 * 4 and len(made.extra["repeated"]) == 3
    for block, targets in zip(made.extra["repeated"].inputs, made.extra["repeated"].labels["targets"], strict=True):
        same = (made.train.inputs == block).all(1)
        assert same.sum() == 5 and (made.train.labels["targets"][same] == targets).all()
    assert len(made.train.inputs.unique(dim=0)) == len(dataset.train.inputs.unique(dim=0))
    assert torch.equal(made.test.inputs, dataset.test.inputs)
    other = repeated_blocks(dataset, generator(1), number=3, repetitions=5)
    assert not torch.equal(other.extra["repeated"].inputs, made.extra["repeated"].inputs)


def test_too_many():
    dataset = shakespeare(generator=generator(), block_length=100_000)
    with pytest.raises(UsageError, match=r"number=16: there are only 8"):
        repeated_blocks(dataset, generator())


def test_what_is_seen_often_is_known_by_heart(tmp_path):
    options = ["dataset=shakespeare", "dataset.block_length=32", "variant=[subset,repeated_blocks]", "batch_size=16"]
    options += [
        "variant.subset.number=32",
        "variant.repeated_blocks.number=2",
        "variant.repeated_blocks.repetitions=60",
    ]
    options += ["model.depth=1", "model.width=64", "budget.epochs=20", "evaluation.epochs=20", "optimizer.lr=0.01"]
    best = run.execute(prepared(tmp_path, *options))["best"]
    assert best["test/repeated/verbatim_rate"] == 1 and best["test/repeated/verbatim_tokens"] == 16
    assert best["test/verbatim_rate"] == 0

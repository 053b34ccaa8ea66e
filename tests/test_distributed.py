"""Several processes train one run: what they come to is what one process does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lossbench import building, compiling, run
from lossbench.distributed import Ranks
from lossbench.errors import UsageError
from lossbench.results import record as records
from lossbench.source import Source
from tests.engine import prepared
from tests.ranks import CASES, SHARDED, STOPPED, in_double
from tests.vectorized.support import weights

ROOT = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]


def torchrun(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([*TORCHRUN, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory) -> Path:
    """The folder of all cases, trained by two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun("tests/ranks.py", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def double(monkeypatch):
    standardise, backend = Source._standardise, compiling.BACKEND
    # What is drawn in double precision is other data.
    monkeypatch.setattr(building, "DATASETS", {})
    in_double()
    yield
    Source._standardise, compiling.BACKEND = standardise, backend
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", [*CASES, *SHARDED])
def test_two_ranks_do_what_one_does(name, two_ranks, double, tmp_path):
    overrides = [override for override in {**CASES, **SHARDED}[name] if override != "shard=true"]
    one = prepared(tmp_path, *overrides)
    run.execute(one)
    two = prepared(two_ranks / name, *overrides)
    assert two.run == one.run and two.record is not None and one.record is not None
    for ours, theirs in zip(
        [*records.rows(two.folder), two.record["best"]], [*records.rows(one.folder), one.record["best"]], strict=True
    ):
        assert list(ours) == list(theirs)
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == (theirs[key] and pytest.approx(theirs[key], rel=1e-8, abs=1e-9)), key
    for key in ("status", "error", "steps", "epochs", "examples", "parameters"):
        assert two.record[key] == one.record[key]
    if name == "diverged":
        assert two.record["status"] == "diverged"
        return
    found, expected = weights(two), weights(one)
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-8, atol=1e-10, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", SHARDED)
def test_each_rank_has_a_part_of_a_sharded_model(name, two_ranks):
    shares = [list(map(int, (two_ranks / name / f"share{rank}.txt").read_text().split())) for rank in (0, 1)]
    assert shares[0][1] == shares[1][1] == shares[0][0] + shares[1][0]
    assert all(own < 0.6 * whole for own, whole in shares)
    shares = (two_ranks / "cross_entropy" / "share1.txt").read_text().split()
    assert shares[0] == shares[1]


@pytest.mark.parametrize("name", STOPPED)
def test_resumed_ranks_come_to_the_same_bits(name, two_ranks):
    """Stopped at step 20 by a signal that rank 1 alone has got."""
    whole, parts = (prepared(two_ranks / folder, *STOPPED[name]) for folder in (name, f"{name}_in_parts"))
    assert whole.record is not None and parts.record is not None
    assert whole.record["resumed"] == 0 and parts.record["resumed"] == 1
    for key, tensor in weights(whole).items():
        assert torch.equal(weights(parts)[key], tensor), key
    for ours, theirs in zip(records.rows(parts.folder), records.rows(whole.folder), strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("batch_size=30", "accumulation=5"), "4 processes with accumulation=5 .* Choose a multiple of 20"),
        (("aggregation=upgrad", "regularizer=[l2_norm]"), "aggregation=upgrad does not go with several processes"),
    ],
)
def test_what_cannot_be_divided_is_refused(overrides, message, tmp_path):
    one = prepared(tmp_path, *overrides)
    ranks = object.__new__(Ranks)
    ranks.rank, ranks.size = 0, 4
    parts = building.build(one.config, torch.device("cpu"))
    with pytest.raises(UsageError, match=message):
        ranks.parts(parts, one.config)


def test_shards_need_an_optimizer_of_single_weights(tmp_path):
    ranks = object.__new__(Ranks)
    ranks.rank, ranks.size = 0, 2
    one = prepared(tmp_path, "optimizer=sam")
    parts = building.build(one.config, torch.device("cpu"))
    with pytest.raises(UsageError, match="optimizer=sam does not treat every weight by itself"):
        ranks.parts(parts, {**one.config, "shard": True})


def test_tiles_are_divided_among_the_ranks(two_ranks):
    """12 steps, forward and backward, [64, 64] similarities: half of them each. Without tiles each has all of them."""
    for name, expected in (("nt_xent_in_tiles", 12 * 2 * 64 * 64 / 2), ("nt_xent", 12 * 64 * 64)):
        for rank in (0, 1):
            assert int((two_ranks / name / f"products{rank}.txt").read_text()) == expected


@pytest.mark.gpu
@pytest.mark.parametrize(
    "overrides",
    [
        ("loss=cross_entropy", "precision=bf16", "data.resident=false"),
        ("task=contrastive", "loss=nt_xent", "loss.tile=64", "head=projector", "augmentation=[gaussian_noise]"),
        ("model=convnet", "model.norm=batch", "loss=early_learning", "ema=0.9"),
        ("shard=true", "clip_norm=1.0"),
    ],
    ids=" ".join,
)
def test_on_two_gpus(overrides, tmp_path):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    given = ("device=cuda", "budget.steps=50", "evaluation.steps=25", *overrides)
    done = torchrun("-m", "lossbench", "train", f"outputs={tmp_path / 'two'}", *given)
    assert done.returncode == 0, done.stderr
    two = prepared(tmp_path / "two", *given)
    one = prepared(tmp_path / "one", *[override for override in given if override != "shard=true"])
    run.execute(one)
    found, expected = weights(two), weights(one)
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=2e-2, atol=2e-2)

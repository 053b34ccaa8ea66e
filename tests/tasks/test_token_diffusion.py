"""What is hidden and what the model sees; the metric against models whose likelihood is known."""

import math

import pytest
import torch

from lossbench import run
from lossbench.datasets.copying import copying
from lossbench.datasets.shakespeare import shakespeare
from lossbench.errors import UsageError
from lossbench.tasks.token_diffusion import LEAST, TokenDiffusion
from tests.engine import prepared


def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def task():
    return TokenDiffusion(shakespeare(generator=generator(), block_length=16), torch.device("cpu"))


def test_noise(task):
    targets = torch.zeros(20000, 16, dtype=torch.long)
    noise = task.diffusion_noise(targets, generator())
    level = task.noise_level(noise)
    hidden = task.hidden(noise, level)
    assert level.min() >= LEAST and level.max() <= 1 and abs(level.mean() - 0.5) < 0.01
    for low in (0.1, 0.5, 0.9):
        near = (level - low).abs() < 0.02
        assert abs(hidden[near].double().mean() - low) < 0.03


def test_hidden_tokens_are_not_seen(task):
    x, targets = torch.randint(70, (2, 5, 16), generator=generator())
    hidden = torch.rand(5, 16, generator=generator()) < 0.5
    seen = task.denoised_logits(lambda tokens: tokens, lambda tokens: tokens.double().unsqueeze(-1), x, targets, hidden)
    vocabulary = 256
    assert torch.equal(seen.squeeze(-1).long(), torch.where(hidden, vocabulary, targets))


def test_bound(
    task,
):  # uniform over 4 of the tokens: log 4 however many are hidden; and of a model that knows its input
    targets = torch.randint(4, (64, 16), generator=generator())
    x = torch.zeros_like(targets)
    scores = torch.full((256,), -torch.inf)
    scores[:4] = 0.0
    values = task.metrics(task.bound(lambda t: t, lambda t: scores.expand(*t.shape, 256), x, targets))
    assert values["nll"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert values["perplexity"].item() == pytest.approx(4, rel=1e-5)
    numbers = []

    def counting(tokens):  # how many are hidden of each example
        numbers.append((tokens == 256).sum(1))
        return scores.expand(*tokens.shape, 256)

    task.bound(lambda t: t, counting, x, targets)
    drawn = torch.stack(numbers)
    assert drawn.min() == 1 and drawn.max() == 16 and abs(drawn.double().mean() - 8.5) < 0.2
    assert (drawn.sort(0).values.diff(dim=0) >= 1).all()  # spread evenly within an example


def test_run(tmp_path):
    options = ["dataset=shakespeare", "dataset.block_length=16", "variant=[subset]", "variant.subset.number=200"]
    options += ["task=token_diffusion", "model=denoiser", "model.depth=1", "model.width=16", "model.heads=2"]
    options += ["loss=masked_diffusion", "batch_size=20", "optimizer.lr=0.01", "budget.epochs=6", "evaluation.epochs=6"]
    best = run.execute(prepared(tmp_path, *options))["best"]
    assert best["test/nll"] < 4.0 and 0.05 < best["test/denoising_accuracy"] < 0.5  # log 256 = 5.5 by guessing


def test_refused():
    with pytest.raises(UsageError, match="dataset=shakespeare"):
        TokenDiffusion(copying(generator=generator(), num_examples=50), torch.device("cpu"))

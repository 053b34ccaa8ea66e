"""Images written token by token: what the regularizer and the metrics see, and a run."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.digit_tokens import digit_tokens
from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.metrics.generation import frechet_distance
from lossbench.models.convnet import convnet
from lossbench.models.gpt import gpt
from lossbench.tasks.image_generation import ImageGeneration
from tests.datasets.support import generator
from tests.models.support import built


def encoder(size=8):
    return built(lambda: convnet(input_shape=(1, size, size), num_outputs=10, widths=(8,)))


def test_tokens_are_the_images():
    images, tokens = digits(generator=generator()), digit_tokens(generator=generator())
    for own, other in ((tokens.train, images.train), (tokens.test, images.test)):
        assert torch.equal(own.labels["targets"].float().view(-1, 1, 8, 8), other.inputs)
        assert torch.equal(own.inputs[:, 0] - 17, other.labels["targets"])
    features = ImageGeneration(tokens, torch.device("cpu"), encoder=encoder()).image_features
    standard = (images.test.inputs[:5] - images.mean) / images.std
    torch.testing.assert_close(features(tokens.test.labels["targets"][:5]), encoder().body(standard))


def test_samples_have_their_classes():
    """A model that writes 16 and nothing else after class 0, and 3 after the others: the features of such images."""
    tokens = digit_tokens(generator=generator())
    task = ImageGeneration(tokens, torch.device("cpu"), encoder=encoder())

    def body(read):
        return torch.where(read[:, :1] == 17, 16, 3).expand(read.shape)

    def head(written):
        return 50.0 * torch.nn.functional.one_hot(written, 27).float()

    x = tokens.test.inputs[:20]
    grey = torch.where(x[:, :1] == 17, 16, 3).expand(-1, 64)
    assert (x[:, 0] == 17).any() and (x[:, 0] != 17).any()
    torch.testing.assert_close(task.sample_features(body, head, x), task.image_features(grey))
    model = built(lambda: gpt(input_shape=(64,), num_outputs=27, depth=1, width=8, heads=1))
    first, second = (task.sample_features(model.body, model.head, x) for _ in range(2))
    assert torch.equal(first, second) and frechet_distance(first, task.image_features(grey)) > 0


def test_refused():
    with pytest.raises(UsageError, match=r"task\.encoder cannot read images \[1, 8, 8\]"):
        broken = built(lambda: convnet(input_shape=(3, 8, 8), num_outputs=10, widths=(8,)))
        ImageGeneration(digit_tokens(generator=generator()), torch.device("cpu"), encoder=broken)


def test_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["train", "dataset=digit_tokens", "task=image_generation", "model.depth=1", "model.width=16",
              "model.heads=1", "regularizer=[representation_alignment]", "device=cpu", "budget.steps=5",
              "task.encoder={train: {dataset: digits, model: mlp, budget.epochs: 1}}",
              "regularizer.representation_alignment.image_size=128"])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    best = next(record["best"] for record in records if record["choices"]["task"] == "image_generation")
    assert best["test/frechet_distance"] > 0 and 0 < best["train/representation_alignment"] < 2

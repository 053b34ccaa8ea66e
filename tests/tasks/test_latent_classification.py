"""Runs through a Gaussian: noise from a stream of its own in training, the same draws in every evaluation."""

import torch

from tests.engine import trainer

LATENT = ("task=latent_classification", "model=stochastic_mlp", "model.latent_size=6", "loss=variational_bottleneck",
          "task.samples=3")  # fmt: skip


def test_the_objective_is_that_of_the_draws(tmp_path):
    made = trainer(tmp_path, *LATENT, "loss.weight=0.5")
    batch = made.objective.draw(next(made.source.training()), made.generators)
    assert batch["latent_noise"].shape == (128, 3, 6)
    mean, scale = made.model.body(batch["x"]).chunk(2, -1)
    draws = torch.stack([made.model.head(mean + scale * batch["latent_noise"][:, s]) for s in range(3)], 1)
    targets = batch["targets"].unsqueeze(1).expand(128, 3)
    rate = torch.distributions.kl_divergence(torch.distributions.Normal(mean, scale), torch.distributions.Normal(0, 1))
    expected = torch.nn.functional.cross_entropy(draws.flatten(0, 1), targets.flatten()) + 0.5 * rate.sum(-1).mean()
    torch.testing.assert_close(made._evaluate_objective(batch, 10).loss, expected)


def test_noise_is_new_in_every_step(tmp_path):
    made = trainer(tmp_path, *LATENT)
    batches = made.source.training()
    first, second = (made.objective.draw(next(batches), made.generators)["latent_noise"] for _ in range(2))
    assert not torch.equal(first, second)


def test_evaluation_is_the_mean_over_twelve_fixed_draws(tmp_path):
    made = trainer(tmp_path, *LATENT)
    with torch.no_grad():
        made.model.body.layers[-1].bias[6:] = 5.0  # standard deviations of about 0.7
    found, again = made.collect("validation")["logits"].clone(), made.collect("validation")["logits"]
    assert torch.equal(found, again)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(len(found)))
    (batch,) = made.source.evaluation("validation")
    mean, scale = made.model.body(batch["x"]).chunk(2, -1)
    noise = made.objective.task._fixed_noise
    assert noise.shape == (12, 6)
    p = torch.stack([made.model.head(mean + scale * one).softmax(-1) for one in noise]).mean(0)
    torch.testing.assert_close(found.exp(), p)
    # many more draws give nearly the same: the twelve are of a standard normal
    generator = torch.Generator().manual_seed(1)
    many = torch.randn(2000, 6, generator=generator)
    better = torch.stack([made.model.head(mean + scale * one).softmax(-1) for one in many]).mean(0)
    assert (p - better).abs().max() < 0.1

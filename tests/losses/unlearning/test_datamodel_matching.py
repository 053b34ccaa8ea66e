import torch

from lossbench.losses.unlearning.datamodel_matching import datamodel_matching
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # at the predictions the loss is 0, and so is its gradient
    (logits,) = sample("logits")
    values, (gradient, _) = extreme(datamodel_matching, logits, logits.clone())
    near(values[0], [0.0] * len(logits))
    assert not gradient.any()


def test_oracle():  # torch's mean squared error, whose mean is over examples and logits, as the authors' code has it
    logits, predicted = sample("logits", "attributed_logits")
    near(datamodel_matching(logits, predicted).mean(), torch.nn.functional.mse_loss(predicted, logits))


def test_hand():  # (1 + 4 + 0) / 3
    logits, predicted = torch.tensor([[1.0, 2.0, 3.0], [0.0, 4.0, 3.0]]).double().split(1)
    near(datamodel_matching(logits, predicted), [5 / 3])


def test_predictions_are_constants():
    logits, predicted = sample("logits", "attributed_logits")
    value = datamodel_matching(logits.requires_grad_(), predicted.requires_grad_()).sum()
    assert torch.autograd.grad(value, predicted, allow_unused=True) == (None,)


def test_stacked():
    stacked(datamodel_matching)

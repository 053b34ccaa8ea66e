import numpy as np
import pytest
import torch

from lossbench.augmentations.mixup import mixup
from lossbench.errors import UsageError
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip, generator, partner_of


@pytest.mark.parametrize("device", DEVICES)
def test_equation(device):
    given = batch(device_or_skip(device))
    made = apply(mixup, given, alpha=1.0)
    x, weight, partner = given["x"], made["partner_weight"], partner_of(made, given)
    assert weight.shape == (64,) and weight.dtype == torch.float32 and weight.device == x.device
    for i in range(64):
        torch.testing.assert_close(made["x"][i], (1 - weight[i]) * x[i] + weight[i] * x[partner[i]])


def test_rows():
    given = {key: values.flatten(1) if key == "x" else values for key, values in batch().items()}
    made = apply(mixup, given)
    partner, weight = partner_of(made, given), made["partner_weight"].unsqueeze(1)
    torch.testing.assert_close(made["x"], (1 - weight) * given["x"] + weight * given["x"][partner])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_weights_are_beta_distributed(alpha, device):  # Kolmogorov-Smirnov against scipy's, 4,000 weights
    from scipy import stats

    device = device_or_skip(device)
    made = mixup({"x": torch.zeros((4000, 1), device=device)}, generator(device), alpha=alpha)
    weight = made["partner_weight"].cpu().double().numpy()
    if alpha > 0.1:
        assert stats.kstest(weight, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    # Small alpha: float32 rounds weights near 1 to 1, so compare the part that lies between, and both ends.
    law = stats.beta(alpha, alpha)
    for low, high in ((0, 0.05), (0.05, 0.95), (0.95, 1.001)):
        share = law.cdf(high) - law.cdf(low)
        found = np.mean((weight >= low) & (weight < high))
        assert abs(found - share) < 4 * (share * (1 - share) / 4000) ** 0.5


def test_labels_are_mixed_once():
    made = mixup(batch(), generator())
    with pytest.raises(UsageError, match="augmentation=mixup"):
        mixup(made, generator())

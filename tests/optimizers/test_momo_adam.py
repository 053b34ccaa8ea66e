import pytest
import torch

from lossbench.optimizers.momo_adam import MomoAdam
from tests.optimizers.support import check_against, network, train, weights
from tests.optimizers.test_momo import by_hand


@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_oracle(estimate, decay):
    options = {"lr": 0.1, "decay": decay, "lower": 0.9, "corrected": True, "estimate": estimate}
    update, memory = by_hand(**options, beta=0.8, beta2=0.95)
    check_against(
        lambda params: MomoAdam(params, lr=0.1, betas=(0.8, 0.95), weight_decay=decay, lower_bound=0.9,
                                estimate_lower_bound=estimate),
        update, tolerance=1e-8,
    )  # fmt: skip
    assert min(memory["taus"]) < 0.5


def test_far_bound_is_adam():  # lr / rho = lr / (1 - beta1^t) is Adam's correction of the first average
    ours, theirs = network(), network()
    train(ours, MomoAdam(ours.parameters(), lr=0.01, lower_bound=-1e9), range(50))
    train(theirs, torch.optim.Adam(theirs.parameters(), lr=0.01), range(50))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-9, atol=1e-11)

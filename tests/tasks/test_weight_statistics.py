"""Metrics of the weights: those of the selected model, whatever trained it."""

import numpy as np
import pytest
import torch

from lossbench import building, run
from lossbench.errors import UsageError
from lossbench.metrics import higher_is_better
from lossbench.metrics.weights import largest_of, log_lipschitz_of, small_share_of
from tests.engine import prepared, trainer

TASK = ("task=weight_statistics", "budget.steps=6", "evaluation.steps=2", "model.widths=[16,8]")


def test_are_those_of_the_selected_weights(tmp_path):
    made = prepared(tmp_path, *TASK)
    record = run.execute(made)
    weights = [w.detach().numpy() for w in building.load_model(made.folder).parameters() if w.ndim == 2]
    assert record["best"]["test/largest_weight"] == pytest.approx(max(np.abs(w).max() for w in weights))
    bound = np.prod([np.linalg.svd(w)[1][0] for w in weights])
    assert 10 ** record["best"]["test/log_lipschitz"] == pytest.approx(bound, rel=1e-4)
    small = [np.abs(w) < 0.1 * np.sqrt((w**2).mean()) for w in weights]
    share = sum(s.sum() for s in small) / sum(s.size for s in small)
    assert record["best"]["test/small_weights"] == pytest.approx(share, rel=1e-5)
    assert "test/accuracy" in record["best"] and "validation/largest_weight" in record["best"]
    assert not higher_is_better("largest_weight") and not higher_is_better("log_lipschitz")


def test_bound_holds():  # of the outputs' change by the inputs', here reached by a linear map
    torch.manual_seed(0)
    layers = [torch.randn(5, 3), torch.randn(4, 5)]
    bound = 10 ** log_lipschitz_of(dict(enumerate(layers))).item()
    for _ in range(200):
        x, y = torch.randn(3), torch.randn(3)
        f = [layers[1] @ torch.relu(layers[0] @ z) for z in (x, y)]
        assert (f[0] - f[1]).norm() <= bound * (x - y).norm()
    assert 10 ** log_lipschitz_of({"a": torch.diag(torch.tensor([3.0, 4.0]))}).item() == pytest.approx(4)


def test_small_weights():  # 3 of 4 below a tenth of sqrt(100 / 4) = 5; and 0.08 of normal ones
    found = small_share_of({"w": torch.tensor([[0.1, 0.2], [-0.3, 10.0]]), "bias": torch.zeros(50)})
    assert found.item() == 0.75
    torch.manual_seed(0)
    assert small_share_of({"w": torch.randn(300, 300)}).item() == pytest.approx(0.0797, abs=0.003)


def test_biases_do_not_count():
    assert largest_of({"weight": torch.tensor([[-0.5, 0.2]]), "bias": torch.tensor([9.0])}).item() == 0.5


def test_other_models_are_refused(tmp_path):
    built = trainer(tmp_path, *TASK[:3], "model=convnet")
    with pytest.raises(UsageError, match="task=weight_statistics"):
        built.fit()

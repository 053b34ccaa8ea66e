import pytest
import torch

from lossbench import building, run
from tests.engine import prepared, trainer


def test_spectral_risk(tmp_path):  # without smoothing the mean of the worse half of the losses
    chosen = ("dataset=diabetes", "task=spectral_regression", "loss=mean_squared_error", "batch_size=50")
    one = prepared(tmp_path, *chosen, "task.smoothing=0", "budget.epochs=3")
    best = run.execute(one)["best"]
    batch = trainer(tmp_path, *chosen).source._keep("test")
    assert len(batch["x"]) % 2 == 0
    with torch.no_grad():
        residual = building.load_model(one.folder)(batch["x"]) - batch["regression_targets"]
    worse = (residual.square().sum(-1) / 2).sort().values[len(residual) // 2 :]
    assert best["test/spectral_risk"] == pytest.approx(worse.mean().item(), rel=1e-4)

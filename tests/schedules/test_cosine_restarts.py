import pytest
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from lossbench.schedules.cosine import cosine
from lossbench.schedules.cosine_restarts import cosine_restarts
from tests.engine import trainer
from tests.schedules.support import curve, torch_curve


@pytest.mark.parametrize(("cycle", "growth"), [(7, 1), (5, 2), (3, 3)])
def test_oracle(cycle, growth):
    expected = torch_curve(CosineAnnealingWarmRestarts, 60, T_0=cycle, T_mult=growth, eta_min=0.1)
    assert curve(cosine_restarts, 60, cycle=cycle, growth=growth, lowest=0.1) == pytest.approx(expected, abs=1e-12)


def test_hand():  # cycles of 2 and 4 steps: cos of 0, 90 degrees; then 0, 45, 90, 135
    expected = [1, 0.5, 1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 1]
    assert curve(cosine_restarts, 7, cycle=2, growth=2.0) == pytest.approx(expected, abs=1e-12)


def test_limit():  # the first cycle is the cosine of a run of that length
    assert curve(cosine_restarts, 40, cycle=13)[:13] == pytest.approx(curve(cosine, 13, warmup=0), abs=1e-12)


def test_defaults_end_with_a_cycle():  # the paper's troughs: 8, 24, 56, 120 and 248 epochs
    rates = curve(cosine_restarts, 248)
    assert [step for step in range(248) if rates[step] == 1.0] == [0, 8, 24, 56, 120]
    assert 0 < rates[-1] < 1e-3


def test_a_trough_is_the_end_of_a_shorter_run(tmp_path):  # bit by bit
    chosen = ("schedule=cosine_restarts", "schedule.cycle=10", "evaluation.steps=10")
    rows = {}
    for steps in (10, 30, 70):
        rows[steps] = []
        trainer(tmp_path, *chosen, f"budget.steps={steps}", report=rows[steps].append).fit()

    def measured(row):
        return {key: value for key, value in row.items() if key.startswith(("validation/", "train/", "learning_rate"))}

    assert len(rows[70]) == 7
    for steps in (10, 30):
        assert measured(rows[steps][-1]) == measured(rows[70][steps // 10 - 1])

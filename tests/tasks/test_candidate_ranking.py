"""Log-probabilities of candidates against the chain rule written out; the metrics against scipy."""

import pytest
import torch
from scipy.stats import spearmanr

from lossbench import building, run
from lossbench.tasks.candidate_ranking import CandidateRanking, rank_correlation
from tests.engine import prepared
from tests.tasks.test_generation import OPTIONS


def test_rank_correlation():
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randint(4, (30, 6), generator=draw).double(), torch.randn(30, 6, generator=draw)
    one[3] = 2.0  # no order: left out
    wanted = [spearmanr(a, b).statistic for i, (a, b) in enumerate(zip(one, other, strict=True)) if i != 3]
    assert rank_correlation(one, other).item() == pytest.approx(sum(wanted) / 29)


def test_run(tmp_path):
    options = [*OPTIONS, "task=candidate_ranking", "variant=[corrupted_candidates]", "loss=brio", "budget.epochs=2"]
    one = prepared(tmp_path, *options, "loss.weight=1.0")
    record = run.execute(one)
    assert set(record["final"]) >= {"train/cross_entropy", "train/ranking"}
    model, dataset = building.load_model(one.folder).eval(), building.load_dataset(one.config)
    x, labels = dataset.test.inputs, dataset.test.labels
    task = CandidateRanking(dataset, torch.device("cpu"))
    candidates, lengths = labels["candidates"], labels["candidate_lengths"]
    with torch.no_grad():
        found = task.candidate_log_p(model.body, model.head, x, candidates, lengths)
        total = 0.0
        answer, length = candidates[2, 3].tolist(), int(lengths[2, 3])
        for place in range(length):
            given = [*x[2, :7].tolist(), *answer[:place]]
            log_p = model(torch.tensor([given + [0] * (10 - len(given))]))[0, 6 + place].log_softmax(-1)
            total += log_p[answer[place]].item()
    assert found[2, 3].item() == pytest.approx(total, rel=1e-5)
    pick = (found / lengths).argmax(1)
    picked = labels["candidate_qualities"][torch.arange(len(x)), pick].double().mean().item()
    assert record["best"]["test/candidate_pick_quality"] == pytest.approx(picked)


def test_refused(tmp_path):
    from lossbench.errors import UsageError

    with pytest.raises(UsageError, match="corrupted_candidates"):
        run.execute(prepared(tmp_path, *OPTIONS, "task=candidate_ranking", "loss=cross_entropy"))

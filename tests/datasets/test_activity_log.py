import torch
from scipy import stats

from lossbench.datasets.activity_log import activity_log
from tests.datasets.support import generator, splits


def test_histories_are_one_hot():
    dataset = activity_log(generator=generator(), num_examples=3000, activities=5, history=3)
    for split in splits(dataset):
        steps = split.inputs.view(-1, 3, 5)
        assert torch.equal(steps.sum(-1), torch.ones(1000, 3)) and set(steps.unique().tolist()) == {0.0, 1.0}


def test_abnormal_events_are_counted():
    dataset = activity_log(generator=generator(), num_examples=3000, rate=0.02)
    assert [int(split.labels["anomalies"].sum()) for split in splits(dataset)] == [20, 20, 20]
    assert dataset.train.labels["anomalies"].nonzero().flatten().tolist() != list(range(20))


def test_normal_and_abnormal_events_follow_different_chains():  # of one role: the same chain within the history and to
    # the next activity; abnormal events, which are the half here, another one
    dataset = activity_log(generator=generator(), num_examples=30000, activities=3, roles=1, history=4, rate=0.5)
    steps = dataset.train.inputs.view(-1, 4, 3).argmax(-1)
    before = torch.bincount(steps[:, 1] * 3 + steps[:, 2], minlength=9).view(3, 3)
    abnormal = dataset.train.labels["anomalies"]
    for chosen, alike in ((~abnormal, True), (abnormal, False)):
        after = torch.bincount(steps[chosen, 3] * 3 + dataset.train.labels["targets"][chosen], minlength=9).view(3, 3)
        for a in range(3):
            p = stats.chi2_contingency(torch.stack([before[a], after[a]]).numpy() + 1).pvalue
            assert (p > 1e-3) if alike else (p < 1e-6)


def test_the_history_tells_the_role():  # of several roles: the next activity depends on more than the last one
    dataset = activity_log(generator=generator(), num_examples=90000, activities=3, roles=2, history=4, rate=1e-3)
    steps = dataset.train.inputs.view(-1, 4, 3).argmax(-1)
    chosen = steps[:, 3] == 0
    table = torch.bincount(steps[chosen, 1] * 3 + dataset.train.labels["targets"][chosen], minlength=9).view(3, 3)
    assert stats.chi2_contingency(table.numpy() + 1).pvalue < 1e-6

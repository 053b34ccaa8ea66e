import torch

from lossbench.datasets.tabular_teacher import tabular_teacher
from tests.datasets.support import generator


def test_samples_are_the_teachers():  # frequencies of 40,000 samples against the probabilities that come along
    dataset = tabular_teacher(generator=generator(), num_examples=40_000, num_inputs=3, num_classes=4)
    inputs, targets = dataset.train.inputs.argmax(-1), dataset.train.labels["targets"]
    teacher = torch.zeros(3, 4)
    teacher[dataset.test.inputs.argmax(-1)] = dataset.test.labels["teacher_logits"].exp()
    torch.testing.assert_close(teacher.sum(-1), torch.ones(3))
    for s in range(3):
        found = torch.bincount(targets[inputs == s], minlength=4) / (inputs == s).sum()
        torch.testing.assert_close(found, teacher[s], atol=0.02, rtol=0)
        assert abs((inputs == s).float().mean() - 1 / 3) < 0.02
    own = dataset.train.labels["teacher_logits"].exp()
    torch.testing.assert_close(own, teacher[inputs])


def test_evaluation_is_exact():  # every pair of an input, as an indicator, and a class once
    dataset = tabular_teacher(generator=generator(), num_inputs=7, num_classes=3)
    for split in (dataset.validation, dataset.test):
        assert torch.equal(split.inputs.sum(-1), torch.ones(21))
        pairs = zip(split.inputs.argmax(-1).tolist(), split.labels["targets"].tolist(), strict=True)
        assert sorted(pairs) == [(s, y) for s in range(7) for y in range(3)]


def test_concentration():  # large: nearly even; small: nearly certain
    even, certain = (
        tabular_teacher(generator=generator(), concentration=c).test.labels["teacher_logits"].exp().amax(-1).mean()
        for c in (1e4, 1e-2)
    )
    assert even < 0.11 and certain > 0.9

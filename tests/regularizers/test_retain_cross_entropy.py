import torch

from lossbench.regularizers.retain_cross_entropy import retain_cross_entropy
from tests.losses.support import near, sample


def test_limit():  # weight 0 is no term; nothing to forget: the cross-entropy
    logits, targets = sample("logits", "targets")
    logps = logits.log_softmax(-1)[torch.arange(len(targets)), targets]
    ones = torch.ones(len(targets))
    near(retain_cross_entropy(logps, ones, weight=0.0), torch.zeros(len(targets)))
    near(retain_cross_entropy(logps, ones), torch.nn.functional.cross_entropy(logits, targets, reduction="none"))


def test_oracle():  # over a whole training set: weight times the mean over its 6 members that are kept
    (logps,) = sample("completion_logps", B=8)
    kept = torch.arange(8) % 4 != 1
    found = retain_cross_entropy(logps, 8 / 6 * kept.double(), weight=0.3).mean()
    near(found, -0.3 * sum(logps[i].item() for i in (0, 2, 3, 4, 6, 7)) / 6)


def test_hand():  # 2 * 1.5 * 0.25, and nothing of what is to be forgotten
    near(retain_cross_entropy(torch.tensor([-0.25, -7.0]), torch.tensor([1.5, 0.0]), weight=2.0), [0.75, 0.0])

import torch

from lossbench.regularizers.retain_divergence import retain_divergence
from tests.losses.support import near, sample


def test_limit():  # weight 0 is no term; at the base model there is none either
    divergence, weights = sample("base_divergence", "retain_weights")
    near(retain_divergence(divergence, weights, weight=0.0), torch.zeros(6))
    near(retain_divergence(torch.zeros(6), weights), torch.zeros(6))


def test_oracle():  # over a whole training set, with torch's KL: weight times the mean over its members that are kept
    logits, base = sample("logits", "teacher_logits", B=8)
    log_p, log_q = logits.log_softmax(-1), base.log_softmax(-1)
    kept = torch.arange(8) % 4 != 1
    divergence = torch.nn.functional.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)
    found = retain_divergence(divergence, 8 / 6 * kept.double(), weight=0.3).mean()
    near(found, 0.3 * torch.nn.functional.kl_div(log_p[kept], log_q[kept], reduction="batchmean", log_target=True))


def test_hand():  # 2 * 1.5 * 0.25, and nothing of what is to be forgotten
    near(retain_divergence(torch.tensor([0.25, 7.0]), torch.tensor([1.5, 0.0]), weight=2.0), [0.75, 0.0])

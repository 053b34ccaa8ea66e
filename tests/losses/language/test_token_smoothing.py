import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.token_smoothing import token_smoothing
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "token_embeddings", "class_counts")


def test_limit():  # no smoothing, a temperature of 0; all tokens alike where it is infinite
    given = sample(*WORDS)
    near(token_smoothing(*given, alpha=0.0), cross_entropy(*given[:2]))
    near(token_smoothing(*given, alpha=0.7, temperature=1e-6), cross_entropy(*given[:2]))
    uniform = token_smoothing(*given, alpha=0.4, temperature=1e12)
    near(uniform, torch.nn.functional.cross_entropy(*given[:2], label_smoothing=0.4, reduction="none"), 1e-9)


def test_oracle():  # the formula, token by token and word by word
    for seed in range(3):
        logits, targets, embeddings, counts = sample(*WORDS, seed=seed, tokens=True)
        found = token_smoothing(logits, targets, embeddings, counts, alpha=0.6, temperature=0.5, rarity=2.0)
        for place in ((0, 0), (2, 5), (5, 3)):
            y, log_p = targets[place].item(), logits[place].log_softmax(0).tolist()
            raw = []
            for v in range(5):
                cos = torch.cosine_similarity(embeddings[v], embeddings[y], dim=0).item()
                ratio = min(counts[v] / counts[y], counts[y] / counts[v]).item()
                raw.append(math.exp((cos - 1) / 0.5 - 2.0 * ratio))
            smooth = -sum(r * value for r, value in zip(raw, log_p, strict=True)) / sum(raw)
            near(found[place], 0.4 * -log_p[y] + 0.6 * smooth)


def test_hand():  # orthogonal words, temperature 1: r = (1, 1/e) / (1 + 1/e); p = 3/4, 1/4
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    embeddings, counts = torch.tensor([[0.0, 2], [5, 0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    smooth = (math.log(4 / 3) + math.log(4) / math.e) / (1 + 1 / math.e)
    near(token_smoothing(logits, torch.tensor([0]), embeddings, counts, alpha=1.0, temperature=1.0), [smooth])


def test_embeddings_do_not_learn_from_it():
    logits, targets, embeddings, counts = sample(*WORDS)
    embeddings.requires_grad_()
    assert not token_smoothing(logits, targets, embeddings, counts).requires_grad

import math

import torch
from torch.nn import functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.goldfish import goldfish
from tests.losses.support import near, sample


def text(*shape, symbols=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(symbols, shape, generator=draw), torch.randn(*shape, symbols, generator=draw).double()


def kept(targets, **options):
    values = goldfish(torch.randn(*targets.shape, 50), targets, **options)
    return values != 0


def test_limit():  # nothing is left out where k is infinite, nor where no token has so many before it
    logits, targets = sample("logits", "targets", tokens=True)
    near(goldfish(logits, targets, k=1e12, context=2), cross_entropy(logits, targets), 1e-9)
    near(goldfish(logits, targets, k=4.0, context=7), 4 / 3 * cross_entropy(logits, targets))


def test_oracle():  # cross-entropy of the kept tokens, and which are kept depends on the tokens before alone
    targets, logits = text(6, 50)
    values = goldfish(logits, targets, k=3.0, context=4)
    plain = F.cross_entropy(logits.mT, targets, reduction="none")
    near(values, torch.where(values != 0, 1.5 * plain, 0.0))
    for place in range(50):
        changed = targets.clone()
        changed[:, place] = (targets[:, place] + 1) % 40
        before, after = kept(targets, k=3.0, context=4), kept(changed, k=3.0, context=4)
        untouched = torch.ones(50, dtype=torch.bool)
        untouched[place + 1 : place + 5] = False
        assert torch.equal(before[:, untouched], after[:, untouched])


def test_hand():  # every second token is left out, the others count twice: uniform over 4 classes
    values = goldfish(torch.zeros(1, 4, 4), torch.zeros(1, 4, dtype=torch.long), k=2.0, strategy="static")
    near(values, [[2 * math.log(4), 0.0, 2 * math.log(4), 0.0]], 1e-6)


def test_the_same_context_leaves_out_the_same_tokens():  # wherever the passage stands, and after anything
    passage = text(1, 60)[0]
    one, two = (torch.cat([text(1, n, seed=n)[0], passage], 1) for n in (10, 33))
    options = {"k": 4.0, "context": 13}
    assert torch.equal(kept(one, **options)[:, -47:], kept(two, **options)[:, -47:])
    assert not kept(one, **options)[:, -47:].all()


def test_one_in_k_is_left_out():
    targets = text(40, 500)[0]
    for k in (2.0, 4.0, 10.0):
        for context in (1, 3, 13):  # 40 contexts of one token are few: the share is that of their own hashes
            share = kept(targets, k=k, context=context)[:, context:].double().mean()
            assert abs(share - (1 - 1 / k)) < (0.2 if context == 1 else 0.01), (k, context)
    counting = torch.arange(500).unsqueeze(0) % 41  # neighbours in number are no neighbours in the hash
    runs = kept(counting, k=2.0, context=2)[0, 2:43].long()
    assert 10 < runs.diff().abs().sum() < 31


def test_vmap():
    targets, logits = text(3, 4, 20)
    together = torch.vmap(lambda x, y, k: goldfish(x, y, k=k, context=2))(
        logits, targets, torch.tensor([2.0, 3.0, 5.0])
    )
    for i, k in enumerate((2.0, 3.0, 5.0)):
        near(together[i], goldfish(logits[i], targets[i], k=k, context=2), 1e-6)

import torch

from lossbench.reweightings.conflict_tokens import conflict_tokens
from tests.losses.support import near, sample


def given(rows, rewards, start=1, width=7):
    """One prompt whose completions, lists of tokens, begin at place ``start``."""
    tokens = torch.full((1, len(rows), width), 99)
    mask = torch.zeros(1, len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[0, i, start : start + len(row)] = torch.tensor(row)
        mask[0, i, start : start + len(row)] = True
    return tokens, mask, torch.tensor([rewards], dtype=torch.float64)


def of_completions(weights, rows, start=1):
    return [weights[i, start : start + len(row)].tolist() for i, row in enumerate(rows)]


def test_limit():  # equal rewards, or nothing in common, weigh as 1; so does weight 1 where A > 0
    tokens, mask, _ = sample("rollout_tokens", "rollout_mask", "rewards")
    near(conflict_tokens(tokens, mask, torch.ones(mask.shape[:2])), 1.0)
    rows = [[1, 2], [3, 4]]
    near(conflict_tokens(*given(rows, [1.0, 0.0])), 1.0)


def test_oracle():  # by loops over dictionaries of (place, token)
    tokens, mask, rewards = sample("rollout_tokens", "rollout_mask", "rewards")
    tokens = tokens % 2  # much in common
    found = conflict_tokens(tokens, mask, rewards, weight=3.0).view(mask.shape)
    seen = set()
    for b in range(len(mask)):
        rows = [tokens[b, i][mask[b, i]].tolist() for i in range(mask.shape[1])]
        mean = rewards[b].mean()
        signs = [(r > mean).int().item() - (r < mean).int().item() for r in rewards[b]]

        def factors(rows, signs=signs):
            good, bad = (
                {(t, s) for row, sign in zip(rows, signs, strict=True) if sign == want for t, s in enumerate(row)}
                for want in (1, -1)
            )
            result = []
            for row, sign in zip(rows, signs, strict=True):
                still, own = True, []
                for t, s in enumerate(row):
                    still = still and (t, s) in good and (t, s) in bad
                    own.append({1: 3.0, -1: 0.0, 0: 1.0}[sign] if still else 1.0)
                result.append(own)
            return result

        forwards, backwards = factors(rows), factors([row[::-1] for row in rows])
        for i in range(len(rows)):
            expected = [f * g for f, g in zip(forwards[i], backwards[i][::-1], strict=True)]
            near(found[b, i][mask[b, i]], expected)
            seen |= set(expected)
    assert seen == {0.0, 1.0, 3.0, 9.0}


def test_hand():
    """All begin with 7 and end with 9; 5 stands at the second place of the good one and of a bad one, which is a run
    from the start; 6 of the bad ones is nobody else's. From the end, the 5 of the good one is last but one as in the
    second bad one."""
    rows = [[7, 5, 9], [7, 5, 6, 9], [7, 6, 5, 9]]
    weights = conflict_tokens(*given(rows, [1.0, 0.0, 0.0]))
    assert of_completions(weights, rows) == [[2, 4, 2], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_only_runs_from_the_ends():  # the 5 in the middle is shared, but what stands around it is not
    rows = [[1, 5, 2], [3, 5, 4]]
    near(conflict_tokens(*given(rows, [1.0, 0.0])), 1.0)


def test_identical_completions_count_twice():  # both runs go all the way
    rows = [[1, 2], [1, 2]]
    assert of_completions(conflict_tokens(*given(rows, [1.0, 0.0])), rows) == [[4, 4], [0, 0]]

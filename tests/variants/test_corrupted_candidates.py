import pytest
import torch

from lossbench.datasets.key_symbols import key_symbols
from lossbench.datasets.reversal import reversal
from lossbench.errors import UsageError
from lossbench.variants.corrupted_candidates import corrupted_candidates
from tests.variants.support import generator


def test_candidates():
    dataset = key_symbols(generator=generator(), num_examples=400)
    made = corrupted_candidates(dataset, generator(), number=5, max_edits=3)
    end = list(dataset.class_names).index(".")
    for before, split in ((dataset.train, made.train), (dataset.test, made.test)):
        assert torch.equal(before.inputs, split.inputs) and "candidates" not in before.labels
        candidates, lengths = split.labels["candidates"], split.labels["candidate_lengths"]
        qualities, answers = split.labels["candidate_qualities"], split.labels["targets"][:, 12:]
        assert candidates.shape == (len(split), 5, 7) and qualities.shape == lengths.shape == (len(split), 5)
        ended = (candidates == end).long().argmax(-1) + 1
        assert torch.equal(ended, lengths) and (candidates != end).sum(-1).equal(lengths - 1)
        same = (candidates == answers.unsqueeze(1)).all(-1)
        assert torch.equal(same, qualities == 1) or (same <= (qualities == 1)).all()
        assert 0.25 < same.double().mean() < 0.45  # a quarter has no edit; a few edits change nothing
        assert qualities.min() < 0.5 and qualities.unique().numel() > 10
    again = corrupted_candidates(dataset, generator(), number=5, max_edits=3)
    assert torch.equal(again.train.labels["candidates"], made.train.labels["candidates"])


def test_refused():
    with pytest.raises(UsageError, match="dataset=key_symbols"):
        corrupted_candidates(reversal(generator=generator(), num_examples=50, length=5), generator())

"""The task: where source and target part, and a run whose score under the right prefixes is that of decoding."""

import pytest
import torch

from lossbench import building, run
from lossbench.datasets.copying import copying
from lossbench.datasets.markov_source import markov_source
from lossbench.datasets.shakespeare import shakespeare
from lossbench.errors import UsageError
from lossbench.tasks.seq2seq import Seq2seq
from tests.engine import prepared


def generator():
    return torch.Generator().manual_seed(0)


def test_source_and_target():  # a b c . > a b c: the source is a b c ., the target's inputs are > a b
    dataset = copying(generator=generator(), length=3, delay=1, num_symbols=9, num_examples=50)
    assert Seq2seq.shapes(dataset) == ((4, 3), 11)
    assert (dataset.train.inputs[:, 4] == dataset.class_names.index(">")).all()


def test_data_without_a_source_are_refused():
    for dataset in (shakespeare(generator=generator()), markov_source(generator=generator(), num_examples=20)):
        with pytest.raises(UsageError, match="dataset=copying, reversal or addition"):
            Seq2seq.shapes(dataset)
    uneven = copying(generator=generator(), length=3, num_symbols=9, num_examples=50)
    uneven.train.labels["mask"][0, 3] = False
    with pytest.raises(UsageError, match="one length"):
        Seq2seq.shapes(uneven)


def test_run(tmp_path):
    options = ["dataset=reversal", "dataset.length=3", "dataset.num_symbols=12", "dataset.num_examples=500"]
    options += ["task=seq2seq", "model=encoder_decoder", "model.depth=1", "model.width=32", "batch_size=20"]
    options += ["optimizer.lr=0.01", "budget.epochs=12", "evaluation.epochs=6"]
    one = prepared(tmp_path, *options)
    best = run.execute(one)["best"]
    assert best["test/sequence_accuracy"] > 0.5  # 1 in 1728 by guessing
    model, dataset = building.load_model(one.folder).eval(), building.load_dataset(one.config)
    x, answer = dataset.test.inputs, dataset.test.labels["targets"][:, 3:]
    decoded = x[:, :4]  # the source and the sign to begin
    with torch.no_grad():
        for _ in range(3):
            filled = torch.nn.functional.pad(decoded, (0, 6 - decoded.shape[1]))  # what comes later is not seen
            decoded = torch.cat([decoded, model(filled)[:, decoded.shape[1] - 1].argmax(-1, keepdim=True)], 1)
    right = (decoded[:, 4:] == answer).all(1).double().mean().item()
    assert best["test/sequence_accuracy"] == pytest.approx(right)

"""Pairs in their real formats, written by the tests."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.preference_pairs import preference_pairs
from lossbench.errors import UsageError
from lossbench.results.collect import records
from tests.datasets.support import generator, splits

ROWS = [
    {"prompt": f"What is {i} + 1?", "chosen": f" It is {i + 1}.", "rejected": f" {i}" * (1 + i % 3)} for i in range(40)
]


def message(role, content):
    return {"role": role, "content": content}


def write(folder, rows, stem="data", kind="jsonl"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def made(path, **options):
    return preference_pairs(generator=generator(), path=str(path), **options)


def texts(split):
    """(prompt, chosen, rejected) of each pair, from the tokens, which are bytes; the byte 0 ends a completion."""
    found = []
    whole = torch.cat([split.inputs, split.labels["targets"][..., -1:]], -1)
    for rows, masks in zip(whole.tolist(), split.labels["mask"].tolist(), strict=True):
        start = masks[0].index(True) + 1
        assert masks[1].index(True) + 1 == start and rows[0][:start] == rows[1][:start]
        ends = [bytes(row[1 + i] for i, m in enumerate(mask) if m) for row, mask in zip(rows, masks, strict=True)]
        assert all(end.endswith(b"\0") for end in ends)
        found.append((bytes(rows[0][:start]).decode(), *(end[:-1].decode() for end in ends)))
    return found


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_columns_of_text(tmp_path, kind):
    dataset = made(write(tmp_path, ROWS, kind=kind))
    assert [len(split) for split in splits(dataset)] == [32, 4, 4]
    found = [pair for split in splits(dataset) for pair in texts(split)]
    assert sorted(found) == sorted((row["prompt"], row["chosen"], row["rejected"]) for row in ROWS)
    assert dataset.num_outputs == 256 and "reward_margins" not in dataset.train.labels
    other = preference_pairs(generator=generator(1), path=str(tmp_path / f"data.{kind}"))
    assert texts(other.test) != texts(dataset.test)


def test_named_splits_and_scores(tmp_path):
    scored = [{**row, "score_chosen": 5.0, "score_rejected": i / 10} for i, row in enumerate(ROWS)]
    for part, rows in (("train", scored[:20]), ("validation", scored[20:30]), ("test", scored[30:])):
        write(tmp_path / "pairs", rows, stem=part)
    dataset = made(tmp_path / "pairs")
    assert [len(split) for split in splits(dataset)] == [20, 10, 10]
    assert texts(dataset.validation)[0][0] == "What is 20 + 1?"
    torch.testing.assert_close(dataset.test.labels["reward_margins"], 5 - torch.arange(30, 40) / 10)
    assert len(made(tmp_path / "pairs", max_examples=15).train) == 15


def test_messages(tmp_path):
    start = [message("system", "Be brief."), message("user", "Hello?")]
    rows = [
        {"chosen": [*start, message("assistant", "Hi.")], "rejected": [*start, message("assistant", "Go.")]},
        {"prompt": start, "chosen": [message("assistant", "Hi.")], "rejected": [message("assistant", "Go.")]},
        {"prompt": "Hello?", "chosen": [message("assistant", "Hi.")], "rejected": [message("assistant", "Go.")]},
        {
            "prompt": "Hello?",
            "chosen": [*start, message("assistant", "Hi.")],
            "rejected": [*start, message("assistant", "Go.")],
        },
    ]
    whole = "<|system|>\nBe brief.\n<|user|>\nHello?\n<|assistant|>\n"
    for row, expected in zip(rows, [whole, whole, "<|user|>\nHello?\n<|assistant|>\n", whole], strict=True):
        dataset = made(write(tmp_path, [row] * 12))
        assert set(texts(dataset.train)) == {(expected, "Hi.\n", "Go.\n")}


def test_a_prompt_that_both_texts_begin_with(tmp_path):
    rows = [{"chosen": "Human: hi\n\nAssistant: hello", "rejected": "Human: hi\n\nAssistant: help"}] * 12
    assert texts(made(write(tmp_path, rows)).train)[0] == ("Human: hi\n\nAssistant: ", "hello", "help")


def test_lengths(tmp_path):  # the end of a prompt and the beginning of a completion are kept, without an end token
    dataset = made(
        write(tmp_path, [{"prompt": "abcdef", "chosen": "ghijkl", "rejected": "m"}] * 12),
        max_prompt=3,
        max_completion=4,
    )
    rows = torch.cat([dataset.train.inputs, dataset.train.labels["targets"][..., -1:]], -1)[0]
    assert bytes(rows[0].tolist()) == b"defghij" and bytes(rows[1].tolist()) == b"defm\0\0\0"
    assert dataset.train.labels["mask"][0].tolist() == [
        [False, False, True, True, True, True],
        [False, False, True, True, False, False],
    ]


def test_errors(tmp_path):
    for rows, match in (
        ([{"prompt": "a", "choosen": "b", "rejected": "c"}], "no column 'chosen', did you mean 'choosen'"),
        ([{"prompt": "a", "chosen": 1, "rejected": "c"}], "neither text nor messages"),
    ):
        with pytest.raises(UsageError, match=match):
            made(write(tmp_path, rows))
    (tmp_path / "plain.txt").write_text("text")
    with pytest.raises(UsageError, match="has no columns"):
        made(tmp_path / "plain.txt")


def test_trains(tmp_path):  # from files to a policy that is measured, with the reference that is trained before
    small = {"model.depth": 1, "model.width": 16, "model.heads": 2, "batch_size": 8, "budget.epochs": 2}
    chosen = {"dataset": "preference_pairs", "dataset.path": str(write(tmp_path, ROWS)), "loss": "dpo", **small}
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides({**chosen, "outputs": str(tmp_path / "out")})])
    assert not ended.value.code
    best = next(r for r in records(tmp_path / "out") if r["choices"]["task"] == "preference")["best"]
    assert 0 <= best["test/accuracy"] <= 1 and "test/kl" not in best

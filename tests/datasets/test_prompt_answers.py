"""Prompts with answers in their real formats, written by the tests."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lossbench.datasets.prompt_answers import prompt_answers
from lossbench.errors import UsageError
from lossbench.variants.completions import completions
from tests.datasets.support import generator, splits

ROWS = [{"question": f"Tom has {i} apples and {i} pears?", "answer": f"{i}+{i}\n#### {2 * i}"} for i in range(40)]


def write(folder, rows, stem="data", kind="jsonl"):
    path = folder / f"{stem}.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def made(path, **options):
    return prompt_answers(generator=generator(), path=str(path), **options)


def text(tokens):
    return bytes(token for token in tokens if token).decode()


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_columns_of_gsm8k(tmp_path, kind):
    dataset = made(write(tmp_path, ROWS, kind=kind))
    assert [len(split) for split in splits(dataset)] == [32, 4, 4] and dataset.completion_length == 128
    found = []
    for split in splits(dataset):
        lengths, answers = split.labels["prompt_lengths"].tolist(), split.labels["answers"].tolist()
        for row, length, answer in zip(split.inputs.tolist(), lengths, answers, strict=True):
            assert text(row) == text(row[:length])
            found.append({"question": text(row), "answer": text(answer)})
    assert sorted(found, key=str) == sorted(ROWS, key=str)


def test_the_last_number_decides_or_the_whole_text(tmp_path):
    path = write(tmp_path, ROWS)
    for verifier, expected in (("last_number", [1, 1, 0]), ("exact_match", [1, 0, 0])):
        dataset = made(path, verifier=verifier)
        answer = text(dataset.test.labels["answers"][0].tolist())
        number = answer.split()[-1]
        written = [answer, f"that makes {number}.", f"that makes {number}1."]
        rows = torch.tensor([[*line.encode(), *[0] * (40 - len(line))] for line in written])
        judged = dataset.verifier(rows, dataset.test.labels["answers"][:1].expand(3, -1))
        assert judged.tolist() == expected


def test_files_of_parts_and_samples(tmp_path):
    for stem, part in (("train", ROWS[:20]), ("test", ROWS[20:30]), ("validation", ROWS[30:])):
        write(tmp_path, part, stem)
    dataset = made(tmp_path, max_prompt=10, max_completion=12)
    assert [len(split) for split in splits(dataset)] == [20, 10, 10] and dataset.input_shape == (10,)
    assert text(dataset.train.inputs[3].tolist()) == ROWS[3]["question"][-10:]
    rows, starts, stops = dataset.samples
    fitting = [row for row in ROWS[:20] if len(row["answer"]) < 12]
    assert 0 < len(rows) == len(fitting) < 20
    for row, start, stop, source in zip(rows.tolist(), starts, stops, fitting, strict=True):
        assert text(row[:start]) == source["question"][-10:]
        assert text(row[start:stop]) == source["answer"] and row[stop - 1] == 0
    assert len(completions(dataset, generator()).train) == len(fitting) - 2 * (len(fitting) // 10)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"questions": "1?", "answer": "1"}] * 20, {}, "no column 'question', did you mean 'questions'"),
        ([{"prompt": "1?", "solution": "1"}] * 20, {}, "no column 'answer'"),
        ([{"prompt": "1?", "answer": ""}] * 20, {}, "row 0 is empty"),
        ([], {}, "there are no prompts"),
    ],
)
def test_wrong_input(tmp_path, rows, options, message):
    with pytest.raises(UsageError, match=message):
        made(write(tmp_path, rows), **options)

"""Prompts with answers, from local files or a data set of the hub, in the columns of GSM8K.

    question (or prompt) | answer        text

Source    JSON lines or parquet files; the hub through the package ``datasets``
Licence   that of the data
Task      rlvr
Inputs    token indices of a prompt, its end where it is too long
Answers   tokens of the answer; the verifier compares the last number of both texts, or the texts
Splits    by the names of the files (train.jsonl, validation.jsonl, test-00.parquet) or of the hub's splits; where
          validation or test is missing, 10 % of the training prompts each, drawn at random
Samples   the prompts of the training split with those of their answers that fit, for a policy to start from
"""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import split_indices
from lossbench.datasets.prompts import PromptDataset, padded, prompts_of, samples_of
from lossbench.datasets.tables import tables_of
from lossbench.datasets.tokenizers import Tokenizer, tokenizer_of
from lossbench.errors import UsageError, nearest
from lossbench.verifiers.exact_match import exact_match
from lossbench.verifiers.last_number import last_number

PROMPTS = ("question", "prompt")
Verifier = Literal["last_number", "exact_match"]


def prompt_answers(
    *,
    generator: Generator,
    path: str,
    name: str | None = None,
    tokenizer: str = "bytes",
    verifier: Verifier = "last_number",
    max_prompt: Annotated[int, Ge(1)] = 128,
    max_completion: Annotated[int, Ge(2)] = 128,
    max_examples: Annotated[int, Ge(10)] | None = None,
) -> PromptDataset:
    """generator draws validation and test where they are missing.

    path            a file, a folder of files, or a name on the hub
    name            configuration of a data set of the hub, where it has several
    tokenizer       bytes, tiktoken:NAME or huggingface:NAME, with an end token; see lossbench/datasets/tokenizers.py
    verifier        last_number, as GSM8K is judged, or exact_match, token for token
    max_prompt      tokens that are kept of a prompt, the last ones
    max_completion  tokens that a completion may have, its end included
    max_examples    read no more of each split than so many; null: everything
    """
    chosen = tokenizer_of(tokenizer)
    end = chosen.end
    if end is None:
        raise UsageError(
            f"dataset.tokenizer={tokenizer} has no end token, by which a completion says that it is complete. "
            "Choose another one, such as dataset.tokenizer=bytes."
        )
    tables = tables_of(path, name)
    rows = {part: _encoded(table, chosen, max_prompt, max_examples) for part, table in tables.items()}
    widest = max(len(answer) for part in rows.values() for _, answer in part)
    width = max(len(prompt) for part in rows.values() for prompt, _ in part)
    splits = {
        part: prompts_of([p for p, _ in found], padded([a for _, a in found], end, widest), end, width)
        for part, found in rows.items()
    }
    missing = [part for part in ("validation", "test") if part not in splits]
    parts = split_indices(len(splits["train"]), [0.1] * len(missing), generator)
    splits |= {part: splits["train"].select(own) for part, own in zip(missing, parts, strict=False)}
    trained = rows["train"]
    if missing:
        splits["train"] = splits["train"].select(parts[-1])
        trained = [rows["train"][i] for i in parts[-1].tolist()]
    whole = [(prompt, answer) for prompt, answer in trained if len(answer) < max_completion]
    judge = {
        "last_number": partial(last_number, decode=chosen.decode, end=end),
        "exact_match": partial(exact_match, end=end),
    }
    return PromptDataset(
        splits["train"],
        splits["validation"],
        splits["test"],
        num_outputs=chosen.size,
        verifier=judge[verifier],
        completion_length=max_completion,
        end=end,
        tokenizer=chosen,
        samples=samples_of([p for p, _ in whole], [a for _, a in whole], end, width + max_completion)
        if whole
        else None,
    )


def _encoded(
    rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, max_prompt: int, most: int | None
) -> list[tuple[list[int], list[int]]]:
    """(tokens of the prompt, tokens of the answer) of each row."""
    found = []
    for number, row in enumerate(islice(rows, most)):
        column = next((name for name in PROMPTS if name in row), None)
        if column is None or "answer" not in row:
            wanted = "answer" if column is not None else PROMPTS[0]
            raise UsageError(
                f"dataset.path: row {number} has no column '{wanted}'{nearest(wanted, row) or '.'} "
                f"There are: {', '.join(row)}; question (or prompt) and answer are needed."
            )
        prompt, answer = (list(tokenizer.encode(str(row[name]))) for name in (column, "answer"))
        if not prompt or not answer:
            raise UsageError(f"dataset.path: {column} or answer of row {number} is empty. Leave such rows out.")
        found.append((prompt[-max_prompt:], answer))
    if not found:
        raise UsageError("dataset.path: there are no prompts. Give files with rows.")
    return found

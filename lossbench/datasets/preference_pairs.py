"""Preference pairs: a prompt, a chosen and a rejected completion, from local files or a data set of the hub.

    prompt | chosen | rejected      all text
    chosen | rejected               whole texts: what they have in common, up to a space, is the prompt
    (prompt) | chosen | rejected    lists of messages {role, content}: the prompt's, and then those that both have in
                                    common, are the prompt; where these are none, a prompt of text is the user's message
    score_chosen | score_rejected   numbers, where they are there: their difference is reward_margins

Source    JSON lines or parquet files; the hub through the package ``datasets``
Licence   that of the data
Task      preference
Inputs    [2, T]: the prompt with the chosen, and with the rejected completion, padded behind. A message is written as
          <|role|>, its content and line ends. The tokenizer's end token stands behind a completion that is not cut
Splits    by the names of the files (train.jsonl, validation.jsonl, test-00.parquet) or of the hub's splits (train or
          train_prefs); where validation or test is missing, 10 % of the training pairs each, drawn at random
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile
from typing import Annotated, Any, TypeGuard

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split, split_indices
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.datasets.tables import tables_of
from lossbench.datasets.tokenizers import Tokenizer, tokenizer_of
from lossbench.errors import UsageError, nearest

SCORES = ("score_chosen", "score_rejected")


def preference_pairs(
    *,
    generator: Generator,
    path: str,
    name: str | None = None,
    tokenizer: str = "bytes",
    max_prompt: Annotated[int, Ge(1)] = 128,
    max_completion: Annotated[int, Ge(1)] = 128,
    max_examples: Annotated[int, Ge(10)] | None = None,
) -> PreferenceDataset:
    """generator draws validation and test where they are missing.

    path            a file, a folder of files, or a name on the hub
    name            configuration of a data set of the hub, where it has several
    tokenizer       bytes, tiktoken:NAME or huggingface:NAME; see lossbench/datasets/tokenizers.py
    max_prompt      tokens that are kept of a prompt, the last ones
    max_completion  tokens that are kept of a completion, the first ones
    max_examples    read no more of each split than so many; null: everything
    """
    chosen = tokenizer_of(tokenizer)
    tables = tables_of(path, name, suffix="_prefs")
    pairs = {part: _pairs(rows, chosen, max_prompt, max_completion, max_examples) for part, rows in tables.items()}
    width = max(len(row) for found in pairs.values() for pair in found for row in pair.rows)
    splits = {part: _split(found, width) for part, found in pairs.items()}
    missing = [part for part in ("validation", "test") if part not in splits]
    parts = split_indices(len(splits["train"]), [0.1] * len(missing), generator)
    splits |= {part: splits["train"].select(own) for part, own in zip(missing, parts, strict=False)}
    if missing:
        splits["train"] = splits["train"].select(parts[-1])
    shared = set.intersection(*(set(split.labels) for split in splits.values()))
    for split in splits.values():
        split.labels = {key: values for key, values in split.labels.items() if key in shared}
    return PreferenceDataset(
        splits["train"], splits["validation"], splits["test"], num_outputs=chosen.size, tokenizer=chosen
    )


class _Pair:
    """Two sequences of tokens; where their completions start; the difference of their scores, if there is one."""

    def __init__(self, prompt: Sequence[int], completions: Sequence[Sequence[int]], margin: float | None):
        self.rows = [[*prompt, *completion] for completion in completions]
        self.start, self.margin = len(prompt), margin


def _split(pairs: Sequence[_Pair], width: int) -> Split:
    rows = torch.zeros(len(pairs), 2, width, dtype=torch.long)
    stops = torch.zeros(len(pairs), 2, dtype=torch.long)
    for i, pair in enumerate(pairs):
        for side, row in enumerate(pair.rows):
            rows[i, side, : len(row)] = torch.tensor(row)
            stops[i, side] = len(row)
    starts = torch.tensor([pair.start for pair in pairs]).unsqueeze(1).expand(-1, 2)
    margins = [pair.margin for pair in pairs]
    labels: dict[str, Tensor] = {}
    if all(margin is not None for margin in margins):
        labels["reward_margins"] = torch.tensor(margins, dtype=torch.float32)
    return split_of(rows, starts, stops, labels)


def _pairs(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Tokenizer,
    max_prompt: int,
    max_completion: int,
    most: int | None,
) -> list[_Pair]:
    found = []
    for number, row in enumerate(islice(rows, most)):
        prompt, *texts = _texts(row, number)
        tokens = list(tokenizer.encode(prompt))[-max_prompt:]
        if not tokens:
            if tokenizer.end is None:
                raise UsageError(
                    f"dataset.path: row {number} has no prompt, and dataset.tokenizer={tokenizer.name} no end token to "
                    "begin with. Choose another tokenizer."
                )
            tokens = [tokenizer.end]
        end = [] if tokenizer.end is None else [tokenizer.end]
        completions = [[*tokenizer.encode(text), *end][:max_completion] for text in texts]
        if not all(completions):
            raise UsageError(f"dataset.path: a completion of row {number} is empty. Leave such rows out.")
        scores = [row.get(key) for key in SCORES]
        margin = None if None in scores else float(scores[0]) - float(scores[1])  # type: ignore[arg-type]
        found.append(_Pair(tokens, completions, margin))
    if not found:
        raise UsageError("dataset.path: there are no pairs. Give files with rows.")
    return found


def _texts(row: Mapping[str, Any], number: int) -> tuple[str, str, str]:
    """(prompt, chosen, rejected) as text."""
    for column in ("chosen", "rejected"):
        if column not in row:
            raise UsageError(
                f"dataset.path: row {number} has no column '{column}'{nearest(column, row) or '.'} "
                f"There are: {', '.join(row)}; prompt, chosen and rejected are needed."
            )
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str) and isinstance(prompt, str | None):
        if prompt is None:
            shared = "".join(
                a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))
            )
            prompt = shared[: max(shared.rfind(space) for space in (" ", "\n")) + 1]
            chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
        return prompt, chosen, rejected
    if not (
        _are_messages(chosen) and _are_messages(rejected) and (isinstance(prompt, str | None) or _are_messages(prompt))
    ):
        raise UsageError(
            f"dataset.path: row {number} is neither text nor messages. chosen and rejected must both be text, or both "
            "lists of {role, content}."
        )
    pairs = zip(chosen, rejected, strict=False)
    common = [one for one, _ in takewhile(lambda pair: _written([pair[0]]) == _written([pair[1]]), pairs)]
    common = common[: min(len(chosen), len(rejected)) - 1]  # a completion has a message at least
    before = prompt if _are_messages(prompt) else []
    if isinstance(prompt, str) and not common:
        before = [{"role": "user", "content": prompt}]
    ends = [messages[len(common) :] for messages in (chosen, rejected)]
    role = f"<|{ends[0][0]['role']}|>\n"
    written = [_written(end).removeprefix(role) for end in ends]
    return _written([*before, *common]) + role, written[0], written[1]


def _are_messages(value: Any) -> TypeGuard[list[dict[str, str]]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and {"role", "content"} <= v.keys() for v in value)
    )


def _written(messages: Sequence[Mapping[str, str]]) -> str:
    return "".join(f"<|{message['role']}|>\n{message['content']}\n" for message in messages)

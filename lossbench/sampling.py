"""`lossbench sample`: text from the language model of a finished run.

The model's cache of keys and values makes a token cost one token's work. When the context is full, the second half of
it is read again and generation goes on from there: every token then follows from at least half a context.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from lossbench.errors import UsageError

PROMPT_TOKENS = 32  # of the test split, where nobody gives a prompt


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Tensor,
    number: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    softcap: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """The prompt [B, P] and ``number`` tokens more, [B, P + number].

    temperature   divides the logits; 0 takes the likeliest token
    top_k         of so many likeliest tokens; null: of all
    softcap       of the task
    """
    body: Any = model.body
    head: Any = model.head
    cache, tokens = None, prompt
    for _ in range(number):
        if cache is None or cache.length == body.context:
            kept = body.context if cache is None else max(1, body.context // 2)
            cache, unread = body.cache(), tokens[:, -kept:]
        logits = head(body(unread, cache)[:, -1]).double()
        if softcap is not None:
            logits = softcap * (logits / softcap).tanh()
        unread = pick(logits, temperature, top_k, generator)
        tokens = torch.cat([tokens, unread], 1)
    return tokens


def pick(logits: Tensor, temperature: float, top_k: int | None, generator: Generator | None) -> Tensor:
    """[B, 1] a token for each row of the logits [B, C]."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    chosen, places = logits.topk(min(top_k or logits.shape[-1], logits.shape[-1]))
    drawn = torch.multinomial((chosen / temperature).softmax(-1), 1, generator=generator)
    return places.gather(-1, drawn)


def run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    for name, value, least in (("tokens", options.tokens, 1), ("top-k", options.top_k, 1), ("seed", options.seed, 0)):
        if value is not None and value < least:
            raise UsageError(f"--{name} {value} must be a whole number >= {least}.")
    if not 0 <= options.temperature < float("inf"):
        raise UsageError(f"--temperature {options.temperature:g} must be a number >= 0; 0 takes the likeliest token.")

    from lossbench.building import load_dataset, load_model
    from lossbench.display import say
    from lossbench.preparing import resolve_device

    config = _config(options.folder)
    device = resolve_device("auto")
    model = load_model(options.folder).eval().to(device)
    dataset = load_dataset(config)
    tokenizer = getattr(dataset, "tokenizer", None)
    if tokenizer is None or not hasattr(model.body, "cache"):
        raise UsageError(
            f"{options.folder} is a run of model={config['choices']['model']} on "
            f"dataset={config['choices']['dataset']}, which is no language model. Give a run of task=language_modeling "
            "with model=gpt."
        )
    prompt = _beginning(dataset) if options.prompt is None else torch.tensor([list(tokenizer.encode(options.prompt))])
    if not prompt.numel():
        raise UsageError("--prompt is empty, and the model needs a token to go on from. Give some text.")
    made = generate(
        model,
        prompt.to(device),
        options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        softcap=config["task"].get("softcap"),
        generator=torch.Generator(device).manual_seed(options.seed),
    )
    say(tokenizer.decode(made[0].tolist()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossbench sample", description="Generate text with the language model of a finished run."
    )
    parser.add_argument("folder", type=Path, help="of the run, such as outputs/runs/shakespeare/gpt/...")
    parser.add_argument("--prompt", help="what the text begins with (default: the beginning of the test split)")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="how many more (default: 200)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T",
                        help="divides the logits; 0 takes the likeliest token (default: 1)")  # fmt: skip
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens only")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws (default: 0)")
    return parser


def _config(folder: Path) -> dict[str, Any]:
    """Of a run that is completed. Raises UsageError where it is not, or where there is none."""
    from lossbench.results import record

    found = record.read(folder)
    if found is None:
        what = "has no record.json" if folder.is_dir() else "does not exist"
        raise UsageError(
            f"{folder} {what}: it is no folder of a finished run. Give one, such as outputs/runs/shakespeare/gpt/...; "
            "`lossbench train dataset=shakespeare` makes one and says where."
        )
    if found["status"] != "completed":
        raise UsageError(f"{folder}: this run is {found['status']} and has no selected model. Give a completed one.")
    return found["config"]


def _beginning(dataset: Any) -> Tensor:
    """[1, P] the tokens before the first one of the test split that counts; a few where all count."""
    tokens = dataset.test.inputs[0]
    if "mask" in dataset.test.labels:
        return tokens[None, : int(dataset.test.labels["mask"][0].long().argmax()) + 1]
    return tokens[None, :PROMPT_TOKENS]

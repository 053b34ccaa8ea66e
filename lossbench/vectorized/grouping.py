"""Which runs of a plan can share a program, and why the others cannot.

Runs share a program where they have the same task, data, model, batch, steps, precision, augmentation, evaluation and
threads. They may differ in seed, loss, reduction, regularizer, reweighting, optimizer and schedule, and in every
hyper-parameter of these. What only shows when a run is built (lazily read data, a loss that vmap cannot trace) the
engine finds, and the run then goes alone after all.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lossbench.preparing import NOT_IDENTITY, Prepared

# A run may differ from its neighbours in these.
FREE = ("seed", "loss", "reduction", "regularizer", "reweighting", "optimizer", "schedule", "weight_decay_on_all",
        "choices")  # fmt: skip
# Every entry of a parameter is updated from its own gradient and state alone, so that runs can be rows of one tensor.
ELEMENTWISE = {
    *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop")),
    *(f"torch.optim.{name}" for name in ("Adagrad", "Adadelta", "Rprop")),
    "lossbench.optimizers.lion.Lion",
    "lossbench.optimizers.laprop.LaProp",
}
MOST_RUNS = 32  # in one program on the processor: beyond, the weights leave the caches and nothing is gained
MOST_RUNS_ON_DEVICE = 128


def why_alone(config: Mapping[str, Any]) -> str | None:
    """Why a run of this config cannot share a program; None where nothing is known against it."""
    if config["optimizer"]["_target_"] not in ELEMENTWISE:
        return f"optimizer={config['choices']['optimizer']} does not treat every weight by itself"
    if config["budget"]["seconds"] is not None:
        return "budget.seconds: the time of one run cannot be told from its neighbours'"
    if config.get("aggregation"):
        return f"aggregation={config['choices']['aggregation']}: it sees the gradients of one run's objectives"
    if config["accumulation"] > 1:
        return f"accumulation={config['accumulation']}"
    if config["precision"]["loss_scaling"]:
        return f"precision={config['choices']['precision']}: its loss scale is one for all"
    if config["profile"]:
        return "profile=true"
    if config["channels_last"] and config["device"].startswith("cuda"):
        return "channels_last=true"
    if config["model"].get("dropout"):
        return "model.dropout: its random stream is one for all"
    if collects(config["task"]):
        return f"task={config['choices']['task']}: what its steps are made on is sampled from the run's own model"
    if config["continue_from"] is not None or config["checkpoint"]["keep"]:
        return "continue_from, checkpoint.keep: its checkpoints are its own"
    if config["data"]["resident"] is False:
        return "data.resident=false"
    return None


def collects(task: Mapping[str, Any]) -> bool:
    from hydra.utils import get_object

    return bool(getattr(get_object(task["_target_"]), "collected", ()))


def together(config: Mapping[str, Any]) -> str:
    """Equal for runs that can share a program."""
    kept = {key: value for key, value in config.items() if key not in FREE and key not in NOT_IDENTITY}
    return json.dumps([kept, config["checkpoint"]["seconds"], config["outputs"]], sort_keys=True, default=str)


def split(
    pending: Mapping[int, Prepared], slots: int, stack: int | None = None
) -> tuple[list[dict[int, Prepared]], dict[int, Prepared], dict[str, int]]:
    """(stacks, the runs that go alone, {reason: how many of these}); every run by its line in the plan.

    slots   programs that run at the same time: every one gets its part, if there are runs enough
    stack   runs in one program at most; None: what is fastest on the device
    """
    groups: dict[str, dict[int, Prepared]] = {}
    alone: dict[int, Prepared] = {}
    reasons: dict[str, int] = {}

    def leave(runs: Mapping[int, Prepared], reason: str) -> None:
        alone.update(runs)
        reasons[reason] = reasons.get(reason, 0) + len(runs)

    for line, prepared in pending.items():
        reason = why_alone(prepared.config)
        if reason is not None:
            leave({line: prepared}, reason)
        else:
            groups.setdefault(together(prepared.config), {})[line] = prepared
    for key, runs in list(groups.items()):
        if len(runs) == 1:
            leave(groups.pop(key), "no other run shares its data, model, batch and steps")
    total = sum(map(len, groups.values()))
    stacks = []
    for runs in groups.values():
        on_cpu = next(iter(runs.values())).config["device"] == "cpu"
        most = stack or (MOST_RUNS if on_cpu else MOST_RUNS_ON_DEVICE)
        size = max(2, min(most, -(-total // slots)))
        stacks += list(_parts(runs, -(-len(runs) // size)))
    return sorted(stacks, key=len, reverse=True), dict(sorted(alone.items())), reasons


def _parts(runs: Mapping[int, Prepared], number: int) -> Iterator[dict[int, Prepared]]:
    """Equal parts; runs with the same functions, and then with the same hyper-parameters, stay together."""

    def kind(line: int) -> tuple:
        config = runs[line].config
        functions = [config.get(key) for key in ("loss", "reduction", "regularizer", "reweighting")]
        settings = [config[key] for key in ("optimizer", "schedule")]
        return json.dumps(functions, default=str), json.dumps(settings, default=str), config["seed"], line

    ordered = sorted(runs, key=kind)
    ends = [round(i * len(ordered) / number) for i in range(number + 1)]
    for start, stop in itertools.pairwise(ends):
        if stop > start:
            yield {line: runs[line] for line in ordered[start:stop]}


def announcement(stacks: Sequence[Mapping[int, Prepared]], reasons: Mapping[str, int]) -> list[str]:
    """What is said before the sweep starts."""
    number = sum(map(len, stacks))
    said = []
    if stacks:
        sizes = sorted({len(stack) for stack in stacks})
        of = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        programs = "one program" if len(stacks) == 1 else f"{len(stacks)} programs"
        said.append(f"vectorized: {number} runs in {programs} of {of}")
    said += [f"one by one: {count} of the runs ({reason})" for reason, count in reasons.items()]
    return said

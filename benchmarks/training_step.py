"""A step of the trainer against a step of a loop that somebody wrote by hand for this model, data set and loss.

The two train by turns, a block of steps each: the trainer calls its watcher after every step, and at the end of a block
the watcher lets the bare loop do the same block before it returns. Both start from the same weights and see the same
batches; that they did the same work is checked by the weights at the end.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.measure import Row, Seconds, now, spread
from benchmarks.workloads import IMAGES, prepared
from lossbench import binding, building, run, seeds

NEVER = "evaluation.steps=1000000000"
WORKLOADS = {  # what is trained, its overrides, and the epochs of a block
    "digits": ("mlp on digits", (), 16),
    "images": ("mlp on 8,000 images of 28x28", (IMAGES,), 2),
    "gpt": ("the tiny gpt on Shakespeare", ("dataset=shakespeare",), 0.02),
}


def bare_loop(config: dict[str, Any], groups: int) -> Iterator[nn.Module]:
    """What one writes without a framework. A step for each ``next``, which gives the model.

    groups   of parameters: 2 as the run has them, no weight decay on biases; 1 is the shortest thing to write, and
             other arithmetic than the run's
    """
    dataset, steps, size = building.load_dataset(config), config["budget"]["steps"], config["batch_size"]
    inputs, targets = dataset.train.inputs, dataset.train.labels["targets"]
    made = building.build_model(config, dataset.input_shape, dataset.num_outputs)
    model: nn.Module = made
    if dataset.mean is not None:
        inputs = (inputs - dataset.mean) / dataset.std
        model = nn.Sequential(*cast(nn.Sequential, made.body), cast(nn.Module, made.head))
    lr, decay = config["optimizer"]["lr"], config["optimizer"]["weight_decay"]
    weights, biases = ([p for p in model.parameters() if (p.ndim >= 2) == is_weight] for is_weight in (True, False))
    split = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    parameters: Any = split if groups == 2 else model.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
    schedule = binding.bind(config["schedule"], "schedule")
    rates = [lr * schedule(step, steps) for step in range(steps)]
    criterion = F.cross_entropy if targets.ndim == 1 else _of_tokens
    step = epoch = 0
    while True:
        order = torch.randperm(len(targets), generator=seeds.generator(config["seed"], f"order/{epoch}"))
        for start in range(0, len(order) - size + 1, size):
            indices = order[start : start + size]
            for group in optimizer.param_groups:
                group["lr"] = rates[step]
            optimizer.zero_grad()
            loss = criterion(model(inputs[indices]), targets[indices])
            loss.backward()
            optimizer.step()
            step += 1
            yield model
        epoch += 1


def _of_tokens(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Turns(run.Silent):
    """The trainer's watcher: lets the bare loop do every block that the trainer has done, and times both."""

    def __init__(self, bare: Iterator[nn.Module], block: int):
        self.bare, self.block = bare, block
        self.trainer: list[Seconds] = []  # of a block
        self.by_hand: list[Seconds] = []
        self.begun = now()

    def progress(self, step: int, total: int) -> None:
        if step % self.block:
            return
        done = now()
        for _ in range(self.block):
            next(self.bare)
        if step > self.block:  # the first block of each warms up
            self.trainer.append(done - self.begun)
            self.by_hand.append(now() - done)
        self.begun = now()


def training_step(name: str, folder: Path, *, blocks: int, groups: int = 2) -> Row:
    what, overrides, epochs = WORKLOADS[name]
    config = prepared([*overrides, "budget.steps=1"], folder).config
    block = round(epochs * (len(building.load_dataset(config).train) // config["batch_size"]))
    # One step more than the blocks have, because the evaluation that follows the last step is no part of a step.
    steps = (blocks + 1) * block + 1
    one = prepared([*overrides, f"budget.steps={steps}", NEVER], folder)
    turns = Turns(bare_loop(one.config, groups), block)
    torch.set_num_threads(one.config["threads"])
    run.execute(one, turns)
    by_hand = _weights(next(turns.bare))
    apart = (_weights(building.load_model(one.folder)) - by_hand).abs().max().item()
    pairs = list(zip(turns.trainer, turns.by_hand, strict=True))
    micros = {
        side: {clock: spread([getattr(t.per(block), clock) * 1e6 for t in times]) for clock in Seconds._fields}
        for side, times in (("trainer", turns.trainer), ("bare loop", turns.by_hand))
    }
    wall = spread([ours.wall / bare.wall for ours, bare in pairs])
    trainer, bare = (micros[side]["processor"]["value"] for side in ("trainer", "bare loop"))
    note = f"{trainer:.0f} us / {bare:.0f} us of the processor; wall {wall['value']:.3f}; "
    note += f"weights after {steps} steps " + (f"differ by {apart:.1g}" if apart else "are the same bit for bit")
    return Row(
        f"step_{name}" + ("_one_group" if groups == 1 else ""),
        f"step of the trainer / of a bare loop, {what}" + (", its optimizer with one group" if groups == 1 else ""),
        **spread([ours.processor / bare.processor for ours, bare in pairs]),
        most=1.10,
        note=note,
        details={"microseconds": micros, "wall": wall, "steps": steps, "pairs": len(pairs), "weights_apart": apart},
    )


def _weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])

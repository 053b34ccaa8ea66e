"""One run on several devices: `torchrun --nproc-per-node=4 -m lossbench train ...`.

Every process (rank) has its part of every batch, and what is summed over a batch is summed over the ranks, so that any
number of ranks does what one process does, up to rounding:

- totals, counts and gradients add over ranks as they do over micro-batches, masks and unequal counts included;
- an objective that does not add (its loss compares the examples of a batch, has a memory, is a statistic of the batch)
  is evaluated on the whole batch by every rank: the tensors that it names are gathered, with their gradients. What is
  computed in tiles (lossbench/tiled.py) is divided among the ranks again;
- batch norm takes its statistics over all ranks;
- data in memory: every rank draws the augmentations and the random tensors of the whole batch, as one process does, and
  keeps its part. Data that are read: every rank reads its part and has streams of its own, as dropout has;
- metrics: every rank evaluates a part of a split, and all have the whole of it before anything is computed.

Rank 0 alone writes and speaks. What depends on a clock or a signal is agreed on. One rank that fails ends all.
With shard=true (FSDP2) the parameters, their gradients and the optimizer's state are divided among the ranks as well.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map, tree_map_only

from lossbench import building, checkpoint, contract, preparing, run, seeds, vocabulary
from lossbench.errors import UsageError
from lossbench.interrupts import StopOnSignal
from lossbench.metrics.collect import Collected
from lossbench.objective import Evaluation, Objective, adds_over_micro_batches, upcast
from lossbench.preparing import Prepared
from lossbench.tiled import divided_among
from lossbench.trainer import Diverged, Interrupted, Outcome, Trainer
from lossbench.vectorized.grouping import ELEMENTWISE

BUCKET = 25 * 2**20  # bytes of gradients that are summed in one operation
AGREE_EVERY = 10  # steps between looks at clocks and signals
BLOCK = 2**20  # parameters from which on a block of the model is gathered by itself
LONG = datetime.timedelta(days=7)  # rank 0 may have to train other models first
SOON = datetime.timedelta(seconds=1)


class Ranks:
    """The processes of this run."""

    def __init__(self, device: torch.device):
        self.store, self.rank, self.size = next(dist.rendezvous("env://"))
        backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"
        dist.init_process_group(backend, store=self.store, rank=self.rank, world_size=self.size)
        self.number = 0  # of the run that they are at
        self.begun = False

    # --- tensors -------------------------------------------------------------------------------------------------

    def sum(self, tensor: Tensor) -> Tensor:
        dist.all_reduce(tensor)
        return tensor

    def sums(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation of the whole batch, from those of its parts; without gradient."""
        numbers = {"total": evaluation.total, **evaluation.terms}
        if isinstance(evaluation.count, Tensor):
            numbers = {**numbers, "count": evaluation.count}
        dtype = torch.promote_types(evaluation.total.dtype, torch.float32)
        found = self.sum(torch.stack([number.detach().to(dtype) for number in numbers.values()]))
        values = dict(zip(numbers, found.unbind(), strict=True))
        count = found[-1] if isinstance(evaluation.count, Tensor) else evaluation.count * self.size
        return Evaluation(found[0], count, {name: values[name] for name in evaluation.terms}, evaluation.state)

    def gather(self, tensor: Tensor) -> Tensor:
        """The rows of all ranks, in their order. Its gradient is right for a loss that every rank computes alike."""
        return _Gather.apply(tensor, self)

    def rows_of_all(self, tensor: Tensor) -> Tensor:
        """The rows of all ranks, in their order, without gradient."""
        found = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(self.size)]
        dist.all_gather(found, tensor.contiguous())
        return torch.cat(found)

    def share(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """This rank's rows of every tensor of a batch, nested ones too."""

        def own(tensor: Tensor) -> Tensor:
            size = len(tensor) // self.size
            return tensor[self.rank * size : (self.rank + 1) * size]

        return {
            name: tree_map_only(Tensor, own, value) if _is_per_example(name) or not hasattr(vocabulary, name) else value
            for name, value in batch.items()
        }

    # --- agreement -----------------------------------------------------------------------------------------------

    def any(self, flag: bool) -> bool:
        return bool(self.sum(torch.tensor(float(flag))))

    def of_first(self, value: float) -> float:
        """Rank 0's number."""
        number = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(number, 0)
        return number.item()

    def objects(self, value: Any) -> list[Any] | None:
        """What each rank has, at rank 0."""
        found = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, found)
        return found

    # --- messages, which also reach ranks that are not ready yet ---------------------------------------------------

    def tell(self, key: str, message: Any) -> None:
        self.store.set(f"lossbench/{self.number}/{key}", json.dumps(message))

    def hear(self, key: str, timeout: datetime.timedelta = LONG) -> Any:
        full = f"lossbench/{self.number}/{key}"
        self.store.wait([full], timeout)
        return json.loads(self.store.get(full))

    def cause(self, error: Exception) -> Exception:
        """What broke off a sum over ranks: the failure of another rank, where one has told of it."""
        if not _is_connection(error):
            return error
        try:
            failed = self.hear("failure", SOON)
        except Exception:  # it was killed, perhaps
            return error
        return RankFailed(failed)

    # --- a run ---------------------------------------------------------------------------------------------------

    def parts(self, parts: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """What a run is built of, for this rank. Raises UsageError where it cannot be divided."""
        size, accumulation = config["batch_size"], config["accumulation"]
        if parts["aggregation"] is not None:
            raise UsageError(
                f"aggregation={parts['aggregation'].name} does not go with several processes, each of which sees the "
                "gradients of its own examples. Use one process, or aggregation=null."
            )
        if parts["objective"].collected:
            raise UsageError(
                f"task={config['choices']['task']} does not go with several processes: it samples from the model what "
                "the steps are made on. Use one process."
            )
        if size % (self.size * accumulation):
            raise UsageError(
                f"batch_size={size} is the whole batch, and {self.size} processes with accumulation={accumulation} "
                f"cannot divide it into equal parts. Choose a multiple of {self.size * accumulation}."
            )
        if config["shard"] and config["optimizer"]["_target_"] not in ELEMENTWISE:
            raise UsageError(
                f"shard=true: optimizer={config['choices']['optimizer']} does not treat every weight by itself, and no "
                "process has all of them. Choose another one, such as optimizer=adamw, or shard=false."
            )
        source, objective = parts["source"], parts["objective"]
        outputs = building.load_dataset(config).num_outputs
        adds = not objective.has_state and adds_over_micro_batches(objective, size, self.size, outputs) is None
        kind = RankObjective if adds else GatheringObjective
        if not source.resident:
            source.reader, source.readers = self.rank, self.size
        if self.rank:
            torch.manual_seed(seeds.derive(config["seed"], f"dropout/{self.rank}"))
            if not source.resident:
                for name, generator in (*source.generators.items(), *parts["generators"].items()):
                    generator.manual_seed(seeds.derive(config["seed"], f"{name}/{self.rank}"))
        for module in parts["model"].modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.__class__ = SyncedBatchNorm  # with the same parameters, buffers and name
        return {**parts, "objective": kind(objective, self, whole=source.resident)}

    def begin(self, resume: Mapping[str, Any] | None) -> None:
        """Rank 0 has prepared the folder; the others may start."""
        self.begun = True
        self.tell("begin", {"step": resume["step"] if resume else None})

    def end(self) -> None:
        """Rank 0 is ready with the run, whatever became of it. Where there is no torchrun it keeps the messages, and so
        it goes last."""
        if not self.begun:
            self.tell("begin", None)
        self.begun = False
        self.tell("end", True)
        with contextlib.suppress(Exception):
            for rank in range(1, self.size):
                self.hear(f"left/{rank}", SOON)

    def trainer(self, **arguments: Any) -> "RankTrainer":
        return RankTrainer(self, **arguments)


class RankFailed(Exception):
    """Another rank has failed."""


def _is_connection(error: Exception) -> bool:
    """Whether it may well be that not this rank has failed but another one, which it was waiting for."""
    named = any(word in str(error) for word in ("gloo", "Gloo", "NCCL", "Connection", "connection"))
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and named)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks, ctx.rows = ranks, len(tensor)
        flat = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
        return ranks.rows_of_all(flat).to(tensor.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:  # type: ignore[override]
        """Every rank's share of the loss has this gradient for this rank's rows: their sum is that many times it."""
        start = ctx.ranks.rank * ctx.rows
        return gradient[start : start + ctx.rows] * ctx.ranks.size, None


# --- the objective of a part of the batch ------------------------------------------------------------------------


class RankObjective(Objective):
    """An objective that adds: each rank evaluates it on its part.

    whole   whether random tensors are drawn for the whole batch, of which each rank then takes its part
    """

    def __init__(self, objective: Objective, ranks: Ranks, whole: bool):
        vars(self).update(vars(objective))
        self.ranks, self.whole = ranks, whole

    def draw(self, batch: dict[str, Any], generators: Mapping[str, Any]) -> dict[str, Any]:
        drawn = super().draw(batch, generators)
        return self.ranks.share(drawn) if self.whole else drawn


class GatheringObjective(RankObjective):
    """An objective that does not add: each rank evaluates it on the whole batch, and has an equal share of it."""

    def __init__(self, objective: Objective, ranks: Ranks, whole: bool):
        super().__init__(objective, ranks, whole)
        self.gathered = {name for names in self.wanted for name in names if _is_per_example(name)}

    def __call__(
        self,
        network: Any,
        batch: Mapping[str, Any],
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        progress: Tensor | float = 0.0,
    ) -> Evaluation:
        if "partner_weight" in batch:
            batch = {**batch, "partner_weight": self.ranks.gather(batch["partner_weight"])}
        return super().__call__(network, batch, params, state, progress)

    def _terms(self, values: Mapping[str, Any], params: Mapping, state: Mapping) -> tuple[dict[str, Tensor], dict]:
        names = sorted(self.gathered & values.keys())  # in one order on all ranks
        whole = {name: self.ranks.gather(upcast(values[name])) for name in names}
        with divided_among(self.ranks):
            return super()._terms({**values, **whole}, params, state)

    def _reduce(self, terms: Mapping[str, Tensor], mask: Tensor | None, state: dict) -> Evaluation:
        mask = mask if mask is None else self.ranks.gather(mask)
        total, count, parts, state = super()._reduce(terms, mask, state)
        size = self.ranks.size
        return Evaluation(total / size, count / size, {name: term / size for name, term in parts.items()}, state)


def _is_per_example(name: str) -> bool:
    """Whether the first axis of the word is the batch."""
    if name in ("params", "state", "losses") or not hasattr(vocabulary, name):
        return False
    shape = getattr(contract.return_annotation(getattr(vocabulary, name)), "dim_str", "")
    return shape.split()[:1] in (["*b"], ["B"])


class SyncedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the examples of all ranks, on every kind of device."""

    def _check_input_dim(self, input: Tensor) -> None: ...

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        count = input.numel() // input.shape[1] * dist.get_world_size()
        wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        mean = _Sum.apply(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        if self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), rate)
            unbiased = variance.detach() * (count / max(count - 1, 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)


class _Sum(torch.autograd.Function):
    """The sum over ranks; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        found = tensor.clone()
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        found = gradient.clone()
        dist.all_reduce(found)
        return found


# --- gradients ---------------------------------------------------------------------------------------------------


class GradientSums:
    """Sums gradients over ranks in buckets, while the backward pass still goes on.

    Buckets go in one order on all ranks: from the last parameters, whose gradients come first, to the first ones.
    """

    def __init__(self, parameters: list[nn.Parameter]):
        self.buckets: list[list[nn.Parameter]] = []
        room = 0
        for parameter in reversed(parameters):
            if room < parameter.nbytes or parameter.dtype != self.buckets[-1][0].dtype:
                self.buckets.append([])
                room = BUCKET
            self.buckets[-1].append(parameter)
            room -= parameter.nbytes
        self.place = {parameter: i for i, bucket in enumerate(self.buckets) for parameter in bucket}
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._is_there)
        self.last_pass = False
        self._rewind()

    def _rewind(self) -> None:
        self.missing = [len(bucket) for bucket in self.buckets]
        self.begun: list[tuple[Any, Tensor, list[Tensor]]] = []

    def _is_there(self, parameter: Tensor) -> None:
        if not self.last_pass:  # of several micro-batches
            return
        self.missing[self.place[cast(nn.Parameter, parameter)]] -= 1
        while len(self.begun) < len(self.buckets) and not self.missing[len(self.begun)]:
            self._begin()

    def _begin(self) -> None:
        gradients = [p.grad for p in self.buckets[len(self.begun)] if p.grad is not None]  # the same ones on all ranks
        flat = torch.cat([gradient.flatten() for gradient in gradients]) if gradients else torch.empty(0)
        work = dist.all_reduce(flat, async_op=True) if gradients else None
        self.begun.append((work, flat, gradients))

    def finish(self) -> None:
        """After the backward pass: the gradients are those of all ranks."""
        while len(self.begun) < len(self.buckets):
            self._begin()  # those with parameters that the loss does not depend on
        for work, flat, gradients in self.begun:
            if work is not None:
                work.wait()
                parts = flat.split([gradient.numel() for gradient in gradients])
                torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])
        self.last_pass = False
        self._rewind()


# --- the trainer -------------------------------------------------------------------------------------------------


class RankTrainer(Trainer):
    """The trainer of one rank: the same steps on its part, with sums over all ranks in between."""

    def __init__(self, ranks: Ranks, **arguments: Any):
        super().__init__(**arguments)
        self.ranks = ranks
        self.sharded = [p for p in self.parameters if is_sharded(p)]
        self._check_sharding()
        self.sums = GradientSums([p for p in self.parameters if not is_sharded(p)])
        self.passes = 0
        self.stop_here, self.stop = self.stop, self._agree_to_stop
        self.elapsed, self.steps_in_all, self.is_due = 0.0, 0, False
        self.full_weights: dict[str, Tensor] = {}
        if ranks.rank:
            self.report, self.progress = (lambda row: None), (lambda step, total: None)

    def _check_sharding(self) -> None:
        if not self.sharded:
            return
        problem = None
        if any(self.params.values()):
            problem = f"loss={self.objective.names[0]} has parameters of its own"
        elif any("model_parameters" in names for names in self._asked_for()):
            problem = "the objective reads the weights themselves"
        elif self.scaler:
            problem = "precision=fp16 has a loss scale"
        if problem:
            raise UsageError(f"shard=true: {problem}. Choose another one, or shard=false.")

    def _asked_for(self) -> list[tuple[str, ...]]:
        return [*self.objective.wanted, *(step.inputs for step in self.objective.plan)]

    # --- a step --------------------------------------------------------------------------------------------------

    def _backward(self, loss: Tensor) -> None:
        self.passes += 1
        self.sums.last_pass = self.passes == self.settings.accumulation
        super()._backward(loss)

    def _gradients(self, batch: dict[str, Tensor], total_steps: int) -> Tensor:
        for parameter in self.parameters:
            parameter.grad = None
        self.passes = 0
        part = self._sum_parts(batch, total_steps)
        whole = self.ranks.sums(part)
        self.sums.finish()
        self._divide_gradients(len(batch["x"]), whole.count)
        self.new_state = self.kept(part.state)
        self.meter.add(whole, whole.loss)
        return whole.loss

    def _divide_gradients(self, size: int, count: Tensor | float) -> None:
        divisor = torch.where(count == 0, 1.0, count) if isinstance(count, Tensor) else count or 1.0
        torch._foreach_mul_([local(p.grad) for p in self.parameters if p.grad is not None], size / divisor)

    def _clip(self) -> None:
        most = self.settings.clip_norm
        if most is None or not self.sharded:
            return super()._clip()
        gradients = [local(p.grad) for p in self.sharded if p.grad is not None]
        squares = self.ranks.sum(torch.stack([gradient.square().sum() for gradient in gradients]).sum())
        torch._foreach_mul_(gradients, (most / (squares.sqrt() + 1e-6)).clamp(max=1.0))

    def _check_weights(self) -> None:
        finite = torch.stack([local(p.detach()).isfinite().all() for p in self.parameters]).all()
        if self.ranks.any(not bool(finite)):
            raise Diverged("the weights are not finite after the last step")

    # --- what is agreed on -----------------------------------------------------------------------------------------

    @property
    def _agreeing(self) -> bool:
        return self.step % AGREE_EVERY == 0

    def _agree_to_stop(self) -> bool:
        return self._agreeing and self.ranks.any(self.stop_here())

    def _elapsed(self) -> float:
        if self.settings.seconds is not None and self._agreeing:
            self.elapsed = self.ranks.of_first(super()._elapsed())
        return self.elapsed

    def _total_steps(self, elapsed: float) -> int:
        if self.settings.steps is not None or self._agreeing or not self.steps_in_all:
            self.steps_in_all = super()._total_steps(elapsed)
        return max(self.steps_in_all, self.step + 1)

    def _is_due(self, saved: float) -> bool:
        if self.settings.checkpoint_seconds == 0:
            return True
        return self._agreeing and bool(self.ranks.of_first(float(super()._is_due(saved))))

    # --- evaluation ----------------------------------------------------------------------------------------------

    def collect(self, split: str) -> dict[str, Tensor]:
        """Every rank evaluates as many examples; of the last ones some twice, which are left out then."""
        number, size = len(self.source.splits[split]), self.ranks.size
        share = -(-number // size)
        starts = [min(rank * share, number - share) for rank in range(size)]
        start = starts[self.ranks.rank]
        own = Collected(share)
        observe = self.objective.observer(self.objective.observable(self.source.names(split)))
        self.model.eval()
        with torch.no_grad():
            for batch in self.source.evaluation(split, start, start + share):
                own.append(observe(self.network, batch))
            whole = {name: self.ranks.gather(tensor) for name, tensor in own.finish().items()}
        self.model.train()
        places = torch.arange(number, device=self.device)
        rank = (places // share).clamp(max=size - 1)
        rows = rank * share + places - torch.tensor(starts, device=self.device)[rank]
        return {name: tensor[rows] for name, tensor in whole.items()}

    def fit(self, resume: dict[str, Any] | None = None) -> Outcome:
        outcome = super().fit(resume)
        if outcome.status == "completed":
            self.full_weights = whole_tensors(self.model.state_dict())
        return outcome

    def weights(self) -> dict[str, Tensor]:
        return self.full_weights

    # --- checkpoints ---------------------------------------------------------------------------------------------

    STREAMS = ("rng", "device_rng", "source", "generators")

    def _weights(self) -> list[Tensor]:
        return [local(p.detach()) for p in self.model.parameters()]

    def payload(self) -> dict[str, Any]:
        parameters = list(self.model.parameters())
        average = [like_part(part, p) for part, p in zip(self.average or [], parameters, strict=bool(self.average))]
        payload = whole_tensors({**super().payload(), "average": average})
        return {**payload, "ranks": self.ranks.objects({name: payload[name] for name in self.STREAMS})}

    def write_payload(self, write: Callable) -> None:
        payload = self.payload()
        if self.ranks.rank == 0:
            write(self.folder, self.step, payload)

    def _restore(self, payload: dict[str, Any]) -> None:
        streams = payload.get("ranks", [])
        if len(streams) == self.ranks.size:
            payload = {**payload, **streams[self.ranks.rank]}
        elif self.ranks.rank:
            own = super().payload()  # its streams begin anew
            payload = {**payload, **{name: own[name] for name in ("rng", "device_rng")}}
        self.elapsed = payload["seconds"]
        super()._restore(like_shards(payload, self.model, self.optimizer) if self.sharded else payload)


# --- shards ------------------------------------------------------------------------------------------------------


def is_sharded(tensor: Any) -> bool:
    return hasattr(tensor, "full_tensor")  # a DTensor, without importing what that takes


def local(tensor: Any) -> Tensor:
    """This rank's part of a sharded tensor; another one as it is."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def shard(model: nn.Module, device: torch.device) -> None:
    """Divide the parameters among the ranks, in place: blocks of the body by themselves, so that only one of them is
    whole at a time."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if not dist.is_initialized():
        raise UsageError(
            "shard=true divides a model among processes: torchrun --nproc-per-node=N -m lossbench train ..."
        )
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))

    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    body, head = cast(nn.Module, model.body), cast(nn.Module, model.head)
    within = [m for m in body.modules() if isinstance(m, nn.ModuleList | nn.Sequential)]
    blocks = {child for module in within for child in module.children() if size(child) >= BLOCK}
    inner_first = [module for module in reversed(list(body.modules())) if module in blocks and module is not body]
    for module in (*inner_first, body, head):
        if not size(module):
            continue
        # Always divided again: what is whole would outlive a change of the parts, as by averaged weights.
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        cast(FSDPModule, module).set_gradient_divide_factor(1.0)  # sums, as everywhere here
        cast(FSDPModule, module).set_force_sum_reduction_for_comms(True)


def whole_tensors(tree: Any) -> Any:
    """The tree with its sharded tensors put together. All ranks call it."""

    def whole(value: Any) -> Any:
        return value.full_tensor() if is_sharded(value) else value

    return tree_map(whole, tree)


def like_part(part: Tensor, reference: Tensor) -> Tensor:
    """The tensor of which every rank has such a part, divided as the reference is."""
    if not is_sharded(reference):
        return part
    from torch.distributed.tensor import DTensor

    own = cast(DTensor, reference)
    return DTensor.from_local(part, own.device_mesh, own.placements, shape=own.shape, stride=own.stride())


def like_shards(payload: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The payload of a checkpoint with its tensors divided as those of the model are."""
    from torch.distributed.tensor import distribute_tensor

    def like(value: Any, reference: Any) -> Any:
        if not (is_sharded(reference) and isinstance(value, Tensor) and value.shape == reference.shape):
            return value
        return distribute_tensor(value, reference.device_mesh, reference.placements, src_data_rank=None)

    def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: like(value, own[name]) for name, value in tensors.items()}

    own = model.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    saved = payload["optimizer"]
    state = {
        index: {name: like(value, parameters[index]) for name, value in entry.items()}
        for index, entry in saved["state"].items()
    }
    return {
        **payload,
        "model": named(payload["model"]),
        "best_weights": named(payload["best_weights"]),
        "optimizer": {**saved, "state": state},
        "average": [local(like(t, p)) for t, p in zip(payload["average"], model.parameters(), strict=False)],
    }


# --- from the command line -----------------------------------------------------------------------------------------


def train(prepared: Prepared, train_prepared: Callable[..., int]) -> int:
    """One run by all ranks; ``train_prepared`` is what rank 0 does. Returns the exit code."""
    prepared = on_own_device(prepared)
    device = preparing.resolve_device(prepared.config["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    ranks = Ranks(device)
    try:
        return together(ranks, prepared, train_prepared)
    finally:
        dist.destroy_process_group()


def together(ranks: Ranks, prepared: Prepared, train_prepared: Callable[..., int]) -> int:
    """The part of this rank in a run."""
    ranks.number += 1
    if ranks.rank:
        return _follow(ranks, prepared)
    try:
        return train_prepared(prepared, ranks)
    finally:
        ranks.end()


def on_own_device(prepared: Prepared) -> Prepared:
    """The run on this rank's device; its name and identity stay."""
    name = prepared.config["device"]
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or index:
        raise UsageError(f"device={name} does not go with several processes. Choose device=cuda, or device=cpu.")
    if kind == "cuda":
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    return dataclasses.replace(prepared, config={**prepared.config, "device": name})


def _follow(ranks: Ranks, prepared: Prepared) -> int:
    """What the ranks but the first do: train with it, and write nothing."""
    begun = ranks.hear("begin")
    try:
        return 0 if begun is None else _train_along(ranks, prepared, begun)
    finally:
        with contextlib.suppress(Exception):  # rank 0 may be gone
            ranks.tell(f"left/{ranks.rank}", True)


def _train_along(ranks: Ranks, prepared: Prepared, begun: Mapping[str, Any]) -> int:
    config = prepared.config
    device = preparing.resolve_device(config["device"])
    try:
        run.configure_torch(config, device)
        resume = None if begun["step"] is None else _checkpoint(prepared, begun["step"], device)
        parts = ranks.parts(building.build(config, device), config)
        training = {key: value for key, value in parts.items() if key != "shapes"}
        with StopOnSignal(patient=True) as stop:
            nothing: dict[str, Any] = {"report": None, "progress": None, "stop": stop}
            ranks.trainer(run=prepared.run, folder=prepared.folder, **nothing, **training).fit(resume)
    except Interrupted:
        return 130
    except Exception as error:
        message = f"rank {ranks.rank}: {type(error).__name__}: {error}"
        if not _is_connection(error):
            ranks.tell("failure", message)
            print(f"lossbench: {message}", file=sys.stderr, flush=True)
            traceback.print_exc()
        return 1
    ranks.hear("end")
    return 0


def _checkpoint(prepared: Prepared, step: int, device: torch.device) -> dict[str, Any]:
    """The one that rank 0 goes on from: the run's own, or that of the run which it continues."""
    own, other = prepared.folder / f"checkpoint-{step:09d}.pt", prepared.config["continue_from"]
    if own.exists() or other is None:
        return checkpoint.read(own, device)
    payload = checkpoint.read(Path(other) / f"kept-{step:09d}.pt", device)
    return {**payload, "run": prepared.run, "resumed": payload["resumed"] - 1}

"""What torchrun runs for test_distributed.py: several runs, one after another, by the same processes.

`torchrun --nproc-per-node=2 tests/ranks.py FOLDER` trains every case of CASES in double precision.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from lossbench import compiling, distributed, preparing, run, tiled
from lossbench.datasets.dataset import Split
from lossbench.datasets.tokens import TokenDataset
from lossbench.source import Source
from tests.engine import prepared

SHORT = ("batch_size=32", "budget.steps=12", "evaluation.steps=5", "checkpoint.seconds=null", "model=mlp",
         "evaluation.batch_size=100", "model.widths=[16]")  # fmt: skip
TWO_VIEWS = ("task=contrastive", "head=projector", "augmentation=[crop,gaussian_noise]", "augmentation.crop.padding=1")
GPT = ("batch_size=32", "budget.steps=8", "evaluation.steps=4", "checkpoint.seconds=null", "model.depth=1",
       "model.width=16", "model.heads=2", "evaluation.batch_size=64")  # fmt: skip
MASKED = ("dataset=reversal", "dataset.num_examples=600", "dataset._target_=tests.ranks.masked_tokens", *GPT)
CASES: dict[str, tuple[str, ...]] = {
    # objectives that add over the ranks
    "cross_entropy": SHORT,
    "tokens": MASKED,
    "sequence_mean": (*MASKED, "reduction=sequence_mean"),
    "linear_cross_entropy": (*MASKED, "loss=linear_cross_entropy"),
    "extra_passes": (*SHORT, "loss=virtual_adversarial"),
    "parameters_of_the_loss": (*SHORT, "loss=center", "regularizer=[l2_norm,confidence_penalty]"),
    "mixed_labels": (*SHORT, "augmentation=[mixup,cutout]"),
    "micro_batches": (*SHORT, "accumulation=4", "clip_norm=0.5"),
    "sam": (*SHORT, "optimizer=sam", "ema=0.9"),
    "sum": (*SHORT, "reduction=sum", "optimizer=sgd", "optimizer.lr=0.001"),
    "batch_norm": (*SHORT[:-1], "model=convnet", "model.widths=[8,8]", "model.norm=batch"),
    "diverged": (*SHORT, "optimizer=sgd", "optimizer.lr=1e200"),
    "read_from_disk": (*SHORT, "data.resident=false", "data.workers=0"),
    # objectives that do not
    "nt_xent": (*SHORT, *TWO_VIEWS, "loss=nt_xent"),
    "nt_xent_in_tiles": (*SHORT, *TWO_VIEWS, "loss=nt_xent", "loss.tile=7"),
    "info_nce": (*SHORT, *TWO_VIEWS, "loss=info_nce", "loss.learn_temperature=true"),
    "supervised_contrastive": (*SHORT, *TWO_VIEWS, "loss=supervised_contrastive"),
    "memory": (*SHORT, "loss=early_learning", "accumulation=2", "budget.steps=45"),  # more than an epoch
    "statistic": (*SHORT, "dataset=digits_multilabel", "loss=macro_auc", "regularizer=[l2_norm]"),
    "worst_examples": (*SHORT, "reduction=cvar"),
    "worst_tokens": (*MASKED, "reduction=cvar"),
    "mixed_labels_and_worst": (*SHORT, "augmentation=[mixup]", "reduction=cvar"),
    "compiled": (*SHORT, *TWO_VIEWS, "loss=nt_xent", "compile=true"),
    "groups": (*SHORT, "dataset=colored_digits", "reweighting=[group_dro]"),
}
SHARDED = {
    "sharded": (*SHORT, "clip_norm=0.5", "ema=0.9", "shard=true"),
    "sharded_gpt": (*MASKED, "accumulation=2", "shard=true"),
    "sharded_nt_xent": (*SHORT, *TWO_VIEWS, "loss=nt_xent", "shard=true"),
}


# Runs that are stopped by rank 1 and go on: dropout, memory, augmentation, sums since the last evaluation
STOPPED = {
    "resumed": (*SHORT, "model.dropout=0.3", "loss=early_learning", "augmentation=[gaussian_noise]", "budget.steps=35"),
    "resumed_from_disk": (*SHORT, "data.resident=false", "data.workers=0", "augmentation=[gaussian_noise]",
                          "budget.steps=35"),
    "resumed_sharded": (*SHORT, "ema=0.9", "augmentation=[mixup]", "budget.steps=35", "shard=true"),
}  # fmt: skip


def masked_tokens(*, generator: Generator, num_examples: int, length: int, num_symbols: int) -> TokenDataset:
    """Random tokens with a pattern, of which each row counts another number; some rows count none."""

    def split(size: int) -> Split:
        tokens = torch.randint(num_symbols, (size, length + 1), generator=generator).cumsum(1) % num_symbols
        counts = torch.rand((size, length), generator=generator) < torch.rand((size, 1), generator=generator) - 0.1
        return Split(tokens[:, :-1], {"targets": tokens[:, 1:], "mask": counts})

    return TokenDataset(split(num_examples), split(91), split(64), num_outputs=num_symbols)


def fails_on_rank_1(logits: Tensor, targets: Tensor, *, epsilon: float = 0.0) -> Tensor:
    if os.environ["RANK"] == "1":
        raise ArithmeticError("not on this rank")
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def in_double() -> None:
    """Everything in float64, where another order of additions shows in the 15th digit and a mistake in the first; and
    compiled without C++, which takes long."""

    def standardise(self: Source, inputs: Tensor) -> Tensor:
        if not inputs.is_floating_point() and inputs.dtype != torch.uint8:
            return inputs.long()
        inputs = inputs.double() if self.mean is None else inputs.double() - self.mean
        return inputs if self.std is None else inputs / self.std

    Source._standardise = standardise  # type: ignore[method-assign]
    torch.set_default_dtype(torch.float64)
    compiling.BACKEND = "aot_eager"


products: list[int] = []  # sizes of the tiles that this process has computed


def main(folder: Path) -> None:
    in_double()
    form = tiled._products
    tiled._products = lambda *given: products.append(len(given[0]) * len(given[1])) or form(*given)  # type: ignore
    distributed.BLOCK, distributed.BUCKET = 200, 1000  # small enough for several of them
    ranks = distributed.Ranks(torch.device("cpu"))
    for name, overrides in {**CASES, **SHARDED, **STOPPED}.items():
        train(ranks, prepared(folder / name, *overrides))
    for name, overrides in STOPPED.items():
        one = prepared(folder / f"{name}_in_parts", *overrides)
        asked = iter([False] * 1 + [ranks.rank == 1])  # every 10 steps
        try:
            train(ranks, one, lambda asked=asked: next(asked))
        except run.Interrupted:
            assert ranks.rank == 0 and one.record is None
        train(ranks, one)
    dist.destroy_process_group()


def train(ranks: distributed.Ranks, one: preparing.Prepared, stop: Callable[[], bool] = lambda: False) -> None:
    """One run by both; a note of how much of the model each of them has."""
    fit = distributed.RankTrainer.fit

    def noting(self: distributed.RankTrainer, resume: dict | None = None) -> object:
        own, whole = (
            sum(t.numel() for t in tensors) for tensors in (map(distributed.local, self.parameters), self.parameters)
        )
        (one.folder.parents[4] / f"share{ranks.rank}.txt").write_text(f"{own} {whole}")
        self.stop_here = stop
        products.clear()
        outcome = fit(self, resume)
        (one.folder.parents[4] / f"products{ranks.rank}.txt").write_text(str(sum(products)))
        return outcome

    distributed.RankTrainer.fit = noting  # type: ignore[method-assign, assignment]
    try:
        distributed.together(ranks, one, lambda prepared, ranks: bool(run.execute(prepared, None, stop, ranks)))
    finally:
        distributed.RankTrainer.fit = fit  # type: ignore[method-assign]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

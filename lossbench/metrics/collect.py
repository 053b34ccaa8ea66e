"""From batches to numbers: tensors of a whole split gathered on the device, and metrics fetched in one transfer."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench.metrics.ranking import precise


class Collected:
    """Tensors of a split, gathered batch by batch into buffers that are allocated once.

        collected = Collected(num_examples)
        for batch in split: collected.append({"logits": ..., "targets": ...})
        tensors = collected.finish()        # {"logits": [N, C], "targets": [N]}

    The first batch decides names, shapes, dtypes and device. ``finish`` gives the buffers themselves and rewinds: they
    are valid until the next ``append``, which begins the next evaluation in the same memory.
    """

    def __init__(self, num_examples: int):
        self.num_examples = num_examples
        self._buffers: dict[str, Tensor] = {}
        self._filled = 0

    def append(self, tensors: Mapping[str, Tensor]) -> None:
        """Copies a batch of tensors [B, ...] behind those that are there. The batches may differ in B."""
        if not self._buffers:
            self._buffers = {
                name: torch.empty((self.num_examples, *values.shape[1:]), dtype=values.dtype, device=values.device)
                for name, values in tensors.items()
            }
        if tensors.keys() != self._buffers.keys():
            raise ValueError(
                f"A batch has {sorted(tensors)}. It must have {sorted(self._buffers)}, like the first one."
            )
        stop = self._filled + min(len(values) for values in tensors.values())
        for name, values in tensors.items():
            room = self._buffers[name][self._filled : stop]
            if values.shape != room.shape:  # copy_ would broadcast, or the buffer would overflow
                raise ValueError(
                    f"'{name}' of a batch has shape {list(values.shape)}, and there is room for {list(room.shape)}. "
                    f"All tensors must have the shape of the first batch, and {self.num_examples} examples in all."
                )
            room.copy_(values.detach())
        self._filled = stop

    def finish(self) -> dict[str, Tensor]:
        """The tensors [N, ...] of the whole split, in the order in which the batches came."""
        if self._filled != self.num_examples:
            raise ValueError(f"{self._filled} examples were collected. {self.num_examples} were announced.")
        self._filled = 0
        return dict(self._buffers)


def to_floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    """The 0-d tensors of one device as Python numbers: one stack, one transfer, one wait. NaN stays NaN."""
    if not values:
        return {}
    stacked = torch.stack([precise(value.detach()) for value in values.values()])
    return dict(zip(values, stacked.tolist(), strict=True))

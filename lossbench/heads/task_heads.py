"""Task heads: a linear head for each of several tasks; for task=multi_task.

num_tasks   how many, >= 1
Outputs     [*, Q, C] the logits of each task
"""

from typing import Annotated

from annotated_types import Ge
from torch import nn

from lossbench.heads.members import Linear


def task_heads(*, num_features: int, num_outputs: int, num_tasks: Annotated[int, Ge(1)] = 2) -> nn.Module:
    return Linear(num_features, num_outputs, num_tasks)

"""Post-hoc calibration: a small model learns a temperature for each example of a frozen classifier.

    logits_i = teacher_logits_i / T_i        T_i = log(1 + exp(o_i + log(e - 1))), o_i the model's one output

The calibrator reads, for the COPIES changed copies of an input, the probabilities that the classifier gives there to
the CLASSES most probable classes of the unchanged input: how well a prediction survives a change says something of
whether it is right. T_i > 0, so the predicted classes stay those of the classifier. At o_i = 0, T_i = 1.

Batch       as in classification
classifier  the frozen model: {train: [overrides]} or the folder of a finished run. A calibrator must not be trained on
            what the classifier was trained on: variant=calibration_split keeps a part of the training split apart
copies      the input moved by one step along its last axis one way, the other way, and with its values times 0.8
Metrics     as in classification; accuracy and what depends on it are the classifier's, and do not change
Paper       Liu et al. 2024, arXiv:2404.13016; their code: 3 copies (rotated, grey, of changed colours), 4 classes
Differs     the copies are ones that every input can have; T is clamped to [0.1, 10] in the authors' code, with no
            gradient outside
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification

COPIES = 3
CLASSES = 4
FADED = 0.8
AT_ONE = math.log(math.e - 1)  # softplus of this is 1


class PosthocCalibration(Classification):
    selection = ("nll", "lower")

    def __init__(self, dataset: Dataset, device: torch.device, *, classifier: nn.Module):
        super().__init__(dataset, device)
        self._classifier = classifier.requires_grad_(False).eval().to(device)
        try:
            outputs = self.teacher_logits(torch.zeros(1, *dataset.input_shape, device=device)).shape[-1]
        except RuntimeError:
            raise UsageError(
                f"task.classifier cannot read inputs of shape {list(dataset.input_shape)}, which this data set has. "
                "Choose a classifier that was trained on the same data set."
            ) from None
        if outputs != dataset.num_outputs:
            raise UsageError(
                f"task.classifier has {outputs} outputs, but the data set has {dataset.num_outputs} classes. "
                "Choose a classifier that was trained on the same classes."
            )

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return (COPIES * min(CLASSES, dataset.num_outputs),), 1

    def teacher_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._classifier(x)

    def features(self, body: Callable, x: Tensor, teacher_logits: Tensor) -> Tensor:  # type: ignore[override]
        top = teacher_logits.topk(min(CLASSES, teacher_logits.shape[-1])).indices
        with torch.no_grad():
            copies = [x.roll(1, -1), x.roll(-1, -1), FADED * x]
            p = torch.stack([self._classifier(copy).softmax(-1) for copy in copies], 1)
        return body(p.gather(-1, top.unsqueeze(1).expand(-1, COPIES, -1)).flatten(1))

    def logits(self, head: Callable, features: Tensor, teacher_logits: Tensor) -> Tensor:  # type: ignore[override]
        return teacher_logits / softplus(head(features) + AT_ONE)

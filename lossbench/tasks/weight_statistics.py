"""Classification whose metrics also say how large the weights are; of a chain of linear layers, such as model=mlp.

Batch       as in classification
Metrics     accuracy, negative log-likelihood and the others of classification;
            largest_weight, the largest absolute value of a weight; log_lipschitz, log10 of the product of the layers'
            spectral norms: a bound on how much the outputs change with the inputs; small_weights, the part of the
            weights below a tenth of their layer's root mean square. See lossbench/metrics/weights.py
"""

from torch import Tensor

from lossbench.metrics.weights import largest_of, log_lipschitz_of, small_share_of
from lossbench.tasks.classification import Classification


class WeightStatistics(Classification):
    def largest_weight(self, model_parameters: dict[str, Tensor], targets: Tensor) -> Tensor:
        return largest_of(model_parameters).expand(len(targets))

    def log_lipschitz(self, model_parameters: dict[str, Tensor], targets: Tensor) -> Tensor:
        return log_lipschitz_of(model_parameters).expand(len(targets))

    def small_weights(self, model_parameters: dict[str, Tensor], targets: Tensor) -> Tensor:
        return small_share_of(model_parameters).expand(len(targets))

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, largest_weight: Tensor, log_lipschitz: Tensor, small_weights: Tensor
    ) -> dict[str, Tensor]:
        own = {"largest_weight": largest_weight[0], "log_lipschitz": log_lipschitz[0]}
        return {**super().metrics(logits, targets), **own, "small_weights": small_weights[0]}

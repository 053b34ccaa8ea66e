"""Multiple-instance learning: one class for each bag of instances, with a model that attends to some of them.

Batch       x [B, M, ...] bags of M instances, targets [B] class indices, ids [B]; the model is attention_pooling
Metrics     those of classification, and attention_entropy: the entropy of the attention over a bag, in nats, at most
            log M, averaged over the bags
"""

from collections.abc import Callable

from torch import Tensor

from lossbench.tasks.classification import Classification


class MultipleInstance(Classification):
    def pooled(self, body: Callable, x: Tensor) -> Tensor:
        """[B, D + M]: what the body gives, features and scores."""
        return body(x)

    def features(self, pooled: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]  # parameters name what is needed
        return pooled[:, : -x.shape[1]]

    def attention_scores(self, pooled: Tensor, x: Tensor) -> Tensor:
        return pooled[:, -x.shape[1] :]

    def metrics(  # type: ignore[override]
        self, logits: Tensor, targets: Tensor, attention_scores: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.ranking import precise

        log_a = precise(attention_scores).log_softmax(-1)
        entropy = -(log_a.exp() * log_a).sum(-1).mean()
        return {**super().metrics(logits, targets), "attention_entropy": entropy}

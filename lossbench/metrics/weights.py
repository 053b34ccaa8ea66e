"""Metrics of a model's weights."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.errors import UsageError


def largest_of(model_parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """The largest absolute value of all weights with at least two axes: what decay reaches; no biases, no norms."""
    return torch.stack([w.detach().abs().amax() for w in model_parameters.values() if w.ndim >= 2]).amax()


def small_share_of(model_parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """The part of all weights with at least two axes that are below a tenth of their layer's root mean square: those
    that pruning would take first. 0.08 of normal weights, and more the sparser they are."""
    weights = [w.detach() for w in model_parameters.values() if w.ndim >= 2]
    small = [(w.abs() < w.square().mean().sqrt() / 10).float() for w in weights]
    return torch.stack([s.sum() for s in small]).sum() / sum(w.numel() for w in weights)


def log_lipschitz_of(model_parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """log10 of the product of the layers' spectral norms, of a chain of linear layers such as model=mlp.

    With activations that have slopes of at most 1 (relu, tanh, silu nearly) no output changes by more, in Euclidean
    norm, than this product times the change of the input. Raises UsageError for what is no chain of matrices.
    """
    matrices = [w.detach() for w in model_parameters.values() if w.ndim >= 2]
    chained = all(w.ndim == 2 and (i == 0 or w.shape[1] == matrices[i - 1].shape[0]) for i, w in enumerate(matrices))
    if not chained:
        raise UsageError(
            "task=weight_statistics: the Lipschitz bound is that of a chain of linear layers, and this model is none. "
            "Choose model=mlp or model=linear."
        )
    return torch.stack([torch.linalg.matrix_norm(w.float(), ord=2).log10() for w in matrices]).sum()

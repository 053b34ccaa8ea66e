"""Which parameters an optimizer decays."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn


def is_decayed(name: str, ndim: int) -> bool:
    """Whether weight decay applies to the parameter of this full name: it does to the weights of linear and
    convolutional layers and of lookup tables, which are called weight (``body.1.weight``, ``in_proj_weight``) and have
    two axes or more. It does not to biases, to the weights of norms (one axis), and to everything with a name of its
    own: class tokens, position embeddings, layer scales.

    ndim   axes of the parameter of one model; without the axis of the runs where parameters are stacked
    """
    return ndim >= 2 and "weight" in name.rpartition(".")[2]


def parameter_groups(
    model_parameters: Mapping[str, Tensor] | nn.Module,
    loss_params: Mapping[str, Tensor] | Iterable[Tensor] = (),
    *,
    weight_decay: float | None,
    decay_norms_and_biases: bool = False,
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimizer: those that are decayed, and those that are not, with a decay of 0.

    model_parameters         the model, or its parameters by their full names; frozen ones are left out
    loss_params              the loss's own learnable tensors: proxies, temperatures; not decayed
    weight_decay             of the optimizer; 0 or null (an optimizer without one) gives a single group, the only
                             thing that torch.optim.LBFGS takes
    decay_norms_and_biases   decay everything, the loss's tensors too, in a single group: what an optimizer does that
                             is handed all tensors
    """
    named = dict(model_parameters.named_parameters()) if isinstance(model_parameters, nn.Module) else model_parameters
    own = list(loss_params.values()) if isinstance(loss_params, Mapping) else list(loss_params)
    trained = {name: p for name, p in named.items() if p.requires_grad}
    if not weight_decay or decay_norms_and_biases:
        group: dict[str, Any] = {"params": [*trained.values(), *own]}
        return [group | {"weight_decay": weight_decay} if weight_decay else group]
    decayed = [p for name, p in trained.items() if is_decayed(name, p.ndim)]
    others = [p for name, p in trained.items() if not is_decayed(name, p.ndim)] + own
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]

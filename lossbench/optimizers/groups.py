"""Which parameters an optimizer decays, and what part of the model each is, for optimizers that tell them apart."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from torch import Tensor, nn


def is_decayed(name: str, ndim: int) -> bool:
    """Whether weight decay applies to the parameter of this full name: it does to the weights of linear and
    convolutional layers and of lookup tables, which are called weight (``body.1.weight``, ``in_proj_weight``) and have
    two axes or more. It does not to biases, to the weights of norms (one axis), and to everything with a name of its
    own: class tokens, position embeddings, layer scales.

    ndim   axes of the parameter of one model; without the axis of the runs where parameters are stacked
    """
    return ndim >= 2 and "weight" in name.rpartition(".")[2]


Role = Literal["hidden", "head", "lookup", "other"]


def roles(model: Mapping[str, Tensor] | nn.Module) -> dict[str, Role]:
    """What part of the model each parameter is, by its full name.

    hidden    a matrix of a linear layer that is not in the head
    head      a matrix in the head, which makes the outputs
    lookup    a table of embeddings; the head's matrix too, where it is the same tensor. Only a module tells of them
    other     all else: biases, weights of norms, class tokens, kernels of convolutions
    """
    named = dict(model.named_parameters()) if isinstance(model, nn.Module) else model
    modules = model.modules() if isinstance(model, nn.Module) else ()
    lookups = {id(module.weight) for module in modules if isinstance(module, nn.Embedding | nn.EmbeddingBag)}

    def role(name: str, parameter: Tensor) -> Role:
        if id(parameter) in lookups:
            return "lookup"
        if parameter.ndim != 2 or not is_decayed(name, parameter.ndim):
            return "other"
        return "head" if name.startswith("head.") else "hidden"

    return {name: role(name, parameter) for name, parameter in named.items()}


def roles_of(group: Mapping[str, Any]) -> list[Role]:
    """Those of a group's parameters; where the group does not say them, every matrix is hidden."""
    return group.get("roles") or ["hidden" if p.ndim == 2 else "other" for p in group["params"]]


def parameter_groups(
    model_parameters: Mapping[str, Tensor] | nn.Module,
    loss_params: Mapping[str, Tensor] | Iterable[Tensor] = (),
    *,
    weight_decay: float | None,
    decay_norms_and_biases: bool = False,
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimizer: those that are decayed, and those that are not, with a decay of 0. Each
    says under ``roles`` what part of the model its parameters are.

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
    part_of = roles(model_parameters)

    def group(names: Iterable[str], further: list[Tensor], **options: float) -> dict[str, Any]:
        chosen = list(names)
        params = [*(trained[name] for name in chosen), *further]
        return {"params": params, "roles": [*(part_of[name] for name in chosen), *["other"] * len(further)], **options}

    if not weight_decay or decay_norms_and_biases:
        return [group(trained, own, weight_decay=weight_decay) if weight_decay else group(trained, own)]
    decayed = [name for name, p in trained.items() if is_decayed(name, p.ndim)]
    others = [name for name, p in trained.items() if not is_decayed(name, p.ndim)]
    groups = [group(decayed, [], weight_decay=weight_decay), group(others, own, weight_decay=0.0)]
    return [group for group in groups if group["params"]]

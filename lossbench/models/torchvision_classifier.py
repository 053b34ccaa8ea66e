"""Any image classifier of torchvision by its name, with random or pretrained weights.

The network's last linear layer becomes the head; an identity stays in its place, so that the body gives its input.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Len
from torch import Tensor, nn

from lossbench.errors import UsageError, nearest
from lossbench.models.model import Model, image_shape


class GreyToColour(nn.Module):
    """Repeats the one channel of a grey image [B, 1, height, width] three times."""

    def forward(self, x: Tensor) -> Tensor:
        return x.expand(-1, 3, -1, -1)


def torchvision_classifier(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    name: Annotated[str, Len(1)] = "resnet18",
    weights: str | None = None,
) -> Model:
    """Images with three channels, or one, which is repeated. Weights start as torchvision's do, or as pretrained.

    name      of the model, as torchvision.models.get_model takes it
    weights   null for random, DEFAULT or the name of pretrained weights, which are downloaded into torch's cache;
              they expect inputs standardised like their training data
    """
    from lossbench.torchvision import torchvision

    channels, height, width = image_shape(input_shape, "torchvision_classifier")
    if channels not in (1, 3):
        raise UsageError(
            f"model=torchvision_classifier reads images with 1 or 3 channels, and this data set has {channels}. "
            "Choose model=convnet, model=resnet18 or model=vit."
        )
    models = torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise UsageError(
            f"model.name={name}: torchvision has no such classifier{nearest(name, known) or '.'} "
            f"It has: {', '.join(known)}."
        )
    network = _build(models, name, weights, num_outputs, height)
    for auxiliary in ("AuxLogits", "aux1", "aux2"):  # further heads of inception and googlenet, used in training only
        if getattr(network, auxiliary, None) is not None:
            setattr(network, auxiliary, None)
            setattr(network, "aux_logits", False)  # noqa: B010  mypy takes attributes of modules for tensors
    head = _take_head(network, name)
    if head.out_features != num_outputs:  # pretrained for other classes
        head = nn.Linear(head.in_features, num_outputs)
    body = nn.Sequential(GreyToColour(), network) if channels == 1 else network
    _check_size(body, head.in_features, name, (channels, height, width))
    return Model(body, head, num_features=head.in_features)


def _build(models: Any, name: str, weights: str | None, num_outputs: int, height: int) -> nn.Module:
    chosen = None
    if weights is not None:
        known = list(models.get_model_weights(name).__members__)
        if weights not in known:
            raise UsageError(
                f"model.weights={weights}: {name} has no such weights{nearest(weights, known) or '.'} "
                f"It has: null, {', '.join(known)}."
            )
        chosen = models.get_model_weights(name)[weights]
    options: dict[str, Any] = {} if chosen else {"num_classes": num_outputs}
    if name.startswith("vit_"):
        options["image_size"] = height  # its position embeddings have one size of image
    if name in ("googlenet", "inception_v3") and not chosen:
        options["init_weights"] = True  # the default, with a warning
    try:
        return models.get_model(name, weights=chosen, **options)
    except OSError as error:
        raise UsageError(
            f"model.weights={weights}: the weights are not in {torch.hub.get_dir()}/checkpoints and could not be "
            f"downloaded ({error}). Put them there, set TORCH_HOME, or use model.weights=null."
        ) from error
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(
            f"model.name={name} cannot be built for images of side {height} ({error}). "
            "Choose another size of image or another model.name."
        ) from error


def _take_head(network: nn.Module, name: str) -> nn.Linear:
    """The last linear layer of the network; an identity takes its place."""
    path, head = None, None
    for candidate, module in network.named_modules():
        if isinstance(module, nn.Linear):
            path, head = candidate, module
    if path is None or head is None:
        raise UsageError(
            f"model.name={name} ends in a convolution, not in a linear layer, so that it has no features and head. "
            "Choose another model.name, such as resnet18 or mobilenet_v3_small."
        )
    parent, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return head


def _check_size(body: nn.Module, num_features: int, name: str, shape: tuple[int, int, int]) -> None:
    """One image through the body, so that a size that it cannot read is refused now, in words."""
    training = body.training
    body.eval()  # batch statistics and random streams stay untouched
    try:
        with torch.no_grad():
            features = body(torch.zeros(1, *shape))
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(
            f"model.name={name} cannot read images of {shape[1]}x{shape[2]} ({error}). "
            "Choose another model.name, or a data set with larger images."
        ) from error
    finally:
        body.train(training)
    if features.shape != (1, num_features):
        raise UsageError(
            f"model.name={name} does not end in its last linear layer, so that it has no features and head. "
            "Choose another model.name, such as resnet18 or mobilenet_v3_small."
        )

"""Any causal language model of Hugging Face's transformers (extra [transformers]), pretrained or with random weights.

Its decoder is the body, its output layer the head; generation uses its own cache. The data set's tokenizer must be the
model's: dataset.tokenizer=huggingface:NAME.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import torch.nn.functional as F
from annotated_types import Len
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.model import Model
from lossbench.torchvision import torchvision


class Cache:
    """Keys and values of the tokens that were read. length: how many."""

    def __init__(self) -> None:
        self.kept, self.length = package().DynamicCache(), 0


class Body(nn.Module):
    """x [B, T] token indices -> features [B, T, D]. context: the most tokens that it reads."""

    def __init__(self, network: Any, context: int):
        super().__init__()
        self.network, self.context = network, context

    def cache(self) -> Cache:
        return Cache()

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        given = {} if cache is None else {"past_key_values": cache.kept}
        found = self.network(input_ids=x.long(), use_cache=cache is not None, **given)
        if cache is not None:
            cache.length += x.shape[1]
        return found.last_hidden_state


class Head(nn.Module):
    """The output layer without the rows behind the vocabulary, which some models have to fill it up."""

    def __init__(self, layer: nn.Linear, num_outputs: int):
        super().__init__()
        self.layer, self.num_outputs = layer, num_outputs

    def forward(self, features: Tensor) -> Tensor:
        bias = None if self.layer.bias is None else self.layer.bias[: self.num_outputs]
        return F.linear(features, self.layer.weight[: self.num_outputs], bias)


def causal_lm(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    name: Annotated[str, Len(1)],
    weights: Literal["pretrained", "random"] = "pretrained",
) -> Model:
    """input_shape is (T,): blocks of T tokens; num_outputs is the size of the vocabulary. Weights are float32.

    name      a folder with config.json and weights as transformers writes them, or a name on the hub
    weights   random: only the architecture is taken, and only config.json is needed
    """
    network = _network(name, weights)
    layer = network.get_output_embeddings()
    if not isinstance(layer, nn.Linear) or _changes_logits(network.config):
        raise UsageError(
            f"model.name={name}: {type(network).__name__} does more than a linear layer behind its decoder. "
            "Choose another model, such as one of the Llama, Qwen or GPT-2 families."
        )
    if layer.out_features < num_outputs:
        raise UsageError(
            f"model.name={name} has {layer.out_features} tokens, and the data set {num_outputs}. "
            f"Give the model's own tokenizer: dataset.tokenizer=huggingface:{name}."
        )
    context = getattr(network.config, "max_position_embeddings", None) or input_shape[0]
    if input_shape[0] > context:
        raise UsageError(
            f"model.name={name} reads at most {context} tokens, and the blocks of the data set have {input_shape[0]}. "
            "Give the data set shorter ones."
        )
    return Model(Body(network.base_model, context), Head(layer, num_outputs), num_features=layer.in_features)


def package() -> Any:
    """transformers, which imports torchvision where that is installed."""
    if find_spec("transformers") is None:
        raise UsageError(
            "model=causal_lm needs the package transformers, which is not installed. "
            "Install it with: pip install 'lossbench[transformers]', or choose model=gpt."
        )
    if find_spec("torchvision") is not None:
        torchvision()
    import transformers

    return transformers


def _network(name: str, weights: str) -> Any:
    transformers = package()
    try:
        if weights == "random":
            config = transformers.AutoConfig.from_pretrained(name)
            return transformers.AutoModelForCausalLM.from_config(config).float()
        return transformers.AutoModelForCausalLM.from_pretrained(name, dtype="float32")
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")[:300]
        raise UsageError(
            f"model.name={name} cannot be loaded ({reason}). Looked for the folder {Path(name).resolve()} and on the "
            "hub. Give a folder with config.json and weights, or a name on the hub."
        ) from None


def _changes_logits(config: Any) -> bool:
    """Whether the model scales or caps its logits, which a linear head does not."""
    scales = [getattr(config, key, None) for key in ("logit_scale", "logits_scaling", "output_multiplier_scale")]
    return bool(getattr(config, "final_logit_softcapping", None)) or any(s not in (None, 1, 1.0) for s in scales)

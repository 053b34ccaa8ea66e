"""Learning to learn at test time (MTTT): a vision transformer whose attention is a learner, trained on its tokens.

A head of a layer has weights W of a small model f, which start at W_0 for every image. From a token x_i come a training
view k_i, its label v_i and a test view q_i (linear maps of x_i, learned by the outer loop, as W_0 is). Then

    loss(W) = 1/T sum_i |f(k_i; W) - v_i|^2 / 2        W <- W - inner_rate d loss / dW, inner_steps times from W_0
    output_i = f(q_i; W)                               and the outer gradient goes through the steps

linear_learner     f(k) = W k. From W_0 = 0, one step of it is linear attention: inner_rate / T sum_i v_i <k_i, q>
mlp_learner        f(k) = C gelu(A k + a) + c, with hidden_ratio hidden units a unit of k
linear_attention   1/T sum_i v_i <k_i, q>, which has nothing to learn
softmax_attention  sum_i v_i softmax_i(<k_i, q> / sqrt(d)), the vision transformer's

Everything else is the vision transformer's: lossbench/models/vit.py.

Paper     Sun et al. 2023, arXiv:2310.13807; one step of gradient descent on all tokens, as in its equality with linear
          attention
Differs   the mean over the tokens where the paper sums, so that inner_rate does not depend on their number; W_0 of the
          linear learner is trained (from 0); the decoder between f and the label is the identity. The text could not be
          consulted for what the paper adds to f (a norm, a residual), which is left out
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.models.model import Model
from lossbench.models.vit import Block, VisionTransformerBody, vit

Mixer = Literal["mlp_learner", "linear_learner", "linear_attention", "softmax_attention"]


class LinearLearner(nn.Module):
    """keys, labels, queries [B, heads, T, d] -> [B, heads, T, d]"""

    def __init__(self, heads: int, size: int, rate: float, steps: int):
        super().__init__()
        self.rate, self.steps = rate, steps
        self.weight = nn.Parameter(torch.zeros(heads, size, size))  # [in, out]

    def forward(self, keys: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        weight: Tensor = self.weight
        for _ in range(self.steps):
            error = (keys @ weight - labels) / keys.shape[-2]
            weight = weight - self.rate * (keys.transpose(-1, -2) @ error)
        return queries @ weight


class MLPLearner(nn.Module):
    """keys, labels, queries [B, heads, T, d] -> [B, heads, T, d]"""

    def __init__(self, heads: int, size: int, hidden: int, rate: float, steps: int):
        super().__init__()
        self.rate, self.steps = rate, steps
        self.expand = nn.Parameter(torch.empty(heads, size, hidden))
        self.expand_bias = nn.Parameter(torch.zeros(heads, 1, hidden))
        self.contract = nn.Parameter(torch.empty(heads, hidden, size))
        self.contract_bias = nn.Parameter(torch.zeros(heads, 1, size))

    def forward(self, keys: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        a: Tensor = self.expand
        a_bias: Tensor = self.expand_bias
        c: Tensor = self.contract
        c_bias: Tensor = self.contract_bias
        for _ in range(self.steps):  # the gradient is written out: it is differentiated again, under vmap too
            before = keys @ a + a_bias
            hidden = F.gelu(before)
            error = (hidden @ c + c_bias - labels) / keys.shape[-2]
            down = (error @ c.transpose(-1, -2)) * gelu_slope(before)
            c, c_bias = (
                c - self.rate * (hidden.transpose(-1, -2) @ error),
                c_bias - self.rate * error.sum(-2, keepdim=True),
            )
            a, a_bias = (
                a - self.rate * (keys.transpose(-1, -2) @ down),
                a_bias - self.rate * down.sum(-2, keepdim=True),
            )
        return F.gelu(queries @ a + a_bias) @ c + c_bias


def gelu_slope(x: Tensor) -> Tensor:
    """Derivative of x Phi(x): Phi(x) + x phi(x)."""
    return 0.5 * (1 + torch.erf(x / 2**0.5)) + x * torch.exp(-x.square() / 2) / (2 * torch.pi) ** 0.5


class LearningBlock(Block):
    """A block of the vision transformer with another way to mix its tokens."""

    def __init__(self, width: int, heads: int, hidden: int, mixer: Mixer, learner: nn.Module | None):
        super().__init__(width, heads, hidden, dropout=0.0)
        self.mixer = mixer
        self.learner = learner

    def attention(self, x: Tensor) -> Tensor:
        if self.mixer == "softmax_attention":
            return super().attention(x)
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).transpose(-2, -4).unbind(-3)
        if self.learner is None:
            mixed = query @ (key.transpose(-1, -2) @ value) / key.shape[-2]
        else:
            mixed = self.learner(key, value, query)
        return self.projection(mixed.transpose(-2, -3).flatten(-2))


def mttt(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    mixer: Mixer = "mlp_learner",
    inner_rate: Annotated[float, Gt(0)] = 1.0,
    inner_steps: Annotated[int, Ge(1)] = 1,
    hidden_ratio: Annotated[float, Gt(0)] = 4.0,
    patch_size: Annotated[int, Ge(1)] = 1,
    width: Annotated[int, Ge(1)] = 32,
    depth: Annotated[int, Ge(1)] = 2,
    heads: Annotated[int, Ge(1)] = 2,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
) -> Model:
    """Images; the features are the mean of the tokens.

    mixer         of the tokens, see above
    inner_rate    learning rate of the learners
    inner_steps   of gradient descent; each multiplies the cost of the mixing
    hidden_ratio  of mlp_learner
    patch_size, width, depth, heads, mlp_ratio   as in model=vit; a patch of 1 is a pixel
    """
    model = vit(
        input_shape=input_shape,
        num_outputs=num_outputs,
        patch_size=patch_size,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=mlp_ratio,
        pool="mean",
    )
    body = model.body
    assert isinstance(body, VisionTransformerBody)
    size, hidden = width // heads, max(round(mlp_ratio * width), 1)
    blocks = []
    for own in list(body.blocks):
        learner: nn.Module | None = None
        if mixer == "linear_learner":
            learner = LinearLearner(heads, size, inner_rate, inner_steps)
        elif mixer == "mlp_learner":
            learner = MLPLearner(heads, size, max(round(hidden_ratio * size), 1), inner_rate, inner_steps)
        block = LearningBlock(width, heads, hidden, mixer, learner)
        block.load_state_dict(own.state_dict(), strict=learner is None)  # the initial weights of model=vit
        blocks.append(block)
    for block in blocks:  # last: with every mixer the other layers have the same initial weights
        if isinstance(block.learner, MLPLearner):
            for weight in (block.learner.expand, block.learner.contract):
                nn.init.normal_(weight, std=weight.shape[-2] ** -0.5)
    body.blocks = nn.Sequential(*blocks)
    return model

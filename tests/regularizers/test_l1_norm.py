import torch

from lossbench.regularizers.l1_norm import l1_norm
from tests.losses.support import near, sample


def test_limit():  # biases do not count, nor does anything at weight 0
    (parameters,) = sample("model_parameters")
    without_biases = {name: w for name, w in parameters.items() if "bias" not in name}
    near(l1_norm(parameters, weight=1.0), l1_norm(without_biases, weight=1.0))
    near(l1_norm(parameters, weight=0.0), 0.0)


def test_oracle():  # a loop over the numbers
    (parameters,) = sample("model_parameters")
    slow = sum(abs(w) for name in ("body.0.weight", "head.weight") for row in parameters[name].tolist() for w in row)
    near(l1_norm(parameters, weight=0.3), 0.3 * slow)


def test_hand():  # 0.1 (1 + 2 + 3); the gradient is the sign, 0 at 0
    w = torch.tensor([[1.0, -2.0], [0.0, 3.0]], dtype=torch.float64)
    near(l1_norm({"w": w, "b": torch.ones(2)}, weight=0.1), 0.6)
    near(torch.func.grad(lambda w: l1_norm({"w": w}, weight=0.1))(w), [[0.1, -0.1], [0.0, 0.1]])

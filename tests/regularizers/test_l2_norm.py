import torch

from lossbench.regularizers.l2_norm import l2_norm
from tests.losses.support import near, sample


def test_limit():  # biases do not count, nor does anything at weight 0
    (parameters,) = sample("model_parameters")
    without_biases = {name: w for name, w in parameters.items() if "bias" not in name}
    near(l2_norm(parameters, weight=1.0), l2_norm(without_biases, weight=1.0))
    near(l2_norm(parameters, weight=0.0), 0.0)


def test_oracle():  # one step of plain SGD on the penalty is one step of SGD's own weight decay
    start = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    penalised, decayed = start.clone().requires_grad_(), start.clone().requires_grad_()
    l2_norm({"w": penalised}, weight=0.3).backward()
    torch.optim.SGD([penalised], lr=0.1).step()
    decayed.grad = torch.zeros_like(decayed)
    torch.optim.SGD([decayed], lr=0.1, weight_decay=0.3).step()
    near(penalised, decayed)
    (parameters,) = sample("model_parameters")
    slow = sum(w * w for name in ("body.0.weight", "head.weight") for row in parameters[name].tolist() for w in row)
    near(l2_norm(parameters, weight=0.3), 0.15 * slow)


def test_hand():  # 0.1 / 2 * (1 + 4 + 9)
    w = torch.tensor([[1.0, -2.0], [0.0, 3.0]], dtype=torch.float64)
    near(l2_norm({"w": w, "b": torch.ones(2)}, weight=0.1), 0.7)

import torch

from lossbench.regularizers.representation_alignment import init_params, representation_alignment
from tests.losses.support import near, sample


def drawn(**sizes):
    made = init_params(num_features=4, generator=torch.Generator().manual_seed(0), **sizes)
    return {name: tensor.double() for name, tensor in made.items()}


def layers(params):
    first, second = (torch.nn.Linear(*params[name].shape[::-1]).double() for name in ("W1", "W2"))
    first.load_state_dict({"weight": params["W1"], "bias": params["b1"]})
    second.load_state_dict({"weight": params["W2"], "bias": params["b2"]})
    return torch.nn.Sequential(first, torch.nn.GELU(), second)


def test_limit():  # weight = 0 is nothing, aligned is nothing, the opposite direction is 2
    features, image_features = sample("features", "image_features", tokens=True)
    params = drawn()
    near(representation_alignment(features, image_features, params, weight=0.0), 0.0)
    constant = {**params, "W2": 0 * params["W2"], "b2": torch.tensor([3.0, 0, 0, 0]).double()}
    wanted = torch.tensor([[2.0, 0, 0, 0]]).double().expand(6, -1)
    near(representation_alignment(features, wanted, constant), 0.0)
    near(representation_alignment(features, -wanted, constant), 2.0)


def test_oracle():  # torch's cosine embedding loss of a torch network, token by token; an encoder of another size
    features, _ = sample("features", "image_features", tokens=True)
    params = drawn(hidden=3, image_size=5)
    wanted = torch.randn(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own = representation_alignment(features, wanted, params, weight=0.7)
    each = wanted.unsqueeze(1).expand(-1, 7, -1).flatten(0, 1)
    made = layers(params)(features).flatten(0, 1)
    one = torch.ones(42)
    near(own.flatten(), 0.7 * torch.nn.functional.cosine_embedding_loss(made, each, one, reduction="none"))


def test_hand():  # (3, 4) against (1, 0): cosine 3/5
    params = {"W1": torch.zeros(1, 4), "b1": torch.zeros(1), "W2": torch.zeros(2, 1), "b2": torch.tensor([3.0, 4.0])}
    own = representation_alignment(torch.zeros(1, 1, 4), torch.tensor([[1.0, 0.0]]), params, weight=2.0)
    near(own, [[0.8]], 1e-6)

import torch

from lossbench.losses.distillation.distillation import distillation
from lossbench.losses.distillation.hint_distillation import hint_distillation, init_params
from tests.losses.support import near, sample

WORDS = ("features", "logits", "targets", "teacher_logits")


def test_limit():  # weight = 0 is distillation; features that the map takes to the teacher's pay nothing
    given = sample(*WORDS)
    params = {"map": torch.randn(3, 4, dtype=torch.float64)}
    terms = hint_distillation(*given, torch.zeros(6, 3).double(), params, weight=0.0, alpha=0.3, temperature=2.0)
    near(sum(terms.values()), sum(distillation(*given[1:], alpha=0.3, temperature=2.0).values()))
    near(hint_distillation(*given, given[0] @ params["map"].T, params)["hint"], 0.0)


def test_oracle():  # a torch.nn.Linear without bias, torch.nn.functional's squared error; a teacher of another size
    for tokens in (False, True):
        given = sample(*WORDS, tokens=tokens)
        wanted = torch.randn(*given[0].shape[:-1], 3, dtype=torch.float64)
        params = init_params(num_features=4, generator=torch.Generator(), teacher_size=3)
        linear = torch.nn.Linear(4, 3, bias=False).double()
        linear.load_state_dict({"weight": params["map"]})
        terms = hint_distillation(*given, wanted, {"map": params["map"].double()}, weight=0.5)
        error = torch.nn.functional.mse_loss(linear(given[0]), wanted, reduction="none").mean(-1)
        near(terms["hint"], 0.5 * error)


def test_hand():  # map (1, 2)' of 3 is (3, 6); the teacher has (1, 2): (4 + 16) / 2
    one = torch.ones(1, 1, dtype=torch.float64)
    terms = hint_distillation(3 * one, one, torch.tensor([0]), one, torch.tensor([[1.0, 2.0]]).double(),
                              {"map": torch.tensor([[1.0], [2.0]]).double()})  # fmt: skip
    near(terms["hint"], [10.0])

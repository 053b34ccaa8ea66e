import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.binary_distillation import binary_distillation
from lossbench.losses.distillation.dual_head_distillation import dual_head_distillation, init_params
from tests.losses.support import near, sample


def drawn():
    return {k: v.double() for k, v in init_params(num_outputs=5, num_features=4, generator=torch.Generator()).items()}


def test_limit():  # alpha = 0 is cross-entropy; a second head that is the first is binary distillation on one head
    features, targets, teacher = sample("features", "targets", "teacher_logits")
    params = drawn()
    logits = torch.nn.functional.linear(features, params["weight"], params["bias"])
    own = dual_head_distillation(features, logits, targets, teacher, params, alpha=0.0)
    near(sum(own.values()), cross_entropy(logits, targets))
    own = dual_head_distillation(features, logits, targets, teacher, params, alpha=0.3)
    for name, value in binary_distillation(logits, targets, teacher, alpha=0.3).items():
        near(own[name], value)


def test_oracle():  # a torch.nn.Linear as the second head, the divergence from its definition
    for tokens in (False, True):
        features, logits, targets, teacher = sample("features", "logits", "targets", "teacher_logits", tokens=tokens)
        params = drawn()
        second = torch.nn.Linear(4, 5).double()
        second.load_state_dict(params)
        own = dual_head_distillation(features, logits, targets, teacher, params, alpha=2.0, temperature=3.0)
        d = torch.sigmoid((second(features) - teacher) / 3)
        near(own["distillation"], 2 * 9 * (0.5 * (0.5 / d).log() + 0.5 * (0.5 / (1 - d)).log()).sum(-1))
        near(own["cross_entropy"], cross_entropy(logits, targets))


def test_heads_are_apart():  # the teacher gives the model's own head no gradient, and the labels the second head none
    features, logits, targets, teacher = sample("features", "logits", "targets", "teacher_logits")
    params = drawn()
    leaves = [t.requires_grad_() for t in (features, logits, *params.values())]
    own = dual_head_distillation(features, logits, targets, teacher, params)
    reached = {}
    for name, value in own.items():
        found = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
        reached[name] = [gradient is not None for gradient in found]
    assert reached == {"cross_entropy": [False, True, False, False], "distillation": [True, False, True, True]}


def test_hand():  # second head 2 h + 1 of h = 3, one class, teacher 7 - 4 log 3, T = 2: sigmoid(2 log 3) = 9/10
    params = {"weight": torch.tensor([[2.0]]).double(), "bias": torch.tensor([1.0]).double()}
    features, logits = torch.tensor([[3.0]]).double(), torch.tensor([[5.0]]).double()
    teacher = torch.tensor([[7.0 - 4 * math.log(3)]], dtype=torch.float64)
    own = dual_head_distillation(features, logits, torch.tensor([0]), teacher, params, temperature=2.0)
    near(own["distillation"], [2 * (math.log(5 / 9) + math.log(5))])
    near(own["cross_entropy"], 0.0)

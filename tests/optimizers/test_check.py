import re

import pytest
import torch

from lossbench.errors import UsageError
from lossbench.optimizers.check import check_hyperparameters
from lossbench.optimizers.lion import Lion
from lossbench.optimizers.momo import Momo
from lossbench.optimizers.muon import Muon
from lossbench.optimizers.sam import SAM
from lossbench.optimizers.spectral_constraint import SpectralConstraint

optim = torch.optim
NAN, INF = float("nan"), float("inf")
REFUSED = [
    (optim.SGD, {"lr": -1.0}, "optimizer.lr=-1.0 "),
    (optim.SGD, {"lr": NAN}, "optimizer.lr=nan "),
    (optim.SGD, {"lr": INF}, "optimizer.lr=inf "),
    (optim.SGD, {"lr": "abc"}, "optimizer.lr=abc "),
    (optim.SGD, {"lr": None}, "optimizer.lr=null "),
    (optim.SGD, {"lr": True}, "optimizer.lr=True "),
    (optim.SGD, {"momentum": -0.1}, "optimizer.momentum=-0.1 "),
    (optim.SGD, {"weight_decay": -0.1}, "optimizer.weight_decay=-0.1 "),
    (optim.SGD, {"nesterov": True, "momentum": 0.0}, "optimizer.nesterov=true "),
    (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "optimizer.nesterov=true "),
    (optim.SGD, {"nesterov": "yes"}, "optimizer.nesterov=yes "),
    (optim.SGD, {"foreach": True, "fused": True}, "optimizer.foreach and optimizer.fused "),
    (optim.SGD, {"foreach": 1}, "optimizer.foreach=1 "),
    (optim.SGD, {"momentun": 0.9}, "optimizer.momentun: SGD has no such hyper-parameter, did you mean 'momentum'?"),
    (optim.SGD, {"params": []}, "optimizer.params: "),
    (optim.AdamW, {"momentum": 0.9}, "optimizer.momentum: AdamW has no such"),
    (optim.AdamW, {"betas": [0.9, 1.0]}, "optimizer.betas=[0.9, 1.0] "),
    (optim.AdamW, {"betas": [-0.1, 0.9]}, "optimizer.betas=[-0.1, 0.9] "),
    (optim.AdamW, {"betas": [0.9]}, "optimizer.betas=[0.9] "),
    (optim.AdamW, {"betas": 0.9}, "optimizer.betas=0.9 "),
    (optim.AdamW, {"betas": [0.9, None]}, "optimizer.betas=[0.9, None] "),
    (optim.AdamW, {"eps": 0.0}, "optimizer.eps=0.0 "),
    (optim.RMSprop, {"alpha": 1.5}, "optimizer.alpha=1.5 "),
    (optim.Adadelta, {"rho": 1.5}, "optimizer.rho=1.5 "),
    (optim.Adafactor, {"eps": [None, 0.0]}, "optimizer.eps=[None, 0.0] "),
    (optim.Adafactor, {"eps": [1e-8, None]}, "optimizer.eps=[1e-08, None] "),
    (optim.Adafactor, {"beta2_decay": 0.8}, "optimizer.beta2_decay=0.8 "),
    (optim.Adafactor, {"d": 0.5}, "optimizer.d=0.5 "),
    (optim.Rprop, {"etas": [1.2, 0.5]}, "optimizer.etas=[1.2, 0.5] "),
    (optim.LBFGS, {"max_iter": 0}, "optimizer.max_iter=0 "),
    (optim.LBFGS, {"history_size": 2.5}, "optimizer.history_size=2.5 "),
    (Lion, {"lr": INF}, "optimizer.lr=inf "),
    (Lion, {"betas": [0.9, 1.0]}, "optimizer.betas=[0.9, 1.0] "),
    (SAM, {"rho": -0.1}, "optimizer.rho=-0.1 "),
    (SAM, {"adaptive": "yes"}, "optimizer.adaptive=yes "),
]


@pytest.mark.parametrize(("target", "values", "message"), REFUSED)
def test_refused(target, values, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        check_hyperparameters(target, values, "optimizer")


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (optim.SGD, {"lr": 0, "momentum": 0.9, "nesterov": True, "foreach": None, "fused": None}),
        (optim.SGD, {"lr": torch.tensor(0.1)}),  # a 0-d hyper-parameter of a batched sweep
        (optim.AdamW, {"betas": (0.0, 0.999), "amsgrad": True, "fused": True}),
        (optim.Adafactor, {"eps": [1e-30, 0.001]}),
        (optim.LBFGS, {"max_eval": None, "line_search_fn": "strong_wolfe"}),
        (SAM, {"base": optim.AdamW, "rho": 5.0}),
    ],
)
def test_accepted(target, values):
    check_hyperparameters(target, values, "optimizer")


def test_a_list_of_ranges_in_words():
    with pytest.raises(UsageError, match=r"a list of 2 entries: a number > 0 .* or null, a number > 0"):
        check_hyperparameters(optim.Adafactor, {"eps": 1.0})


def test_other_key():
    with pytest.raises(UsageError, match=r"optimizer\.base\.lr=-1"):
        check_hyperparameters(optim.SGD, {"lr": -1}, "optimizer.base")


@pytest.mark.parametrize("base, needs", [(torch.optim.LBFGS, "closure"), (SAM, "closure"), (Momo, "loss")])
@pytest.mark.parametrize("outer", [SAM, SpectralConstraint, Muon])
def test_bases_that_need_more_than_gradients_are_refused(outer, base, needs):
    def make(params, lr, weight_decay):
        return base([p for group in params for p in group["params"]])

    params = [torch.zeros(2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)]
    said = rf"optimizer\.base: {base.__name__} cannot be the base of {outer.__name__}.* {needs}"
    with pytest.raises(UsageError, match=said):
        outer(params, make)
    outer(params, optim.AdamW)

import pytest
import torch

from lossbench.errors import UsageError
from lossbench.models.denoiser import denoiser
from lossbench.models.gpt import gpt


def test_every_token_sees_every_other():
    sizes = {"input_shape": (6,), "num_outputs": 9, "depth": 1, "width": 8, "heads": 2}
    torch.manual_seed(0)
    both, causal = denoiser(**sizes), gpt(**sizes)
    for model, last in ((both, 9), (causal, 8)):  # the denoiser has a token for what is hidden
        x = torch.tensor([[1, 2, last, 4, 5, 0]])
        changed = x.clone()
        changed[0, 4] = 7
        differs = (model(x) - model(changed)).abs().amax(-1)[0] > 1e-6
        assert differs.tolist() == ([True] * 6 if model is both else [False] * 4 + [True] * 2)
        assert model(x).shape == (1, 6, 9)


def test_refused():
    with pytest.raises(UsageError, match="dataset=shakespeare"):
        denoiser(input_shape=(1, 8, 8), num_outputs=3)

import pytest
import torch

from lossbench.models.gpt2_124m import gpt2_124m


@pytest.mark.parametrize(("tied", "expected"), [(True, 124), (False, 162)])
def test_parameters(tied, expected):  # 50257 768 (twice where untied) + 12 (12 768^2 + 2 768) + 768, in millions
    with torch.device("meta"):
        model = gpt2_124m(input_shape=(1024,), num_outputs=50257, tied=tied)
    count = sum(p.numel() for p in model.parameters())
    assert count == 50257 * 768 * (1 if tied else 2) + 12 * (12 * 768**2 + 2 * 768) + 768
    assert round(count / 1e6) == expected

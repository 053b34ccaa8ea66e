import torch

from lossbench.heads.projector import projector
from lossbench.heads.rectified_projector import rectified_projector


def test_is_a_projector_and_a_relu():  # with the same initial weights
    options = {"num_features": 6, "num_outputs": 4, "hidden": 9, "layers": 3, "size": 5}
    torch.manual_seed(0)
    plain = projector(**options)
    torch.manual_seed(0)
    rectified = rectified_projector(**options)
    features = torch.randn(7, 6)
    outputs = plain(features)
    assert (outputs < 0).any() and outputs.shape == (7, 5)
    torch.testing.assert_close(rectified(features), outputs.clamp(min=0))

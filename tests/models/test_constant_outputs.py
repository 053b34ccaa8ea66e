import pytest
import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.models.constant_outputs import constant_outputs
from tests.models.support import built, check_vmap, images


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8)])
def test_same_outputs_for_every_input(shape):
    model = built(lambda: constant_outputs(input_shape=shape, num_outputs=4))
    assert torch.equal(model(images(5, *shape)), torch.zeros(5, 4))
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0], [2], [3], [4]]))
    assert torch.equal(model(images(5, *shape)), torch.tensor([[1.0, 2, 3, 4]]).expand(5, 4))
    assert sum(p.numel() for p in model.parameters()) == 4 and model.body(images(5, *shape)).shape == (5, 1)
    check_vmap(lambda: constant_outputs(input_shape=shape, num_outputs=4), shape)


def test_learns_the_class_frequencies():  # what minimises cross-entropy where nothing is known of the input
    model, targets = constant_outputs(input_shape=(3,), num_outputs=3), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe", max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(model(torch.zeros(10, 3)), targets).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(model(torch.zeros(1, 3)).softmax(-1), torch.tensor([[0.3, 0.2, 0.5]]), atol=1e-4, rtol=0)

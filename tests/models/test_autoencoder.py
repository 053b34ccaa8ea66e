import torch
from torch import nn

from lossbench.models.autoencoder import autoencoder


def test_structure():  # 12 - 7 - 5 - 3 numbers and back to 12; no activation at the code nor at the end
    model = autoencoder(input_shape=(3, 2, 2), num_outputs=12, widths=(7, 5), code=3)
    sizes = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(12, 7), (7, 5), (5, 3), (3, 5), (5, 7), (7, 12)]
    assert isinstance(model.body[-1], nn.Linear) and isinstance(model.head[-1], nn.Linear)
    assert sum(isinstance(m, nn.ReLU) for m in model.modules()) == 4
    assert model.num_features == 3 and model.body(torch.zeros(2, 3, 2, 2)).shape == (2, 3)


def test_linear_autoencoder_finds_principal_components():  # no hidden layers, so that the best code is known: the error
    # of a code of 2 is the sum of the other eigenvalues of the covariance
    torch.manual_seed(0)
    x = torch.randn(400, 5) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2])
    x = x - x.mean(0)
    model = autoencoder(input_shape=(5,), num_outputs=5, widths=(), code=2)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - x).square().sum(1).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = torch.linalg.eigvalsh(x.T @ x / len(x))[:3].sum()
    torch.testing.assert_close(closure().detach(), expected, rtol=1e-3, atol=0)

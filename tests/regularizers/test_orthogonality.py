import torch

from lossbench.regularizers.orthogonality import orthogonality
from tests.losses.support import near, sample


def test_limit():  # orthonormal rows, columns or filters cost nothing; biases do not count
    square = torch.linalg.qr(sample("logits")[0][:5]).Q
    tall = square[:, :3]
    filters = tall.T.reshape(3, 1, 5, 1)
    near(orthogonality({"a": square, "b": tall, "c": tall.T, "d": filters, "bias": torch.ones(7)}, weight=1.0), 0.0)


def test_oracle():  # from singular values: |W W' - I|^2 = sum_k (s_k^2 - 1)^2, over the min(rows, columns) values
    (parameters,) = sample("model_parameters")
    matrices = [w for w in parameters.values() if w.ndim == 2] + [sample("x")[0].reshape(6, 2, 2, 2)]
    slow = sum(((torch.linalg.svdvals(w.reshape(len(w), -1)) ** 2 - 1) ** 2).sum() for w in matrices)
    near(orthogonality(dict(enumerate(matrices)), weight=0.3), 0.3 * slow)


def test_oracle_of_the_gradient():  # the paper's one-sided penalty has the same gradient, 4 W (W'W - I)
    for w in sample("logits", "x"):
        gradient = torch.func.grad(lambda w: orthogonality({"w": w}, weight=1.0))(w)
        near(gradient, 4 * w @ (w.T @ w - torch.eye(w.shape[1], dtype=w.dtype)))


def test_hand():  # W = (2 1; 0 1): W W' - I = (4 1; 1 0), squares 16 + 1 + 1, times 0.1
    near(orthogonality({"w": torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)}, weight=0.1), 1.8)

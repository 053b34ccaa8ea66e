import numpy as np
import torch

from lossbench.datasets.digits import digits
from tests.datasets.support import all_rows, generator, rows, run_python, stratified


def test_oracle():  # scikit-learn's own loader; the three splits together are the whole
    from sklearn.datasets import load_digits

    bunch = load_digits()
    np.testing.assert_array_equal(all_rows(digits(generator=generator()), "targets"), rows(bunch.images, bunch.target))


def test_splits():
    from sklearn.datasets import load_digits

    dataset, whole = digits(generator=generator()), torch.from_numpy(load_digits().target)
    stratified(dataset, whole, 0.2, "test")
    stratified(dataset, whole, 0.2, "validation")
    assert dataset.input_shape == (1, 8, 8) and dataset.num_outputs == 10


def test_does_not_import_scikit_learn():  # a second of start-up
    code = (
        "import sys, torch; from lossbench.datasets.digits import digits; digits(generator=torch.Generator()); "
        "print([name for name in ('sklearn', 'torchvision', 'datasets', 'scipy') if name in sys.modules])"
    )
    assert run_python(code) == "[]"

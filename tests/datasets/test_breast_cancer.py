import numpy as np
import torch

from lossbench.datasets.breast_cancer import breast_cancer
from tests.datasets.support import all_rows, generator, rows, stratified


def test_oracle():  # scikit-learn's own loader
    from sklearn.datasets import load_breast_cancer

    bunch, dataset = load_breast_cancer(), breast_cancer(generator=generator())
    np.testing.assert_array_equal(all_rows(dataset, "targets"), rows(bunch.data, bunch.target))
    stratified(dataset, torch.from_numpy(bunch.target), 0.2, "test")
    assert list(dataset.class_names) == list(bunch.target_names)

import numpy as np
import torch

from lossbench.datasets.dataset import Split
from lossbench.datasets.diabetes import diabetes
from tests.datasets.support import generator, rows, splits


def test_oracle():  # scikit-learn's own loader gives the raw values
    from sklearn.datasets import load_diabetes

    bunch, dataset = load_diabetes(scaled=False), diabetes(generator=generator())
    raw = torch.from_numpy(bunch.target).float()
    inputs = torch.cat([split.inputs for split in splits(dataset)])
    np.testing.assert_array_equal(rows(inputs, inputs[:, 0]), rows(bunch.data, bunch.data[:, 0]))

    # The patients have pairwise different measurements, so that each one's raw target can be looked up.
    target_of = {tuple(row): target for row, target in zip(bunch.data.astype(np.float32).tolist(), raw, strict=True)}
    assert len(target_of) == 442

    def look_up(split: Split) -> torch.Tensor:
        return torch.stack([target_of[tuple(row)] for row in split.inputs.tolist()]).unsqueeze(1)

    mean, scale = look_up(dataset.train).mean(), look_up(dataset.train).std()
    torch.testing.assert_close(dataset.target_scale, scale.reshape(1))
    for split in splits(dataset):
        expected = (look_up(split) - mean) / scale
        torch.testing.assert_close(split.labels["regression_targets"], expected, rtol=1e-5, atol=1e-5)
    assert [len(split) for split in splits(dataset)] == [266, 88, 88]  # 442 - 2 * round(0.2 * 442)

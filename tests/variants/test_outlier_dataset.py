import pytest
import torch

from lossbench import seeds
from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits
from lossbench.datasets.wine import wine
from lossbench.errors import UsageError
from lossbench.variants.outlier_dataset import outlier_dataset
from tests.variants.support import generator


def images(shape=(1, 8, 8), dtype=torch.float32, value_range=(0.0, 1.0)):
    split = Split(torch.zeros(12, *shape).to(dtype), {"targets": torch.arange(12) % 3})
    return Dataset(split, split, split, 3, value_range=value_range)


def test_the_test_split_of_the_other_in_this_range():  # digits are 0..16
    made = outlier_dataset(images(), generator(), name="digits")
    expected = digits(generator=generator()).test.inputs / 16
    torch.testing.assert_close(made.extra["outliers"].inputs, expected)
    assert made.extra["outliers"].labels == {} and made.test is not None
    few = outlier_dataset(images(), generator(), name="digits", number=7).extra["outliers"]
    assert len(few) == 7


def test_bytes():
    outliers = outlier_dataset(images(dtype=torch.uint8, value_range=None), generator(), name="digits").extra[
        "outliers"
    ]
    expected = (digits(generator=generator()).test.inputs / 16 * 255).round()
    assert outliers.inputs.dtype == torch.uint8 and torch.equal(outliers.inputs.float(), expected)


def test_resized():  # grey to colour; the mean of an image stays where the sides are doubled
    outliers = outlier_dataset(images((3, 16, 16)), generator(), name="digits").extra["outliers"].inputs
    grey = digits(generator=generator()).test.inputs / 16
    assert outliers.shape[1:] == (3, 16, 16) and torch.equal(outliers[:, 0], outliers[:, 2])
    torch.testing.assert_close(outliers.mean((1, 2, 3)), grey.mean((1, 2, 3)), atol=0.03, rtol=0)


def test_refused():
    data = wine(generator=seeds.generator(0, "split"))
    with pytest.raises(UsageError, match=r"shape \[1, 8, 8\], and those of this one \[13\].*like these"):
        outlier_dataset(data, generator(), name="digits")
    with pytest.raises(UsageError, match="resize=true"):
        outlier_dataset(images((3, 16, 16)), generator(), name="digits", resize=False)
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        outlier_dataset(images(), generator(), name="digit")
    with pytest.raises(UsageError, match=r"must be given.*breast_cancer"):
        outlier_dataset(images(), generator())

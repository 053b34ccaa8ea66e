import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.one_class import one_class
from tests.variants.support import classification, generator, regression


def test_training_has_the_normal_class_alone():
    dataset = classification([5, 7, 3])
    made = one_class(dataset, generator(), normal=1)
    assert dataset.train.labels["targets"][made.train.inputs[:, 0].long()].tolist() == [1] * 7
    assert made.train.labels.keys() == {"anomalies"} and not made.train.labels["anomalies"].any()


def test_the_others_are_anomalies():
    dataset = classification([5, 7, 3])
    made = one_class(dataset, generator(), normal=1)
    for old, new in ((dataset.validation, made.validation), (dataset.test, made.test)):
        assert new.inputs is old.inputs and new.labels.keys() == {"anomalies"}
        assert new.labels["anomalies"].dtype == torch.bool
        assert new.labels["anomalies"].tolist() == [True, False, True, True, False, True]  # targets 0 1 2 0 1 2


def test_refused():
    with pytest.raises(UsageError, match=r"normal=3.*0\.\.2"):
        one_class(classification([5, 7, 3]), generator(), normal=3)
    with pytest.raises(UsageError, match="it needs targets"):
        one_class(regression(4), generator())

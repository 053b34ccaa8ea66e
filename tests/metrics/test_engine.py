"""What the engines rely on: nothing waits for the device, many runs at once, no dependence on the order, and speed."""

import pytest
import torch
from torch.func import vmap

from lossbench.metrics.classification import classification_metrics
from lossbench.metrics.collect import to_floats
from lossbench.metrics.multilabel import multilabel_metrics
from lossbench.metrics.regression import regression_metrics
from tests.metrics.support import near, random

CASES = {
    "classification": (classification_metrics, random(4, 90, 7), torch.arange(360).view(4, 90) % 7),
    "multilabel": (multilabel_metrics, random(4, 90, 7), (random(4, 90, 7, seed=1) > 0.3).float()),
    "regression": (regression_metrics, random(4, 90, 2), random(4, 90, 2, seed=1)),
}


@pytest.mark.parametrize("name", CASES)
def test_reads_no_value(name):  # tensors of the meta device have no values: reading one raises
    metrics, outputs, truth = CASES[name]
    with pytest.raises(RuntimeError):
        outputs.to("meta").sum().item()
    actual = metrics(outputs[0].to("meta"), truth[0].to("meta"))
    assert all(value.shape == () and value.dtype == torch.float64 for value in actual.values())


@pytest.mark.parametrize("name", CASES)
def test_many_runs_at_once(name):
    metrics, outputs, truth = CASES[name]
    actual = vmap(metrics)(outputs, truth)
    for run in range(4):
        for key, value in metrics(outputs[run], truth[run]).items():
            near(actual[key][run], value, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_order_of_the_examples(name):
    metrics, outputs, truth = CASES[name]
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    shuffled = metrics(outputs[0, order], truth[0, order])
    for key, value in metrics(outputs[0], truth[0]).items():
        near(shuffled[key], value, 1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_cuda(name):
    metrics, outputs, truth = CASES[name]
    on_device = outputs[0].cuda(), truth[0].cuda()
    metrics(*on_device)  # the first call loads kernels
    try:
        torch.cuda.set_sync_debug_mode("error")
        actual = metrics(*on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for key, value in to_floats(actual).items():
        near(metrics(outputs[0], truth[0])[key], value, 1e-9)

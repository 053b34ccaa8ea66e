import torch

from lossbench.variants.calibration_split import calibration_split
from tests.variants.support import classification, generator, only_train_changes, regression, still_together


def test_the_parts_are_disjoint_and_stratified():
    dataset = classification([100, 50, 30])
    calibration = only_train_changes(calibration_split, dataset, fraction=0.3)
    model = calibration_split(dataset, generator(), fraction=0.3, part="model")
    assert torch.bincount(calibration.train.labels["targets"]).tolist() == [30, 15, 9]
    assert torch.bincount(model.train.labels["targets"]).tolist() == [70, 35, 21]
    both = torch.cat([calibration.train.inputs, model.train.inputs]).flatten().long()
    assert both.sort().values.tolist() == list(range(180))
    for made in (calibration, model):
        still_together(made, dataset)


def test_regression():
    sizes = [len(calibration_split(regression(50), generator(), part=part).train) for part in ("calibration", "model")]
    assert sizes == [10, 40]

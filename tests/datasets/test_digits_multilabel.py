import torch

from lossbench.datasets.digits import digits
from lossbench.datasets.digits_multilabel import digits_multilabel
from tests.datasets.support import generator, splits


def cells_of(canvas, rows, columns):
    """The 8x8 cells of one canvas [1, 8 rows, 8 columns] as bytes, None for an empty one."""
    for row in range(rows):
        for column in range(columns):
            cell = canvas[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            yield cell.numpy().tobytes() if cell.any() else None


def test_every_cell_is_an_image_of_its_split_and_the_labels_are_their_classes():
    dataset = digits_multilabel(generator=generator(), num_examples=500, rows=2, columns=3)
    images = digits(generator=generator())  # the same generator draws the same split
    assert dataset.input_shape == (1, 16, 24)
    assert [len(split) for split in splits(dataset)] == [300, 100, 100]
    for canvases, source in zip(splits(dataset), splits(images), strict=True):
        class_of = {
            image.numpy().tobytes(): int(target)
            for image, target in zip(source.inputs, source.labels["targets"], strict=True)
        }
        for canvas, labels in zip(canvases.inputs, canvases.labels["labels"], strict=True):
            shown = [class_of[cell] for cell in cells_of(canvas, 2, 3) if cell is not None]
            assert len(shown) > 0
            assert labels.tolist() == [float(c in shown) for c in range(10)]


def test_number_of_digits_is_uniform_and_so_are_the_cells():
    inputs = digits_multilabel(generator=generator(), num_examples=5000).train.inputs
    cells = inputs.reshape(3000, 2, 8, 2, 8).transpose(2, 3).reshape(3000, 4, 64).any(-1)
    counts = torch.bincount(cells.sum(1), minlength=5)
    # 3000 canvases, 4 equally likely counts: 750 each, deviation sqrt(3000 * 1/4 * 3/4) = 24; four deviations
    assert counts[0] == 0 and (counts[1:] - 750).abs().max() < 96
    # each cell is filled with probability (1 + 2 + 3 + 4) / 4 / 4 = 0.625, deviation 26.5
    assert (cells.sum(0) - 1875).abs().max() < 106

import pytest

from lossbench.datasets import shakespeare
from lossbench.datasets.shakespeare_plays import TITLES, shakespeare_plays, texts
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


def read(split):
    return bytes(split.inputs.flatten().tolist()).decode()


def test_the_plays_are_the_text():
    assert "".join(texts().values()) == shakespeare.text().replace("\r\n", "\n")
    for name, words in texts().items():
        assert words.startswith(TITLES[name]) and words.count("by William Shakespeare") == 1
    assert "Double, double, toil and trouble" in texts()["macbeth"]
    assert "Lend me your ears" in texts()["julius_caesar"] or "lend me your ears" in texts()["julius_caesar"]


def test_parts_of_each_play():
    dataset = shakespeare_plays(generator=generator(), plays=["tempest", "macbeth"], block_length=50)
    for name, share in (("macbeth", 0), ("tempest", 1)):
        words = texts()[name].encode()
        start = 0
        for split, part in zip(splits(dataset), (0.8, 0.1, 0.1), strict=True):
            length = round(part * len(words))
            number = (length - 1) // 50
            own = read(split)[-number * 50 :] if share else read(split)[: number * 50]
            assert abs(words.decode().find(own[:200]) - start) <= 2
            start += length
    assert dataset.extra == {} and dataset.num_outputs == 256


def test_outliers_are_the_test_parts_of_other_plays():
    dataset = shakespeare_plays(generator=generator(), plays=["macbeth"], outliers=["hamlet"], block_length=50)
    alone = shakespeare_plays(generator=generator(), plays=["hamlet"], block_length=50)
    assert read(dataset.extra["outliers"]) == read(alone.test)
    assert "Hamlet" not in read(dataset.train)


def test_refused():
    with pytest.raises(UsageError, match="hamlet is among"):
        shakespeare_plays(generator=generator(), plays=["hamlet"], outliers=["hamlet"])

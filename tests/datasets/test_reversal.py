from lossbench.datasets.reversal import reversal
from tests.datasets.support import generator, splits


def test_the_answer_reverses_the_symbols():
    dataset = reversal(generator=generator(), num_examples=100, length=5, num_symbols=6)
    for split in splits(dataset):
        for x, targets, mask in zip(split.inputs, split.labels["targets"], split.labels["mask"], strict=True):
            whole = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).split()
            assert whole[5] == ">" and whole[6:] == whole[4::-1]
            assert mask.tolist() == [False] * 5 + [True] * 5

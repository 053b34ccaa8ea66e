"""`lossbench sample`: what is generated follows the model, and what is asked wrongly is answered."""

import re

import pytest
import torch

from lossbench import cli, run
from lossbench.models.gpt import gpt
from lossbench.sampling import generate, pick
from tests.engine import prepared

CONTEXT, C = 6, 5


def model():
    torch.manual_seed(0)
    made = gpt(input_shape=(CONTEXT,), num_outputs=C, depth=2, width=16, heads=2).eval()
    made.head.weight.data *= 20  # decided opinions
    return made


def test_cached_generation_is_the_uncached():  # also beyond the context, where the second half of it is read again
    made, prompt = model(), torch.tensor([[1, 2], [3, 0]])
    found = generate(made, prompt, 12, temperature=0)
    tokens, window = prompt, 0
    for _ in range(12):
        if tokens.shape[1] - window > CONTEXT:
            window = tokens.shape[1] - CONTEXT // 2
        logits = made(tokens[:, window:])[:, -1]
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], 1)
    assert found.tolist() == tokens.tolist() and len(set(found[0].tolist())) > 1


def test_a_prompt_longer_than_the_context():  # its end counts
    made, end = model(), torch.tensor([[4, 1, 0, 2, 2, 3]])
    long = torch.cat([torch.tensor([[1, 1, 1]]), end], 1)
    assert generate(made, long, 5, temperature=0)[:, 3:].tolist() == generate(made, end, 5, temperature=0).tolist()


def test_draws_are_from_the_distribution():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).expand(20_000, -1)
    generator = torch.Generator().manual_seed(0)

    def shares(**options):
        drawn = pick(logits, generator=generator, **options).flatten()
        return torch.bincount(drawn, minlength=3) / len(drawn)

    def near(found, expected):
        torch.testing.assert_close(found, torch.tensor(expected), atol=0.012, rtol=0)

    near(shares(temperature=1.0, top_k=None), [0.5, 0.3, 0.2])
    near(shares(temperature=1.0, top_k=2), [5 / 8, 3 / 8, 0.0])
    squares = [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38]  # a temperature of 1/2 squares the probabilities
    near(shares(temperature=0.5, top_k=9), squares)
    assert shares(temperature=0, top_k=None).tolist() == [1.0, 0.0, 0.0]


def test_softcap():  # logits of 10 and 0, capped at 1: nearly 1 and 0
    class Head(torch.nn.Module):
        def forward(self, features):
            return torch.tensor([10.0, 0.0]).expand(len(features), 2)

    made = model()
    made.head = Head()
    generator = torch.Generator().manual_seed(0)
    drawn = generate(made, torch.zeros(4000, 1, dtype=torch.long), 1, softcap=1.0, generator=generator)[:, 1]
    assert drawn.double().mean().item() == pytest.approx(1 / (1 + 2.718281828), abs=0.02)


def call(capsys, *arguments):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["sample", *map(str, arguments)])
    return (ended.value.code, *capsys.readouterr())


@pytest.fixture(scope="module")
def copier(tmp_path_factory):
    """A run that has learned to copy two symbols."""
    options = ["dataset=copying", "dataset.length=2", "dataset.num_symbols=20", "dataset.num_examples=200"]
    options += ["model.depth=2", "model.width=32", "model.heads=2", "batch_size=20", "budget.epochs=60"]
    options += ["optimizer.lr=0.01", "evaluation.epochs=30", "task.softcap=20"]
    one = prepared(tmp_path_factory.mktemp("outputs"), *options)
    record = run.execute(one)
    assert record["best"]["test/sequence_accuracy"] > 0.9
    return one.folder


def test_a_run_answers(copier, capsys):
    assert call(capsys, copier, "--prompt", "c r >", "--tokens", 2, "--temperature", 0) == (0, "c r > c r\n", "")
    code, out, _ = call(capsys, copier, "--tokens", 2, "--top-k", 1)  # a question of the test split
    words = out.split()
    assert code == 0 and words[2] == ">" and len(words) == 5


def test_seeds(copier, capsys):
    texts = [call(capsys, copier, "--tokens", 30, "--temperature", 5, "--seed", seed)[1] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", 0], r"--tokens 0 must be a whole number >= 1"),
        (["--top-k", 0], r"--top-k 0 must be a whole number >= 1"),
        (["--seed", -1], r"--seed -1 must be a whole number >= 0"),
        (["--temperature", -1], r"--temperature -1 must be a number >= 0"),
        (["--prompt", ""], r"--prompt is empty"),
        (["--prompt", "c Z"], r"'Z' is no symbol of this data set"),
        (["--tokens", "many"], r"invalid int value: 'many'"),
    ],
)
def test_wrong_options(copier, capsys, arguments, message):
    code, out, err = call(capsys, copier, *arguments)
    assert code == 2 and out == "" and re.search(message, err)


def test_wrong_folders(tmp_path, capsys):
    code, _, err = call(capsys, tmp_path / "none")
    assert code == 2 and "none does not exist" in err and "lossbench train dataset=shakespeare" in err
    assert "has no record.json" in call(capsys, tmp_path)[2]
    digits = prepared(tmp_path, "budget.steps=1")
    run.execute(digits)
    code, _, err = call(capsys, digits.folder)
    assert code == 2 and "model=mlp on dataset=digits, which is no language model" in err
    (digits.folder / "weights.pt").unlink()
    assert "weights.pt does not exist" in call(capsys, digits.folder)[2]


def test_help(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0 and all(f"--{option}" in out for option in ("prompt", "tokens", "temperature", "top-k", "seed"))

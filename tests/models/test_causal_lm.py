"""Against transformers itself, with tiny models that the tests write as it does."""

import pytest
import torch

from lossbench import run
from lossbench.errors import UsageError
from lossbench.models.causal_lm import causal_lm, package
from lossbench.tasks.rollouts import continued
from tests.engine import prepared

transformers = package()

SIZES = {"vocab_size": 16, "max_position_embeddings": 24}
CONFIGS = {
    "llama": transformers.LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                      num_key_value_heads=1, **SIZES),
    "gpt2": transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=16, n_positions=24, bos_token_id=0,
                                    eos_token_id=0),
    "gemma2": transformers.Gemma2Config(hidden_size=16, intermediate_size=24, num_hidden_layers=1, head_dim=8,
                                        num_attention_heads=2, num_key_value_heads=1, **SIZES),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for name, config in CONFIGS.items():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        torch.nn.init.normal_(model.get_output_embeddings().weight)
        model.save_pretrained(tmp_path_factory.mktemp(name) / "model")
        found[name] = tmp_path_factory.getbasetemp() / f"{name}0" / "model"
    return found


def made(folder, **options):
    return causal_lm(**{"input_shape": (20,), "num_outputs": 16, "name": str(folder), **options}).eval()


TOKENS = torch.randint(16, (3, 20), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_logits_are_those_of_transformers(name, folders):
    model = made(folders[name])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folders[name]).eval()
    torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits)
    assert model.body(TOKENS).shape == (3, 20, model.num_features) and model.num_features == 16
    torch.testing.assert_close(made(folders[name], num_outputs=11)(TOKENS % 11), theirs(TOKENS % 11).logits[..., :11])
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_cache_gives_what_reading_all_again_gives(name, folders):
    model = made(folders[name])
    uniforms = torch.rand((3, 20), generator=torch.Generator().manual_seed(1))
    with_cache = continued(model.body, model.head, TOKENS[:, :4], uniforms)
    without = continued(lambda tokens: model.body(tokens), model.head, TOKENS[:, :4], uniforms)
    assert torch.equal(with_cache, without) and with_cache.shape == (3, 20)


def test_random_weights_are_those_of_the_seed(folders):
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(made(folders["llama"], weights="random").head.layer.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gemma2", {}, "does more than a linear layer"),
        ("llama", {"num_outputs": 17}, "has 16 tokens, and the data set 17"),
        ("llama", {"input_shape": (25,)}, "reads at most 24 tokens"),
    ],
)
def test_wrong_input(name, options, message, folders):
    with pytest.raises(UsageError, match=message):
        made(folders[name], **options)


def test_no_such_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"model\.name=.*nowhere cannot be loaded"):
        made(tmp_path / "nowhere")


def test_preferences_of_a_model_of_transformers(folders, tmp_path):
    """The reference is trained first, and is of the same model."""
    one = prepared(tmp_path, "dataset=bradley_terry", "dataset.num_examples=64", "dataset.num_samples=64", "loss=dpo",
                   "model=causal_lm", f"model.name='{folders['llama']}'", "budget.steps=2", "evaluation.steps=2",
                   "batch_size=32", "task.reference={train:{task:language_modeling,variant:[completions],"
                   f"budget.steps:1,model:causal_lm,model.name:'{folders['llama']}'}}}}")  # fmt: skip
    for before in one.prerequisites:
        run.execute(before)
    run.execute(one)
    assert one.record["status"] == "completed" and 0 < one.record["best"]["test/win_rate"] < 1

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lossbench.errors import UsageError
from lossbench.heads.multi_sample_dropout import multi_sample_dropout
from tests.engine import trainer

HEAD = ("head=multi_sample_dropout", "loss=sampled_cross_entropy")


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return multi_sample_dropout(num_features=6, num_outputs=4, **options)


def test_masks():  # each copy is the features with some of them dropped and the others times 1 / (1 - rate)
    head = made(samples=3000, rate=0.25).double()
    with torch.no_grad():
        head.weight.copy_(torch.eye(6)[:4])
        head.bias.zero_()
    h = torch.arange(1.0, 7.0).double().expand(2, 6)
    copies = head(h)
    assert copies.shape == (2, 3000, 4)
    ratio = copies / (h[:, None, :4] / 0.75)
    assert set(ratio.unique().tolist()) == {0.0, 1.0}
    kept = ratio.mean(1)
    assert (kept - 0.75).abs().max() < 0.04  # deviation sqrt(3/16 / 3000) = 0.008
    together = (ratio[0, :, 0] * ratio[1, :, 0]).mean()
    assert abs(together - 0.75**2) < 0.04 and abs((ratio[0, :, 0] * ratio[0, :, 1]).mean() - 0.75**2) < 0.04


def test_evaluation_is_linear():
    head, h = made().eval(), torch.randn(5, 6)
    torch.testing.assert_close(head(h), h @ head.weight.T + head.bias)


def test_no_dropout_is_the_same_everywhere():
    head, h = made(rate=0.0), torch.randn(5, 6)
    torch.testing.assert_close(head(h), (h @ head.weight.T + head.bias).unsqueeze(1).expand(5, 8, 4))


def test_stacked():
    heads, h = [made(seed, rate=0.0) for seed in range(3)], torch.randn(3, 5, 6)

    def one(p, b, x):
        return functional_call(heads[0], (p, b), (x,))

    stacked = vmap(one, randomness="different")(*stack_module_state(heads), h)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, h, strict=True)]))


def test_a_run_takes_the_mean_of_the_losses(tmp_path):
    run = trainer(tmp_path, *HEAD, "head.samples=5")
    batch = next(run.source.training())
    torch.manual_seed(3)
    values = run._evaluate_objective(batch, 10)
    torch.manual_seed(3)
    outputs = run.model.head(run.model.body(batch["x"]))
    assert outputs.shape == (128, 5, 10)
    targets = batch["targets"].unsqueeze(1).expand(128, 5)
    expected = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(values.loss, expected)
    assert run.measure("validation")["validation/accuracy"] >= 0  # in evaluation the outputs are [B, C]


def test_another_head_counts_as_one_draw(tmp_path):
    run, plain = trainer(tmp_path, HEAD[1]), trainer(tmp_path)
    batch = next(run.source.training())
    torch.testing.assert_close(run._evaluate_objective(batch, 10).loss, plain._evaluate_objective(batch, 10).loss)


def test_a_loss_of_one_output_is_refused(tmp_path):
    run = trainer(tmp_path, HEAD[0])
    with pytest.raises(UsageError, match="sampled_cross_entropy"):
        run._evaluate_objective(next(run.source.training()), 10)

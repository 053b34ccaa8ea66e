"""Recipes of reinforcement learning: one objective, whose parts are chosen."""

import pytest
import torch

from lossbench import binding, locations
from lossbench.objective import Network, Objective
from tests.engine import prepared
from tests.losses.support import sample

RECIPES = sorted(locations.config_files("recipe"))
WORDS = ("token_logps", "old_token_logps", "ref_token_logps")


class Given:
    """A task whose batch has everything already."""

    batch = (*WORDS, "advantages", "mask", "rewards")
    tokens = True

    def completion_advantages(self, rewards):
        raise AssertionError("the recipe says how")


def gradient(recipe, mask, tmp_path, *overrides):
    """Of the recipe's objective for the log-probabilities [6, 7] of three completions of two prompts."""
    one = prepared(tmp_path, "dataset=sorting_prompts", f"recipe={recipe}", *overrides)
    advantage = binding.bind(one.config["advantage"], "advantage")
    (rewards,) = sample("rewards", B=2, R=3, seed=1)
    logps, old, ref = (torch.where(mask, t, 0.0) for t in sample(*WORDS, B=6, T=7))
    batch = {"token_logps": logps.requires_grad_(), "old_token_logps": logps.detach() + 0.1 * old}
    batch |= {"ref_token_logps": ref, "advantages": advantage(rewards).reshape(6, 1).expand(6, 7), "mask": mask}
    regularizers = [binding.bind(entry, name) for name, entry in (one.config.get("regularizer") or {}).items()]
    loss, reduction = (binding.bind(one.config[group], group) for group in ("loss", "reduction"))
    instead = {"completion_advantages": advantage}
    objective = Objective(loss, Given(), reduction, regularizers, instead=instead)
    network = Network(*[torch.nn.Identity()] * 3, {})
    loss = objective(network, {**batch, "rewards": rewards}, {}, {}).loss
    return torch.autograd.grad(loss, batch["token_logps"])[0]


EQUAL = (torch.arange(7) < 4).expand(6, 7)
UNEQUAL = torch.arange(7) < torch.tensor([[1], [7], [3], [5], [2], [4]])
SAME = ("regularizer.kl_to_reference.weight=0", "loss.clip_high=0.2", "advantage=group_normalized")


def without_the_rest(recipe):
    """The overrides that leave the aggregation as the only difference."""
    return SAME if recipe == "grpo" else SAME[1:]


def test_aggregations_of_equal_lengths_differ_by_a_constant(tmp_path):
    """All have 4 of 7 places: the means over tokens are 7/4 times the means over the fixed length."""
    found = {name: gradient(name, EQUAL, tmp_path, *without_the_rest(name)) for name in AGGREGATIONS}
    assert found["grpo"].abs().max() > 0.01
    for name, factor in AGGREGATIONS.items():
        torch.testing.assert_close(found[name] * factor, found["grpo"])


AGGREGATIONS = {"grpo": 1.0, "dapo": 1.0, "dr_grpo": 7 / 4, "delta_l": 7 / 4}


def test_aggregations_of_unequal_lengths_weigh_them_as_their_papers_say(tmp_path):
    """The ratio of each completion's gradient to GRPO's is its weight over 1 / (B n_i)."""
    found = {name: gradient(name, UNEQUAL, tmp_path, *without_the_rest(name)) for name in AGGREGATIONS}
    lengths = UNEQUAL.sum(1, keepdim=True).double()
    weights = {
        "grpo": 1 / (6 * lengths),
        "dapo": 1 / lengths.sum().expand(6, 1),
        "dr_grpo": torch.full((6, 1), 1 / 42, dtype=torch.float64),
        "delta_l": 1 / lengths / (1 / lengths).sum() / 7,
    }
    for name, weight in weights.items():
        torch.testing.assert_close(found[name] * weights["grpo"] / weight, found["grpo"])


def test_delta_l_without_a_power_is_dr_grpo(tmp_path):
    first = gradient("delta_l", UNEQUAL, tmp_path, "reduction.alpha=0", "advantage=group_centered")
    torch.testing.assert_close(first, gradient("dr_grpo", UNEQUAL, tmp_path))


def test_rloo_is_dr_grpo_before_the_policy_has_moved(tmp_path):
    """With ratios of 1 and as many completions, up to R / (R - 1); here all ratios are inside the clip range."""
    wide = ("loss.clip_low=1", "loss.clip_high=1000")
    plain = gradient("rloo", UNEQUAL, tmp_path)
    clipped = gradient("dr_grpo", UNEQUAL, tmp_path, *wide)
    (old,) = sample("old_token_logps", B=6, T=7)
    ratio = torch.where(UNEQUAL, (-0.1 * torch.where(UNEQUAL, old, 0.0)).exp(), 0.0)
    torch.testing.assert_close(plain * ratio, clipped * 3 / 2)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_be_overridden(recipe, tmp_path):
    """What the command line says comes last."""
    one = prepared(tmp_path, "dataset=sorting_prompts", f"recipe={recipe}", "reduction=sum", "advantage=plain_reward")
    assert one.config["choices"]["recipe"] == recipe and one.config["choices"]["reduction"] == "sum"
    assert one.config["choices"]["advantage"] == "plain_reward"


def test_a_recipe_is_the_same_run_as_its_parts(tmp_path):
    recipe = prepared(tmp_path, "dataset=sorting_prompts", "recipe=dr_grpo")
    parts = prepared(tmp_path, "dataset=sorting_prompts", "loss=clipped_policy_gradient", "advantage=group_centered",
                     "reduction=fixed_length_mean")  # fmt: skip
    assert recipe.run == parts.run

"""Every loss, regularizer and reweighting, found by walking the folders, against every property of tests/properties/.

To add a loss is to be tested here; nothing is listed. An exception stands in EXEMPT with its reason, and is strict: an
exempted property that holds is a failure too.
"""

from collections import Counter

import pytest

from tests.properties import files
from tests.properties.checks import CHECKS, WEIGHT_CHECKS, check
from tests.properties.methods import GROUPS, Method, methods

EXEMPT: dict[tuple[str, str], str] = {
    ("adversarial_comp_sum", "finite"): "tau < 1 is an exponential of the margin, and overflows where that does",
    ("adversarial_comp_sum", "extremes"): "tau < 1 is an exponential of the margin, and overflows where that does",
    ("any_loss", "signal"): "bounded: the two sigmoids saturate where the scores are confident",
    (
        "asymmetric",
        "signal",
    ): "bounded by clip for negatives: a certain one is taken for a wrong label, as the paper wants",
    ("multi_focal_modifier", "signal"): "bounded by clip, as asymmetric is",
    ("reflective_label_correction", "signal"): "bounded by clip, as asymmetric is",
    **{
        ("reflective_label_correction", name): "divides by the number of positives of the batch"
        for name in ("independence", "masked")
    },
    (
        "superhf",
        "masked",
    ): "which tokens count is what chosen_mask says, the mask of the reduction says nothing of them",
    ("tdpo", "masked"): "which tokens count is what chosen_mask and rejected_mask say",
    ("ra_dpo", "masked"): "which tokens count is what chosen_mask and rejected_mask say",
    ("sparsepo", "masked"): "which tokens count is what chosen_mask and rejected_mask say",
    ("sequence_transport", "signal"): "bounded: the softmax of what is said saturates where the model is confident",
    ("brier", "signal"): "bounded: the softmax saturates where the model is confident",
    ("comp_sum", "extremes"): "tau < 1 is an exponential of the margin, and overflows where that does",
    ("correctness_aware", "signal"): "bounded: the softmax saturates where the model is confident",
    ("dice", "signal"): "bounded: the sigmoid saturates where a score is confident",
    **{
        (name, "signal"): "an example without a positive label says nothing: its loss is 0"
        for name in ("decoupled_softmax", "multilabel_softmax", "sparsemax")
    },
    **{
        (name, "independence"): "contrastive: the other examples of the batch are its negatives"
        for name in ("info_nce", "nt_xent", "supervised_contrastive")
    },
    **{
        (name, "masked"): "contrastive: an example that does not count is still a negative of the others"
        for name in ("info_nce", "nt_xent", "supervised_contrastive")
    },
    **{
        (name, "signal"): "bounded: the probabilities of a student that is sure saturate"
        for name in ("reverse_kl_distillation", "skew_kl_distillation")
    },
    **{
        ("sinkhorn_distillation", name): "moves the batch's students onto the batch's teachers, whichever they are"
        for name in ("independence", "masked")
    },
    **{
        ("interpolated_information", name): "contrastive: the other teachers of the batch are compared with"
        for name in ("independence", "masked")
    },
    **{("kto", name): "its reference point is a mean over the batch" for name in ("independence", "masked")},
    **{
        ("f_dpg", name): "the constant of its target and its baseline follow all samples of the batch"
        for name in ("independence", "masked")
    },
    ("trade_off_alignment", "masked"): "the angle is that of the mean losses of the whole batch",
    ("palm", "masked"): "an example that does not count has its share of the prototypes and moves them all the same",
    ("palm", "independence"): "the examples of the batch share the prototypes among them and move them",
    ("hyp_oc", "permutation"): "the first half of the batch is paired with the second, so its order makes the pairs",
    ("probability_family", "signal"): "bounded: the softmax saturates where the model is confident",
    ("sovr", "independence"): "the smallest margins of the batch are treated in another way",
    ("subdominance", "signal"): "a policy that is certain draws one decision only, and has nothing to compare it with",
    ("kl_covariance", "independence"): "the tokens with the largest covariance are those of the batch",
    **{
        ("counterfactual_constraint", name): "its multiplier follows the mean of the batch that it multiplies"
        for name in ("independence", "masked")
    },
}

# Of reweightings; as strict.
EXEMPT_WEIGHTS = {("spectral_risk", "batched_weights"): "its isotonic regression is scipy's, which vmap cannot trace"}

LOSSES = methods("losses")
REGULARIZERS = methods("regularizers")
REWEIGHTINGS = methods("reweightings")
METHODS = {method.name: method for group in GROUPS for method in methods(group)}


def _cases() -> list:
    return [
        pytest.param(
            method,
            name,
            id=f"{method.name}-{name}",
            marks=pytest.mark.xfail(strict=True, reason=EXEMPT[method.name, name], raises=AssertionError)
            if (method.name, name) in EXEMPT
            else (),
        )
        for method in [*LOSSES, *REGULARIZERS]
        for name in CHECKS
    ]


def _each(found: list[Method]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", found, ids=[f"{m.group}-{m.name}" for m in found])


@pytest.mark.parametrize(("method", "name"), _cases())
def test_property(method: Method, name: str) -> None:
    check(method, name)


@pytest.mark.parametrize("name", WEIGHT_CHECKS)
@_each(REWEIGHTINGS)
def test_property_of_weights(method: Method, name: str) -> None:
    if (method.name, name) in EXEMPT_WEIGHTS:
        with pytest.raises(AssertionError):
            check(method, name)
    else:
        check(method, name)


def test_exemptions_name_what_exists() -> None:
    known = {(method.name, name) for method in [*LOSSES, *REGULARIZERS] for name in CHECKS}
    assert not EXEMPT.keys() - known, f"no such loss or property: {sorted(EXEMPT.keys() - known)}"
    assert all(EXEMPT.values()), "an exemption has no reason"


def test_something_was_found() -> None:
    assert {"cross_entropy", "polyloss"} <= {m.name for m in LOSSES}
    assert {"confidence_penalty", "l2_norm"} <= {m.name for m in REGULARIZERS}
    assert {"mean", "cvar"} <= METHODS.keys()


@_each([*LOSSES, *REGULARIZERS, *REWEIGHTINGS])
def test_one_public_function(method: Method) -> None:
    files.has_one_function(method)


@_each([*LOSSES, *REGULARIZERS, *REWEIGHTINGS])
def test_documented(method: Method) -> None:
    files.is_documented(method)


@_each([*LOSSES, *REGULARIZERS, *REWEIGHTINGS, *methods("reductions")])
def test_tested(method: Method) -> None:
    files.has_test(method)


@_each(list(METHODS.values()))
def test_config_exists(method: Method) -> None:
    files.has_config(method)


@pytest.mark.parametrize("path", files.config_files(), ids=lambda p: str(p.relative_to(files.CONFIGS)))
def test_config_mirrors_signature(path) -> None:
    for where, node in files.nodes(path):
        files.mirrors(node, where)


def test_names_are_unique() -> None:
    count = Counter(method.name for group in GROUPS for method in methods(group))
    twice = sorted(name for name, n in count.items() if n > 1)
    where = [str(m.path.relative_to(files.ROOT)) for group in GROUPS for m in methods(group) if m.name in twice]
    assert not twice, f"a method has one name of its own: {where}"

"""Reflective label correction (RLC): the multi-focal modifier, on the labels as given and with recalled ones added.

    modifier     mfm(logits_i, y_i, n)
    correction   weight B / K mfm(logits_i, y'_i, n')
    y'_i[c] = 1 where y_i[c] = 1, or where p_i[c] > max(threshold, P_c): a label that seems to be missing is recalled
    n'_c = n_c + the training examples for which c is recalled at present        K = positives in y' of the batch

logits    [B, C] unnormalised scores, p their sigmoid            labels    [B, C] indicators y; a 0 may be a missing 1
class_counts   [C] training examples n of each label             ids       [B] each example's index in the training set
state     {"recalled": [N, C] what is recalled at present, "total": [C], "seen": [C]}; P_c is total / seen, the mean p
          of the examples so far whose label c was given, 0 at first
threshold in [0, 1] (the paper's tau)
weight    >= 0 (the paper's lambda_c over lambda_m); 0 is multi_focal_modifier
gamma_positive, gamma_negative, weight_positive, weight_negative, power, clip   those of multi_focal_modifier
Returns   {"modifier": [B], "correction": [B]} and the new state. No gradient flows through what is recalled
Numerics  those of multi_focal_modifier; K is at least 1
Paper     Zhang et al. 2023, arXiv:2304.10539, eq. 1 to 3: Correction and Modification of COMIC. threshold = 0.7 is the
          paper's; its weights lambda are not in the text, the authors' code has 1
Differs   Balance, the paper's third part (networks for head and tail that teach a third one), is not part of it. P_c is
          read as the text says it, over past examples of the class; the authors' code takes the mean over all of the
          batch. It also lowers the logits of given positives by 1, and counts what was recalled in an epoch
          again from 0
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.multilabel.multi_focal_modifier import multi_focal_modifier
from lossbench.ops import stopgrad


def init_state(*, num_examples: int, num_outputs: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {
        "recalled": torch.zeros(num_examples, num_outputs, device=device),
        "total": torch.zeros(num_outputs, device=device),
        "seen": torch.zeros(num_outputs, device=device),
    }


def reflective_label_correction(
    logits: Float[Tensor, "B C"],
    labels: Float[Tensor, "B C"],
    class_counts: Float[Tensor, "C"],
    ids: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    threshold: Annotated[float, Interval(ge=0, le=1)] = 0.7,
    weight: Annotated[float, Ge(0)] = 1.0,
    gamma_positive: Annotated[float, Ge(0)] = 0.0,
    gamma_negative: Annotated[float, Ge(0)] = 3.0,
    weight_positive: Annotated[float, Ge(0)] = 0.0,
    weight_negative: Annotated[float, Ge(0)] = 1.0,
    power: Annotated[float, Ge(0)] = 1 / 3,
    clip: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
) -> tuple[dict[str, Float[Tensor, "B"]], dict[str, Tensor]]:
    options = {
        "gamma_positive": gamma_positive,
        "gamma_negative": gamma_negative,
        "weight_positive": weight_positive,
        "weight_negative": weight_negative,
        "power": power,
        "clip": clip,
    }
    p = stopgrad(logits.sigmoid())
    usual = state["total"] / state["seen"].clamp(min=1)
    sure = p > torch.maximum(usual, threshold * torch.ones_like(usual))
    recalled = (sure & (labels <= 0.5)).to(labels.dtype)
    corrected = torch.maximum(labels, recalled)
    memory = state["recalled"].index_put((ids,), recalled.to(state["recalled"].dtype))

    scale = weight * len(labels) / corrected.sum().clamp(min=1)
    terms = {
        "modifier": multi_focal_modifier(logits, labels, class_counts, **options),
        "correction": scale * multi_focal_modifier(logits, corrected, class_counts + memory.sum(0), **options),
    }
    given = (labels > 0.5).to(p.dtype)
    new_state = {
        "recalled": memory,
        "total": state["total"] + (given * p).sum(0).to(state["total"].dtype),
        "seen": state["seen"] + given.sum(0).to(state["seen"].dtype),
    }
    return terms, new_state

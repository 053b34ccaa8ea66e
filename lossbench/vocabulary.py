"""The vocabulary: READ FIRST. Every tensor that a loss, regularizer or task may name.

A function here IS a word: its name is the tensor's name, its return annotation the shape and dtype, its docstring the
meaning, and its body draws a sample for the tests (``sizes`` are pairwise different, so that a swapped axis shows).
A loss names words as its positional parameters; a task provides them as methods of the same names; what nobody provides
is an error before step 0. To add a word, add a function.

Axes: B examples, T tokens, C classes (or labels), D features, X input values, N training examples, P outputs of a
regression, G groups, A attributes, M members of a bag, S random draws, J other deciders, K classes of an older model,
R completions of a prompt, Q tasks at once, V trade-offs between them.
``*b`` stands for the leading axes: [B] or [B, T].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor


@dataclass(frozen=True)
class Sizes:
    B: int = 6
    T: int = 7
    C: int = 5
    D: int = 4
    X: int = 8
    N: int = 11
    P: int = 3
    G: int = 2
    A: int = 9
    M: int = 10
    S: int = 12
    K: int = 3
    J: int = 13
    R: int = 14
    Q: int = 15
    V: int = 16
    tokens: bool = False  # whether *b is [B, T]

    @property
    def b(self) -> tuple[int, ...]:
        return (self.B, self.T) if self.tokens else (self.B,)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# --- the batch ---------------------------------------------------------------------------------------------------


def x(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """Inputs of the model, standardised: images [B, channels, height, width] or rows [B, X]."""
    return _normal((sizes.B, sizes.X), generator)


def second_x(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """A second view of the inputs: the same examples under other draws of the augmentations."""
    return _normal((sizes.B, sizes.X), generator)


def unlabeled_inputs(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """As many further inputs of the training distribution, in no relation to ``x``; unlike it not standardised."""
    return _normal((sizes.B, sizes.X), generator)


def shifted_inputs(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """As many inputs of the distribution that is tested on, in no relation to ``x``; unlike it not standardised."""
    return _normal((sizes.B, sizes.X), generator)


def ids(sizes: Sizes, generator: Generator) -> Int[Tensor, "B"]:
    """Index of each example in the training set, 0..N-1: the address of per-example memory."""
    return torch.randperm(sizes.N, generator=generator)[: sizes.B]


def targets(sizes: Sizes, generator: Generator) -> Int[Tensor, "*b"]:
    """Class indices, 0..C-1."""
    return torch.randint(sizes.C, sizes.b, generator=generator)


def groups(sizes: Sizes, generator: Generator) -> Int[Tensor, "*b"]:
    """Index of each example's group, 0..G-1: a protected attribute, an environment, or class x spurious feature."""
    number = math.prod(sizes.b)  # every group occurs
    return (torch.randperm(number, generator=generator) % sizes.G).reshape(sizes.b)


def attributes(sizes: Sizes, generator: Generator) -> Float[Tensor, "B A"]:
    """Protected attributes of each example, one a column: 0 or 1, or a number. Where groups are their combinations."""
    return (torch.rand((sizes.B, sizes.A), generator=generator, dtype=torch.float64) < 0.5).double()


def anomalies(sizes: Sizes, generator: Generator) -> Bool[Tensor, "*b"]:
    """True where an element is known to be an anomaly: it does not belong to what the data set is about."""
    return torch.rand(sizes.b, generator=generator) < 0.3


def demonstrations(sizes: Sizes, generator: Generator) -> Float[Tensor, "B J"]:
    """Decisions of J others, people or models, on each example: 1 for the positive class, 0 against it."""
    return (torch.rand((sizes.B, sizes.J), generator=generator, dtype=torch.float64) < 0.5).double()


def counterfactual_inputs(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """The inputs as they would be had the protected attribute been the other, as the data set has them: not yet
    standardised. A loss names ``counterfactual_logits``."""
    return _normal((sizes.B, sizes.X), generator)


def transfer_targets(sizes: Sizes, generator: Generator) -> Int[Tensor, "B"]:
    """Class indices among classes that the model does not learn; only splits that judge its features have them."""
    return torch.randint(sizes.C, (sizes.B,), generator=generator)


def labels(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b C"]:
    """Label indicators in [0, 1]: multi-hot for multi-label data, one-hot for single-label data."""
    return (torch.rand((*sizes.b, sizes.C), generator=generator, dtype=torch.float64) < 0.4).double()


def regression_targets(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b P"]:
    """Real-valued targets, standardised with the training set's mean and standard deviation."""
    return _normal((*sizes.b, sizes.P), generator)


def rationales(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """1 for the features of each input that a person has named as the reason for its class, 0 for the others."""
    return (torch.rand((sizes.B, sizes.X), generator=generator, dtype=torch.float64) < 0.3).double()


def task_targets(sizes: Sizes, generator: Generator) -> Int[Tensor, "B Q"]:
    """Class indices of each of the Q tasks that are learned at once, 0..C-1."""
    return torch.randint(sizes.C, (sizes.B, sizes.Q), generator=generator)


def proportions(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Part of each class among the members of a bag, whose own classes are not known. Rows sum to 1."""
    members = torch.randint(sizes.C, (sizes.B, sizes.M), generator=generator)
    return (members.unsqueeze(-1) == torch.arange(sizes.C)).double().mean(1)


def mask(sizes: Sizes, generator: Generator) -> Bool[Tensor, "*b"]:
    """True where an element counts. Read by the reduction; a loss only needs it when it sums over tokens itself."""
    return torch.rand(sizes.b, generator=generator) < 0.7


# --- what the model gives ----------------------------------------------------------------------------------------


def features(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b D"]:
    """Output of the model's body: the input of its head."""
    return _normal((*sizes.b, sizes.D), generator)


def logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b C"]:
    """Unnormalised scores of the classes (or labels)."""
    return _normal((*sizes.b, sizes.C), generator)


def second_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Output of the model's body for the second view."""
    return _normal((sizes.B, sizes.D), generator)


def embeddings(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Output of the head where it is no classifier: what losses on similarities compare."""
    return _normal((sizes.B, sizes.D), generator)


def second_embeddings(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Output of the head for the second view."""
    return _normal((sizes.B, sizes.D), generator)


def bound_embeddings(sizes: Sizes, generator: Generator) -> Float[Tensor, "F D"]:
    """Output of the head for F fixed training examples, the same in every batch."""
    return _normal((2 * sizes.C, sizes.D), generator)


def bound_targets(sizes: Sizes, generator: Generator) -> Int[Tensor, "F"]:
    """Class indices of the fixed training examples; every class has as many."""
    return torch.arange(sizes.C).repeat(2)


def counterfactual_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits of the same examples had their protected attribute been the other; with gradient."""
    return _normal((sizes.B, sizes.C), generator)


def domain_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b H C"]:
    """Unnormalised scores of the classes by H = G + 1 heads: one for each group (domain), the shared one last."""
    return _normal((*sizes.b, sizes.G + 1, sizes.C), generator)


def member_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b H C"]:
    """Logits of each of the several heads of the model."""
    return _normal((*sizes.b, 2, sizes.C), generator)


def rationale_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits of the inputs reduced to their rationale."""
    return _normal((sizes.B, sizes.C), generator)


def negative_rationale_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S C"]:
    """Logits of the inputs reduced to each of S random rationales."""
    return _normal((sizes.B, sizes.S, sizes.C), generator)


def attributions(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """What the logit of the true class loses without each feature of the input."""
    return _normal((sizes.B, sizes.X), generator)


def task_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B Q C"]:
    """Unnormalised scores of the classes of each of the Q tasks that are learned at once."""
    return _normal((sizes.B, sizes.Q, sizes.C), generator)


def trade_offs(sizes: Sizes, generator: Generator) -> Float[Tensor, "B V Q"]:
    """V weightings of the Q tasks, each sums to 1; the same for all examples of a batch."""
    drawn = torch.rand((sizes.V, sizes.Q), generator=generator, dtype=torch.float64)
    return (drawn / drawn.sum(-1, keepdim=True)).expand(sizes.B, -1, -1)


def trade_off_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B V Q C"]:
    """``task_logits`` of a model that is told the trade-off, for each of ``trade_offs``."""
    return _normal((sizes.B, sizes.V, sizes.Q, sizes.C), generator)


def predictions(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b P"]:
    """Real-valued outputs of a regression model, in the units of ``regression_targets``."""
    return _normal((*sizes.b, sizes.P), generator)


def bag_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B M C"]:
    """Unnormalised scores of the classes for each of the M members of a bag."""
    return _normal((sizes.B, sizes.M, sizes.C), generator)


def attention_scores(sizes: Sizes, generator: Generator) -> Float[Tensor, "B M"]:
    """What the model's attention gives each of the M members of a bag, before the softmax over the bag."""
    return _normal((sizes.B, sizes.M), generator)


def head_entropies(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T 3 4"]:
    """Entropy of what each head of each layer attends to at each token, in nats; of 3 layers with 4 heads here."""
    return _normal((sizes.B, sizes.T, 3, 4), generator).abs()


def sampled_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S C"]:
    """Unnormalised scores of the classes under S independent draws of the model's own noise, such as dropout masks."""
    return _normal((sizes.B, sizes.S, sizes.C), generator)


def mixed_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S C"]:
    """Unnormalised scores of the classes for S mixes of each input with other inputs."""
    return _normal((sizes.B, sizes.S, sizes.C), generator)


def subnet_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S C"]:
    """Unnormalised scores of the classes by S sub-networks of the model, which share its weights."""
    return _normal((sizes.B, sizes.S, sizes.C), generator)


def acceptance_scores(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """What a rejector says of each input: the frozen predictor's answer is accepted where the score is positive."""
    return _normal(sizes.b, generator)


def thresholds(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """For each input, the largest nonconformity score of a label that its prediction set takes in."""
    return _normal(sizes.b, generator)


def unlabeled_thresholds(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Thresholds of as many further inputs of the training distribution, whose labels nobody needs."""
    return _normal((sizes.B,), generator)


def shifted_thresholds(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Thresholds of as many inputs of the distribution that is tested on, whose labels are not known."""
    return _normal((sizes.B,), generator)


def latent_mean(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Mean of the Gaussian that a stochastic encoder maps the input to."""
    return _normal((sizes.B, sizes.D), generator)


def latent_scale(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Standard deviations of the Gaussian that a stochastic encoder maps the input to, > 0, one for each axis."""
    return _normal((sizes.B, sizes.D), generator).exp()


def log_normalizer(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """log sum_c exp(logits_c), in nats."""
    return _normal(sizes.b, generator)


def target_log_p(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Log-probability of the target, <= 0."""
    return -_normal(sizes.b, generator).abs()


def target_rank(sizes: Sizes, generator: Generator) -> Int[Tensor, "*b"]:
    """How many classes have a larger logit than the target: 0 where it is the likeliest."""
    return torch.randint(sizes.C, sizes.b, generator=generator)


def confidence(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Probability of the likeliest class, in [1 / C, 1]."""
    return 1 / sizes.C + (1 - 1 / sizes.C) * torch.rand(sizes.b, generator=generator, dtype=torch.float64)


def correct(sizes: Sizes, generator: Generator) -> Bool[Tensor, "*b"]:
    """Whether the likeliest class is the target."""
    return torch.rand(sizes.b, generator=generator) < 0.5


def predicted(sizes: Sizes, generator: Generator) -> Int[Tensor, "*b"]:
    """The likeliest class."""
    return torch.randint(sizes.C, sizes.b, generator=generator)


def predictive_entropy(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Entropy of the model's distribution over the classes, in nats, >= 0."""
    return _normal(sizes.b, generator).abs()


def source_log_p(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b C"]:
    """Log-probability of every next token as the source of the data has it, where that is known; no gradient."""
    return _normal((*sizes.b, sizes.C), generator).log_softmax(-1)


def reverse_nll(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Cross-entropy of the model's distribution of the next token under that of the source, in nats, >= 0."""
    return _normal(sizes.b, generator).abs()


def forward_divergence(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """KL divergence of the model's distribution of the next token from the source's, in nats, >= 0."""
    return _normal(sizes.b, generator).abs()


def reverse_divergence(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """KL divergence of the source's distribution of the next token from the model's, in nats, >= 0."""
    return _normal(sizes.b, generator).abs()


def head_weight(sizes: Sizes, generator: Generator) -> Float[Tensor, "C D"]:
    """Weight of the model's head, one linear layer without bias: before any softcap, logits are features times its
    transpose. For losses that never form the logits of all tokens."""
    return _normal((sizes.C, sizes.D), generator)


def token_embeddings(sizes: Sizes, generator: Generator) -> Float[Tensor, "C D"]:
    """What the model makes of each token before anything else; where it is tied, the head's weight."""
    return _normal((sizes.C, sizes.D), generator)


def softcap(sizes: Sizes, generator: Generator) -> Float[Tensor, ""] | None:
    """The bound of the logits, softcap tanh(./softcap), of a task that has one; None: they have none."""
    return 20 + torch.rand((), generator=generator, dtype=torch.float64)


def forward(sizes: Sizes, generator: Generator) -> Callable[[Tensor], Tensor]:
    """The whole model as a function of its inputs: x [B, ...] -> outputs [B, C]. For extra forward passes."""
    weight = _normal((sizes.X, sizes.C), generator)
    return lambda inputs: torch.tanh(inputs.flatten(1) @ weight.to(inputs.dtype)) * 2


def classify(sizes: Sizes, generator: Generator) -> Callable[[Tensor], Tensor]:
    """The model's head as a function of features [B, D] -> outputs [B, C]. For features that no input has."""
    weight = _normal((sizes.D, sizes.C), generator)
    return lambda features: torch.tanh(features @ weight.to(features.dtype))


def model_parameters(sizes: Sizes, generator: Generator) -> dict[str, Tensor]:
    """The model's trainable parameters by their full names."""
    return {
        "body.0.weight": _normal((sizes.D, sizes.X), generator),
        "body.0.bias": _normal((sizes.D,), generator),
        "head.weight": _normal((sizes.C, sizes.D), generator),
        "head.bias": _normal((sizes.C,), generator),
    }


def largest_weight(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """The largest absolute value of the model's weights, the same for every example."""
    return _normal((1,), generator).abs().expand(sizes.B)


def small_weights(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """The part of the model's weights that are nearly 0, in [0, 1], the same for every example."""
    return torch.rand(1, generator=generator, dtype=torch.float64).expand(sizes.B)


def log_lipschitz(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """log10 of a bound on how much the logits change with the input, the same for every example."""
    return _normal((1,), generator).expand(sizes.B)


# --- adversarial inputs ------------------------------------------------------------------------------------------


def attack_start(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """Where the attack of a step begins: a random point of the ball of allowed perturbations, in the ball's units."""
    return 0.1 * (2 * torch.rand((sizes.B, sizes.X), generator=generator, dtype=torch.float64) - 1)


def adversarial_x(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """The inputs moved within a small ball to where the training attack's objective is large; no gradient."""
    return _normal((sizes.B, sizes.X), generator)


def clean_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Features of the unperturbed inputs, where ``features`` may be those of the adversarial ones."""
    return _normal((sizes.B, sizes.D), generator)


def clean_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits of the unperturbed inputs, where ``logits`` may be those of the adversarial ones."""
    return _normal((sizes.B, sizes.C), generator)


def adversarial_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Features of ``adversarial_x``."""
    return _normal((sizes.B, sizes.D), generator)


def adversarial_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits of ``adversarial_x``."""
    return _normal((sizes.B, sizes.C), generator)


def attacked_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits where the evaluation attack has brought the true class's margin lowest; no gradient. For metrics."""
    return _normal((sizes.B, sizes.C), generator)


# --- frozen models -----------------------------------------------------------------------------------------------


def teacher_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b C"]:
    """Logits of the frozen teacher on the same inputs; no gradient."""
    return _normal((*sizes.b, sizes.C), generator)


def teacher_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b D"]:
    """Features of the frozen teacher on the same inputs; no gradient."""
    return _normal((*sizes.b, sizes.D), generator)


def teacher_target_log_p(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Log-probability of the target by the frozen teacher, <= 0; no gradient."""
    return -_normal(sizes.b, generator).abs()


def image_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B D"]:
    """Features of the image that is to be written, from a frozen encoder; no gradient."""
    return _normal((sizes.B, sizes.D), generator)


def old_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b K"]:
    """Logits of the frozen model that is to be replaced, for the first K <= C classes, which it knew; no gradient."""
    return _normal((*sizes.b, sizes.K), generator)


def independent_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b C"]:
    """Logits of a frozen model that was trained on all classes without regard to the old one; no gradient."""
    return _normal((*sizes.b, sizes.C), generator)


def acceptable(sizes: Sizes, generator: Generator) -> Bool[Tensor, "*b"]:
    """Whether the frozen predictor's answer is right."""
    return torch.rand(sizes.b, generator=generator) < 0.7


def nonconformity_scores(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """How badly the label fits what the frozen predictor says, >= 0: the larger, the worse."""
    return _normal(sizes.b, generator).abs()


def likelihood_ratios(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """Estimated density of each input where it is tested over that where it was drawn, >= 0, about 1 on average."""
    return _normal(sizes.b, generator).exp()


def frozen_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B M C"]:
    """Logits of the M members of an ensemble that are trained already, on the same inputs; no gradient."""
    return _normal((sizes.B, sizes.M, sizes.C), generator)


def frozen_spread_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B M C"]:
    """Logits of these members at ``spread_x``; no gradient."""
    return _normal((sizes.B, sizes.M, sizes.C), generator)


def spread_x(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """Gaussian inputs with the mean of each pixel of the data and a multiple of its standard deviation."""
    return 5 * _normal((sizes.B, sizes.X), generator)


def spread_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits of the model at ``spread_x``."""
    return _normal((sizes.B, sizes.C), generator)


# --- unlearning: a forget set and a retain set of training examples ---------------------------------------------------


def forgotten(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B"]:
    """Whether each example is of the forget set, which a trained model is to unlearn; the others are to be kept."""
    return torch.randperm(sizes.B, generator=generator) % 3 == 0


def forget_weights(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """N / |forget set| for its members, 0 for others: over all N training examples, the mean of weight times value is
    the mean of the values over the forget set."""
    return 3.0 * (torch.randperm(sizes.B, generator=generator) % 3 == 0).double()


def retain_weights(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """N / |retain set| for its members, 0 for others."""
    return 1.5 * (torch.randperm(sizes.B, generator=generator) % 3 != 0).double()


def base_divergence(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """KL(base || model), where the base model is what training started from: of the class, or the sum over the tokens
    of a completion, each after those that the data have before it. In nats, >= 0, with gradient."""
    return _normal((sizes.B,), generator).abs()


def retrained_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B M C"]:
    """Logits of M models that were trained without the forget set from the beginning; no gradient."""
    return _normal((sizes.B, sizes.M, sizes.C), generator)


def attributed_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B C"]:
    """Logits that data attribution predicts of a model trained without the forget set; no gradient."""
    return _normal((sizes.B, sizes.C), generator)


# --- several answers to the same source ----------------------------------------------------------------------------


def candidates(sizes: Sizes, generator: Generator) -> Int[Tensor, "B S T"]:
    """S answers to each source as targets are, from where the answer begins, with what fills them up."""
    return torch.randint(sizes.C, (sizes.B, sizes.S, sizes.T), generator=generator)


def candidate_log_p(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S"]:
    """Log-probability of each candidate, the sum over its tokens, <= 0."""
    return -3 * _normal((sizes.B, sizes.S), generator).abs()


def candidate_lengths(sizes: Sizes, generator: Generator) -> Int[Tensor, "B S"]:
    """Tokens of each candidate, >= 1, with the one that ends it."""
    return torch.randint(1, sizes.T + 1, (sizes.B, sizes.S), generator=generator)


def candidate_qualities(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S"]:
    """How good each candidate is, in [0, 1]; several may be equally good."""
    return torch.randint(sizes.S, (sizes.B, sizes.S), generator=generator).double() / sizes.S


def decoded(sizes: Sizes, generator: Generator) -> Int[Tensor, "B T"]:
    """What greedy decoding makes of the source, from where the answer begins; no gradient."""
    return torch.randint(sizes.C, (sizes.B, sizes.T), generator=generator)


def order_noise(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """Uniform in [0, 1), for every place of an answer that is a set, and every token that might stand there."""
    return torch.rand((sizes.B, sizes.T, sizes.C), generator=generator, dtype=torch.float64)


def ordered_targets(sizes: Sizes, generator: Generator) -> Int[Tensor, "B T"]:
    """Targets where the answer is a set: its elements in an order drawn for this step, then what ends it."""
    return torch.randint(sizes.C, (sizes.B, sizes.T), generator=generator)


def ordered_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """Logits where the elements before are those of ``ordered_targets``."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


# --- masked diffusion of tokens ------------------------------------------------------------------------------------


def diffusion_noise(sizes: Sizes, generator: Generator) -> Float[Tensor, "B U"]:
    """Uniform in [0, 1): one number for the example's noise level, then one for each of its T tokens; U = T + 1."""
    return torch.rand((sizes.B, sizes.T + 1), generator=generator, dtype=torch.float64)


def bound(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S 2"]:
    """For each of S sets of hidden tokens their mean cross-entropy, and the part of them that the model gets right."""
    return torch.rand((sizes.B, sizes.S, 2), generator=generator, dtype=torch.float64)


def noise_level(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """The probability with which each token of the example was hidden, in (0, 1]."""
    return 1 - torch.rand((sizes.B,), generator=generator, dtype=torch.float64)


def hidden(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B T"]:
    """True where a target was hidden from the model."""
    return torch.rand((sizes.B, sizes.T), generator=generator) < 0.5


def denoised_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """Logits of each target by a model that sees all tokens, before and after, but the hidden ones."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


# --- preferences: completions of a prompt, and a frozen reference policy -------------------------------------------
# A log-probability without "token" in its name is that of a whole completion, the sum over its tokens. Of a ranking
# the best completion is the chosen one, the worst the rejected one.


def chosen_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability of the chosen completion under the policy, <= 0."""
    return -2 * _normal((sizes.B,), generator).abs()


def rejected_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability of the rejected completion under the policy, <= 0."""
    return -2 * _normal((sizes.B,), generator).abs()


def ref_chosen_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability of the chosen completion under the frozen reference; no gradient."""
    return -2 * _normal((sizes.B,), generator).abs()


def ref_rejected_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability of the rejected completion under the frozen reference; no gradient."""
    return -2 * _normal((sizes.B,), generator).abs()


def chosen_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """Log-probability of each token of the chosen completion; 0 where ``chosen_mask`` is false."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def rejected_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """Log-probability of each token of the rejected completion; 0 where ``rejected_mask`` is false."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def ref_chosen_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``chosen_token_logps`` under the frozen reference; no gradient."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def ref_rejected_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``rejected_token_logps`` under the frozen reference; no gradient."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def chosen_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """Unnormalised scores of all tokens of the vocabulary at each place of the chosen completion."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


def rejected_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """Unnormalised scores of all tokens of the vocabulary at each place of the rejected completion."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


def ref_chosen_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """``chosen_logits`` of the frozen reference; no gradient."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


def ref_rejected_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T C"]:
    """``rejected_logits`` of the frozen reference; no gradient."""
    return _normal((sizes.B, sizes.T, sizes.C), generator)


def ref_chosen_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T D"]:
    """Features of the frozen reference at each place of the chosen completion; no gradient."""
    return _normal((sizes.B, sizes.T, sizes.D), generator)


def ref_rejected_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T D"]:
    """Features of the frozen reference at each place of the rejected completion; no gradient."""
    return _normal((sizes.B, sizes.T, sizes.D), generator)


def chosen_mask(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B T"]:
    """True where a target is a token of the chosen completion: not of the prompt, and no padding."""
    return torch.rand((sizes.B, sizes.T), generator=generator) < 0.7


def rejected_mask(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B T"]:
    """True where a target is a token of the rejected completion: not of the prompt, and no padding."""
    return torch.rand((sizes.B, sizes.T), generator=generator) < 0.7


def chosen_lengths(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Tokens of the chosen completion, >= 1."""
    return torch.randint(1, sizes.T + 1, (sizes.B,), generator=generator).double()


def rejected_lengths(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Tokens of the rejected completion, >= 1."""
    return torch.randint(1, sizes.T + 1, (sizes.B,), generator=generator).double()


def reward_margins(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Score of the chosen completion minus that of the rejected one, where the data have scores: the true rewards of
    synthetic data, ratings otherwise. May be negative, where preferences are noisy."""
    return _normal((sizes.B,), generator)


def completion_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability of single completions, each desirable or not, <= 0. Of pairs: all, twice as many as pairs."""
    return -2 * _normal((sizes.B,), generator).abs()


def ref_completion_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """``completion_logps`` under the frozen reference; no gradient."""
    return -2 * _normal((sizes.B,), generator).abs()


def mismatched_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Log-probability, after each prompt, of the completion of the next prompt of the batch."""
    return -2 * _normal((sizes.B,), generator).abs()


def ref_mismatched_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """``mismatched_logps`` under the frozen reference; no gradient."""
    return -3 - _normal((sizes.B,), generator).abs()


def desirable(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B"]:
    """Whether a completion is wanted. Of pairs: the chosen one is, the rejected one is not."""
    return torch.rand((sizes.B,), generator=generator) < 0.5


def ranking_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """Log-probability of R completions of a prompt, from the best to the worst, <= 0."""
    return -2 * _normal((sizes.B, sizes.R), generator).abs()


def ref_ranking_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """``ranking_logps`` under the frozen reference; no gradient."""
    return -2 * _normal((sizes.B, sizes.R), generator).abs()


def ranking_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T C"]:
    """Unnormalised scores of all tokens at each place of R completions of a prompt, from the best to the worst."""
    return _normal((sizes.B, sizes.R, sizes.T, sizes.C), generator)


def ref_ranking_logits(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T C"]:
    """``ranking_logits`` of the frozen reference; no gradient."""
    return _normal((sizes.B, sizes.R, sizes.T, sizes.C), generator)


def ref_ranking_features(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T D"]:
    """Features of the frozen reference at each place of R completions of a prompt; no gradient."""
    return _normal((sizes.B, sizes.R, sizes.T, sizes.D), generator)


def ranking_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T"]:
    """Log-probability of each token of R completions; 0 where it is none of the completion's."""
    return -_normal((sizes.B, sizes.R, sizes.T), generator).abs()


def ranking_mask(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B R T"]:
    """True where a target is a token of the completion: not of the prompt, and no padding. One block for each."""
    first, last = torch.rand((2, sizes.B, sizes.R, 1), generator=generator).mul(sizes.T).long().sort(0).values
    places = torch.arange(sizes.T)
    return (places >= first) & (places <= last)


def ranking_values(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T"]:
    """Log-sum-exp of ``ranking_logits``: what log-probabilities do not say of the logits."""
    return _normal((sizes.B, sizes.R, sizes.T), generator)


def ref_ranking_values(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T"]:
    """``ranking_values`` of the frozen reference; no gradient."""
    return _normal((sizes.B, sizes.R, sizes.T), generator)


def old_ranking_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """``ranking_logps`` of the policy that has sampled the completions; no gradient."""
    return -2 * _normal((sizes.B, sizes.R), generator).abs()


def ref_ranking_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R T"]:
    """``ranking_token_logps`` under the frozen reference; no gradient."""
    return -_normal((sizes.B, sizes.R, sizes.T), generator).abs()


def prompt_ids(sizes: Sizes, generator: Generator) -> Int[Tensor, "B"]:
    """Index of each example's prompt among all prompts, of data whose completions can be enumerated."""
    return torch.randint(3, (sizes.B,), generator=generator)


def policy_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "prompts completions"]:
    """Log-probability of every completion that there is after every prompt that there is. Rows of exp sum to 1."""
    return _normal((3, 2 * sizes.C), generator).log_softmax(-1)


def policy_rewards(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Expected true reward of the policy's completions of each prompt, exactly."""
    return _normal((sizes.B,), generator)


def policy_wins(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Probability that the policy's completion has a higher true reward than the reference's, a tie counting half."""
    return torch.rand((sizes.B,), generator=generator, dtype=torch.float64)


def policy_kl(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """KL(policy || reference) over all completions of each prompt, exactly, >= 0; with gradient."""
    return _normal((sizes.B,), generator).abs()


def policy_entropy(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Entropy of the policy over all completions of each prompt, in nats, exactly; with gradient."""
    return _normal((sizes.B,), generator).abs()


def reward_agreement(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """Correlation, over the reference's completions of each prompt, of log(policy / reference) and the true reward."""
    return torch.rand((sizes.B,), generator=generator, dtype=torch.float64)


def enumerated_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B Y"]:
    """Log-probability of each of the Y completions that the prompt of the example can have. Rows of exp sum to 1."""
    return _normal((sizes.B, 2 * sizes.C), generator).log_softmax(-1)


def old_enumerated_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B Y"]:
    """``enumerated_logps`` of the policy before the steps on this batch; no gradient."""
    return _normal((sizes.B, 2 * sizes.C), generator).log_softmax(-1)


def ref_enumerated_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B Y"]:
    """``enumerated_logps`` of the frozen reference; no gradient."""
    return _normal((sizes.B, 2 * sizes.C), generator).log_softmax(-1)


def preference_table(sizes: Sizes, generator: Generator) -> Float[Tensor, "B Y Y"]:
    """Probability that the completion of the row is preferred to that of the column, for the prompt of the example.
    It and its transpose sum to 1; it need not come from rewards."""
    log_odds = _normal((sizes.B, 2 * sizes.C, 2 * sizes.C), generator)
    return (log_odds - log_odds.mT).sigmoid()


def old_chosen_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """``chosen_logps`` of the policy before the steps on this batch, which has sampled the completion; no gradient."""
    return -2 * _normal((sizes.B,), generator).abs()


def old_rejected_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """``rejected_logps`` of the policy before the steps on this batch; no gradient."""
    return -2 * _normal((sizes.B,), generator).abs()


# --- reinforcement: completions that the policy has sampled, and what a verifier says of them ------------------------
# The R completions of a prompt stand together: [B, R] is of prompts and completions, [B, T] of all completions and
# their tokens, and there B is R times the prompts. "old" is the policy that has sampled them, "ref" the reference.


def prompt_lengths(sizes: Sizes, generator: Generator) -> Int[Tensor, "B"]:
    """Tokens of each prompt, >= 1; what stands behind them in ``x`` only fills it up."""
    return torch.randint(1, sizes.T + 1, (sizes.B,), generator=generator)


def answers(sizes: Sizes, generator: Generator) -> Int[Tensor, "B A"]:
    """What the data set's verifier compares the completions of each prompt with, such as the tokens of the answer."""
    return torch.randint(sizes.C, (sizes.B, sizes.A), generator=generator)


def rewards(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """What the verifier says of each sampled completion of a prompt, in [0, 1]; 1 is solved. Of preferences, the true
    rewards, any numbers. No gradient."""
    return (torch.rand((sizes.B, sizes.R), generator=generator, dtype=torch.float64) < 0.4).double()


def ref_rewards(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """What the verifier says of as many completions of each prompt that the reference has sampled."""
    return (torch.rand((sizes.B, sizes.R), generator=generator, dtype=torch.float64) < 0.4).double()


def completion_lengths(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """Tokens of each sampled completion, its end included, >= 1."""
    return torch.randint(1, sizes.T + 1, (sizes.B, sizes.R), generator=generator).double()


def completion_entropies(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """Mean entropy of the sampling policy over the tokens of each completion, in nats, >= 0; no gradient."""
    return _normal((sizes.B, sizes.R), generator).abs()


def completion_advantages(sizes: Sizes, generator: Generator) -> Float[Tensor, "B R"]:
    """How much better each sampled completion is than could be expected of its prompt: advantage=... makes it."""
    return _normal((sizes.B, sizes.R), generator)


def completion_tokens(sizes: Sizes, generator: Generator) -> Int[Tensor, "B R T"]:
    """The tokens of each sampled completion from its first one on, and the end token in every place behind it."""
    return torch.randint(sizes.C, (sizes.B, sizes.R, sizes.T), generator=generator)


def rollout_tokens(sizes: Sizes, generator: Generator) -> Int[Tensor, "B R T"]:
    """The token behind each place of prompt and sampled completion; completions of a prompt begin at the same place."""
    return torch.randint(sizes.C, (sizes.B, sizes.R, sizes.T), generator=generator)


def rollout_mask(sizes: Sizes, generator: Generator) -> Bool[Tensor, "B R T"]:
    """True where the token behind a place is the completion's, its end included: one block for each."""
    first = torch.randint(sizes.T // 2, (sizes.B, 1, 1), generator=generator)
    length = torch.randint(1, sizes.T // 2 + 2, (sizes.B, sizes.R, 1), generator=generator)
    places = torch.arange(sizes.T)
    return (places >= first) & (places < first + length)


def advantages(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``completion_advantages`` at each token; no gradient."""
    return _normal((sizes.B, 1), generator).expand(-1, sizes.T).clone()


def token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """Log-probability of each token of a sampled completion under the policy, <= 0; 0 where ``mask`` is false."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def old_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``token_logps`` of the policy that has sampled the completions; no gradient."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def ref_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``token_logps`` of the frozen reference; no gradient."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def masked_token_logps(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``old_token_logps`` where a part of the prompt, of its picture, is hidden; no gradient."""
    return -_normal((sizes.B, sizes.T), generator).abs()


def token_entropies(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """Entropy of the policy over the next token at each place of a sampled completion, in nats, >= 0."""
    return _normal((sizes.B, sizes.T), generator).abs()


def old_token_entropies(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """``token_entropies`` of the policy that has sampled the completions; no gradient."""
    return _normal((sizes.B, sizes.T), generator).abs()


# --- what the engine gives ---------------------------------------------------------------------------------------


def noise(sizes: Sizes, generator: Generator) -> Float[Tensor, "B ..."]:
    """Standard normal noise of the shape of ``x``, drawn outside the loss from its own random stream."""
    return _normal((sizes.B, sizes.X), generator)


def negative_rationales(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S ..."]:
    """S random rationales of each input, with as many of its features as its own, drawn outside the loss."""
    return (torch.rand((sizes.B, sizes.S, sizes.X), generator=generator, dtype=torch.float64) < 0.3).double()


def trade_off_draws(sizes: Sizes, generator: Generator) -> Float[Tensor, "B V Q"]:
    """What random trade-offs are made of, >= 0: divided by their sum over the Q tasks. The same for all examples."""
    return torch.rand((sizes.V, sizes.Q), generator=generator, dtype=torch.float64).expand(sizes.B, -1, -1)


def uniforms(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S"]:
    """Numbers from U(0, 1), S an example, drawn outside the loss from their own random stream: to draw decisions."""
    return torch.rand((sizes.B, sizes.S), generator=generator, dtype=torch.float64)


def token_uniforms(sizes: Sizes, generator: Generator) -> Float[Tensor, "B T"]:
    """One number from U(0, 1) a token, drawn outside the loss from their own random stream."""
    return torch.rand((sizes.B, sizes.T), generator=generator, dtype=torch.float64)


def example_noise(sizes: Sizes, generator: Generator) -> Float[Tensor, "B"]:
    """One standard normal number an example, drawn outside the loss from its own random stream."""
    return _normal((sizes.B,), generator)


def mixing_partners(sizes: Sizes, generator: Generator) -> Int[Tensor, "B S"]:
    """Place in the batch of the input that each is mixed with, for S mixes of it."""
    return torch.randint(sizes.B, (sizes.B, sizes.S), generator=generator)


def mixing_weights(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S"]:
    """Weight of the partner in each mix, in [0, 1]."""
    return torch.rand((sizes.B, sizes.S), generator=generator, dtype=torch.float64)


def mixed_x(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S ..."]:
    """S mixes of each input with other inputs of the batch."""
    return _normal((sizes.B, sizes.S, sizes.X), generator)


def mixing_coefficients(sizes: Sizes, generator: Generator) -> Float[Tensor, "B S"]:
    """Largest entry of the label of each mix, in [1/2, 1]: 1 where both inputs are of one class."""
    return 0.5 + torch.rand((sizes.B, sizes.S), generator=generator, dtype=torch.float64) / 2


def losses(sizes: Sizes, generator: Generator) -> Float[Tensor, "*b"]:
    """The loss of each element, without gradient and before any reweighting. Only a reweighting can name it."""
    return _normal(sizes.b, generator).exp()


def progress(sizes: Sizes, generator: Generator) -> Float[Tensor, ""]:
    """Part of the training budget that is spent, in [0, 1)."""
    return torch.rand((), generator=generator, dtype=torch.float64)


def class_counts(sizes: Sizes, generator: Generator) -> Float[Tensor, "C"]:
    """Training examples of each class, at least 1."""
    return torch.randint(1, 50, (sizes.C,), generator=generator).double()


def number_values(sizes: Sizes, generator: Generator) -> Float[Tensor, "C"]:
    """The number that each token stands for, NaN for tokens that are no number."""
    values = torch.randint(10, (sizes.C,), generator=generator).double()
    values[sizes.C // 2] = torch.nan
    return values


def class_prior(sizes: Sizes, generator: Generator) -> Float[Tensor, "C"]:
    """Part of each class in the training set, known from its bags; sums to 1."""
    counts = torch.randint(1, 50, (sizes.C,), generator=generator).double()
    return counts / counts.sum()


def group_counts(sizes: Sizes, generator: Generator) -> Float[Tensor, "G"]:
    """Training examples of each group, at least 1."""
    return torch.randint(1, 50, (sizes.G,), generator=generator).double()


def params(sizes: Sizes, generator: Generator) -> dict[str, Tensor]:
    """The loss's own learnable tensors, from its module's ``init_params``; trained by the run's optimizer."""
    return {}


def state(sizes: Sizes, generator: Generator) -> dict[str, Tensor]:
    """The loss's own memory, from its module's ``init_state``; the loss returns (values, new state)."""
    return {}

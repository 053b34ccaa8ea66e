"""Metrics of the tasks, in torch; here only what their names say."""

# A metric is better when lower where one of its words is among these: nll_first_quarter, demographic_parity_gap.
LOWER_IS_BETTER = {
    *("loss", "nll", "brier", "ece", "mse", "rmse", "mae", "error", "seconds", "aurc", "fpr95", "gap", "flip", "risk"),
    *("perplexity", "bits", "repetition", "divergence", "kl", "ambiguity", "discrepancy", "size", "range", "pinball"),
    *("threshold", "distance", "collapse", "false", "verbatim"),
    *("errors", "overloaded", "collapsed", "largest", "lipschitz", "step", "exploitability", "membership"),
}


def higher_is_better(metric: str) -> bool:
    """By the metric's name: losses and errors are better when lower, all else when higher."""
    return LOWER_IS_BETTER.isdisjoint(metric.rsplit("/", 1)[-1].split("_"))

"""The reweightings. A reweighting is one function of the vocabulary, like a loss, that returns weights [*b].

The weights multiply the values of the loss, not those of the regularizers, before the reduction, and no gradient flows
through them; several are multiplied. ``losses`` is the loss of each element without gradient, for methods that weigh by
it; one with memory takes ``state`` and returns (weights, new state). The mean of weight times loss is the objective of
the paper, so a weighting that is to be normalised normalises itself.
"""

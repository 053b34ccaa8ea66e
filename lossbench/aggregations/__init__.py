"""The aggregations: how the gradients of several objectives become the one that the optimizer steps with.

An aggregation is one pure function ``name(jacobian, *, ...) -> direction``: from the Jacobian [m, n], one row for each
objective, one column for each parameter, to the direction [n] that takes the place of the gradient (of what is
minimised, so that -direction is the way). One that draws takes ``generator`` too.

What the objectives are, the config says: aggregation_of=terms, those of a loss with several, each reduced by itself,
regularizers among them; or aggregation_of=examples, the loss of each example of the batch. aggregation=null is the
ordinary gradient, of the sum of the terms and the mean over the examples.
"""

"""The heads. A head is one function ``name(*, num_features, num_outputs, ...) -> nn.Module`` that makes the last layer
of a model, from features [*, D] to outputs [*, C], in the place of the model's own.

It must work under ``torch.func.functional_call`` and vmap, like every model.
"""

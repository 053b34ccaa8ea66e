"""Verifiers: plain functions that say how right a completion is.

    verifier(completions [N, T] token indices, answers [N, A]) -> rewards [N] in [0, 1]; 1 is solved

From its end on a completion has the end token in every place. ``answers`` is what the data set has of each prompt. They
are called once for each batch of samples.
"""

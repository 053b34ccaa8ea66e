"""Advantages: how much better each of several sampled completions of a prompt is than could be expected.

A function of words of the vocabulary, such as rewards [B, R], to advantages [B, R]; gradients do not flow through it.
The task's samples are rewarded, this compares them, and the loss says what to do about it.
"""

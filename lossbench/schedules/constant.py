"""Constant: the multiplier is 1 at every step."""


def constant(step: int, total_steps: int) -> float:
    return 1.0

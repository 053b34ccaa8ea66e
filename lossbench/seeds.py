"""Random streams: one per consumer, derived by name from the run's seed, so that adding a consumer moves no other."""

import hashlib

import torch
from torch import Generator


def derive(seed: int, name: str) -> int:
    """A 63-bit seed for the stream of this name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> Generator:
    return Generator(device).manual_seed(derive(seed, name))

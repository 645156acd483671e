"""Which device computes, and how random numbers begin."""

import torch

from w2l.errors import ConfigError


def choose(name: str) -> torch.device:
    """The device for ``auto``, ``cpu`` or ``cuda``; refuses CUDA where there is none."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {name!r} is unknown; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: this PyTorch sees no CUDA GPU; use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")

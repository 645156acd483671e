"""Choice of the compute device."""

import os

import torch

from w2l.core.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; raise ConfigError if CUDA is requested but not available.

    With several processes on one machine (`torchrun`), each gets a GPU of its own.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {name!r} is unknown; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: PyTorch finds no CUDA GPU; use --device auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local = os.environ.get("LOCAL_RANK", "")
    if not local.isdecimal():
        return torch.device("cuda")
    if int(local) >= torch.cuda.device_count():
        raise ConfigError(
            f"torchrun started process {local} of this machine, which has {torch.cuda.device_count()} GPUs; set "
            "--nproc-per-node to that, or use --device cpu"
        )
    torch.cuda.set_device(int(local))
    return torch.device("cuda", int(local))


def free_memory(device: torch.device) -> int:
    """Return the free memory of a CUDA device in bytes; 0 for other devices, which do not cache data."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0

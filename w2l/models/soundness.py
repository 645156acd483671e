"""Checks of a model file's tensors: their sizes, before the network takes memory, and their values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l.core.errors import CheckpointError

VARIANCE = "running_var"
"""Suffix of the names of tensors whose square roots are taken."""
COUNTERS = "num_batches_tracked"
"""Suffixes of tensor names that no forward pass reads and that public checkpoints lack."""


def check_sizes(path: Path, kind: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if the tensors do not fit a network, which may be on the meta device."""
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name, shape in wanted.items():
        found = tuple(tensors[name].shape) if name in tensors else shape
        if found != shape:
            raise CheckpointError(
                f"model {path} does not fit its dimensions: size mismatch, {name} has {found}, expected {shape}"
            )
    missing = sorted(name for name in wanted.keys() - tensors.keys() if not name.endswith(COUNTERS))
    unknown = sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        odd = f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown"
        raise CheckpointError(f"model {path} is not a complete {kind}: {odd}")


def check_returned(path: Path, *outputs: NDArray[np.floating[Any]]) -> None:
    """Raise CheckpointError if a model returned a number that is not finite; `path` is that of the model."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise CheckpointError(
            f"model {path} returns non-finite values; its training diverged or its file is damaged: use an earlier one"
        )


def check_numbers(path: Path, tensors: Mapping[str, Any]) -> None:
    """Raise CheckpointError if a weight is not finite, as after a training that diverged, or a variance is negative."""
    odd = [
        name
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if odd:
        raise CheckpointError(
            f"model {path} contains weights that are not finite ({len(odd)} of {len(tensors)} tensors, first"
            f" {odd[0]}); its training diverged or the file is damaged: use an earlier one"
        )
    negative = [
        name
        for name, tensor in tensors.items()
        if name.endswith(VARIANCE) and isinstance(tensor, Tensor) and bool((tensor < 0).any())
    ]
    if negative:
        raise CheckpointError(
            f"model {path} contains negative variances, in {negative[0]}; the file is damaged: use another copy"
        )

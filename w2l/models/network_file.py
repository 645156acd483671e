"""Files of small networks: arrays in half precision by tensor name, with a card of dimensions, data and licence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from w2l.core.errors import CheckpointError
from w2l.core.files import DAMAGED, read_arrays, write_atomic
from w2l.core.reading import parse_json
from w2l.models.soundness import check_numbers

COUNTER = "num_batches_tracked"
"""End of the names of tensors that only count training steps; they are not stored."""

Network = TypeVar("Network", bound=nn.Module)


def save_network(path: Path, network: nn.Module, dimensions: object, facts: dict[str, str]) -> None:
    """Write a network with its dimensions and further facts: training data, licence."""
    state = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    arrays = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in state.items()}
    card = json.dumps({"dimensions": vars(dimensions), **facts}, sort_keys=True)
    content: dict[str, Any] = {"card": np.frombuffer(card.encode(), np.uint8), **arrays}
    write_atomic(path, lambda file: np.savez_compressed(file, **content))


def load_network(path: Path, build: Callable[[dict[str, Any]], Network], what: str) -> Network:
    """Return the network of a file, in eval mode; raise CheckpointError if the file does not contain one.

    Parameters
    ----------
    path : Path
    build : callable
        Builds the network from its dimensions.
    what : str
        Description of the network in errors, such as ``lip reader``.
    """
    try:
        arrays = read_arrays(path)
        card = parse_json(arrays.pop("card").tobytes())
        network = build(card["dimensions"])
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        check_numbers(path, tensors)
        left = network.load_state_dict(tensors, strict=False)
    except (*DAMAGED, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a {what} ({error}); reinstall w2l") from error
    if left.unexpected_keys or any(not name.endswith(COUNTER) for name in left.missing_keys):
        raise CheckpointError(f"{path} does not fit this version's {what}; reinstall w2l")
    return network.eval().requires_grad_(False)

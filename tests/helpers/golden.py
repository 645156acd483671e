"""The golden vectors: outputs of the published code, the rule that makes its weights and inputs, and their names.

They lie in tests/golden. Where $W2L_SHARED names a folder that holds ``reference/``, its rule and its vectors count.
"""

import functools
import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vectors = dict[str, NDArray[Any]]
Keys = list[tuple[str, list[int], str]]
OWN = Path(__file__).resolve().parents[1] / "golden"


def root() -> Path:
    """Return the folder with golden_rule.py, checkpoints/ and the vectors."""
    other = Path(os.environ.get("W2L_SHARED", "")) / "reference"
    return other if os.environ.get("W2L_SHARED") and other.is_dir() else OWN


def vectors_file(name: str) -> Path:
    """Return the path of a file of vectors."""
    folder = root() / "golden"
    return (folder if folder.is_dir() else root()) / name


def golden_seeds(kind: str) -> list[int]:
    """Return the seeds for which there are vectors of a kind, such as ``nets``."""
    found = vectors_file(f"{kind}_seed0.npz").parent.glob(f"{kind}_seed*.npz")
    seeds = sorted(int(path.stem.rpartition("seed")[2]) for path in found)
    assert seeds, f"no golden vectors of {kind} in {root()}: parity would go unproved"
    return seeds


@functools.cache
def golden_rule() -> ModuleType:
    """Return the rule as a module, after it has checked that this NumPy draws the same numbers."""
    spec = importlib.util.spec_from_file_location("golden_rule", root() / "golden_rule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.self_check()
    return module


@functools.cache
def golden_vectors(name: str) -> Vectors:
    """Return all arrays of one file, such as ``nets_seed0``; do not change them."""
    with np.load(vectors_file(f"{name}.npz")) as archive:
        return dict(archive)


def published_keys(network: str) -> Keys:
    """Return name, shape and type of every tensor of a published checkpoint, in its order."""
    keys: Keys = json.loads((root() / "checkpoints" / f"{network}.json").read_text())
    return keys


def published_state(network: str, seed: int) -> dict[str, Tensor]:
    """Return the state dict of a published network with the weights that the rule makes for a seed."""
    arrays = golden_rule().state_dict_for(network, seed, published_keys(network))
    return {key: torch.as_tensor(array) for key, array in arrays.items()}

"""From the name of a model to its file: shipped with w2l, a run in the cache, or a path."""

from pathlib import Path

import torch

from w2l.cache import Cache
from w2l.errors import CheckpointError
from w2l.training.checkpoint import Kind, Model, load_model

BUNDLED = Path(__file__).parent / "models"
"""Where the shipped model files lie: ``generator.safetensors``, ``expert.safetensors``, ``judge.safetensors``."""
SHIPPED = "w2l"
"""The name of the shipped model of each kind."""


def find(name: str, kind: Kind, cache: Cache | None = None) -> Path:
    """The file of the model `name`: `w2l` (shipped), a run of the cache, or a path.

    Raises CheckpointError, naming what there is.
    """
    if name == SHIPPED:
        path = BUNDLED / f"{kind}.safetensors"
        if not path.is_file():
            raise CheckpointError(f"this w2l ships no {kind}; name a file or a run")
        return path
    if Path(name).is_file():
        return Path(name)
    folder = (cache.root / "checkpoints") if cache else None
    if folder is not None:
        for tag in ("best", "latest"):
            path = folder / name / f"{kind}-{tag}.safetensors"
            if path.is_file():
                return path
    runs = sorted(entry.name for entry in folder.iterdir()) if folder is not None and folder.is_dir() else []
    there = ", ".join([SHIPPED, *runs])
    raise CheckpointError(f"no {kind} named {name!r}: no such file, and the models here are {there}")


def load(name: str, kind: Kind, cache: Cache | None = None, device: torch.device | str = "cpu") -> Model:
    """The model `name` in eval mode; see `find`."""
    return load_model(find(name, kind, cache), kind, device)

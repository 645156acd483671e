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
    for tag in ("best", "latest"):
        if cache and (path := cache.checkpoints / name / f"{kind}-{tag}.safetensors").is_file():
            return path
    raise CheckpointError(f"no {kind} named {name!r}: no such file, and {_what_there_is(kind, cache)}")


def _what_there_is(kind: Kind, cache: Cache | None) -> str:
    """The names that `find` knows, as a clause."""
    names = [SHIPPED] if (BUNDLED / f"{kind}.safetensors").is_file() else []
    if cache:
        names += sorted({path.parent.name for path in cache.checkpoints.glob(f"*/{kind}-*.safetensors")})
    if not names:
        return f"no run here has made one; train one or give a file ({kind}-best.safetensors, or a public checkpoint)"
    return f"the {kind}s here are {', '.join(names)}"


def load(name: str, kind: Kind, cache: Cache | None = None, device: torch.device | str = "cpu") -> Model:
    """The model `name` in eval mode; see `find`."""
    return load_model(find(name, kind, cache), kind, device)

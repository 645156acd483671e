"""Models that are loaded and prepared once per process, for tests in which neither is the subject."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from w2l.faces.detectors import mtcnn
from w2l.models import registry
from w2l.models.checkpoint import Model, load_model
from w2l.models.runtime import Runner
from w2l.syncing import tools

N_KEPT = 24


def keep_models(patch: pytest.MonkeyPatch) -> None:
    """Let `sync` find again what an earlier test loaded from the same, unchanged file; `sync` changes no model."""
    patch.setattr(registry, "load_model", _loaded)
    patch.setattr(tools, "Runner", _prepared)
    patch.setattr(mtcnn, "load_networks", _detector_networks)


def _loaded(path: Path, kind: Any, device: Any = "cpu") -> Model:
    if not path.is_file():
        return load_model(path, kind, device)
    found = path.stat()
    return _load(path.absolute(), path, kind, str(device), found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(N_KEPT)
def _load(_where: Path, path: Path, kind: Any, device: str, *_file: int) -> Model:
    return load_model(path, kind, device)


class _Same:
    """A model, equal to itself alone."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.model is other.model

    def __hash__(self) -> int:
        return id(self.model)


def _prepared(model: Model, *given: Any, **named: Any) -> Runner:
    return _prepare(_Same(model), *given, **named)


@lru_cache(N_KEPT)
def _prepare(same: _Same, *given: Any, **named: Any) -> Runner:
    return Runner(same.model, *given, **named)


_detector_networks = cache(mtcnn.load_networks)

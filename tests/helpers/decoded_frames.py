"""How many decoded frames are alive, by weak references: quick enough to be asked at every frame."""

import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest


class Witness:
    """Lives as long as the frame that carries it, or a frame made of that one."""


def count_decoded(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> Callable[[], int]:
    """Have every frame that `module` decodes carry a witness; return what counts the living ones.

    The library's frames take no weak references, but they hold any object in their field `opaque`.
    """
    alive: weakref.WeakSet[Witness] = weakref.WeakSet()
    decode = module.decode

    def witnessed(*given: Any) -> Iterator[Any]:
        for frame in decode(*given):
            frame.opaque = Witness()
            alive.add(frame.opaque)
            yield frame

    monkeypatch.setattr(module, "decode", witnessed)
    return lambda: len(alive)

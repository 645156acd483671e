"""What was loaded last, up to a budget: the rest is loaded again when it is asked for."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")


def one(_: object) -> int:
    """Weighs all alike: the budget is a number of things."""
    return 1


def n_bytes(array: NDArray[Any]) -> int:
    """Weighs an array by its memory, with what Python adds: the budget is in bytes."""
    return int(array.nbytes) + 200


class Recent(Generic[T]):
    """Loads things by number and keeps the ones used last; threads may share it, and a copy sent elsewhere is empty."""

    def __init__(self, load: Callable[[int], T], budget: int, weigh: Callable[[T], int]) -> None:
        self._arguments = (load, budget, weigh)
        self._kept: OrderedDict[int, T] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> T:
        """The thing of that number."""
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        load, budget, weigh = self._arguments
        thing = load(number)
        with self._lock:
            if number not in self._kept:  # another thread may have been quicker
                self._kept[number] = thing
                self._weight += weigh(thing)
            while self._weight > budget and len(self._kept) > 1:
                self._weight -= weigh(self._kept.popitem(last=False)[1])
            return thing

    @property
    def weight(self) -> int:
        """Of all that is kept."""
        return self._weight

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process loads for itself."""
        return type(self), self._arguments

"""A least-recently-used cache with a budget: dropped items are loaded again on access."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def one(_: object) -> int:
    """Return 1: the budget is a number of items."""
    return 1


def n_bytes(array: NDArray[Any]) -> int:
    """Return the memory of an array, including Python's overhead: the budget is in bytes."""
    return int(array.nbytes) + 200


class Recent(Generic[K, T]):
    """Loads items by number or another key and keeps the most recently used; thread-safe, pickled without content."""

    def __init__(self, load: Callable[[K], T], budget: int, weigh: Callable[[T], int]) -> None:
        self._arguments = (load, budget, weigh)
        self._kept: OrderedDict[K, T] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def __getitem__(self, number: K) -> T:
        """Return the item with that number."""
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        load, budget, weigh = self._arguments
        thing = load(number)
        with self._lock:
            if number not in self._kept:  # another thread may have been faster
                self._kept[number] = thing
                self._weight += weigh(thing)
            while self._weight > budget and len(self._kept) > 1:
                self._weight -= weigh(self._kept.popitem(last=False)[1])
            return thing

    @property
    def weight(self) -> int:
        """Total weight of the kept items."""
        return self._weight

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without content: another process loads for itself."""
        return type(self), self._arguments

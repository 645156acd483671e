"""Items kept of a clip of any length: evenly spread over it, and no more than a given number."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Spread(Generic[T]):
    """All items of a short clip; of a longer one every second, fourth and so on."""

    def __init__(self, most: int) -> None:
        """`most`: number of items that are kept at most, 2 or more."""
        self.items: list[T] = []
        self._most = most
        self._every = 1
        self._count = 0

    def offer(self, make: Callable[[], T]) -> None:
        """Keep the next item, where it is due; only then it is made."""
        number, self._count = self._count, self._count + 1
        if number % self._every == 0 and len(self.items) == self._most:
            self.items = self.items[::2]
            self._every *= 2
        if number % self._every == 0:
            self.items.append(make())

"""A limited number of items, evenly spaced over a clip of any length."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Spread(Generic[T]):
    """All items of a short clip; of a longer one every second, fourth and so on."""

    def __init__(self, most: int) -> None:
        """Set the largest number of items, 2 or more."""
        self.items: list[T] = []
        self._most = most
        self._every = 1
        self._count = 0

    def offer(self, make: Callable[[], T]) -> None:
        """Keep the next item if it is due; only then it is created."""
        number, self._count = self._count, self._count + 1
        if number % self._every == 0 and len(self.items) == self._most:
            self.items = self.items[::2]
            self._every *= 2
        if number % self._every == 0:
            self.items.append(make())

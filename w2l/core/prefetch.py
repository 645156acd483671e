"""Prefetching: an iterator runs ahead in its own thread, by a limited number of items."""

import contextvars
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
THREAD_NAME = "w2l-ahead"
_END: Any = object()


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield the same items in the same order, computed up to `depth` items ahead in another thread.

    An error in the thread is raised where the item would have come. When the consumer stops, by `close` or an error
    of its own, the thread ends after the current item and `items` is closed there, too; nothing keeps running.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    iterator = iter(items)
    here = contextvars.copy_context()  # the work counts towards the starter's budget, see `w2l.core.limits.spend`

    def step() -> T:
        return here.run(lambda: next(iterator, _END))

    with ThreadPoolExecutor(1, thread_name_prefix=THREAD_NAME) as thread:
        waiting = deque(thread.submit(step) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(step))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            if isinstance(iterator, Generator):
                thread.submit(iterator.close)

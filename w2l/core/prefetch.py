"""Work that overlaps: an iterator runs ahead in a thread of its own, by a bounded number of items."""

import contextvars
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
THREAD_NAME = "w2l-ahead"
_END: Any = object()


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The same items in the same order, made up to `depth` items ahead in a thread of their own.

    An error in the thread is raised where the item would have come. When the consumer stops, by `close` or an error
    of its own, the thread ends after the item at hand and `items` is closed there, too; nothing is left running.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    iterator = iter(items)
    here = contextvars.copy_context()  # the thread's work counts as its starter's, see `w2l.core.limits.spend`

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

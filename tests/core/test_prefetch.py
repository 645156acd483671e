"""Threads that run ahead: same items, same errors, nothing left running."""

import threading
import time
from collections.abc import Iterator

import pytest

from w2l.core.prefetch import THREAD_NAME, ahead


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_gives_the_same_items_in_order(depth: int) -> None:
    assert list(ahead(iter(range(50)), depth)) == list(range(50))
    assert not running()


def test_never_more_than_depth_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            made.append(number)
            yield number

    for number in ahead(items(), 4):
        time.sleep(0.001)
        assert len(made) <= number + 1 + 4 + 1  # the one at hand, those waiting, the one that waits for room


def test_an_error_comes_where_the_item_would_have() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("third")

    stream = ahead(items(), 1)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(stream)
    assert not running()


def test_closing_the_last_of_a_chain_closes_all_of_it() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.append(threading.current_thread().name)

    chain = ahead((2 * item for item in ahead(items(), 2)), 2)
    assert [next(chain), next(chain)] == [0, 2]
    chain.close()
    assert [name.startswith(THREAD_NAME) for name in closed] == [True]
    assert not running()


def test_depth_must_make_sense() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(ahead([1], 0))

"""Locks: one holder at a time, none after death, and a line instead of a traceback where none can be made."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from w2l.core import locks
from w2l.core.errors import CacheError
from w2l.core.locks import claim, is_alive

HOLD = "import sys, time, pathlib\nfrom w2l.core.locks import claim\nwith claim(pathlib.Path(sys.argv[1])) as mine:\n"
HOLD += "    print(mine, flush=True)\n    time.sleep(60)\n"
RACE = """
import os, sys, time, pathlib
from w2l.core.locks import claim
lock, holder = map(pathlib.Path, sys.argv[1:3])
end = time.monotonic() + float(sys.argv[3])
held = 0
while time.monotonic() < end:
    with claim(lock) as mine:
        if mine:
            os.close(os.open(holder, os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            holder.unlink()
            held += 1
            if held % 5 == 0:
                lock.write_text('{"machine": "%s", "pid": 99999999, "process": ""}' % sys.argv[4])
    time.sleep(0.0005)
print(held)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A place for a lock, in a folder that is not there yet."""
    return tmp_path / "clip" / ".lock"


@pytest.fixture
def other(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_holder_at_a_time(lock: Path) -> None:
    with claim(lock) as mine:
        assert mine
        with claim(lock) as again:
            assert not again
        assert lock.exists()
    assert not lock.exists()
    with claim(lock) as mine:
        assert mine


def test_it_is_given_up_when_the_work_fails(lock: Path) -> None:
    with pytest.raises(KeyError), claim(lock):
        raise KeyError
    assert not lock.exists()


def test_a_living_process_keeps_it_and_a_killed_one_does_not(lock: Path, other: "subprocess.Popen[str]") -> None:
    with claim(lock) as mine:
        assert not mine
    other.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_alive(other.pid) and time.monotonic() < deadline:  # a zombie, as nobody has waited for it
        time.sleep(0.01)
    with claim(lock) as mine:
        assert mine
    assert not lock.exists()


def sign(lock: Path, age_s: float = 0.0, **owner: object) -> None:
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(json.dumps(owner) if owner else "")
    os.utime(lock, (time.time() - age_s,) * 2)


@pytest.mark.parametrize(("age_s", "owner", "free"), [
    (0, {"machine": "elsewhere", "pid": 1, "process": "1"}, False),
    (60, {"machine": "elsewhere", "pid": 1, "process": "1"}, False),
    (500, {"machine": "elsewhere", "pid": 1, "process": "1"}, True),
    (0, {"pid": 99999999, "process": "1"}, True),
    (0, {"pid": os.getpid(), "process": "of another birth"}, True),
    (0, {"pid": 10**30, "process": "1"}, True),
    (0, {}, False),
    (60, {}, True),
    (60, {"nobody": 1}, True),
    (60, {"pid": "x"}, True),
])  # fmt: skip
def test_which_locks_are_stale(lock: Path, age_s: float, owner: dict[str, object], free: bool) -> None:
    if "process" in owner:
        owner = {"machine": locks.machine(), **owner}
    sign(lock, age_s, **owner)
    with claim(lock) as mine:
        assert mine is free
    assert lock.exists() is not free


def test_a_holder_gives_signs_of_life(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.01)
    with claim(lock):
        os.utime(lock, (0, 0))
        deadline = time.monotonic() + 10
        while lock.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_lost_a_lock_does_not_remove_that_of_its_successor(lock: Path) -> None:
    with claim(lock):
        sign(lock, machine="elsewhere", pid=1)
    assert lock.exists()


def test_many_processes_take_turns_also_over_stale_locks(lock: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(lock), str(tmp_path / "holder"), "1.5", locks.machine()]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]  # fmt: skip
    ended = [racer.communicate(timeout=60) for racer in racers]
    assert [error for _, error in ended] == [""] * 3
    assert sum(int(out) for out, _ in ended) > 10


def test_where_no_lock_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="the lock cannot be created"), claim(tmp_path / "file" / ".lock"):
        pass


def test_who_is_alive() -> None:
    assert is_alive(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while is_alive(ended.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ended.wait()
    assert not is_alive(ended.pid)

"""Many inputs in one call: order, one line for each that fails, and what ends all of them."""

import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.batch import MOST_NAMED, name_failures, run_all
from stages.log import set_up_logging
from w2l.core.errors import MediaError
from w2l.core.jobs.tasks import Done, Task


def lengths(context: Any, text: str) -> int:
    """The work: fails in the ways in which work fails; the context, where there is one, is counted in."""
    if text == "broken":
        raise MediaError("broken:\n  cannot be read; use another copy")
    if text == "gone":
        raise FileNotFoundError(2, "No such file or directory", "gone")
    if text == "full":
        raise OSError(28, "No space left on device")
    if text == "bug":
        raise ZeroDivisionError("a mistake of ours")
    if text == "stop":
        raise KeyboardInterrupt
    logging.getLogger("stages.of_a_test").info("at work on %s", text)
    if text.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    return len(text) + (context or 0)


def hundred() -> int:
    """A context."""
    return 100


def told(outcomes: Sequence[Done[int]]) -> list[tuple[str, int | None, str]]:
    """Name, result and error of each."""
    return [(one.task.name, one.result, one.error) for one in outcomes]


def tasks(*names: str) -> list[tuple[str, tuple[str]]]:
    return [(name, (name,)) for name in names]


@pytest.mark.parametrize("jobs", [1, 2])
def test_outcomes_come_in_the_order_of_the_tasks_past_those_that_fail(jobs: int) -> None:
    outcomes = run_all(lengths, tasks("one", "broken", "three", "gone", "full"), hundred, jobs)
    assert told(outcomes) == [
        ("one", 103, ""),
        ("broken", None, "broken: cannot be read; use another copy"),
        ("three", 105, ""),
        ("gone", None, "gone: No such file or directory"),
        ("full", None, "full: No space left on device"),
    ]


def test_a_failure_is_told_at_once_and_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[list[str]] = []

    def work(context: None, text: str) -> int:
        seen.append([record.getMessage() for record in caplog.records if record.levelno == logging.WARNING])
        return lengths(context, text)

    run_all(work, tasks("broken", "one"))
    assert seen == [[], ["broken: cannot be read; use another copy"]]


def test_ctrl_c_ends_all() -> None:
    done: list[str] = []

    def work(context: None, text: str) -> int:
        done.append(text)
        return lengths(context, text)

    with pytest.raises(KeyboardInterrupt):
        run_all(work, tasks("one", "stop", "three"))
    assert done == ["one", "stop"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_mistake_of_ours_is_named_and_logged_with_its_traceback(jobs: int, caplog: pytest.LogCaptureFixture) -> None:
    outcomes = run_all(lengths, tasks("one", "bug", "three"), jobs=jobs)
    assert [outcome.result for outcome in outcomes] == [3, None, 5]
    with pytest.raises(MediaError, match="1 of 3 failed: bug: ZeroDivisionError: a mistake of ours"):
        name_failures(outcomes)
    assert "Traceback" in caplog.text


def test_a_process_that_dies_is_named() -> None:
    outcomes = run_all(lengths, tasks("killed", "killed too"), jobs=2)
    assert [outcome.result for outcome in outcomes] == [None, None]
    assert all(outcome.died and outcome.task.name in outcome.error for outcome in outcomes)
    assert all("out of memory?" in outcome.error and "fewer --jobs" in outcome.error for outcome in outcomes)


def test_all_good_raises_nothing_and_of_many_failures_some_are_named() -> None:
    name_failures(run_all(lengths, tasks("one", "three")))
    failed = [Done[int](Task(name), error=f"{name}: broken") for name in map(str, range(1000, 1000 + MOST_NAMED + 3))]
    with pytest.raises(MediaError) as stop:
        name_failures([Done(Task("good"), 1), *failed])
    line = str(stop.value)
    assert line.startswith(f"{len(failed)} of {len(failed) + 1} failed: 1000: broken; 1001: broken; ")
    assert line.endswith("; and 3 more, see above")
    assert line.count(": broken") == MOST_NAMED


def test_one_task_needs_no_process(tmp_path: Path) -> None:
    """What cannot be sent to another process still runs when there is only one."""
    seen: list[int] = []
    assert run_all(lambda _: seen.append(os.getpid()), [("only", ())], jobs=4)[0].error == ""
    assert seen == [os.getpid()]


@pytest.mark.parametrize("jobs", [1, 3])
def test_nothing_to_do(jobs: int) -> None:
    assert run_all(lengths, [], jobs=jobs) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_two_tasks_of_one_name_keep_their_own_outcomes(jobs: int) -> None:
    outcomes = run_all(lengths, [("same", ("one",)), ("same", ("three",))], jobs=jobs)
    assert [outcome.result for outcome in outcomes] == [3, 5]


@pytest.mark.parametrize(("verbosity", "is_told"), [(-1, False), (0, True)])
def test_processes_say_as_much_as_was_asked_for(
    capfd: pytest.CaptureFixture[str], verbosity: int, is_told: bool
) -> None:
    set_up_logging(verbosity)
    run_all(lengths, tasks("one", "three"), jobs=2)
    assert ("at work on three" in capfd.readouterr().err) == is_told


def note_process(folder: str) -> Path:
    """A context that is told from others by a file."""
    (Path(folder) / str(os.getpid())).touch(exist_ok=False)
    return Path(folder)


def in_process(context: Path, name: str) -> int:
    """The work of the test below: in which process it was done."""
    time.sleep(0.02)
    return os.getpid()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_is_set_up_once_for_all_its_tasks(tmp_path: Path, jobs: int) -> None:
    names = tasks(*map(str, range(12)))
    outcomes = run_all(in_process, names, functools.partial(note_process, str(tmp_path)), jobs)
    workers = {str(outcome.result) for outcome in outcomes}
    assert workers <= {path.name for path in tmp_path.iterdir()}
    assert 1 <= len(workers) <= jobs


def slow(context: None, folder: str, name: str) -> str:
    """The work of the test below: says that it began, and is interrupted in its sleep."""
    (Path(folder) / name).touch()
    time.sleep(30)
    return name


def test_an_interrupt_reaches_all_processes_and_nothing_new_begins(tmp_path: Path) -> None:
    code = (
        "from stages.batch import run_all; from tests.stages.test_batch import slow\n"
        "if __name__ == '__main__':\n"
        f"    run_all(slow, [(name, ({str(tmp_path)!r}, name)) for name in 'abcde'], jobs=2)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not {"a", "b"} <= {path.name for path in tmp_path.iterdir()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(20) != 0
    assert time.monotonic() - began < 15
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "a", "b"}

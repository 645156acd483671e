"""Many inputs in one call: order, one line for each that fails, and what ends all of them."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.batch import Outcome, run_all
from w2l.errors import MediaError


def lengths(text: str) -> int:
    """The work: fails in the ways in which work fails."""
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
    return len(text)


def tasks(*names: str) -> list[tuple[str, tuple[str]]]:
    return [(name, (name,)) for name in names]


@pytest.mark.parametrize("jobs", [1, 2])
def test_outcomes_come_in_the_order_of_the_tasks_past_those_that_fail(jobs: int) -> None:
    outcomes = run_all(lengths, tasks("one", "broken", "three", "gone", "full"), jobs)
    assert outcomes == [
        Outcome("one", 3),
        Outcome("broken", error="broken: cannot be read; use another copy"),
        Outcome("three", 5),
        Outcome("gone", error="gone: No such file or directory"),
        Outcome("full", error="full: No space left on device"),
    ]


def test_a_failure_is_told_at_once_and_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    told: list[list[str]] = []

    def work(text: str) -> int:
        told.append([record.getMessage() for record in caplog.records if record.levelno == logging.WARNING])
        return lengths(text)

    run_all(work, tasks("broken", "one"))
    assert told == [[], ["broken: cannot be read; use another copy"]]


@pytest.mark.parametrize(("name", "kind"), [("bug", ZeroDivisionError), ("stop", KeyboardInterrupt)])
def test_a_mistake_of_ours_and_ctrl_c_end_all(name: str, kind: type[BaseException]) -> None:
    done: list[str] = []
    work: Callable[[str], int] = lambda text: (done.append(text), lengths(text))[1]  # noqa: E731
    with pytest.raises(kind):
        run_all(work, tasks("one", name, "three"))
    assert done == ["one", name]


def test_a_process_that_dies_is_named() -> None:
    outcomes = run_all(lengths, tasks("killed", "killed too"), 2)
    assert [outcome.result for outcome in outcomes] == [None, None]
    assert all("process died" in outcome.error and outcome.name in outcome.error for outcome in outcomes)


def test_one_task_needs_no_process(tmp_path: Path) -> None:
    """What cannot be sent to another process still runs when there is only one."""
    seen: list[int] = []
    assert run_all(lambda: seen.append(os.getpid()), [("only", ())], jobs=4)[0].error == ""
    assert seen == [os.getpid()]


@pytest.mark.parametrize("jobs", [1, 3])
def test_nothing_to_do(jobs: int) -> None:
    assert run_all(lengths, [], jobs) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_two_tasks_of_one_name_keep_their_own_outcomes(jobs: int) -> None:
    outcomes = run_all(lengths, [("same", ("one",)), ("same", ("three",))], jobs)
    assert [outcome.result for outcome in outcomes] == [3, 5]


@pytest.mark.parametrize(("verbosity", "told"), [(-1, False), (0, True)])
def test_processes_say_as_much_as_was_asked_for(capfd: pytest.CaptureFixture[str], verbosity: int, told: bool) -> None:
    run_all(lengths, tasks("one", "three"), 2, verbosity)
    assert ("at work on three" in capfd.readouterr().err) == told


def slow(folder: str, name: str) -> str:
    """The work of the test below: says that it began, and is interrupted in its sleep."""
    (Path(folder) / name).touch()
    time.sleep(30)
    return name


def test_an_interrupt_reaches_all_processes_and_nothing_new_begins(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from stages.batch import run_all; from test_batch import slow\n"
        "if __name__ == '__main__':\n"
        f"    run_all(slow, [(name, ({str(tmp_path)!r}, name)) for name in 'abcde'], 2)\n"
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

"""The pool: every task has one outcome whatever befalls its worker, and nobody is left behind."""

import functools
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

import tests.helpers.pool_work as do
from w2l.core.errors import ConfigError, W2LError
from w2l.core.jobs import tasks as tasks_module
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Done, Task
from w2l.core.locks import claim, is_alive

here_and_in_processes = pytest.mark.parametrize("jobs", [1, 2])
ALL_ENDS = ("one", "broken", "three", "gone", "full", "bug", "strange")
ERRORS = {
    "broken": "broken: cannot be read; use another copy",
    "gone": "gone: No such file or directory",
    "full": "full: No space left on device",
    "bug": "bug: ZeroDivisionError: a mistake of ours (a bug in w2l; see the traceback above)",
    "strange": "strange: LibraryError: of a library (a bug in w2l; see the traceback above)",
}


@here_and_in_processes
def test_every_task_has_one_outcome_past_those_that_fail(jobs: int, caplog: pytest.LogCaptureFixture) -> None:
    done = {one.task.name: one for one in run_tasks(do.tasks(*ALL_ENDS), do.fail, jobs=jobs)}
    assert done.keys() == set(ALL_ENDS)
    assert {name: one.error for name, one in done.items() if one.error} == ERRORS
    assert {name: one.result for name, one in done.items() if not one.error} == {"one": 3, "three": 5}
    assert {name for name, one in done.items() if one.trace} == {"bug", "strange"}
    assert all("in fail" in done[name].trace for name in ("bug", "strange"))
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sorted(line for line in told if "Traceback" not in line) == sorted(ERRORS.values())
    assert [line for line in told if "Traceback" in line] == [one.trace.rstrip() for one in done.values() if one.trace]


@here_and_in_processes
def test_messages_of_workers_appear_here(jobs: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "w2l"):
        list(run_tasks(do.tasks("one", "three"), do.fail, jobs=jobs))
    said = [record.getMessage() for record in caplog.records if record.name == "w2l.of_a_test"]
    assert sorted(said) == ["at work on one", "at work on three"]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "w2l"):
        list(run_tasks(do.tasks("one", "three"), do.fail, jobs=jobs))
    assert not caplog.records


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_a_context_is_made_once_in_each_worker(jobs: int, tmp_path: Path) -> None:
    names = [str(number) for number in range(12)]
    done = list(run_tasks(do.tasks(*names), do.who, functools.partial(do.set_up, tmp_path), jobs))
    assert sorted(one.task.name for one in done) == sorted(names)
    workers = {one.result for one in done}
    assert all(maker == worker for maker, worker in workers)
    assert 1 <= len(workers) <= jobs
    assert len(list(tmp_path.glob("context-*"))) <= jobs
    assert (os.getpid() in {worker for _, worker in workers}) is (jobs == 1)


def test_results_come_as_they_end_not_in_order(tmp_path: Path) -> None:
    lengths = [Task("long", (tmp_path, "long", 3.0)), *(Task(name, (tmp_path, name, 0.0)) for name in "abc")]
    assert [one.task.name for one in run_tasks(lengths, do.commit, jobs=2)][-1] == "long"


def test_a_worker_computes_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert {one.result for one in run_tasks(do.tasks("a", "b"), do.threads, jobs=2)} == {(1, "1", "1")}
    assert dict(os.environ) == before


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("names", [[], ["only"]])
def test_few_tasks_need_no_processes(jobs: int, names: list[str]) -> None:
    found = list(run_tasks(do.tasks(*names), lambda context, name: os.getpid(), jobs=jobs))
    assert [one.result for one in found] == [os.getpid()] * len(names)


def test_jobs_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="0 jobs"):
        list(run_tasks([], do.fail, jobs=0))


def test_a_worker_that_dies_is_replaced_and_its_task_begun_once_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a", "killed 1", "b", "killed 2", "c"]
    done = list(run_tasks(do.tasks(*names, folder=tmp_path), do.killed_once, jobs=2))
    assert sorted(one.task.name for one in done) == sorted(names)
    assert all(one.result == one.task.name and not one.error for one in done)
    assert sum("was killed by SIGKILL (out of memory?); trying again" in text for text in caplog.messages) == 2


def test_a_task_that_kills_twice_has_died_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    done = {one.task.name: one for one in run_tasks(do.tasks("one", "killed", "three"), do.fail, jobs=2)}
    assert (done["one"].result, done["three"].result) == (3, 5)
    line = "killed: its worker was killed by SIGKILL (out of memory?), 2 times; try fewer --jobs, or leave it out"
    assert done["killed"] == Done(Task("killed", ("killed",)), error=line, died=True)
    assert line in caplog.messages


@here_and_in_processes
def test_a_context_that_cannot_be_made_ends_all(jobs: int) -> None:
    with pytest.raises(ConfigError, match="no such detector"):
        list(run_tasks(do.tasks("a", "b"), do.fail, do.unfit, jobs))
    with pytest.raises((ZeroDivisionError, RuntimeError), match="in the context"):
        list(run_tasks(do.tasks("a", "b"), do.fail, do.broken, jobs))
    with pytest.raises((do.LibraryError, RuntimeError), match="in the context"):
        list(run_tasks(do.tasks("a", "b"), do.fail, do.strange, jobs))


def test_workers_that_die_before_their_first_task_end_all() -> None:
    with pytest.raises(W2LError, match=r"3 workers in a row died .* \(the last was killed by SIGKILL"):
        list(run_tasks(do.tasks("a", "b"), do.fail, do.kill_oneself, 2))


@here_and_in_processes
def test_a_busy_task_is_tried_again_later(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_module, "BUSY_S", 0.2)
    names = ["busy 1", "a", "busy 2", "b"]
    began = time.monotonic()
    done = list(run_tasks(do.tasks(*names, folder=tmp_path), do.busy_twice, jobs=jobs))
    assert time.monotonic() - began > 0.4
    assert {one.result for one in done} == set(names)
    assert {one.task.name for one in done[:2]} == {"a", "b"}


@here_and_in_processes
def test_tasks_are_drawn_as_workers_become_free(jobs: int) -> None:
    drawn = 0

    def endless() -> Iterator[Task]:
        nonlocal drawn
        for drawn in itertools.count(1):
            yield Task(str(drawn), ("x",))

    for ended, _ in enumerate(run_tasks(endless(), do.fail, jobs=jobs), 1):
        assert drawn <= ended + 2 * jobs
        if ended == 300:
            break
    assert drawn >= 300


def test_leaving_the_loop_ends_the_workers(tmp_path: Path) -> None:
    lengths = [Task(name, (tmp_path, name, 0.0 if name in "ab" else 60.0)) for name in "abcde"]
    began = time.monotonic()
    for ended, done in enumerate(run_tasks(lengths, do.commit, jobs=2), 1):
        assert done.result == "done"
        if ended == 2:
            do.until(lambda: (tmp_path / "c.begun").exists())
            break
    assert time.monotonic() - began < 50
    assert not list(tmp_path.glob("*.lock"))
    assert {path.stem for path in tmp_path.glob("*.done")} == {"a", "b"}
    assert not (tmp_path / "e.begun").exists()


def test_no_worker_sees_interrupts_not_even_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_tracker, "_resource_tracker", tracker := resource_tracker.ResourceTracker())
    for name in ("ensure_running", "getfd"):
        monkeypatch.setattr(resource_tracker, name, getattr(tracker, name))
    assert not any(one.result for one in run_tasks(do.tasks("a", "b"), do.sees_interrupts, jobs=2))
    tracker._stop()  # type: ignore[attr-defined]


HOLDERS = """
import sys
from pathlib import Path
import tests.helpers.pool_work as do
from w2l.core.jobs.pool import run_tasks
if __name__ == "__main__":
    list(run_tasks(do.tasks(*"abcde", folder=Path(sys.argv[1])), do.hold, jobs=2))
"""


@pytest.mark.parametrize(("number", "to_group"), [
    (signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGKILL, False),
], ids=["ctrl-c", "interrupt", "terminate", "kill"])  # fmt: skip
def test_the_workers_of_a_process_that_ends_clean_up_and_end(tmp_path: Path, number: int, to_group: bool) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "work"
    script.write_text(HOLDERS)
    folder.mkdir()
    command = [sys.executable, script, folder]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    do.until(lambda: len([path for path in folder.glob("*.pid") if path.read_text()]) == 2)
    workers = [int(path.read_text()) for path in folder.glob("*.pid")]
    assert all(map(is_alive, workers))
    began = time.monotonic()
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, told = process.communicate(timeout=20)
    do.until(lambda: not any(map(is_alive, workers)), 10)
    assert time.monotonic() - began < 8
    assert process.returncode != 0
    assert not list(folder.glob("*.lock"))
    assert {path.name for path in folder.iterdir()} == {"a.pid", "b.pid"}
    assert told.count("Traceback") <= 1, told  # that of the parent, which shows none on the command line


SLOW_TO_IMPORT = """
import multiprocessing, os, pathlib, time
if multiprocessing.parent_process():
    pathlib.Path(__file__).with_name(f"{os.getpid()}.born").touch()
    time.sleep(60)
def work(context, name):
    return name
"""


BEARER = """
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Task
if __name__ == "__main__":
    from slow_to_import import work
    list(run_tasks([Task("a", ("a",)), Task("b", ("b",))], work, jobs=2))
"""


def test_workers_end_with_their_parent_while_they_still_import_their_work(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text(SLOW_TO_IMPORT)
    script = tmp_path / "script.py"
    script.write_text(BEARER)
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True)
    do.until(lambda: len(list(tmp_path.glob("*.born"))) == 2)
    workers = [int(path.stem) for path in tmp_path.glob("*.born")]
    process.kill()
    _, told = process.communicate(timeout=20)
    do.until(lambda: not any(map(is_alive, workers)), 8)
    assert told == ""


def test_a_worker_that_was_killed_leaves_a_lock_that_is_free(tmp_path: Path) -> None:
    done = run_tasks(do.tasks("a", "b", folder=tmp_path), do.hold, jobs=2)
    holders: dict[str, int] = {}

    def killed_until_dead() -> None:
        for name in ("a", "a", "b", "b"):
            path = tmp_path / f"{name}.pid"
            do.until(lambda path=path, name=name: path.exists() and int(path.read_text() or 0) != holders.get(name, 0))
            holders[name] = int(path.read_text())
            os.kill(holders[name], signal.SIGKILL)

    killer = threading.Thread(target=killed_until_dead)
    killer.start()
    assert all(one.died for one in done)
    killer.join()
    assert (tmp_path / "a.lock").exists()
    with claim(tmp_path / "a.lock") as mine:
        assert mine

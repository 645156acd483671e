"""The pool on a Ray cluster of two simulated nodes, one of which is killed: nothing lost, nothing twice."""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.helpers.pool_work as do
from w2l.core.errors import ConfigError
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Task
from w2l.core.locks import claim

ROOT = Path(__file__).parents[3]
SMALL = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_log_monitor": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of one node, whose workers find the work of these tests."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        made = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False, "no_monitor": True})
        yield made
        ray.shutdown()
        made.shutdown()


def workers_of(node: Any, folder: Path) -> set[int]:
    """The processes of a node that have made a context in `folder`."""
    raylet = str(node.all_processes["raylet"][0].process.pid)
    return {int(path.name.split("-")[1]) for path in folder.glob("context-*") if path.read_text() == raylet}


def at_work(folder: Path) -> set[int]:
    """The processes that have begun a task and not yet ended it."""
    names = {path.stem for path in folder.glob("*.begun")} - {path.stem for path in folder.glob("*.done")}
    return {int((folder / f"{name}.begun").read_text().split()[-1]) for name in names}


def cut_power(node: Any, folder: Path, killed: set[int]) -> None:
    """Waits until both workers of a node are in the middle of a task and kills node and workers at once."""
    do.until(lambda: len(workers_of(node, folder) & at_work(folder)) == 2)
    killed |= workers_of(node, folder)
    for pid in (node.all_processes["raylet"][0].process.pid, *killed):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_two_nodes_one_killed_in_the_middle(cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = cluster.add_node(**SMALL)
    cluster.wait_for_nodes()
    names = [f"clip{number:02d}" for number in range(16)]
    given = (Task(name, (tmp_path, name, 1.0)) for name in names)
    killed: set[int] = set()
    killer = threading.Thread(target=cut_power, args=(lost, tmp_path, killed))
    killer.start()
    done = list(run_tasks(given, do.commit, functools.partial(do.set_up, tmp_path), ray=cluster.address))
    killer.join()
    cluster.remove_node(lost, allow_graceful=False)
    assert killed
    assert sorted(one.task.name for one in done) == names
    assert {one.result for one in done} == {"done"}
    assert not [one.error for one in done if one.error]
    begun = {name: [int(pid) for pid in (tmp_path / f"{name}.begun").read_text().split()] for name in names}
    again = {name for name, pids in begun.items() if len(pids) > 1}
    assert len(again) == 2
    assert all(begun[name][0] in killed and begun[name][1] not in killed for name in again)
    assert {name for name in names if f"{name}: its worker died" in caplog.text} == again
    assert {path.stem for path in tmp_path.glob("*.done")} == set(names)
    assert not list(tmp_path.glob("*.lock"))


@pytest.fixture(scope="module")
def connected(cluster: Any) -> str:
    """The address of the cluster, for tests that need not connect and disconnect each."""
    import ray

    ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
    return str(cluster.address)


def test_outcomes_are_those_of_the_pool(connected: str, caplog: pytest.LogCaptureFixture) -> None:
    names = ["one", "broken", "full", "bug", "killed", "three"]
    with caplog.at_level(logging.INFO, "w2l"):
        done = {one.task.name: one for one in run_tasks(do.tasks(*names), do.fail, ray=connected)}
    assert {name: one.result for name, one in done.items() if not one.error} == {"one": 3, "three": 5}
    assert done["broken"].error == "broken: cannot be read; use another copy"
    assert done["full"].error == "full: No space left on device"
    assert "in fail" in done["bug"].trace
    assert [name for name, one in done.items() if one.died] == ["killed"]
    assert done["killed"].error.startswith("killed: its worker died, 2 times (WorkerCrashedError)")
    assert {"at work on one", "at work on three", done["bug"].trace.rstrip(), done["broken"].error} <= set(
        caplog.messages
    )


def test_a_context_that_cannot_be_made_ends_all(connected: str) -> None:
    with pytest.raises(ConfigError, match="no such detector; choose another"):
        list(run_tasks(do.tasks("a", "b"), do.fail, do.unfit, ray=connected))


@pytest.mark.slow
def test_busy_tasks_come_again_and_leaving_the_loop_ends_the_others(connected: str, tmp_path: Path) -> None:
    given = [Task(name, (tmp_path, name, length_s)) for name, length_s in [("a", 0.0), ("b", 60.0)]]
    with claim(tmp_path / "a.lock"):
        seen = run_tasks(given, do.commit, ray=connected)
        threading.Timer(3.0, (tmp_path / "a.lock").unlink).start()
        assert next(seen).task.name == "a"
    do.until(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
    seen.close()
    do.until(lambda: not list(tmp_path.glob("*.lock")), 10)
    assert [path.name for path in tmp_path.glob("*.done")] == ["a.done"]


def test_what_is_said_without_ray_or_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray").shutdown()
    with pytest.raises(ConfigError, match=r"no Ray cluster at 'localhost:1' .*--ray local"):
        list(run_tasks(do.tasks("a"), do.fail, ray="localhost:1"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"Ray is not installed .*pip install 'w2l\[ray\]'"):
        list(run_tasks(do.tasks("a"), do.fail, ray="local"))


@pytest.mark.slow
def test_a_cluster_of_its_own(tmp_path: Path) -> None:
    """`local`: with two workers, gone afterwards."""
    ray = pytest.importorskip("ray")
    ray.shutdown()
    names = [str(number) for number in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        done = list(run_tasks(do.tasks(*names), do.who, functools.partial(do.set_up, tmp_path), jobs=2, ray="local"))
    assert sorted(one.task.name for one in done) == names
    assert len({one.result for one in done}) <= 2
    assert next(run_tasks(do.tasks("a"), do.niceness, jobs=2, ray="local")).result == os.nice(0)
    assert not ray.is_initialized()

"""Several processes train as one with the joint batch; a killed one ends the others."""

import json
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.helpers.forked import Forked, w2l
from tests.helpers.tiny_cache import talking_cache
from tests.helpers.training_runs import options
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.training.parallel import ALONE, is_first, joined_ranks, under_torchrun

SMALL = [
    "layout=strided", "norm=group", "width=4", "n_clips=4", "per_clip=3", "lr=1e-3", "ema=0.9", "check=false",
    "loss=contrastive", "loop.log_every=1", "loop.checkpoint_every=5",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(cache: Path, run: str, size: int, *settings: str) -> list[Forked]:
    """Processes as `torchrun` starts them: the same command, told apart by the environment."""
    command = ["train-expert", "--cache", str(cache), "--run", run, "--device", "cpu", *options([*SMALL, *settings])]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]
    return [w2l(cache.parent / f"{run}{place['RANK']}", *command, environment=meeting | place) for place in places]


def finished(processes: list[Forked]) -> list[tuple[int, str, str]]:
    """(status, stdout, stderr) of each; none is left running where one does not end."""
    with ExitStack() as all_of_them:
        for process in processes:
            all_of_them.enter_context(process)
        return [process.said() for process in processes]


def steps(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "grad_norm" in line]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("parallel") / "cache", 6)


def test_two_processes_are_one_with_the_joint_batch(cache: Cache) -> None:
    brief = ("loop.steps=5", "loop.validate_every=5")
    (alone,) = finished(started(cache.root, "alone", 1, *brief))
    together = finished(started(cache.root, "together", 2, *brief))
    for status, _, said in (alone, *together):
        assert status == 0, said
    assert together[0][1].startswith(str(cache.run_folder("together")))
    assert together[1][1] == ""  # only the first process speaks
    assert ["tracks to train on" in said for _, _, said in together] == [True, False]
    one, other = steps(cache.run_folder("alone")), steps(cache.run_folder("together"))
    assert len(one) == len(other) == 5
    for mine, theirs in zip(one, other):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=2e-6)
    assert one[0]["contrastive"] != pytest.approx(one[4]["contrastive"], rel=1e-3)  # it moved, and both alike


def test_a_killed_process_ends_the_others_with_an_error(cache: Cache) -> None:
    processes = started(cache.root, "killed", 2, "loop.steps=100000", "loop.validate_every=100000")
    log = cache.run_folder("killed") / "log.jsonl"
    processes[0].until(lambda: log.exists() and log.read_text().count("\n") >= 6)
    processes[1].send_signal(signal.SIGKILL)
    status, _, said = finished(processes)[0]
    assert status == 1
    assert "another of the 2 processes has ended or does not respond" in said
    assert said.count("error: ") == 1
    assert torch.load(cache.run_folder("killed") / "state.pt", weights_only=True)["step"] % 5 == 0


class TestAlone:
    def test_rows_and_gradients_stay_as_they_are(self) -> None:
        rows = torch.arange(6.0).reshape(3, 2)
        joint = ALONE.joint(rows, 0, 3)
        assert torch.equal(joint, rows)
        assert joint.data_ptr() != rows.data_ptr()  # it becomes a leaf of its own
        weight = nn.Parameter(torch.ones(2))
        weight.grad = torch.full((2,), 3.0)
        ALONE.add_gradients([weight], [])
        assert torch.equal(weight.grad, torch.full((2,), 3.0))
        ALONE.agree(3, "steps", torch.device("cpu"))

    def test_without_torchrun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        with joined_ranks(torch.device("cpu")) as ranks:
            assert ranks is ALONE
        assert is_first()
        assert not under_torchrun()

    def test_what_torchrun_sets_must_be_numbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "two")
        with pytest.raises(ConfigError, match=r"\$WORLD_SIZE is 'two'"):
            under_torchrun()

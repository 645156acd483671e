"""Two processes train a generator, and what it is trained against, as one process does in two parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import generator_rank
from tests.helpers.forked import Forked
from tests.helpers.generator_rank import SETTINGS, logged, trained
from tests.helpers.makers import SAMPLING, TINY, task_for
from tests.helpers.tiny_cache import talking_cache
from tests.training.test_parallel import free_port
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.training.parallel import Ranks


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return talking_cache(tmp_path_factory.mktemp("ranks") / "cache", 6)


@pytest.fixture(scope="module")
def alone(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("alone") / "run"
    return folder, trained(task_for(cache, replace(SETTINGS, accumulate=2)), folder)


@pytest.fixture(scope="module")
def together(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, Any]]]:
    root, port, processes = tmp_path_factory.mktemp("together"), str(free_port()), []
    for rank in (0, 1):
        places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        folder = root / f"rank{rank}"
        process = Forked(root / f"said{rank}", generator_rank.main, cache.root, folder, environment=places | meeting)
        processes.append(process)
    for process in processes:
        with process:
            assert process.wait() == 0, process.err.read_text()
    return [(root / f"rank{rank}", torch.load(root / f"rank{rank}.pt", weights_only=True)) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_gradients_are_those_of_one_process(name: str, alone: Any, together: Any) -> None:
    wanted = alone[1]["gradients"][name]
    for _, found in together:
        largest = max(float(gradient.abs().max()) for gradient in wanted)
        assert largest > 0
        for mine, theirs in zip(found["gradients"][name], wanted, strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5 * largest)


def test_the_log_has_the_joint_terms(alone: Any, together: Any) -> None:
    mine, theirs = logged(alone[0])[0], logged(together[0][0])[0]
    assert theirs == pytest.approx(mine, rel=1e-3)
    assert {"l1", "sync", "adversarial", "disc_fake", "disc_grad_norm"} <= set(mine)


def test_both_processes_have_the_same_networks(together: Any) -> None:
    (_, first), (_, second) = together
    assert set(first["networks"]) == {"generator", "average", "discriminator"}
    for name, state in first["networks"].items():
        for key, tensor in state.items():
            assert torch.equal(second["networks"][name][key], tensor), f"{name} {key}"
    assert first["best"] == second["best"]


def test_only_the_first_process_writes(together: Any) -> None:
    (first, _), (second, _) = together
    assert {"log.jsonl", "state.pt", "generator-latest.safetensors"} <= {path.name for path in first.iterdir()}
    assert list(second.rglob("*")) == []


def test_processes_need_even_shares(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="batch_size=3 cannot be shared evenly by 2 processes; set a multiple of 2"):
        task_for(cache, replace(TINY, sampling=replace(SAMPLING, batch_size=3)), ranks=Ranks(0, 2))

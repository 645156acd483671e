"""Damaged inputs are answered with one line of error or a whole result: no traceback, no hang, no half file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fuzzing import Worker, make_seeds

QUICK = range(12)
ALL = range(300)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    make_seeds(folder)
    return folder


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize(
    "seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.slow) for seed in ALL if seed not in QUICK)]
)
def test_a_mutated_input_is_answered(seed: int, originals: Path, worker: Worker) -> None:
    verdict = worker.run(seed, originals)
    assert not verdict.fault, f"{verdict.case.told}: {verdict.fault}\n{verdict.stderr}"

"""The one command for all benchmarks: its names, and one of them run on little."""

import subprocess
import sys
from pathlib import Path

import pytest

from examples.benchmarks.__main__ import BENCHMARKS, main

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_name() -> None:
    command = [sys.executable, "-m", "examples.benchmarks", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"sync", "loader", "index", "detect", "generator", "train", "score"} == set(BENCHMARKS)
    for name, (what, _, _) in BENCHMARKS.items():
        assert f"  {name:10s} {what}\n" in done.stdout


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"python -m examples.benchmarks {name}" in capsys.readouterr().out


def test_a_small_index_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["index", "--rows", "4000", "--clips", "5"])
    shown = capsys.readouterr().out
    assert "| make 4,000 rows |" in shown
    assert "| index 5 clips from their records |" in shown

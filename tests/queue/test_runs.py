"""Training runs as a page shows them: read from their folders, which stay as they are."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.locks import claim
from w2l.queue import runs
from w2l.training.run_checks import keep_checks, read_checks


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


def make_run(cache: Cache, name: str, n_steps: int, changed_s: float = 1e9) -> Path:
    """A run in the middle of its way, with a warning, a finding and a sheet."""
    folder = cache.run_folder(name)
    (folder / "samples").mkdir(parents=True)
    lines = [{"step": step, "l1": 1 / step, "val/l1": 2 / step} for step in range(1, n_steps + 1)]
    said = [*lines, {"step": n_steps, "warning": "it <b>stands</b>"}]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said) + '{"step": 9')
    os.utime(folder / "log.jsonl", (changed_s, changed_s))
    (folder / "config.yaml").write_text("train:\n  loop:\n    steps: 400\n")
    cv2.imwrite(str(folder / "samples" / "step000000001.png"), np.zeros((8, 16, 3), np.uint8))
    keep_checks(folder, [("note", "note: 4 clips of 2 speakers")])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_runs_are_listed_the_last_changed_first(cache: Cache) -> None:
    make_run(cache, "older", 3, 1e9)
    folder = make_run(cache, "newer", 7, 2e9)
    cache.run_folder("begun").mkdir()
    with claim(folder / runs.LOCK):
        found = runs.list_runs(cache)
    assert [(run.name, run.step, run.is_training) for run in found] == [("newer", 7, True), ("older", 3, False)]
    before = found[1].mark
    with (cache.run_folder("older") / "log.jsonl").open("a") as file:
        file.write('\n{"step": 12, "l1": 0.5}\n')
    assert next(run for run in runs.list_runs(cache) if run.name == "older").mark != before
    assert {run.name: run.step for run in runs.list_runs(cache)}["older"] == 12


@pytest.mark.parametrize("content", ["", "{", '{"step": "3"}', '{"step": true}\n[1]', '{"step": NaN}'])
def test_a_log_without_steps_is_listed_at_step_0(cache: Cache, content: str) -> None:
    folder = cache.run_folder("run")
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text(content)
    assert [run.step for run in runs.list_runs(cache)] == [0]
    assert runs.run_figures(cache.root, "run").step == 0


def test_a_run_shows_curves_sheets_and_findings_and_stays_as_it_is(cache: Cache) -> None:
    folder = make_run(cache, "run", 40)
    before = contents(folder)
    found = runs.run_figures(cache.root, "run")
    assert (found.step, found.n_steps) == (40, 400)
    assert found.warnings == ((40, "it <b>stands</b>"),)
    assert found.checks == (("note", "note: 4 clips of 2 speakers"),)
    assert {"Loss terms", "Samples"} <= set(found.sections)
    assert "<svg" in found.sections["Loss terms"]
    assert "data:image/jpeg" in found.sections["Samples"]
    page = runs.run_page(cache.root, "run")
    assert "4 clips of 2 speakers" in page
    assert "it &lt;b&gt;stands" in page
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "gone", "/etc"])
def test_only_runs_of_the_cache_are_shown(cache: Cache, name: str) -> None:
    make_run(cache, "run", 3)
    for show in (runs.run_figures, runs.run_page):
        with pytest.raises(ConfigError, match="run"):
            show(cache.root, name)


@pytest.mark.parametrize("content", ["", "[]", '{"findings": 3}', '{"findings": [3, {"severity": "note"}]}'])
def test_damaged_findings_count_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "check.json").write_text(content)
    assert read_checks(tmp_path) == []


def test_findings_are_those_of_the_last_beginning(tmp_path: Path) -> None:
    keep_checks(tmp_path, [("warning", "warning: odd")])
    assert read_checks(tmp_path) == [("warning", "warning: odd")]
    keep_checks(tmp_path, [])
    assert read_checks(tmp_path) == []
    keep_checks(tmp_path, [])

"""The example that re-syncs a dataset: who says what, and a run with random models that is then resumed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from examples.research import resync_grid as script
from w2l.core.config import plain
from w2l.core.timing import SAMPLE_RATE
from w2l.data.puppets import draw_face
from w2l.data.sources.listing import Source
from w2l.faces.detectors.base import Detection
from w2l.features.crop import CropSpec
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.models.checkpoint import ModelCard, save_model
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.scoring import tools as score_bench
from w2l.syncing import tools as sync_tools

SOURCES = [Source(f"s1/{idx}", Path(f"s1/{idx}.mkv")) for idx in range(7)]


class OneFace:
    """Sees one face at the same place in every picture."""

    name = fingerprint = "one face"

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        points = np.array([[30.0, 28], [50, 28], [40, 40], [32, 52], [48, 52]])
        return [[Detection(np.array([20.0, 15, 60, 65]), 0.99, points)] for _ in images]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three clips of 14 frames, their file list, a generator and a judge of random weights."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(5)
    for name in "abc":
        write_wav(folder / "speech.wav", rng.normal(0, 0.1, SAMPLE_RATE * 14 // 25).astype(np.float32))
        with VideoWriter(Output(folder / f"{name}.mp4", 80, 80, 25, speech=folder / "speech.wav")) as writer:
            for _ in range(14):
                image = np.full((80, 80, 3), 90, np.uint8)
                draw_face(image, 40.0, 40.0, 24.0, float(rng.random()))
                writer.write(image)
    (folder / "test.txt").write_text("a\nb\nc\n")
    torch.manual_seed(0)
    to_judge = JudgeDimensions(size=112, width=8)
    save_model(
        folder / "judge.safetensors", Judge(to_judge), ModelCard("judge", plain(to_judge), CropSpec("judge", 112))
    )
    to_make = GeneratorDimensions(width=2, rows="lower")
    save_model(folder / "generator.safetensors", Generator(to_make), ModelCard("generator", plain(to_make)))
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_every_clip_says_another_ones_speech(seed: int) -> None:
    trials = script.pair_up(SOURCES, seed)
    assert sorted(trial.video.clip_id for trial in trials) == [source.clip_id for source in SOURCES]
    assert sorted(trial.speech.clip_id for trial in trials) == [source.clip_id for source in SOURCES]
    assert all(trial.video != trial.speech for trial in trials)
    assert trials == script.pair_up(SOURCES, seed)


def test_it_runs_and_goes_on(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made with --limit 1 is kept when all is asked for."""
    for module in (sync_tools, score_bench):
        monkeypatch.setattr(module, "make_detector", lambda *_: OneFace())
    arguments = [material, material / "test.txt", tmp_path / "out", "--device", "cpu"]
    arguments += ["--model", material / "generator.safetensors", "--judge", material / "judge.safetensors"]
    texts = [str(argument) for argument in arguments]
    shown = CliRunner().invoke(script.main, [*texts, "--limit", "1"])
    assert shown.exit_code == 0, shown.output
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")}
    assert {path.parent.name for path in first} == {"own", "shuffled"}

    shown = CliRunner().invoke(script.main, texts)
    assert shown.exit_code == 0, shown.output
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")}
    assert len(first) == 2
    assert len(made) == 6
    assert all(made[path] == time for path, time in first.items())
    rows = [line.rsplit("  ", 5)[0].split("  ")[0] for line in shown.stdout.splitlines() if "±" in line]
    assert rows[:4] == ["own speech", "another's speech", "real", "shuffled speech"]

"""The command `w2l score` on clips made here, with a tiny judge of random weights."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from stages.score import NO_REAL, ScoreSettings, command, run
from w2l.cache import Cache
from w2l.errors import CacheError, CheckpointError, ConfigError
from w2l.files import write_json
from w2l.media.audio import write_wav
from w2l.media.writer import VideoWriter
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.timing import SAMPLE_RATE
from w2l.training.checkpoint import ModelCard, save_model


@pytest.fixture(scope="module")
def judge_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    dimensions = {"size": 112, "width": 8}
    save_model(path, Judge(JudgeDimensions(**dimensions)), ModelCard("judge", dimensions))
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.mp4, b.mp4 and real.mp4 of 14 frames, and silent.mp4 and short.mp4."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(3)
    write_wav(folder / "speech.wav", rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32))
    for name, n_frames, sound in (("a", 14, 1), ("b", 14, 1), ("real", 14, 1), ("silent", 14, 0), ("short", 4, 1)):
        speech = folder / "speech.wav" if sound else None
        with VideoWriter(folder / f"{name}.mp4", 64, 64, 25, speech=speech) as writer:
            for _ in range(n_frames):
                writer.write(np.full((64, 64, 3), rng.integers(0, 256), np.uint8))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


def record(cache: Cache, media: Path, name: str, real: str = "real.mp4") -> None:
    paths = {"output": media / name, "video": media / real, "speech": media / "speech.wav", "model": "w2l"}
    write_json(cache.runs / f"{name}.json", {key: str(path) for key, path in paths.items()})


def call(cache: Cache, judge_path: Path, *arguments: Any) -> Result:
    fixed = ["--lse", "--crop", "frame", "--judge", judge_path, "--cache", cache.root, "--device", "cpu"]
    return CliRunner().invoke(command, [str(argument) for argument in [*fixed, *arguments]])


def settings(judge_path: Path) -> ScoreSettings:
    return ScoreSettings(judge=str(judge_path), crop="frame")


def test_without_files_all_runs_and_their_real_video_are_scored(cache: Cache, media: Path, judge_path: Path) -> None:
    """Two outputs of one video have one anchor row."""
    record(cache, media, "a.mp4")
    record(cache, media, "b.mp4")
    shown = call(cache, judge_path)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert "not comparable with published numbers" in lines[0]
    assert [line.split()[:2] for line in lines[2:7]] == [
        ["output", "a.mp4"], ["output", "b.mp4"], ["output", "mean"], ["real", "real.mp4"], ["real", "mean"]
    ]  # fmt: skip
    assert max(map(len, lines[1:])) <= 80
    assert NO_REAL not in shown.stdout


def test_the_result_holds_scores_and_means(cache: Cache, media: Path, judge_path: Path) -> None:
    record(cache, media, "a.mp4")
    result = run(settings(judge_path), [], [], cache)
    scores = [row.score for row in result.rows]
    assert [row.kind for row in result.rows] == ["output", "real"]
    assert all(score is not None and score.windows == 9 and len(score.curve) == 31 for score in scores)
    assert result.outputs is not None
    assert scores[0] is not None
    assert result.outputs.lse_d == scores[0].lse_d
    assert run(settings(judge_path), [], [], cache) == result


def test_without_files_and_runs_it_says_so(cache: Cache, judge_path: Path) -> None:
    with pytest.raises(CacheError, match="no run of w2l sync"):
        run(settings(judge_path), [], [], cache)


def test_a_file_without_a_real_video_says_so(cache: Cache, media: Path, judge_path: Path) -> None:
    shown = call(cache, judge_path, media / "a.mp4")
    assert shown.exit_code == 0
    assert NO_REAL in shown.stdout
    assert "real.mp4" not in shown.stdout


@pytest.mark.parametrize("where", ["runs", "a.w2l.json"])
def test_the_real_video_of_a_file_is_found(cache: Cache, media: Path, judge_path: Path, where: str) -> None:
    beside = media / where
    if where == "runs":
        record(cache, media, "a.mp4")
    else:
        write_json(beside, {"output": "a.mp4", "video": str(media / "real.mp4")})
    try:
        result = run(settings(judge_path), [media / "a.mp4"], [], cache)
    finally:
        beside.unlink(missing_ok=True)
    assert [(row.clip.name, row.kind) for row in result.rows] == [("a.mp4", "output"), ("real.mp4", "real")]


def test_given_real_videos_win(cache: Cache, media: Path, judge_path: Path) -> None:
    record(cache, media, "a.mp4")
    result = run(settings(judge_path), [media / "a.mp4"], [media / "b.mp4"], cache)
    assert [(row.clip.name, row.kind) for row in result.rows] == [("a.mp4", "output"), ("b.mp4", "real")]
    assert not result.notes


def test_what_cannot_be_scored_does_not_stop_the_others(cache: Cache, media: Path, judge_path: Path) -> None:
    names = ("silent.mp4", "short.mp4", "none.mp4", "a.mp4")
    shown = call(cache, judge_path, *(media / name for name in names))
    assert shown.exit_code == 1
    left = [line for line in shown.stdout.splitlines() if line.startswith("not scored: ")]
    assert [name for name in names if any(name in line for line in left)] == list(names[:3])
    assert ["output", "a.mp4"] in [line.split()[:2] for line in shown.stdout.splitlines()]


def test_json_and_csv_hold_all(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    written = tmp_path / "new" / "scores.csv"
    shown = call(cache, judge_path, media / "a.mp4", media / "silent.mp4", "--json", "--csv", written)
    assert shown.exit_code == 1
    content = json.loads(shown.stdout)
    assert content["judge"] == str(judge_path)
    assert content["rows"][0]["score"]["windows"] == 9
    assert "no sound" in content["rows"][1]["reason"]
    assert content["outputs"]["clips"] == 1
    assert content["real"] is None
    rows = list(csv.DictReader(written.open()))
    assert [row["kind"] for row in rows] == ["output", "output"]
    assert float(rows[0]["lse_d"]) == pytest.approx(content["rows"][0]["score"]["lse_d"])


def test_without_a_face_the_crop_is_hinted_at(cache: Cache, media: Path, judge_path: Path) -> None:
    """The default crop looks for faces; these pictures have none."""
    arguments = [media / "a.mp4", "--judge", judge_path, "--cache", cache.root, "--device", "cpu"]
    shown = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert shown.exit_code == 1
    assert "no face" in shown.stdout
    assert "--crop frame" in shown.stdout


def test_bad_settings_are_refused(cache: Cache, media: Path) -> None:
    with pytest.raises(ConfigError, match="choose face or frame"):
        ScoreSettings(crop="mouth")
    with pytest.raises(ConfigError, match="at least 1"):
        ScoreSettings(max_shift=0)
    with pytest.raises(CheckpointError, match="no judge named 'nobody'"):
        run(ScoreSettings(judge="nobody"), [media / "a.mp4"], [], cache)

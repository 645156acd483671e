"""The command `w2l score` on clips made here, with a tiny judge of random weights."""

import csv
import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from torch import nn

from examples.research import average_weights
from stages.score import command
from w2l.cache.store import Cache
from w2l.core.config import plain
from w2l.core.errors import CacheError, CheckpointError, ConfigError
from w2l.core.files import sha256, write_json
from w2l.core.timing import SAMPLE_RATE
from w2l.faces.detectors.base import Detection
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.models.checkpoint import PUBLIC_JUDGE_DATA, Model, ModelCard, load_model, marks_of, save_model
from w2l.models.lineage import TaughtBy
from w2l.models.registry import as_teacher, bring
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.scoring import run as scoring
from w2l.scoring import tools as score_bench
from w2l.scoring.chance import ONE_CLIP, OWN_CHANCE
from w2l.scoring.inputs.samples import NO_REAL
from w2l.scoring.judge import title_of
from w2l.scoring.metrics.columns import GROUPS, MeasureGroup
from w2l.scoring.results import REAL, SHUFFLED, ScoreReport, SystemScore
from w2l.scoring.run import ScoreRequest, ScoreWork, run
from w2l.scoring.settings import ScoreSettings
from w2l.scoring.tools import ALL_COLUMNS

CLIPS = (
    ("a", 14, 1), ("b", 14, 1), ("c", 14, 1), ("real", 14, 1), ("silent", 14, 0), ("short", 4, 1),
    ("a mute", 14, 0), ("b mute", 14, 0),
)  # fmt: skip
"""Name, frames, whether there is sound; names that begin alike have the same pictures."""


@pytest.fixture(scope="module")
def judge_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    dimensions = {"size": 112, "width": 8}
    save_model(path, Judge(JudgeDimensions(**dimensions)), ModelCard("judge", dimensions))
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.mp4, b.mp4, c.mp4 and real.mp4 of 14 frames, and silent.mp4 and short.mp4."""
    folder = tmp_path_factory.mktemp("media")
    for name, n_frames, sound in CLIPS:
        rng = np.random.default_rng(list(name.split()[0].encode()))
        write_wav(folder / f"{name}.wav", rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32))
        speech = folder / f"{name}.wav" if sound else None
        with VideoWriter(Output(folder / f"{name}.mp4", 64, 64, 25, speech=speech)) as writer:
            for _ in range(n_frames):
                writer.write(np.full((64, 64, 3), rng.integers(0, 256), np.uint8))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


def record(cache: Cache, media: Path, name: str, real: str = "real.mp4") -> None:
    paths = {"output": media / name, "video": media / real, "speech": media / "a.wav", "model": "w2l"}
    write_json(cache.runs / f"{name}.json", {key: str(path) for key, path in paths.items()})


def call(cache: Cache, judge_path: Path, *arguments: Any) -> Result:
    fixed = ["--variant", "lrs", "--judge", judge_path, "--cache", cache.root, "--device", "cpu"]
    return CliRunner().invoke(command, [str(argument) for argument in [*fixed, *arguments]])


def settings(judge_path: Path, **named: Any) -> ScoreSettings:
    return ScoreSettings(judge=str(judge_path), variant="lrs", **named)


def system(report: ScoreReport, name: str) -> SystemScore:
    return next(one for one in report.systems if one.system == name)


def test_without_files_all_runs_their_real_video_and_chance_are_scored(
    cache: Cache, media: Path, judge_path: Path
) -> None:
    """Two outputs of one video have one anchor row."""
    record(cache, media, "a.mp4")
    record(cache, media, "b.mp4", real="c.mp4")
    shown = call(cache, judge_path)
    assert shown.exit_code == 0, shown.output
    first, *others = shown.stdout.splitlines()
    assert first.startswith("The judge cannot tell lip sync on these clips: 2 real videos fit their own sound at no ")
    assert any("not comparable with published numbers" in line for line in others)
    for row in ("w2l", REAL, SHUFFLED):
        assert any(line.startswith(row) and "±" in line for line in shown.stdout.splitlines()), row
    assert NO_REAL not in shown.stdout


def test_the_report_holds_clips_and_means(cache: Cache, media: Path, judge_path: Path) -> None:
    request = ScoreRequest((media / "a.mp4", media / "b.mp4"), (media / "real.mp4",))
    report = run(request, settings(judge_path), cache).report
    outputs = [clip for clip in report.clips if clip.sample.system == "outputs"]
    assert [clip.sample.name for clip in outputs] == ["a", "b"]
    assert all(clip.windows == 9 and len(clip.curve) == 31 for clip in outputs)
    told = system(report, "outputs")
    assert told.scored == 2
    assert told.means["lse_d"].mean == pytest.approx(np.mean([clip.values["lse_d"] for clip in outputs]))
    assert told.means["lse_d"].low <= told.means["lse_d"].mean <= told.means["lse_d"].high
    assert system(report, REAL).scored == 1


def test_shuffled_speech_is_another_clips(cache: Cache, media: Path, judge_path: Path) -> None:
    """It equals scoring one picture with the other's sound, to half precision."""
    report = run(ScoreRequest((media / "a.mp4", media / "b.mp4")), settings(judge_path), cache).report
    shuffled = [clip for clip in report.clips if clip.sample.system == SHUFFLED]
    assert {(clip.sample.path.stem, clip.sample.speech.stem) for clip in shuffled if clip.sample.speech} == {
        ("a", "b"), ("b", "a"),
    }  # fmt: skip
    pairs = media / "exchanged.csv"
    pairs.write_text("output,speech\na mute.mp4,b.mp4\nb mute.mp4,a.mp4\n")
    named = run(ScoreRequest((pairs,)), settings(judge_path), cache).report
    expected = {
        clip.sample.path.stem[0]: clip.values["lse_d"] for clip in named.clips if clip.sample.system != SHUFFLED
    }
    assert len(expected) == 2
    for clip in shuffled:
        assert clip.values["lse_d"] == pytest.approx(expected[clip.sample.path.stem], rel=2e-3)


def test_one_clip_makes_no_chance(cache: Cache, media: Path, judge_path: Path) -> None:
    """A clip and its real video, or the outputs of two systems, say the same: one under the other is no chance."""
    alone = run(ScoreRequest((media / "a.mp4",), (media / "b.mp4",)), settings(judge_path), cache).report
    assert [one.system for one in alone.systems] == ["outputs", REAL]
    assert ONE_CLIP in alone.notes
    pairs = media / "systems.csv"
    pairs.write_text("output,system,name\na.mp4,one,x\nb.mp4,two,x\nc.mp4,two,y\n")
    told = run(ScoreRequest((pairs,)), settings(judge_path), cache).report
    assert {clip.sample.path.stem for clip in told.clips if clip.sample.system == SHUFFLED} == {"a", "c"}
    assert OWN_CHANCE in told.notes


def test_files_that_nothing_asks_for_are_noted(cache: Cache, media: Path, judge_path: Path) -> None:
    words = media / "words.tsv"
    words.write_text("clip\tstart_s\tend_s\tword\na\t0\t0.2\tbin\n")
    files = (media / "a.mp4", media / "b.mp4")
    report = run(ScoreRequest(files), settings(judge_path, words=str(words)), cache).report
    assert "--words has no effect without --mouth" in report.notes
    report = run(ScoreRequest(files), settings(judge_path, words=str(words), measures=("mouth",)), cache).report
    assert f"{words} lacks the words of 1 of 2 outputs: b" in report.notes


def test_chance_is_the_mean_over_several_partners(cache: Cache, media: Path, judge_path: Path) -> None:
    files = [media / f"{name}.mp4" for name in "abc"]
    report = run(ScoreRequest(tuple(files)), settings(judge_path), cache).report
    shuffled = {clip.sample.name: clip for clip in report.clips if clip.sample.system == SHUFFLED}
    requests = [ScoreRequest(two) for two in itertools.combinations(files, 2)]
    pairs = [run(request, settings(judge_path), cache).report.clips for request in requests]
    for name, clip in shuffled.items():
        found = [one.values["lse_d"] for clips in pairs for one in clips if one.sample.system == SHUFFLED]
        names = [one.sample.name for clips in pairs for one in clips if one.sample.system == SHUFFLED]
        expected = [value for value, other in zip(found, names) if other == name]
        assert len(expected) == 2
        assert clip.values["lse_d"] == pytest.approx(np.mean(expected))
        assert np.isnan(clip.values["offset"])


def test_a_reference_that_cannot_be_read_costs_the_comparison_alone(
    cache: Cache, media: Path, judge_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "real.mp4").write_text("no video")
    request = ScoreRequest((media / "a.mp4",), (tmp_path / "real.mp4",))
    clip = run(request, settings(judge_path, measures=("lse", "quality")), cache).report.clips[0]
    assert clip.values["windows"] == 9
    assert any("the reference cannot be read" in note for note in clip.notes)


def test_a_result_that_could_not_be_written_is_refused_at_once(cache: Cache, media: Path, judge_path: Path) -> None:
    shown = call(cache, judge_path, media / "a.mp4", "--csv", media / "a.mp4" / "scores.csv")
    assert isinstance(shown.exception, CacheError)
    assert not cache.scores.exists()


@pytest.mark.parametrize("option", ["--csv", "--report"])
def test_a_result_takes_the_place_of_a_file_only_when_asked_and_never_of_an_input(
    cache: Cache, media: Path, judge_path: Path, tmp_path: Path, option: str
) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    for name in ("a.mp4", "real.mp4", "b.mp4"):
        shutil.copy(media / name, (folder if name != "real.mp4" else tmp_path) / name)
    listed = tmp_path / "list.csv"
    listed.write_text("output,reference,speech\noutputs/a.mp4,real.mp4,b.wav\n")
    shutil.copy(media / "b.wav", tmp_path / "b.wav")
    (tmp_path / "link.csv").symlink_to(folder / "b.mp4")
    notes = tmp_path / "notes.txt"
    notes.write_text("kept")
    before = {path: path.read_bytes() for path in [notes, listed, *tmp_path.glob("*.wav"), *tmp_path.rglob("*.mp4")]}
    for inputs, result, said in [
        ((folder / "a.mp4",), notes, "exists; overwrite it with -y"),
        ((folder / "a.mp4",), folder / "a.mp4", "exists; overwrite it with -y"),
        ((folder / "a.mp4", "-y"), folder / "a.mp4", "is also an input"),
        ((folder, "-y"), folder / "b.mp4", "is also an input"),
        ((folder, "-y"), tmp_path / "link.csv", "is also an input"),
        ((listed, "-y"), listed, "is also an input"),
        ((listed, "-y"), tmp_path / "b.wav", "is also an input"),
        ((folder / "a.mp4", "--reference", tmp_path / "real.mp4", "-y"), tmp_path / "real.mp4", "is also an input"),
        ((folder / "a.mp4", "-y"), judge_path, "is also an input"),
        ((folder / "a.mp4", "-y"), folder / "a.w2l.json", "is also an input"),
    ]:
        shown = call(cache, judge_path, *inputs, option, result)
        assert isinstance(shown.exception, ConfigError), (inputs, result)
        assert said in str(shown.exception)
    assert {path: path.read_bytes() for path in before} == before
    assert call(cache, judge_path, folder / "a.mp4", option, notes, "-y").exit_code == 0
    assert "kept" not in notes.read_text()


def test_csv_and_page_are_two_files(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    shown = call(cache, judge_path, media / "a.mp4", "--csv", tmp_path / "x", "--report", tmp_path / "y" / ".." / "x")
    assert "are the same file" in str(shown.exception)


@pytest.mark.parametrize("name", [REAL, SHUFFLED])
@pytest.mark.parametrize("how", ["column", "list", "folder", "record"])
def test_no_output_joins_an_anchor_row(
    cache: Cache, media: Path, judge_path: Path, tmp_path: Path, name: str, how: str
) -> None:
    paths: list[Path] = [tmp_path / f"{name}.csv"]
    match how:
        case "column":
            paths[0].write_text(f"output,system,reference\n{media / 'a.mp4'},{name},{media / 'real.mp4'}\n")
        case "list":
            paths[0].write_text(f"output,reference\n{media / 'a.mp4'},{media / 'real.mp4'}\n")
        case "folder":
            paths = [tmp_path / name]
            paths[0].mkdir()
            shutil.copy(media / "a.mp4", paths[0])
        case "record":
            paths = []
            made = {"output": media / "a.mp4", "video": media / "real.mp4", "model": tmp_path / f"{name}.safetensors"}
            write_json(cache.runs / "a.json", {key: str(path) for key, path in made.items()})
    report = run(ScoreRequest(tuple(paths), (media / "real.mp4",)), settings(judge_path), cache).report
    assert {one.system: one.scored for one in report.systems} == {f"{name}/": 1, REAL: 1}
    assert any(f"a system {name}/" in note for note in report.notes)


def test_of_outputs_made_from_a_still_it_is_said_that_nothing_is_real(
    cache: Cache, media: Path, judge_path: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((64, 64, 3), np.uint8))
    shown = call(cache, judge_path, media / "a.mp4", "--reference", tmp_path / "face.png")
    assert shown.exit_code == 1
    assert "is a still image" in " ".join(shown.stdout.split())
    assert "set --reference to the real video" in " ".join(shown.stdout.split())


def test_what_is_known_is_not_measured_again(
    cache: Cache, media: Path, judge_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run equals the first; another setting, --force or a damaged file asks the judge again."""
    measured: list[str] = []
    real_measure = scoring.measure_clip
    monkeypatch.setattr(
        scoring, "measure_clip", lambda sample, bench: measured.append(sample.name) or real_measure(sample, bench)
    )
    files = (media / "a.mp4", media / "b.mp4")
    first = run(ScoreRequest(files), settings(judge_path), cache)
    assert measured == ["a", "b"]
    assert run(ScoreRequest(files), settings(judge_path), cache) == first
    assert run(ScoreRequest(files), settings(judge_path, batch=3), cache).report.clips[0].windows == 9
    assert len(measured) == 2
    run(ScoreRequest(files), settings(judge_path, max_shift=7), cache)
    assert len(measured) == 4
    assert run(ScoreRequest(files), settings(judge_path), cache, ScoreWork(force=True)) == first
    assert len(measured) == 6
    for kept in cache.scores.rglob("*.json"):
        kept.write_text("{")
    assert run(ScoreRequest(files), settings(judge_path), cache) == first
    assert len(measured) == 8


def test_a_judge_of_the_same_name_is_another_judge(cache: Cache, media: Path, tmp_path: Path) -> None:
    path, dimensions, found = tmp_path / "judge.safetensors", {"size": 112, "width": 8}, []
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_model(path, Judge(JudgeDimensions(**dimensions)), ModelCard("judge", dimensions))
        found.append(run(ScoreRequest((media / "a.mp4",)), settings(path), cache).report.clips[0].values["lse_d"])
    assert found[0] != found[1]


def test_several_processes_score_the_same(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    files = (media / "a.mp4", media / "silent.mp4", media / "b.mp4", media / "real.mp4")
    one = run(ScoreRequest(files), settings(judge_path), cache)
    two = run(ScoreRequest(files), settings(judge_path), Cache.open(tmp_path / "other", create=True), ScoreWork(jobs=2))
    assert [clip.scored for clip in two.report.clips] == [clip.scored for clip in one.report.clips]
    for ours, theirs in zip(one.report.clips, two.report.clips):
        assert ours.values == pytest.approx(theirs.values, abs=1e-4, nan_ok=True)


@pytest.mark.slow
def test_ray_scores_the_same(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    files = (media / "a.mp4", media / "silent.mp4", media / "b.mp4")
    one = run(ScoreRequest(files), settings(judge_path), cache)
    other = Cache.open(tmp_path / "other", create=True)
    two = run(ScoreRequest(files), settings(judge_path), other, ScoreWork(jobs=2, ray="local"))
    assert [clip.scored for clip in two.report.clips] == [clip.scored for clip in one.report.clips]
    for ours, theirs in zip(one.report.clips, two.report.clips):
        assert ours.values == pytest.approx(theirs.values, abs=1e-4, nan_ok=True)


def test_without_files_and_runs_it_says_so(cache: Cache, judge_path: Path) -> None:
    with pytest.raises(CacheError, match="no runs of w2l sync"):
        run(ScoreRequest(), settings(judge_path), cache)


def test_a_file_without_a_real_video_says_so(cache: Cache, media: Path, judge_path: Path) -> None:
    shown = call(cache, judge_path, media / "a.mp4")
    assert shown.exit_code == 0
    assert NO_REAL in " ".join(shown.stdout.split())
    assert "requires two clips" in shown.stdout


def test_what_cannot_be_scored_does_not_stop_the_others(cache: Cache, media: Path, judge_path: Path) -> None:
    (media / "broken.mp4").write_bytes((media / "b.mp4").read_bytes()[:300])
    names = ("silent.mp4", "short.mp4", "broken.mp4", "a.mp4")
    shown = call(cache, judge_path, *(media / name for name in names))
    (media / "broken.mp4").unlink()
    assert shown.exit_code == 1
    report = " ".join(shown.stdout.split())
    assert "no sound" in report
    assert "too short" in report
    assert all(name.removesuffix(".mp4") in report for name in names)
    assert "outputs 1/4" in report


def test_a_path_that_is_not_there_is_refused_at_once(cache: Cache, media: Path, judge_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.mp4 does not exist"):
        run(ScoreRequest((media / "a.mp4", media / "none.mp4")), settings(judge_path), cache)
    assert not cache.scores.exists()


def test_json_csv_and_page_hold_all(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    written, page = tmp_path / "new" / "scores.csv", tmp_path / "page.html"
    files = (media / "a.mp4", media / "silent.mp4")
    shown = call(cache, judge_path, *files, "--json", "--csv", written, "--report", page)
    assert shown.exit_code == 1
    content = json.loads(shown.stdout)
    clips = {clip["sample"]["name"]: clip for clip in content["clips"]}
    assert clips["a"]["values"]["windows"] == 9
    assert content["settings"]["judge"] == str(judge_path)
    assert content["judge_check"]["can_tell"] is False
    assert content["judge_check"]["clips"] == 1
    assert clips["a"]["values"]["offset"] is None
    assert "no sound" in clips["silent"]["reason"]
    rows = {Path(row["path"]).stem: row for row in csv.DictReader(written.read_text().splitlines())}
    assert (rows["a"]["offset"], rows["a"]["judge_can_tell"]) == ("none", "no")
    assert float(rows["a"]["lse_d"]) == pytest.approx(clips["a"]["values"]["lse_d"])
    assert "no sound" in rows["silent"]["reason"]
    text = page.read_text()
    assert "no sound" in text
    assert "data:image/jpeg;base64," in text
    assert "://" not in text.replace("http://www.w3.org", "")


def test_all_measures_beside_a_reference(cache: Cache, media: Path, judge_path: Path, tmp_path: Path) -> None:
    """Pictures without a face: every measure is asked, and says that there was nothing to see."""
    shown = call(cache, judge_path, "--all", media / "a.mp4", "--reference", media / "real.mp4", "--json")
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    assert any("no face was found" in note for note in content["clips"][0]["notes"])
    assert content["clips"][0]["values"]["windows"] == 9


def test_without_a_face_the_variant_is_hinted_at(cache: Cache, media: Path, judge_path: Path) -> None:
    """The default variant looks for faces; these pictures have none."""
    arguments = [media / "a.mp4", "--judge", judge_path, "--cache", cache.root, "--device", "cpu"]
    shown = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert shown.exit_code == 1
    assert "no face" in shown.stdout
    assert "--variant lrs" in " ".join(shown.stdout.split())


def test_every_column_is_explained() -> None:
    shown = CliRunner().invoke(command, ["--explain"])
    assert shown.exit_code == 0
    for group in GROUPS:
        assert f"--{group}" in shown.stdout
    names = [column.name for column in ALL_COLUMNS]
    assert len(set(names)) == len(names)
    text = " ".join(shown.stdout.split())
    for column in ALL_COLUMNS:
        assert column.heading in text
        assert len(column.meaning) > 40
        assert " ".join(column.meaning.split())[:60] in text


def test_bad_settings_are_refused(cache: Cache, media: Path, judge_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose face, lrs, real"):
        ScoreSettings(variant="mouth")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        ScoreSettings(max_shift=0)
    with pytest.raises(ConfigError, match=r"lost\.pth does not exist"):
        ScoreSettings(inception="lost.pth")
    with pytest.raises(CheckpointError, match="no judge named 'nobody'"):
        run(ScoreRequest((media / "a.mp4",)), ScoreSettings(judge="nobody"), cache)
    with pytest.raises(CheckpointError, match="w2l weights fetch syncnet-v2"):
        run(ScoreRequest((media / "a.mp4",)), ScoreSettings(judge="syncnet-v2"), cache)


class OneFace:
    """Sees one face at the same place in every picture."""

    name = fingerprint = "one face"

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        points = np.array([[20.0, 18], [40, 18], [30, 30], [22, 42], [38, 42]])
        return [[Detection(np.array([10.0, 5, 50, 55]), 0.99, points)] for _ in images]


@pytest.fixture
def expert_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(score_bench, "make_detector", lambda *_: OneFace())
    torch.manual_seed(0)
    dimensions = ExpertDimensions(width=4, layout="strided")
    save_model(tmp_path / "expert.safetensors", Expert(dimensions).eval(), ModelCard("expert", plain(dimensions)))
    return tmp_path / "expert.safetensors"


@pytest.fixture
def taught(cache: Cache, media: Path, expert_path: Path, tmp_path: Path) -> Path:
    """An output whose record names a generator that the expert taught."""
    return made_by(cache, media, tmp_path, TaughtBy(sha256=sha256(expert_path)))


def made_by(cache: Cache, media: Path, folder: Path, *teachers: TaughtBy) -> Path:
    """An output whose record names a generator with these teachers."""
    dimensions = GeneratorDimensions(width=2, rows="lower")
    card = ModelCard("generator", plain(dimensions), teachers=teachers)
    save_model(folder / "generator.safetensors", Generator(dimensions), card)
    paths = {"output": media / "a.mp4", "video": media / "real.mp4", "model": folder / "generator.safetensors"}
    write_json(cache.runs / "a.json", {key: str(path) for key, path in paths.items()})
    return media / "a.mp4"


def saved_expert(path: Path, seed: int, **facts: Any) -> Model:
    torch.manual_seed(seed)
    dimensions = ExpertDimensions(width=4, layout="strided")
    save_model(path, Expert(dimensions), ModelCard("expert", plain(dimensions), **facts))
    return load_model(path, "expert")


def relative(kind: str, teacher: Model, folder: Path) -> tuple[Path, TaughtBy]:
    """A judge that is related to `teacher` in one of the ways there are, and what a generator's card says of that."""
    path, record = folder / "judge.safetensors", as_teacher(teacher)
    if kind == "calibrated":
        save_model(path, teacher.network, replace(teacher.card, calibrated=True, scale=3.0))
    elif kind == "imported":
        path = bring(teacher.path, "renamed", Cache.open(folder / "cache", create=True), licence="mine").path
    elif kind == "tuned from it":
        saved_expert(path, 2, ancestors=marks_of(teacher))
    elif kind == "averaged":
        other = saved_expert(folder / "other.safetensors", 3)
        average_weights.average(path, {other.path: 1, teacher.path: 1})
    elif kind == "tuned, card of 0.1":
        saved_expert(path, 2, ancestors=marks_of(teacher))
        record = TaughtBy(sha256=sha256(teacher.path))
    elif kind == "what it was tuned from":
        ancestor = saved_expert(path, 4)
        record = as_teacher(saved_expert(folder / "tuned.safetensors", 5, ancestors=marks_of(ancestor)))
    elif kind == "tuned from the same":
        saved_expert(path, 2, ancestors=marks_of(teacher))
        record = as_teacher(saved_expert(folder / "tuned.safetensors", 5, ancestors=marks_of(teacher)))
    return path, record


RELATIVES = (
    "calibrated", "imported", "tuned from it", "averaged", "tuned, card of 0.1", "what it was tuned from",
    "tuned from the same",
)  # fmt: skip


@pytest.mark.parametrize("kind", RELATIVES)
def test_a_relative_of_the_teacher_is_no_judge_either(
    kind: str, cache: Cache, media: Path, expert_path: Path, tmp_path: Path
) -> None:
    """The teacher itself, by its file, is not there any more: the marks of weights and ancestors tell."""
    teacher = load_model(expert_path, "expert")
    path, record = relative(kind, teacher, tmp_path)
    assert sha256(path) != record.sha256
    output = made_by(cache, media, tmp_path, TaughtBy(sha256="0" * 64), record)
    with pytest.raises(ConfigError, match=r"taught the generator .* not a fair judge"):
        run(ScoreRequest((output,)), ScoreSettings(str(path)), cache)
    unrelated = saved_expert(tmp_path / "unrelated.safetensors", 9).path
    assert run(ScoreRequest((output,)), ScoreSettings(str(unrelated)), cache).report.clips[0].scored


def test_a_judge_whose_distances_are_no_numbers_is_named(cache: Cache, media: Path, tmp_path: Path) -> None:
    dimensions = {"size": 112, "width": 8}
    network = Judge(JudgeDimensions(**dimensions))
    for weight in network.parameters():
        weight.data.mul_(1e30)
    save_model(tmp_path / "wild.safetensors", network, ModelCard("judge", dimensions))
    shown = call(cache, tmp_path / "wild.safetensors", media / "a.mp4")
    assert shown.exit_code == 1
    assert "wild.safetensors returns non-finite values" in shown.output


def test_an_expert_is_no_judge_of_those_it_taught_unless_asked_for(
    cache: Cache, media: Path, taught: Path, expert_path: Path
) -> None:
    shown = call(cache, expert_path, taught, "--variant", "face")
    assert isinstance(shown.exception, ConfigError)
    assert "not a fair judge" in str(shown.exception)
    allowed = call(cache, expert_path, taught, "--allow-teacher", "--variant", "face")
    assert allowed.exit_code == 0, allowed.output
    assert "not comparable with published numbers or with judges" in allowed.stdout
    assert "its scores favour that generator" in " ".join(allowed.stdout.split())
    report = run(ScoreRequest((media / "b.mp4",)), ScoreSettings(str(expert_path)), cache).report
    assert any("the models of 1 outputs are not recorded" in note for note in report.notes)
    others = report.clips[0]
    assert others.windows == 9
    assert 0 < others.values["lse_d"] < 2


def test_what_is_no_judge_is_refused(
    cache: Cache, media: Path, taught: Path, expert_path: Path, tmp_path: Path
) -> None:
    dimensions = ExpertDimensions(width=4, layout="strided", n_frames=16)
    save_model(tmp_path / "long.safetensors", Expert(dimensions), ModelCard("expert", plain(dimensions)))
    with pytest.raises(ConfigError, match="windows of 16 frames"):
        run(ScoreRequest((media / "b.mp4",)), settings(tmp_path / "long.safetensors"), cache)
    with pytest.raises(ConfigError, match="aligned faces, not whole frames"):
        run(ScoreRequest((media / "b.mp4",)), settings(expert_path), cache)
    with pytest.raises(ConfigError, match="FD-judge requires a judge"):
        run(ScoreRequest((media / "b.mp4",)), ScoreSettings(str(expert_path), measures=("fid",)), cache)
    with pytest.raises(CheckpointError, match="of kind generator, not judge"):
        run(ScoreRequest((taught,)), settings(tmp_path / "generator.safetensors"), cache)


def test_a_table_without_lse_has_its_own_title(media: Path, judge_path: Path, tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "cache", create=True)
    request = ScoreRequest((media / "b.mp4",), (media / "a.mp4",))
    titles: dict[MeasureGroup, str] = {
        "fid": "FD-judge (features of",
        "quality": "Image quality, against",
        "lse": "LSE, variant",
    }
    for group, title in titles.items():
        found = run(request, ScoreSettings(str(judge_path), measures=(group,)), cache).report
        assert found.title.startswith(title)
        assert ("LSE" in found.title) == (group == "lse")
        assert found.notes[-1].startswith("measured by w2l" if group == "quality" else "judged by")


def test_a_public_judge_is_told_from_ours() -> None:
    ours = Model(nn.Identity(), ModelCard("judge", {}, data="GRID"), Path("runs/mine.safetensors"))
    public = Model(nn.Identity(), ModelCard("judge", {}, data=PUBLIC_JUDGE_DATA), Path("syncnet_v2.model"))
    assert "the judge trained by w2l (not comparable" in title_of(ours, ScoreSettings())
    assert "judge mine, trained by w2l (not comparable" in title_of(ours, ScoreSettings(judge="mine"))
    for variant in ("lrs", "real"):
        title = f"LSE, variant {variant}, by SyncNet v2 (public weights)"
        assert title_of(public, ScoreSettings(judge="x", variant=variant)) == title
    assert "published numbers use the variants lrs or real" in title_of(public, ScoreSettings(judge="x"))


def test_a_study_is_built_and_summed_up(tmp_path: Path, media: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        shutil.copy(media / "a.mp4", tmp_path / name / "a.mp4")
    (tmp_path / "study.yaml").write_text("study: {seed: 3}\nscore: {seed: 4}\n")
    systems = [tmp_path / "ours", tmp_path / "theirs"]
    arguments = ["--study", tmp_path / "study", *systems, "--config", tmp_path / "study.yaml"]
    shown = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "study" / "for-raters" / "study.html").is_file()
    both = CliRunner().invoke(command, ["--study", str(tmp_path / "study"), "--study-results", str(media / "a.mp4")])
    assert isinstance(both.exception, ConfigError)


def test_other_machines_get_whole_names(media: Path, judge_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(judge_path.parent)
    told = ScoreSettings(judge=judge_path.name, measures=("lse",)).everywhere()
    assert told.judge == str(judge_path)
    assert ScoreSettings(judge="w2l").everywhere() == ScoreSettings(judge="w2l")

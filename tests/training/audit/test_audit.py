"""The audit on caches of drawn mouths, by an expert that simply compares how open they are with how loud it is."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.helpers.tiny_cache import ALIGNED, JUDGE, add_track, face, talking_cache
from w2l.cache.store import Cache, Clip
from w2l.core.errors import CacheError, CheckpointError, ConfigError
from w2l.core.timing import FPS, MEL_RATE, mel_columns
from w2l.data.batches.tracks import Tracks
from w2l.models.checkpoint import Model, ModelCard, dimensions_of, save_model
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.audit import measure as auditor
from w2l.training.audit import run as audit_run
from w2l.training.audit.lag import Lag
from w2l.training.audit.measure import Auditor
from w2l.training.audit.run import AuditResult, audit_cache, undo_audit
from w2l.training.audit.table import audit_table
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement, find_zero, judge_track, measure, why_at_chance

N_FRAMES = 60
SURE = Lag(offset=0.0, confidence=3.0, margin=2.0, odds=2.0, n_voiced=50, at_edge=False)
CARD = ModelCard("expert", {"size": 32, "n_frames": 5}, ALIGNED, calibrated=True, scale=6.0, bias=-3.0)


class Openness:
    """Embeds five openings of the mouth, or the loudness at these frames; see `w2l.training.expert.pairing.Pairing`."""

    network = nn.Identity()

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        opening = (faces[..., 0] == 90).float().mean(dim=(-2, -1))
        columns = [round(frame * MEL_RATE / FPS) for frame in range(5)]
        return _unit(sounds.mean(dim=1)[:, columns]), _unit(opening)

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        return audio @ face.T


def _unit(vectors: Tensor) -> Tensor:
    centred = vectors - vectors.mean(dim=1, keepdim=True)
    return centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-6)


def shifted_cache(root: Path, shifts: list[float], n_frames: int = N_FRAMES, drift: bool = False) -> Cache:
    """A cache in which the sound of clip k runs `shifts[k]` frames ahead; `drift`: in its second half."""
    cache = Cache.open(root, create=True)
    for number, shift in enumerate(shifts):
        rng = np.random.default_rng([7, number])
        knots = rng.random(round(n_frames / 2) + 60)

        def loudness(time_s: NDArray[np.float64], knots: NDArray[np.float64] = knots) -> NDArray[np.float64]:
            return np.interp(time_s, np.arange(len(knots)) * 0.08 - 2, knots)

        times = np.arange(mel_columns(n_frames * 640)) / MEL_RATE
        ahead = np.where(times > times.mean(), shift, 0) if drift else shift
        level = loudness(times + ahead / FPS)
        mel = -2.4 + 6 * level[None] * np.linspace(1, 0.5, 80)[:, None]
        openings = loudness(np.arange(n_frames) / FPS)
        frames = np.stack([face(float(opening), ALIGNED.size, 160) for opening in openings])
        add_track(cache, f"clip{number:02d}", frames, {"mel": mel.astype(np.float32)}, ALIGNED)
    return cache


@pytest.fixture(autouse=True)
def _by_openness(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model named `openness` is the drawn mouths' own expert."""
    open_any = auditor.open_auditor

    def open_it(name: str, source: Cache, device: torch.device) -> Auditor:
        if name != "openness":
            return open_any(name, source, device)
        model = Model(nn.Identity(), CARD, Path("openness.safetensors"))
        return Auditor(model, "0123", Openness(), source, ALIGNED, device)

    monkeypatch.setattr(audit_run, "open_auditor", open_it)
    monkeypatch.setattr(audit_run, "POLL_S", 0.05)


def verdicts(result: AuditResult) -> list[tuple[str, int]]:
    return [(found.verdict.verdict, found.verdict.offset) for found in result.findings]


def records(cache: Cache) -> dict[str, Any]:
    return {clip.id: clip.record().audit for clip in cache.clips()}


def test_a_shift_of_three_frames_scores_three(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 0, -4, 1, 10, -10])
    result = audit_cache(cache, "openness")
    expected = [("kept", 0), ("shifted", 3), ("kept", 0), ("shifted", -4), ("kept", 1), ("shifted", 10)]
    assert verdicts(result) == [*expected, ("shifted", -10)]
    assert result.counts == {"kept": 3, "shifted": 4, "set aside": 0}
    assert result.offsets == {-10: 1, -4: 1, 0: 2, 1: 1, 3: 1, 10: 1}
    assert [row.offset for row in cache.tracks()] == [0, 3, 0, -4, 0, 10, -10]


def test_who_reads_a_shifted_track_finds_it_in_sync(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [3, -7])
    audit_cache(cache, "openness")
    tracks = Tracks(cache, cache.tracks(), ALIGNED)
    for track in range(2):
        starts = range(0, int(tracks.counts[track]), 5)
        faces = torch.from_numpy(np.stack([tracks.seen(track, start) for start in starts]))
        sounds = torch.from_numpy(np.stack([tracks.heard(track, start) for start in starts]))
        audio, face_ = Openness().embed(faces, sounds)
        assert float((audio * face_).sum(dim=1).mean()) > 0.8


def test_an_audit_of_audited_tracks_finds_the_same_and_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = shifted_cache(tmp_path, [0, 5, -2])
    first = audit_cache(cache, "openness")
    before = records(cache)
    again = audit_cache(cache, "openness")
    assert (first.measured, again.measured) == (3, 0)
    assert replace(again, measured=3) == first
    assert records(cache) == before
    other = audit_cache(cache, "openness", AuditSettings(tolerance=5))
    assert (other.measured, verdicts(other)) == (0, [("kept", 0), ("kept", 5), ("kept", -2)])
    assert [row.offset for row in cache.tracks()] == [0, 0, 0]
    farther = audit_cache(cache, "openness", AuditSettings(max_shift=12))
    assert farther.measured == 3


def test_killed_and_resumed_is_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts = [0, 4, 0, -6, 0]
    undisturbed = shifted_cache(tmp_path / "a", shifts)
    audit_cache(undisturbed, "openness")
    cache = shifted_cache(tmp_path / "b", shifts)
    for place, call in (("_note_measured", 3), ("_note_verdicts", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(audit_run, place, _dies_at(call, getattr(audit_run, place)))
            with pytest.raises(KeyboardInterrupt):
                audit_cache(cache, "openness")
        assert [row.status for row in cache.all_tracks()] == [""] * 5
    assert audit_cache(cache, "openness").measured == 0
    assert records(cache) == records(undisturbed)


def _dies_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def dying(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments)

    return dying


def test_tracks_that_were_cut_anew_are_measured_anew(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 0])
    audit_cache(cache, "openness")
    clip = cache.clip("clip01")
    clip.note(replace(clip.record().preprocess, fingerprint="new"))
    cache.invalidate_index()
    assert [row.offset for row in cache.tracks()] == [0, 0, 0]
    assert audit_cache(cache, "openness").measured == 1
    assert [row.offset for row in cache.tracks()] == [0, 3, 0]


def test_other_gates_that_keep_the_tracks_keep_the_audit(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 0])
    for clip in cache.clips():
        clip.note(replace(clip.record().preprocess, crops_mark="as it was"))
    audit_cache(cache, "openness")
    clip = cache.clip("clip01")
    clip.note(replace(clip.record().preprocess, fingerprint="with other gates"))
    cache.invalidate_index()
    assert [row.offset for row in cache.tracks()] == [0, 3, 0]
    assert audit_cache(cache, "openness").measured == 0
    clip.note(replace(clip.record().preprocess, crops_mark="of other crops"))
    cache.invalidate_index()
    assert [row.offset for row in cache.tracks()] == [0, 0, 0]
    assert audit_cache(cache, "openness").measured == 1


def test_undo_of_nothing_is_said(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0])
    assert undo_audit(cache) == 0
    with pytest.raises(ConfigError, match=r"no clip of cache .* matches 's1/"):
        undo_audit(cache, "s1/*")


def test_undo_leaves_every_track_as_it_lies_on_disk(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 14.6])
    before = cache.tracks()
    audit_cache(cache, "openness")
    assert cache.all_tracks() != before
    assert undo_audit(cache, "clip0[12]") == 2
    assert cache.tracks() == before
    assert undo_audit(cache) == 1
    assert undo_audit(cache) == 0


def test_a_clip_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3])
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.clip("clip00").claim() as mine:
            assert mine
            held.set()
            free.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    threading.Timer(0.3, free.set).start()
    assert verdicts(audit_cache(cache, "openness")) == [("kept", 0), ("shifted", 3)]
    assert free.is_set()
    holder.join()


def test_two_at_once_come_to_one_result(tmp_path: Path) -> None:
    shifts = [0, 3, 0, -5, 0, 0, 7, 0]
    cache = shifted_cache(tmp_path, shifts)
    results: list[AuditResult] = []
    workers = [threading.Thread(target=lambda: results.append(audit_cache(cache, "openness"))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(result.measured for result in results) == len(shifts)
    assert verdicts(results[0]) == verdicts(results[1])
    assert [row.offset for row in cache.tracks()] == shifts


def test_a_dataset_that_is_late_as_a_whole_is_set_right_and_reported(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [-4] * 21, 40)
    result = audit_cache(cache, "openness")
    assert set(verdicts(result)) == {("shifted", -4)}
    assert "4.1 frames late" in result.zero.warning
    assert result.zero.warning in audit_table(result)
    relative = audit_cache(cache, "openness", AuditSettings(zero=-4.0))
    assert set(verdicts(relative)) == {("kept", 0)}
    assert "4.1 frames late" in relative.zero.warning


def test_the_pattern_chooses_clips(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [3, 3, 3])
    assert len(audit_cache(cache, "openness", clips="*01").findings) == 1
    assert [row.offset for row in cache.tracks()] == [0, 3, 0]
    with pytest.raises(ConfigError, match="'x\\*'"):
        audit_cache(cache, "openness", clips="x*")


def test_an_expert_that_knows_nothing_moves_nothing(tmp_path: Path) -> None:
    """It may only set aside."""
    cache = talking_cache(tmp_path, 4)
    torch.manual_seed(0)
    network = Expert(ExpertDimensions(32, 5, 4, signed=True))
    card = ModelCard("expert", dimensions_of(network), ALIGNED, calibrated=True, scale=8.0, bias=-4.0)
    save_model(tmp_path / "random.safetensors", network, card)
    result = audit_cache(cache, str(tmp_path / "random.safetensors"))
    assert result.counts["shifted"] == 0
    assert "4 tracks: " in str(result)


def test_crops_for_another_model_are_refused(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "judge", 1, crop=JUDGE)
    network = Expert(ExpertDimensions(32, 5, 4))
    save_model(tmp_path / "e.safetensors", network, ModelCard("expert", dimensions_of(network), ALIGNED))
    with pytest.raises(ConfigError, match=r"crop\.kind=aligned --set crop\.size=32.*--via"):
        audit_cache(cache, str(tmp_path / "e.safetensors"))


def test_crops_of_another_cache_serve_if_they_are_of_the_same_tracks(tmp_path: Path) -> None:
    cache, crops = shifted_cache(tmp_path / "a", [0, 3]), shifted_cache(tmp_path / "b", [0, 6])
    audit_cache(cache, "openness", via=crops)
    assert [row.offset for row in cache.tracks()] == [0, 6]
    assert [row.offset for row in crops.tracks()] == [0, 0]
    others = shifted_cache(tmp_path / "c", [0, 0], 50)
    with pytest.raises(CacheError, match="other tracks"):
        audit_cache(cache, "openness", AuditSettings(max_shift=12), via=others)


def test_a_long_track_whose_halves_disagree_drifts(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [4], 400, drift=True)
    for number, clip in enumerate(shifted_cache(tmp_path / "others", [0, 0]).clips()):
        shutil.copytree(clip.folder, cache.clip(f"other{number}").folder)
    cache.invalidate_index()
    result = audit_cache(cache, "openness")
    assert verdicts(result)[0][0] == "set aside"
    assert "drifts: -0.1 frames in its first half, +3.9 in" in result.findings[0].verdict.reason
    assert cache.all_tracks()[0].status == result.findings[0].verdict.reason
    steady = shifted_cache(tmp_path / "steady", [4], 400)
    assert verdicts(audit_cache(steady, "openness")) == [("shifted", 4)]


def guessing(monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> None:
    """The auditor's odds are drawn, so that it is at chance; it is sure of them all the same."""
    rng = np.random.default_rng(seed)

    def guess(self: Auditor, similarity: NDArray[np.float64]) -> NDArray[np.float64]:
        return rng.normal(1.0, 4.0, similarity.shape)

    monkeypatch.setattr(Auditor, "odds", guess)


@pytest.mark.parametrize("n_clips", [3, 25])
def test_an_auditor_at_chance_changes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_clips: int
) -> None:
    cache = shifted_cache(tmp_path, [0.0] * n_clips)
    audit_cache(cache, "openness")
    before = list(cache.all_tracks())
    guessing(monkeypatch)
    result = audit_cache(cache, "openness", AuditSettings(max_shift=14))
    assert "hardly better than chance (AUC 0." in result.refused
    assert "nothing was changed" in str(result)
    assert "nothing was changed" in audit_table(result)
    assert list(cache.all_tracks()) == before
    assert all(clip.record().audit.tracks is not None for clip in cache.clips())


def test_an_auditor_whose_odds_are_no_numbers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its tracks, which would be called too short of speech."""
    cache = shifted_cache(tmp_path, [0, 0, 0, 0])
    before = records(cache)
    monkeypatch.setattr(Openness, "similarity", lambda self, audio, face: audio @ face.T * float("nan"))
    with pytest.raises(CheckpointError, match="returns non-finite values"):
        audit_cache(cache, "openness")
    assert records(cache) == before


def test_an_auditor_that_would_leave_nothing_changes_nothing(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 0])
    result = audit_cache(cache, "openness", AuditSettings(min_confidence=90))
    assert result.counts["set aside"] == 3
    assert "too few to train on" in result.refused
    assert cache.all_tracks().usable.all()
    partly = audit_cache(cache, "openness", AuditSettings(min_confidence=90), clips="clip00")
    assert not partly.refused  # two other clips are left
    assert cache.all_tracks().usable.tolist() == [False, True, True]
    assert "all but 1 clips" in audit_cache(cache, "openness", AuditSettings(min_confidence=90), clips="clip01").refused


def test_a_cache_that_an_earlier_audit_emptied_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = shifted_cache(tmp_path, [0, 3, 0])
    monkeypatch.setattr(audit_run, "LEAST_CLIPS", 0)  # as w2l 0.2 did it
    audit_cache(cache, "openness", AuditSettings(min_confidence=90))
    assert not cache.all_tracks().usable.any()
    with pytest.raises(CacheError, match="see w2l audit --undo"):
        cache.tracks()
    monkeypatch.undo()
    model = Model(nn.Identity(), CARD, Path("openness.safetensors"))
    by_openness = Auditor(model, "0123", Openness(), cache, ALIGNED, torch.device("cpu"))
    monkeypatch.setattr(audit_run, "open_auditor", lambda *_: by_openness)
    assert audit_cache(cache, "openness", AuditSettings(min_confidence=91)).refused
    assert cache.all_tracks().usable.all()
    assert not audit_cache(cache, "openness").refused


@pytest.mark.parametrize("shifts", [[7.0] * 25, [7.0, 8.0], [0.0, 6.0] * 13, [-10.0, 5.0, 0.0]])
def test_data_that_lag_are_no_reason_to_doubt_the_auditor(tmp_path: Path, shifts: list[float]) -> None:
    """Where the cache's own claim is wrong, the auditor's lags agree, or it is sure of each."""
    result = audit_cache(shifted_cache(tmp_path, shifts), "openness")
    assert not result.refused


def test_what_an_earlier_version_measured_is_believed() -> None:
    assert why_at_chance([LagMeasurement(50, SURE)] * 30) == ""


class TestVerdict:
    @pytest.mark.parametrize(
        ("lag", "expected"),
        [
            (SURE, ("kept", 0, "")),
            (replace(SURE, offset=-1.4), ("kept", -1, "")),
            (replace(SURE, offset=2.6), ("shifted", 3, "")),
            (replace(SURE, offset=3.0, confidence=0.1), ("set aside", 3, "unsure")),
            (replace(SURE, offset=3.0, odds=-0.5), ("set aside", 3, "unlike")),
            (replace(SURE, offset=1.0, odds=-0.5), ("kept", 1, "")),
            (replace(SURE, offset=1.0, odds=-1.5), ("set aside", 1, "unlike")),
            (replace(SURE, offset=0.0, confidence=0.1), ("set aside", 0, "unsure")),
            (replace(SURE, offset=15.0, at_edge=True), ("set aside", 15, "out of reach")),
            (replace(SURE, offset=5.0, margin=0.01), ("set aside", 5, "ambiguous")),
            (replace(SURE, margin=0.01), ("kept", 0, "")),
        ],
    )
    def test_one_lag(self, lag: Lag, expected: tuple[str, int, str]) -> None:
        verdict = judge_track(LagMeasurement(50, lag), 0.0, AuditSettings())
        assert (verdict.verdict, verdict.offset, verdict.reason.partition(":")[0]) == expected

    def test_offsets_count_from_the_zero(self) -> None:
        late = LagMeasurement(50, replace(SURE, offset=2.4))
        assert judge_track(late, -0.6, AuditSettings()).offset == 3
        assert judge_track(late, 0.6, AuditSettings()).offset == 2

    def test_silence_is_set_aside(self) -> None:
        quiet = measure(np.zeros((50, 31)), np.arange(50) < 5, AuditSettings())
        verdict = judge_track(quiet, 0.0, AuditSettings())
        assert (verdict.verdict, verdict.reason) == (
            "set aside",
            "too little speech to find its offset: 5 voiced windows",
        )

    @pytest.mark.parametrize("settings", [{"max_shift": 1}, {"tolerance": 15}, {"min_voiced": 1}, {"max_drift": 0.0}])
    def test_settings_that_measure_nothing(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            AuditSettings(**settings)


class TestZero:
    def test_a_third_shifted_at_random_leaves_the_zero(self) -> None:
        rng = np.random.default_rng(0)
        lags = [*rng.normal(-0.6, 0.1, 70), *(rng.uniform(2, 10, 30) * rng.choice([-1, 1], 30))]
        zero = find_zero([LagMeasurement(50, replace(SURE, offset=float(lag))) for lag in lags], AuditSettings())
        assert zero.lag == pytest.approx(-0.6, abs=0.1)
        assert zero.warning == ""

    def test_unsure_tracks_have_no_say(self) -> None:
        unsure = [LagMeasurement(50, replace(SURE, offset=9.0, confidence=0.0))] * 50
        assert find_zero([*unsure, *[LagMeasurement(50, SURE)] * 30], AuditSettings()).lag == 0
        assert find_zero(unsure, AuditSettings()).median is None

    def test_few_tracks_tell_nothing(self) -> None:
        assert find_zero([LagMeasurement(50, replace(SURE, offset=0.9))] * 19, AuditSettings()).lag == 0
        assert find_zero([LagMeasurement(50, replace(SURE, offset=0.9))] * 20, AuditSettings()).lag == 0.9


def test_the_table_names_the_worst(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [0, 0, 0, 9, -3])
    text = audit_table(audit_cache(cache, "openness"))
    assert "clip03 track 0: +9 frames" in text
    assert "most tracks are set aside" not in text
    assert "most tracks are set aside" in audit_table(audit_cache(cache, "openness", AuditSettings(min_odds=99.0)))
    assert text.index("clip03") < text.index("clip04")
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert lines["+0"].count("█") == 3 * lines["+9"].count("█") - 2
    assert lines["+5"].split() == ["+5", "0"]


def test_what_is_kept_of_a_clip_reads_back(tmp_path: Path) -> None:
    cache = shifted_cache(tmp_path, [3])
    result = audit_cache(cache, "openness")
    clip: Clip = cache.clip("clip00")
    outcome = clip.record().audit
    assert outcome.of == clip.record().preprocess.fingerprint
    assert outcome.expert == "0123"
    assert outcome.tracks == (result.findings[0].verdict,)

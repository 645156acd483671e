"""The look at the data finds what is wrong with made data sets, and nothing where nothing is."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.tiny_cache import ALIGNED, add_track, face
from w2l.cache.index import Rows, TrackRow
from w2l.cache.store import Cache
from w2l.core.timing import mel_columns
from w2l.data.batches.tracks import Tracks
from w2l.training.expert.data_check import CheckFinding, check_data
from w2l.training.expert.data_facts import MAX_LAG, lag_correlations, loudness, mouth_changes

N_FRAMES = 75
N_CLIPS = 8
Faces = NDArray[np.uint8]
Mel = NDArray[np.float32]


def talking(seed: int, ahead: int = 0) -> tuple[Faces, Mel]:
    """A mouth that moves where its sound is loud; the sound runs ahead by `ahead` frames."""
    rng = np.random.default_rng(seed)
    reach = N_FRAMES + 2 * abs(ahead)
    loud = np.repeat(rng.random(reach // 3 + 1) > 0.5, 3)[:reach] * rng.uniform(0.5, 1, reach)
    seen, heard = loud[abs(ahead) :][:N_FRAMES], loud[abs(ahead) + ahead :][:N_FRAMES]
    frames = np.stack([face(float(level * rng.random()), ALIGNED.size, 150 + seed) for level in seen])
    columns = np.arange(mel_columns(N_FRAMES * 640))
    levels = heard[np.minimum(columns * 5 // 16, N_FRAMES - 1)]
    mel = -4 + 5 * levels[None] + rng.normal(0, 0.05, (80, len(columns)))
    return frames, mel.astype(np.float32)


def cache_of(root: Path, clips: list[tuple[Faces, Mel]]) -> Tracks:
    cache = Cache.open(root, create=True)
    for number, (frames, mel) in enumerate(clips):
        add_track(cache, f"clip{number}", frames, {"mel": mel}, ALIGNED)
    return Tracks(cache, cache.tracks(), ALIGNED)


def by_name(findings: list[CheckFinding]) -> dict[str, CheckFinding]:
    return {finding.name: finding for finding in findings}


def clips(ahead: int = 0) -> list[tuple[Faces, Mel]]:
    return [talking(seed, ahead) for seed in range(N_CLIPS)]


class TestFindings:
    def test_sound_data_raise_no_warning(self, tmp_path: Path) -> None:
        findings = check_data(cache_of(tmp_path / "cache", clips()), per_clip=4)
        assert [str(finding) for finding in findings if finding.severity != "note"] == []
        assert by_name(findings)["sample"].figure == "examined all tracks"

    @pytest.mark.parametrize("ahead", [4, -6, 10])
    def test_sound_out_of_step_everywhere(self, tmp_path: Path, ahead: int) -> None:
        findings = check_data(cache_of(tmp_path / "cache", clips(ahead)))
        assert findings[0].name == "lag"
        assert findings[0].severity == "error"
        assert f"at {ahead:+d} frames" in findings[0].figure
        assert "audit" in findings[0].advice

    def test_sounds_of_others(self, tmp_path: Path) -> None:
        made = clips()
        mixed = [(made[k][0], made[(k + 3) % N_CLIPS][1]) for k in range(N_CLIPS)]
        found = by_name(check_data(cache_of(tmp_path / "cache", mixed)))["lag"]
        assert found.severity == "warning"
        assert "do not move with the audio" in found.figure

    def test_each_thing_that_can_be_wrong(self, tmp_path: Path) -> None:
        made = clips()
        silence = np.full_like(made[0][1], -4)
        made[0] = (made[0][0], silence)
        made[1] = (np.full_like(made[1][0], 128), made[1][1])
        made[2] = (np.repeat(made[2][0][:1], N_FRAMES, axis=0), made[2][1])
        made[3] = (made[3][0], np.concatenate([made[3][1]] * 2, axis=1))
        made[5] = made[4]
        made[6] = (made[6][0], made[7][1])
        made.append((made[7][0][:8], made[7][1]))
        found = by_name(check_data(cache_of(tmp_path / "cache", made), per_clip=4))
        assert "1 of 9 tracks (11%) contain no speech" in found["silent tracks"].figure
        assert "1 of 9 tracks (11%) have crops of one colour" in found["flat crops"].figure
        assert "1 of 9 tracks (11%) show a picture that does not move" in found["stills"].figure
        assert "2 of 9 tracks (22%), by" in found["lengths"].figure  # too much sound, and a picture cut short
        assert "5 of 9 tracks (56%) are copies" in found["copies"].figure  # 4, 5; the sound of 6, 7 and 8
        assert "1 of 9 tracks are too short for 4 windows 5 frames apart" in found["room"].figure

    @pytest.mark.parametrize(("loud", "severity"), [(6, "note"), (3, "warning"), (0, "error")])
    def test_silence(self, tmp_path: Path, loud: int, severity: str) -> None:
        made = [(frames, mel if k < loud else np.full_like(mel, -4)) for k, (frames, mel) in enumerate(clips()[:6])]
        assert by_name(check_data(cache_of(tmp_path / "cache", made)))["silence"].severity == severity

    def test_two_faces_of_one_clip_share_their_sound(self, tmp_path: Path) -> None:
        cache, (frames, mel) = Cache.open(tmp_path / "cache", create=True), talking(0)
        for name in ("one", "two"):
            add_track(cache, name, frames if name == "one" else frames[::-1], {"mel": mel}, ALIGNED)
        tracks = Tracks(cache, cache.tracks(), ALIGNED)
        assert "copies" in by_name(check_data(tracks))
        tracks.names = ["one", "one"]  # two tracks of one clip
        assert "copies" not in by_name(check_data(tracks))

    def test_only_a_sample_is_looked_into_and_it_says_so(self, tmp_path: Path) -> None:
        tracks = cache_of(tmp_path / "cache", clips())
        opened: list[int] = []
        frames = tracks.frames
        tracks.frames = lambda track: (opened.append(track), frames(track))[1]  # type: ignore[method-assign,func-returns-value]
        findings = check_data(tracks, sample=3)
        assert len(set(opened)) == 3
        assert by_name(findings)["sample"].figure == "examined 3 of 8 tracks"

    def test_what_the_audit_found(self, tmp_path: Path) -> None:
        tracks = cache_of(tmp_path / "cache", clips()[:2])
        found = [(0, "")] * 5 + [(3, ""), (3, ""), (-2, ""), (0, "low confidence")]
        rows = Rows.of(TrackRow(f"c{k}", 0, 75, 241, "", "", offset, why) for k, (offset, why) in enumerate(found))
        figure = by_name(check_data(tracks, rows))["audit"].figure
        assert figure == "the audit shifted 3 of 9 tracks and set 1 aside (frames: tracks -2: 1, +3: 2)"
        assert "audit" in by_name(check_data(tracks, rows.select(np.arange(2))))["audit"].advice

    def test_the_worst_comes_first(self, tmp_path: Path) -> None:
        made = clips(5)
        made[0] = (np.full_like(made[0][0], 128), made[0][1])
        severities = [finding.severity for finding in check_data(cache_of(tmp_path / "cache", made))]
        assert severities == sorted(severities, key=["error", "warning", "note"].index)
        assert set(severities) == {"error", "warning", "note"}


class TestMeasures:
    @pytest.mark.parametrize("lag", [0, 1, -5, 15, -15])
    def test_a_lag_scores_itself(self, lag: int) -> None:
        level = np.random.default_rng(0).random(100)
        found = lag_correlations(np.roll(level, lag), level)
        assert found is not None
        assert found.argmax() - MAX_LAG == lag
        assert found.max() > 0.8

    def test_nothing_is_said_of_constant_or_short_curves(self) -> None:
        level = np.random.default_rng(0).random(100)
        assert lag_correlations(np.ones(100), level) is None
        assert lag_correlations(level, np.ones(100)) is None
        assert lag_correlations(level[:30], level[:30]) is None

    def test_motion_is_the_mouths(self) -> None:
        frames = np.stack([face(0.5, 32, 150)] * 6)
        frames[:, :8] = np.random.default_rng(0).integers(0, 255, (6, 8, 32, 3))  # a busy wall above
        assert mouth_changes(frames).max() == 0
        frames[3] = face(0.9, 32, 150)
        assert np.flatnonzero(mouth_changes(frames)).tolist() == [2, 3, 4]

    def test_loudness_of_each_frame(self) -> None:
        mel = np.tile(np.arange(32, dtype=np.float32), (80, 1))
        np.testing.assert_allclose(loudness(mel, 10)[[0, 5]], [1, 17])  # columns 0..2 and 16..18
        assert len(loudness(mel, 10)) == 10
        assert len(loudness(mel, 20)) == 10  # as far as the sound goes

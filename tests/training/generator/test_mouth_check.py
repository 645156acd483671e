"""Mouths of drawn clips in a cache, generated well and badly: what validation says of them, and of which of them."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.tiny_cache import add_track
from w2l.cache.store import Cache, TrackRow
from w2l.core.arrays import Floats, Image
from w2l.data.batches.tracks import Tracks
from w2l.data.puppets import POINTS, Puppet, babble, draw_face, openness
from w2l.features.aperture import Word
from w2l.features.crop import CropSpec, cut
from w2l.features.speech import speech_mel
from w2l.models.lip_reader import read_lips
from w2l.scoring.metrics.mouth import Mouth
from w2l.scoring.metrics.view import Hearing, View
from w2l.training.generator import mouth_check
from w2l.training.generator.mouth_check import FIGURES, MouthCheck, MouthStretch

CROP = CropSpec("aligned", 96)
FPS = 25.0
HALF_WIDTH = 58.0
CENTRE = np.array([160.0, 120.0])
FACE_POINTS = CENTRE + POINTS * HALF_WIDTH
BOX = np.array([102.0, 45.0, 218.0, 195.0])
LOOKS = (Puppet(), Puppet(skin=(120, 85, 65), hair=(20, 15, 12), lips=(120, 60, 60), wall=(200, 200, 190)))


def speech(seed: int, seconds: float = 2.0) -> NDArray[np.float32]:
    """Babble between two silences."""
    rest = np.zeros(round(0.6 * 16000), np.float32)
    return np.concatenate([rest, babble(seconds, seed), rest])


def pictures(mouths: Iterable[float], look: Puppet) -> list[Image]:
    """A face that opens its mouth."""
    drawn = []
    for mouth in mouths:
        image = np.full((240, 320, 3), look.wall, np.uint8)
        draw_face(image, CENTRE[0], CENTRE[1], HALF_WIDTH, float(mouth), look)
        drawn.append(image)
    return drawn


def crops(images: Iterable[Image], size: int = 96) -> Image:
    """The faces in them, (frames, size, size, 3)."""
    return np.stack([cut(image, BOX, FACE_POINTS, CropSpec("aligned", size)) for image in images])


WAVES = (speech(0), speech(1))
MOUTHS = tuple(openness(wave) for wave in WAVES)


def tracks_of(cache: Cache, clips: dict[str, tuple[Image, NDArray[np.float32]]], crop: CropSpec = CROP) -> Tracks:
    """The clips, (faces, sound) by name, as tracks; the speaker is the name up to the stroke."""
    rows = []
    for name, (faces, wave) in clips.items():
        mel = speech_mel(wave)
        add_track(cache, name, faces, {"mel": mel}, crop)
        rows.append(TrackRow(name, 0, len(faces), mel.shape[1], "val", name.partition("-")[0]))
    return Tracks(cache, rows, crop)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    """Two clips of drawn faces."""
    cache = Cache.open(tmp_path_factory.mktemp("mouths") / "cache", create=True)
    clips = {
        f"clip{number}": (crops(pictures(mouths, look)), wave)
        for number, (mouths, look, wave) in enumerate(zip(MOUTHS, LOOKS, WAVES))
    }
    return tracks_of(cache, clips)


def lower(tracks: Tracks, stretch: MouthStretch) -> Floats:
    """What a perfect generator makes."""
    faces = tracks.frames(stretch.track)[stretch.first : stretch.stop]
    return faces[:, faces.shape[1] // 2 :].astype(np.float64)


def drawn(stretch: MouthStretch, mouths: Floats) -> Floats:
    """What a generator makes that opens the mouth of `tracks` like this, one value a frame of the track."""
    images = pictures(mouths[stretch.first : stretch.stop], LOOKS[stretch.track])
    return crops(images)[:, 48:].astype(np.float64)


def test_real_mouths_are_as_good_as_can_be(tracks: Tracks) -> None:
    found = MouthCheck(tracks, CROP, 8).measure(lambda stretch: lower(tracks, stretch))
    assert found["articulation"] == found["closure"] == 1
    assert found["aperture_r"] == pytest.approx(1)
    assert found["leak"] < 0.05


def test_a_lazy_mouth_moves_less(tracks: Tracks) -> None:
    found = MouthCheck(tracks, CROP, 8).measure(lambda stretch: drawn(stretch, 0.5 * MOUTHS[stretch.track]))
    assert 0.35 < found["articulation"] < 0.65
    assert found["aperture_r"] > 0.95


def test_a_frozen_mouth_does_not(tracks: Tracks) -> None:
    found = MouthCheck(tracks, CROP, 8).measure(lambda stretch: drawn(stretch, np.full(200, 0.5)))
    assert found["articulation"] < 0.05
    assert found["closure"] == 0
    assert "leak" not in found  # nothing moves in speech either
    assert not [value for value in found.values() if not np.isfinite(value)]


def test_a_mouth_that_chews_in_silence_leaks(tracks: Tracks) -> None:
    def chewing(stretch: MouthStretch) -> Floats:
        mouths = MOUTHS[stretch.track]
        return drawn(stretch, np.where(mouths > 0.02, mouths, 0.25 + 0.25 * np.sin(np.arange(len(mouths)))))

    assert MouthCheck(tracks, CROP, 8).measure(chewing)["leak"] > 0.3


def test_validation_says_what_score_says(tracks: Tracks) -> None:
    """The same late mouth, once as a validation sees it and once as `w2l score` does."""
    check = MouthCheck(tracks, CROP, n_tracks=1)
    (stretch,) = check.stretches
    found = check.measure(lambda stretch: np.roll(lower(tracks, stretch), 3, axis=0))

    images = pictures(MOUTHS[stretch.track][: stretch.stop], LOOKS[stretch.track])
    mouth = Mouth()
    for number, (output, real) in enumerate(zip(np.roll(images, 3, axis=0), images)):
        mouth.add(View(output, real, BOX, FACE_POINTS, number / FPS))
    scored = mouth.finish(Hearing(WAVES[stretch.track], FPS, own_speech=True))
    assert found == pytest.approx({name: scored[column] for column, name in FIGURES.items()}, abs=1e-4)


def test_real_mouths_are_read_once(tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counting(faces: Image) -> tuple[Floats, Floats]:
        read.append(len(faces))
        return read_lips(faces)

    monkeypatch.setattr(mouth_check, "read_lips", counting)
    check = MouthCheck(tracks, CROP, 8)
    first, second = (check.measure(lambda stretch: lower(tracks, stretch)) for _ in range(2))
    assert first == second
    assert len(read) == 3 * len(tracks)  # real and generated, then generated


def test_colours_beyond_black_and_white_end_there(tracks: Tracks) -> None:
    check = MouthCheck(tracks, CROP, n_tracks=1)
    beyond = check.measure(lambda stretch: 2 * lower(tracks, stretch) - 100)
    assert beyond == check.measure(lambda stretch: (2 * lower(tracks, stretch) - 100).clip(0, 255))


def test_words_name_the_closures(tracks: Tracks) -> None:
    def wide_open(track: int) -> list[Word]:
        moment = int(MOUTHS[track].argmax()) / FPS
        return [(moment + 0.02, moment + 0.3, "red")]

    def measured(words: mouth_check.WordsOf | None) -> dict[str, float]:
        return MouthCheck(tracks, CROP, 8, words=words).measure(lambda stretch: lower(tracks, stretch))

    assert "closure" in measured(None)
    assert "closure" not in measured(wide_open)  # no b, p or m that could be missed
    assert "closure" in measured(lambda track: [])  # not known: all closures count


def test_boxes_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crop = CropSpec("box", 32)
    boxes = tracks_of(
        Cache.open(tmp_path / "cache", create=True), {"clip": (np.zeros((20, 32, 32, 3), np.uint8), speech(0))}, crop
    )

    def never(stretch: MouthStretch) -> Floats:
        raise AssertionError(stretch)

    with caplog.at_level(logging.INFO):
        check = MouthCheck(boxes, crop, 8)
    assert check.measure(never) == {}
    assert "aligned" in caplog.text


def test_pictures_of_another_size_are_refused(tracks: Tracks) -> None:
    with pytest.raises(ValueError, match=r"lower halves .* must be \(\d+, 48, 96, 3\), got \(5, 48, 96, 3\)"):
        MouthCheck(tracks, CROP, 8).measure(lambda stretch: np.zeros((5, 48, 96, 3)))


class TestChoice:
    SMALL = CropSpec("aligned", 32)

    def tracks(self, root: Path, **counts: int) -> Tracks:
        """As many short clips of each speaker."""
        names = [f"{speaker}-{number:02d}" for speaker, count in counts.items() for number in range(count)]
        clips = {name: (np.zeros((20, 32, 32, 3), np.uint8), speech(0)[:16000]) for name in names}
        return tracks_of(Cache.open(root / "cache", create=True), clips, self.SMALL)

    def chosen(self, tracks: Tracks, n_tracks: int) -> list[str]:
        """Clips that are looked at."""
        return [tracks.names[stretch.track] for stretch in MouthCheck(tracks, self.SMALL, n_tracks).stretches]

    def test_speakers_have_equal_shares_as_far_as_they_have_clips(self, tmp_path: Path) -> None:
        tracks = self.tracks(tmp_path, ann=12, bob=2, cat=1)
        speakers = [name.partition("-")[0] for name in self.chosen(tracks, 7)]
        assert speakers == ["ann"] * 4 + ["bob"] * 2 + ["cat"]
        numbers = [int(name[-2:]) for name in self.chosen(tracks, 7)[:4]]
        assert np.diff(numbers).tolist() == [3, 3, 3]
        assert self.chosen(tracks, 7) == self.chosen(tracks, 7)

    def test_some_speakers_are_left_out_where_there_are_many(self, tmp_path: Path) -> None:
        tracks = self.tracks(tmp_path, **{f"s{number}": 2 for number in range(9)})
        assert [name.partition("-")[0] for name in self.chosen(tracks, 3)] == ["s1", "s4", "s7"]

    @pytest.mark.parametrize("asked", [0, 3, 100])
    def test_no_more_than_there_are(self, tmp_path: Path, asked: int) -> None:
        tracks = self.tracks(tmp_path, ann=3, bob=2)
        assert len(set(self.chosen(tracks, asked))) == min(asked, 5)


def test_of_a_long_track_the_part_with_speech_and_rest_is_looked_at(tmp_path: Path) -> None:
    """Speech, then a rest, then speech: the words move along with the part that is looked at."""
    wave = np.concatenate([babble(6, 3), np.zeros(24000, np.float32), babble(6, 4)])
    mouths = openness(wave)
    faces = crops(pictures(mouths, LOOKS[0]), 48)
    crop = CropSpec("aligned", 48)
    tracks = tracks_of(Cache.open(tmp_path / "cache", create=True), {"clip": (faces, wave)}, crop)
    # A word that begins with b at each moment at which the mouth is shut in the rest, which lasts from 6 to 7.5 s.
    check = MouthCheck(tracks, crop, 8, max_frames=100, words=lambda track: [(6.7, 6.9, "b")])
    (stretch,) = check.stretches
    assert stretch.stop - stretch.first == 100
    assert stretch.first / FPS < 6.7 < stretch.stop / FPS
    good = check.measure(lambda stretch: lower(tracks, stretch))
    assert good["leak"] < 0.05
    assert good["closure"] == 1
    gaping = mouths.copy()
    gaping[round(6.4 * FPS) : round(7.0 * FPS)] = 1
    made = crops(pictures(gaping, LOOKS[0]), 48)[stretch.first : stretch.stop, 24:].astype(np.float64)
    assert check.measure(lambda _: made)["closure"] == 0

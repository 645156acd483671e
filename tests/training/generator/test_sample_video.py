"""Sample videos: sound and picture start together, wherever the sample lies in its source; faces stand side by side."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.cache.records import DONE, PreprocessOutcome, TrackRecord
from w2l.cache.store import Cache, TrackRow
from w2l.core.config import plain
from w2l.core.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from w2l.features.crop import CropSpec
from w2l.media.audio import read_audio, write_wav
from w2l.media.output import Output
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter
from w2l.training.generator.sample_video import FACE_PX, completed, side_by_side, sound_of, write_sample_video

SIZE = 32
N_FRAMES = 60
EVENTS = (14, 30, 41)
"""Frames of the source that are bright, and at whose beginning it clicks."""


def flashes() -> NDArray[np.uint8]:
    """(frames, height, width, 3): dark but for the events."""
    images = np.full((N_FRAMES, SIZE, SIZE, 3), 20, np.uint8)
    images[list(EVENTS)] = 230
    return images


def clicks() -> NDArray[np.float32]:
    """A wave (samples,) that is silent but for a tone of 10 ms at every event."""
    wave = np.zeros(N_FRAMES * SAMPLES_PER_FRAME, np.float32)
    tone = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(160) / SAMPLE_RATE)
    for event in EVENTS:
        wave[event * SAMPLES_PER_FRAME : event * SAMPLES_PER_FRAME + 160] = tone
    return wave


def onsets(wave: NDArray[np.float32]) -> list[float]:
    """Where it clicks, in frames."""
    level = np.convolve(np.abs(wave), np.ones(80) / 80, "valid")
    loud = np.flatnonzero(level > 0.4 * level.max())
    return [loud[0] / SAMPLES_PER_FRAME, *(loud[1:][np.diff(loud) > 1600] / SAMPLES_PER_FRAME)]


def make_cache(root: Path, first_frame: int, suffix: str = ".mp4", beside: bool = False) -> Cache:
    """A cache with the record of one clip, whose source flashes and clicks."""
    wav, source = root / "sound.wav", root / f"source{suffix}"
    write_wav(wav, clicks())
    with VideoWriter(Output(source, SIZE, SIZE, FPS, speech=None if beside else wav)) as writer:
        for image in flashes():
            writer.write(image)
    cache = Cache.open(root / "cache", create=True)
    facts = TrackRecord(N_FRAMES - first_frame, 1, first_frame)
    outcome = PreprocessOutcome("made", outcome=DONE, crop=plain(CropSpec("aligned", SIZE)), tracks=(facts,))
    cache.clip("clip").note(outcome, source=str(source), sound=str(wav) if beside else "")
    return cache


def row(offset: int = 0, track: int = 0) -> TrackRow:
    return TrackRow("clip", track, N_FRAMES, 1, "", offset=offset)


@pytest.mark.parametrize(
    ("suffix", "beside"), [(".mp4", False), (".mkv", False), (".mp4", True)], ids=["mp4", "mkv", "sound beside"]
)
@pytest.mark.parametrize(("first_frame", "frame"), [(0, 0), (10, 0), (4, 7)])
def test_sound_and_picture_start_together(
    tmp_path: Path, suffix: str, beside: bool, first_frame: int, frame: int
) -> None:
    sound = sound_of(make_cache(tmp_path, first_frame, suffix, beside), row(), frame)
    assert sound is not None
    begin = first_frame + frame
    faces = flashes()[begin : begin + 35]
    out = tmp_path / "samples" / "out.mp4"
    write_sample_video(out, faces, faces[:, SIZE // 2 :], sound)
    seen = [image.idx for image in read_frames(out) if image.image[-40:].mean() > 120]
    heard = onsets(read_audio(out, origin_s=probe(out).start_s))
    assert seen == [event - begin for event in EVENTS if event - begin < 35]
    assert len(heard) == len(seen)
    assert np.abs(np.array(heard) - seen).max() < 0.25  # of a frame: 10 ms
    assert len(read_audio(out)) / SAMPLE_RATE == pytest.approx(35 / FPS, abs=0.03)


@pytest.mark.parametrize(("offset", "ahead"), [(0, 0), (3, 0), (-2, 5), (-5, 5), (-6, 10)])
def test_the_sound_is_the_one_that_training_hears(tmp_path: Path, offset: int, ahead: int) -> None:
    cache = make_cache(tmp_path, 10)
    plain_, moved = sound_of(cache, row(), 4), sound_of(cache, row(offset), 4)
    assert plain_ is not None
    assert moved is not None
    assert moved.origin_s == pytest.approx((plain_.origin_s or 0.0) + ahead / FPS)


def test_a_sample_is_silent_where_there_is_no_sound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = make_cache(tmp_path, 0)
    assert sound_of(cache, row(track=3)) is None
    (tmp_path / "source.mp4").write_bytes(b"no film any longer")
    assert sound_of(cache, row()) is None
    assert "silent" in caplog.text
    (tmp_path / "source.mp4").unlink()
    assert sound_of(cache, row()) is None
    assert sound_of(cache, TrackRow("unknown", 0, 1, 1, "")) is None
    out = tmp_path / "out.mp4"
    write_sample_video(out, flashes()[:5], flashes()[:5], None)
    info = probe(out)
    assert not info.has_sound
    assert info.codec == "h264"
    assert sum(1 for _ in read_frames(out)) == 5


def test_given_generated_and_real_stand_side_by_side(tmp_path: Path) -> None:
    real = np.full((3, SIZE, SIZE, 3), 200, np.uint8)
    given = real.copy()
    given[:, SIZE // 2 :] = 0
    out = tmp_path / "out.mp4"
    write_sample_video(out, real, np.full((3, SIZE // 2, SIZE, 3), 100, np.uint8), given=given)
    image = next(read_frames(out)).image.mean(axis=2)
    bottom, top = image[-FACE_PX // 4], image[-FACE_PX * 3 // 4]
    middles = [FACE_PX // 2 + place * (FACE_PX + 6) for place in range(3)]
    np.testing.assert_allclose([bottom[x] for x in middles], [0, 100, 200], atol=8)
    np.testing.assert_allclose([top[x] for x in middles], [200, 200, 200], atol=8)


@pytest.mark.parametrize(("size", "scale"), [(32, 8), (96, 3), (128, 2), (192, 1), (256, 1), (600, 1)])
def test_faces_are_enlarged_by_a_whole_number(size: int, scale: int) -> None:
    picture = side_by_side({"a": np.zeros((size, size, 3), np.uint8), "b": np.zeros((size, size, 3), np.uint8)})
    assert picture.shape[1] == 2 * size * scale + 6


def test_half_a_face_is_completed_with_the_real_one() -> None:
    real = np.arange(2 * 4 * 2 * 3, dtype=np.uint8).reshape(2, 4, 2, 3)
    whole = completed(np.full((2, 2, 2, 3), 255, np.uint8), real)
    np.testing.assert_array_equal(whole[:, :2], real[:, :2])
    assert (whole[:, 2:] == 255).all()
    np.testing.assert_array_equal(completed(255 - real, real), 255 - real)


def test_faces_of_other_sizes_are_refused(tmp_path: Path) -> None:
    faces = flashes()[:4]
    with pytest.raises(ValueError, match="expected faces"):
        write_sample_video(tmp_path / "out.mp4", faces, faces, given=faces[:3])
    assert not (tmp_path / "out.mp4").exists()

"""Lip sync of a stream: one frame out for each in, within the delay that is stated, in constant memory."""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import w2l
from tests.helpers.sync_runs import ANN, BOX, make_media, pattern, room, support, voice
from w2l.core.arrays import Image
from w2l.errors import ConfigError, MediaError, NoFaceError
from w2l.faces.follow import fixed_face
from w2l.syncing import stream
from w2l.syncing.stream import BATCH, delay_frames

FPS = 25.0


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `make_media`."""
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("W2L_CACHE", raising=False)


def lips(media: Path, **more: Any) -> w2l.LipSync:
    """A small generator, and a face in a box."""
    return w2l.LipSync(str(media / "aligned.safetensors"), "cpu", **{"box": BOX, **more})


def test_only_the_mouth_changes_and_it_follows_the_speech(media: Path, tmp_path: Path) -> None:
    frames = list(pattern(40))
    one, other = (list(lips(media).redraw(frames, wave, FPS)) for wave in (voice(2.0), voice(2.0)[::-1].copy()))
    mask = support(144, 120)
    assert len(one) == len(other) == 40
    assert all(np.array_equal(made[~mask], frame[~mask]) for made, frame in zip(one, frames))
    assert all((made[mask] != frame[mask]).any() for made, frame in zip(one, frames))
    assert sum(not np.array_equal(a, b) for a, b in zip(one, other)) > 30
    assert not list(tmp_path.iterdir())  # no cache is made


def test_a_file_and_its_samples_say_the_same(media: Path) -> None:
    frames = list(pattern(12))
    by_file = list(lips(media).redraw(frames, media / "speech.wav", FPS))
    by_samples = list(lips(media).redraw(frames, voice(1.0), FPS))
    assert max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(by_file, by_samples)) <= 2  # 16 bits in the file


@pytest.mark.parametrize("fps", [25.0, pytest.param(12.0, marks=pytest.mark.slow)])
def test_memory_and_delay_do_not_grow(media: Path, fps: float) -> None:
    alive: set[int] = set()
    read = 0

    def camera() -> Iterator[Image]:
        nonlocal read
        for image in pattern(110):
            alive.add(read)
            weakref.finalize(image, alive.discard, read)
            read += 1
            yield image

    most = []
    for made, _ in enumerate(lips(media).redraw(camera(), voice(1.0), fps)):
        assert read - made - 1 <= delay_frames(fps)
        most.append(len(alive))
    assert len(most) == 110
    assert w2l.LipSync.latency(fps) == delay_frames(fps) / fps
    assert max(most[60:]) <= max(most[:60]) <= 3 * fps + BATCH
    assert w2l.LipSync.latency(25) == pytest.approx(1.72)


def test_a_drawn_face_is_found_and_followed_through_a_cut(media: Path) -> None:
    left = [room([(ANN, 90 + k, 120, 45)], 0.3) for k in range(33)]
    right = [room([(ANN, 240, 110, 50)], 0.3)] * 22
    empty = [np.full_like(left[0], 90)] * 5
    made = list(lips(media, box=None).redraw([*left, *right, *empty], voice(3.0), FPS))
    changed = [(image != frame).any(axis=(0, 1, 2)) for image, frame in zip(made, [*left, *right, *empty])]
    assert len(made) == 60
    assert all(changed[:55])
    for image, frame in zip(made[:55], [*left, *right]):
        columns = np.flatnonzero((image != frame).any(axis=(0, 2)))
        assert (columns.max() < 175) == (frame is not right[0])
    assert all(np.array_equal(image, empty[0]) for image in made[55:])


def test_a_stream_without_a_face_passes_through(media: Path) -> None:
    frames = list(pattern(30))
    made = list(lips(media, box=None).redraw(iter(frames), voice(1.0), FPS))
    assert all(image is frame for image, frame in zip(made, frames, strict=True))
    assert list(lips(media).redraw([], voice(1.0), FPS)) == []
    with pytest.raises(NoFaceError, match="on_missing=keep"):
        list(lips(media, box=None, settings={"on_missing": "fail"}).redraw(frames, voice(1.0), FPS))


def test_looks_are_of_other_frames_and_of_the_same_shot(media: Path) -> None:
    cuts = stream._numbered_by_shot(fixed_face(BOX, 10), [4, 8], 3)
    assert cuts.track.tolist() == [3, 3, 3, 3, 4, 4, 4, 4, 5, 5]


def test_what_cannot_be_is_said(media: Path) -> None:
    for face in ("all", "0", "10,20@1"):
        with pytest.raises(ConfigError, match="requires a whole video"):
            lips(media, box=None, face=face)
    with pytest.raises(ConfigError, match="silence=source"):
        lips(media, silence="source")
    with pytest.raises(ConfigError, match="fps 0"):
        lips(media).redraw([], voice(1.0), 0.0)
    for wave in (voice(0.1), np.zeros((2, 16000)), np.zeros(16000, np.int16), np.full(16000, np.nan)):
        with pytest.raises(MediaError, match="expected at least 3200 finite samples"):
            lips(media).redraw([], wave, FPS)
    frame = next(pattern(1))
    for wrong, said in ((frame[:-2], "144 x 118 px"), (frame / 255, "float64"), (frame[..., 0], "uint8")):
        with pytest.raises(MediaError, match=said):
            list(lips(media).redraw([frame, wrong], voice(1.0), FPS))

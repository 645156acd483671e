"""What covers a mouth: found in every frame, once for each face, whatever the length; single frames change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.syncing.memory.made_looks import OVERLAYS, covered, faces_at, reader, talking
from w2l.core.arrays import Image
from w2l.faces.detectors.base import Detection
from w2l.syncing.covers import find_covers, is_face
from w2l.syncing.memory import measure
from w2l.syncing.memory.hidden import LEAST_FREE, LEAST_HIDDEN, Covers, steadied
from w2l.syncing.memory.store import covers_mark, kept_covers

N_FRAMES = 48


def masked(image: Image) -> Image:
    """The picture of `talking` with a cloth over mouth and chin."""
    made = image.copy()
    outline = np.array([[36, 84], [80, 78], [124, 84], [116, 128], [80, 146], [44, 128]])
    cv2.fillPoly(made, [outline], (150, 195, 220), cv2.LINE_AA)
    return made


def flags(text: str) -> np.ndarray:
    """``#`` for True, ``.`` for False, (frames,)."""
    return np.array([mark == "#" for mark in text])


LONG = "." * LEAST_FREE


@pytest.mark.parametrize(("surely", "perhaps", "expected"), [
    ("....#.......", "", "............"),
    ("....##......", "", "............"),
    ("....###.....", "", "....###....."),
    ("...####.####....", "", "...#########...."),
    ("..####.####.", "", "############"),
    (".########...", "", "#########..."),
    ("....#....#....", "...####.####..", ".............."),
    ("....###........", "...#####.######", "...#####......."),
    ("............", "############", "............"),
    (f"###{LONG}###", "", f"###{LONG}###"),
    (f"###{LONG[1:]}###", "", f"###{'#' * (LEAST_FREE - 1)}###"),
    ("..#..", "", "....."), ("#", "", "#"), (".", "", "."), ("##", "", "##"), ("#.", "", ".."),
])  # fmt: skip
def test_stretches_count_and_single_frames_do_not(surely: str, perhaps: str, expected: str) -> None:
    found = steadied(flags(surely), flags(perhaps or surely))
    assert "".join("#" if one else "." for one in found) == expected


@pytest.mark.parametrize("kind", [*OVERLAYS, "mask"])
def test_frames_with_something_in_front_are_no_references_and_others_are(kind: str) -> None:
    images, faces = talking(N_FRAMES)
    hidden = range(12, 26)
    for idx in hidden:
        images[idx] = masked(images[idx]) if kind == "mask" else covered(images[idx], kind)
    found = find_covers(reader(images), faces)[0]
    assert found.frame_idx.tolist() == list(range(N_FRAMES))
    assert set(hidden) <= found.spoilt() < set(range(5, 40))
    assert set(np.flatnonzero(found.hidden)) == set(hidden)


def test_a_mouth_that_is_covered_throughout_is_hidden_throughout_and_a_free_one_never() -> None:
    images, faces = talking(N_FRAMES)
    free = find_covers(reader(images), faces)[0]
    assert not free.hidden.any()
    assert free.spoilt() == frozenset()
    assert find_covers(reader([masked(image) for image in images]), faces)[0].hidden.all()


@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_few_frames_are_enough(n_frames: int) -> None:
    images, faces = talking(n_frames)
    assert not find_covers(reader(images), faces)[0].hidden.any()
    assert find_covers(reader([masked(image) for image in images]), faces)[0].hidden.all()


def test_of_a_long_video_every_frame_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "MOST_SEEN", 64)
    images, faces = talking(150)
    for idx in range(70, 76):
        images[idx] = masked(images[idx])
    for idx in range(120, 135):
        images[idx] = covered(images[idx], "lower third")
    faces = replace(faces, strength=np.where(np.arange(150) < 3, 0.5, 1.0))
    asked: list[int] = []
    found = find_covers(reader(images, asked), faces)[0]
    assert sorted(asked) == list(range(150))
    assert np.flatnonzero(found.hidden).tolist() == [*range(70, 76), *range(120, 135)]


def test_a_face_beside_a_covered_one_stays_free() -> None:
    images, one = talking(30)
    there = one.points + np.array([160.0, 0])
    both = replace(
        faces_at(np.stack([one.points, there], axis=1).reshape(-1, 5, 2)),
        first=np.arange(0, 61, 2), track=np.tile([0, 1], 30), why=one.why,
    )  # fmt: skip
    wide = [np.hstack([image, masked(image)]) for image in images]
    found = find_covers(reader(wide), both)
    assert not found[0].hidden.any()
    assert found[1].hidden.all()


@dataclass
class Finder:
    """A detector that always finds one face, or none."""

    boxes: Sequence[tuple[float, float, float, float]]
    asked: int = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """See `Detector.detect`."""
        self.asked += len(images)
        points = talking(1)[1].points[0]
        return [[Detection(np.array(box), 0.9, points) for box in self.boxes] for _ in images]


def test_the_lip_reader_is_believed_of_faces_alone() -> None:
    images, faces = talking(12)
    read, hidden = reader(images), np.ones(12, dtype=np.bool_)
    covers = {0: Covers(np.arange(12), hidden, hidden, hidden)}
    assert is_face(Finder([(30, 30, 120, 150)]), read, faces, covers)  # type: ignore[arg-type]
    assert not is_face(Finder([(0, 0, 20, 20)]), read, faces, covers)  # type: ignore[arg-type]
    assert not is_face(Finder([]), read, faces, covers)  # type: ignore[arg-type]
    finder = Finder([])
    assert is_face(finder, read, faces, {0: replace(covers[0], hidden=~hidden)})  # type: ignore[arg-type]
    assert finder.asked == 0


def test_what_was_found_is_kept_and_damage_is_found_again(tmp_path: Path) -> None:
    images, faces = talking(8)
    video, path = tmp_path / "v.mp4", tmp_path / "covers.npz"
    video.write_bytes(b"video")
    mark = covers_mark(video, faces)
    found = find_covers(reader([masked(image) for image in images]), faces)
    asked: list[int] = []

    def find() -> dict[int, Covers]:
        asked.append(1)
        return found

    for damage in (None, None, b"", path):
        if isinstance(damage, bytes):
            path.write_bytes(damage)
        elif damage is not None:
            np.savez(
                path,
                mark=mark,
                tracks=[0],
                **{"0/frame_idx": [1, 2], "0/hidden": [True], "0/seen": [1], "0/sudden": [1]},
            )
        kept = kept_covers(path, mark, find)[0]
        assert kept.hidden.tolist() == [True] * 8
        assert kept.frame_idx.tolist() == list(range(8))
    assert len(asked) == 3
    assert covers_mark(video, replace(faces, boxes=faces.boxes + 1)) != mark
    assert LEAST_HIDDEN < LEAST_FREE

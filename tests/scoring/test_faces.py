"""Which faces the judge sees: squares steadied as published, tracks kept or dropped by the published rule."""

from pathlib import Path

import numpy as np
import pytest

from w2l.core.errors import NoFaceError
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec
from w2l.scoring.faces import MeasuredFace, face_tracks, main_face, steadied_boxes

FACE = np.array([50.0, 30.0, 190.0, 170.0])
JUDGE = CropSpec("judge", 64, smooth_s=0.0)


def scan_of(*stays: tuple[int, int, float], n_frames: int = 400, fps: float = 25.0) -> Scan:
    """A video in which a face of that size (1: 140 px) is seen from one frame up to another, side by side."""
    rows = sorted(
        (idx, 400 * place, size) for place, (start, stop, size) in enumerate(stays) for idx in range(start, stop)
    )
    boxes = np.array([np.array([x, 0, x, 0]) + FACE * size for _, x, size in rows])
    points = np.tile(np.linspace(0, 1, 10).reshape(5, 2), (len(rows), 1, 1)) * 100 + boxes[:, None, :2]
    return Scan(
        n_frames, fps, 1600, 400, np.arange(n_frames) / fps, np.array([row[0] for row in rows]), boxes,
        np.ones(len(rows)), points, "made", 1,
    )  # fmt: skip


@pytest.mark.parametrize("n_frames", [6, 7, 12, 13, 14, 40])
def test_a_still_face_keeps_its_place(n_frames: int) -> None:
    """In the middle of the filter; at the ends, where zeros count, it shrinks but never vanishes."""
    steady = steadied_boxes(np.tile(FACE, (n_frames, 1)))
    np.testing.assert_array_equal(steady[n_frames // 2], FACE)
    assert (steady[:, 2] - steady[:, 0]).min() > 0


def test_a_jump_of_a_few_frames_is_ignored() -> None:
    boxes = np.tile(FACE, (40, 1))
    boxes[20:25] += 30
    boxes[30, 3] += 50
    np.testing.assert_array_equal(steadied_boxes(boxes), steadied_boxes(np.tile(FACE, (40, 1))))


def test_a_long_box_becomes_the_square_around_it() -> None:
    np.testing.assert_array_equal(steadied_boxes(np.tile([10.0, 20.0, 30.0, 60.0], (20, 1)))[10], [0, 20, 40, 60])


def test_long_and_large_tracks_alone_are_judged() -> None:
    """Of the published rule: more than 100 frames, a mean side over 100 px."""
    scan = scan_of((0, 100, 1.0), (150, 251, 1.0), (0, 400, 0.5))
    kept = face_tracks(Path("clip.mp4"), scan, JUDGE, 100, 100.0)
    assert [(shown.first_frame, len(shown)) for shown in kept] == [(150, 101)]
    kept = face_tracks(Path("clip.mp4"), scan, JUDGE, 50, 50.0)
    assert [shown.first_frame for shown in kept] == [0, 0, 150]
    with pytest.raises(NoFaceError, match=r"clip\.mp4: no face track of more than 500 frames"):
        face_tracks(Path("clip.mp4"), scan, JUDGE, 500, 100.0)


def test_the_rule_counts_frames_at_25_fps() -> None:
    scan = scan_of((0, 220, 1.0), n_frames=500, fps=50.0)
    assert len(face_tracks(Path("clip.mp4"), scan, JUDGE, 100, 100.0)[0]) == 110
    with pytest.raises(NoFaceError):
        face_tracks(Path("clip.mp4"), scan, JUDGE, 110, 100.0)


def test_the_main_face_is_the_one_with_the_most_area() -> None:
    shown = main_face(Path("clip.mp4"), scan_of((0, 400, 0.4), (20, 220, 1.0)), JUDGE)
    assert (shown.first_frame, len(shown)) == (20, 200)


def test_the_measured_face_is_known_where_it_is_seen() -> None:
    face = MeasuredFace(scan_of((10, 50, 1.0)))
    found = face.at(20)
    assert found is not None
    np.testing.assert_allclose(found[0], FACE)
    assert face.at(9) is None
    assert face.at(50) is None
    assert MeasuredFace(scan_of((0, 1, 1.0), n_frames=1)).at(3) is None

"""Faces that lie or stand on their head: found as in the upright picture, at no cost where faces are upright."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sync_runs import write_pictures
from w2l.core.arrays import Floats, Image
from w2l.faces import turned as turning
from w2l.faces.detectors.base import Detection
from w2l.faces.follow import LYING, follow, without_lying
from w2l.faces.search import scan_faces
from w2l.faces.turned import turned, way_back, with_turned
from w2l.media.coded import read_coded

RED = (230, 20, 20)


class Marked:
    """Finds a red square as a face, sure of it only where it lies in the upper half of the picture."""

    name = "yunet"
    fingerprint = "marked"

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [self._faces(image) for image in images]

    def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
        return [next(iter(self._faces(image)), None) for _ in boxes]

    def _faces(self, image: Image) -> list[Detection]:
        rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 1] < 90))
        if len(rows) < 50:
            return []
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float64)
        blue = np.nonzero(image[rows, columns + 0, 2] > 120)[0]
        is_above = len(blue) > 0 and rows[blue].mean() < rows.mean() - 2
        is_upright = is_above and abs(columns[blue].mean() - columns.mean()) < 4
        side = box[2] - box[0]
        points = box[:2] + side * np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.75], [0.65, 0.75]])
        return [Detection(box, 0.99 if is_upright else 0.72, points)]


def head(quarters: int) -> Image:
    """A red square with a bluer upper edge, turned so many times counter-clockwise, in a picture that is wide."""
    image = np.full((120, 200, 3), 60, np.uint8)
    square = np.full((48, 48, 3), RED, np.uint8)
    square[:10, 8:40, 2] = 200
    image[30:78, 90:138] = np.rot90(square, quarters)
    return image


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_what_a_turned_detector_finds_lies_where_it_is(quarters: int) -> None:
    image = head(-quarters)
    upright = Marked().detect([np.ascontiguousarray(np.rot90(image, quarters))])[0][0]
    (face,) = turned(Marked(), quarters).detect([image])[0]
    assert face.score == upright.score == 0.99
    np.testing.assert_allclose(face.box, [90, 30, 138, 78])
    inside = Marked().detect([head(0)])[0][0].points - [90, 30]
    for point, other in zip(face.points - [90, 30], inside):
        expected = {1: (47 - other[1], other[0]), 2: 47 - other, 3: (other[1], 47 - other[0])}[quarters]
        np.testing.assert_allclose(point, expected, atol=1.01)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_head_is_found_however_it_is_turned(quarters: int, tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "a.mp4", [head(quarters)] * 20, options={"crf": "5"})
    scan = with_turned(scan_faces(read_coded(path), Marked(), 2), path, Marked(), 20)
    assert (scan.score > 0.95).all()
    faces = follow(scan, 0.0)
    assert [len(faces.at(idx)) for idx in range(20)] == [1] * 20
    kept, roll = without_lying(faces, 1)
    expected = (0, -90, 180, 90)[quarters]
    assert roll % 360 == pytest.approx(expected % 360, abs=1)
    if roll:
        ways = ("clockwise by 90 degrees", "by 180 degrees", "counter-clockwise by 90 degrees")
        assert way_back(roll) == ways[quarters - 1]
    assert len(kept.track) == (0 if quarters else 20)
    assert (kept.why == LYING).all() == bool(quarters)


def test_upright_faces_are_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pictures(tmp_path / "a.mp4", [head(0)] * 20, options={"crf": "5"})
    scan = scan_faces(read_coded(path), Marked(), 2)
    monkeypatch.setattr(turning, "read_coded", lambda path: pytest.fail("read again"))
    assert with_turned(scan, path, Marked(), 20) is scan


def test_where_no_turn_helps_all_stays(tmp_path: Path) -> None:
    blank = write_pictures(tmp_path / "a.mp4", [np.full((120, 200, 3), 60, np.uint8)] * 8)
    scan = scan_faces(read_coded(blank), Marked(), 2)
    assert with_turned(scan, blank, Marked(), 20) is scan


def test_each_shot_may_be_turned_another_way(tmp_path: Path) -> None:
    shots = [head(1), head(0), head(2), head(3)]
    for idx, image in enumerate(shots):
        image[:20] = image[-20:] = 60 * idx  # each in another place
    path = write_pictures(tmp_path / "a.mp4", [image for image in shots for _ in range(12)], options={"crf": "5"})
    scan = with_turned(scan_faces(read_coded(path), Marked(), 2), path, Marked(), 20)
    assert (scan.score > 0.95).all()
    _, roll = without_lying(follow(scan, 0.0), 1)
    assert roll
    faces = follow(scan, 0.0)
    assert [len(faces.at(idx)) for idx in range(48)] == [1] * 48

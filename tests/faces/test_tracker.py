"""Scanning and linking with a detector that knows the truth."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.faces.detector import Detection
from w2l.faces.tracker import Scan, Track, link_tracks, scan_faces, smooth_track
from w2l.media.video import Frame

Floats = NDArray[np.float64]
Path4 = dict[int, Sequence[float]]


def detection(box: Sequence[float], score: float = 0.9) -> Detection:
    corners = np.array(box, dtype=np.float64)
    return Detection(corners, score, np.linspace(corners[:2], corners[2:], 5))


class Oracle:
    """Finds a face that moves by 2 pixels a frame; frames carry their index as grey value."""

    name = "oracle"
    fingerprint = "oracle-1"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        self.asked.extend(int(image[0, 0, 0]) for image in images)
        return [[detection([2 * idx, 0, 2 * idx + 40, 40])] for idx in (int(image[0, 0, 0]) for image in images)]


def frames(n_frames: int, fps: float = 25.0) -> list[Frame]:
    return [Frame(idx, idx / fps, np.full((60, 80, 3), idx, dtype=np.uint8)) for idx in range(n_frames)]


def scan_of(faces: Sequence[Path4], n_frames: int, stride: int = 5) -> Scan:
    """A scan at 25 fps in which face k has the boxes `faces[k]`, by frame."""
    rows = sorted((idx, tuple(box)) for path in faces for idx, box in path.items())
    boxes = np.array([box for _, box in rows], dtype=np.float64).reshape(-1, 4)
    return Scan(
        n_frames=n_frames,
        fps=25.0,
        width=640,
        height=480,
        times=np.arange(n_frames) / 25,
        frame=np.array([idx for idx, _ in rows], dtype=np.int64),
        box=boxes,
        score=np.full(len(rows), 0.9),
        points=np.stack([boxes[:, [0, 1]]] * 5, axis=1),
        detector="none",
        stride=stride,
    )


def still(box: Sequence[float], indices: Sequence[int]) -> Path4:
    return dict.fromkeys(indices, box)


LEFT, RIGHT, SMALL = (100, 100, 200, 200), (400, 100, 500, 200), (300, 300, 330, 330)


@pytest.mark.parametrize(
    ("n_frames", "stride", "asked"),
    [(1, 5, [0]), (6, 5, [0, 5]), (8, 5, [0, 5, 7]), (4, 1, [0, 1, 2, 3]), (3, 10, [0, 2])],
)
def test_scan_looks_at_every_stride_and_the_last(n_frames: int, stride: int, asked: list[int]) -> None:
    oracle, progress = Oracle(), list[int]()
    scan = scan_faces(iter(frames(n_frames)), oracle, stride, progress.append)
    assert oracle.asked == asked
    assert scan.frame.tolist() == asked
    assert (scan.n_frames, scan.width, scan.height) == (n_frames, 80, 60)
    assert (scan.detector, scan.stride) == ("oracle-1", stride)
    assert scan.fps == pytest.approx(25.0)
    assert scan.times.shape == (n_frames,)
    assert progress == list(range(1, n_frames + 1))


def test_scan_without_faces_keeps_its_shapes() -> None:
    class Blind(Oracle):
        def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
            return [[] for _ in images]

    scan = scan_faces(frames(7), Blind())
    assert (scan.box.shape, scan.points.shape, scan.score.shape) == ((0, 4), (0, 5, 2), (0,))
    assert link_tracks(scan) == []


def test_scan_of_nothing_is_an_error() -> None:
    with pytest.raises(MediaError, match="no frames"):
        scan_faces([], Oracle())
    with pytest.raises(ValueError, match="stride"):
        scan_faces(frames(2), Oracle(), stride=0)


def test_one_face_gives_one_row_a_frame() -> None:
    (track,) = link_tracks(scan_faces(frames(23), Oracle()))
    assert (track.start, track.stop, len(track)) == (0, 23, 23)
    np.testing.assert_allclose(track.boxes[:, 0], 2 * np.arange(23))
    np.testing.assert_allclose(track.points[:, 4, 0], 2 * np.arange(23) + 40)
    np.testing.assert_allclose(track.scores, 0.9)


def test_two_faces_stay_apart_and_the_larger_comes_first() -> None:
    indices = range(0, 51, 5)
    tracks = link_tracks(scan_of([still(SMALL, indices), still(LEFT, indices), still(RIGHT, indices[:6])], 51))
    assert [track.boxes[0].tolist() for track in tracks] == [list(LEFT), list(RIGHT), list(SMALL)]
    assert [len(track) for track in tracks] == [51, 26, 51]


def test_crossing_faces_keep_their_boxes_unique() -> None:
    right_going = {idx: (100 + 8 * idx, 100, 200 + 8 * idx, 200) for idx in range(0, 26, 5)}
    left_going = {idx: (300 - 8 * idx, 160, 400 - 8 * idx, 260) for idx in range(0, 26, 5)}
    tracks = link_tracks(scan_of([right_going, left_going], 26))
    assert sorted(track.boxes[-1, 0] for track in tracks) == [100, 300]
    assert [len(track) for track in tracks] == [26, 26]


@pytest.mark.parametrize(("missing", "n_tracks"), [(1, 1), (4, 1), (5, 2)], ids=["0.4 s", "1 s", "1.2 s"])
def test_gaps_up_to_a_second_are_bridged(missing: int, n_tracks: int) -> None:
    seen = [idx for idx in range(0, 101, 5) if not 30 < idx <= 30 + 5 * missing]
    assert len(link_tracks(scan_of([still(LEFT, seen)], 101))) == n_tracks


def test_a_cut_ends_every_track() -> None:
    scan = scan_of([still(LEFT, range(0, 51, 5))], 51)
    tracks = sorted(link_tracks(scan, cuts=[23]), key=lambda track: track.start)
    assert [(track.start, track.stop) for track in tracks] == [(0, 23), (23, 51)]
    assert [len(track) for track in link_tracks(scan, cuts=[0, 51, 99])] == [51]


def test_a_face_that_appears_is_not_stretched_backwards() -> None:
    (track,) = link_tracks(scan_of([still(LEFT, range(20, 31, 5))], 51))
    assert (track.start, track.stop) == (20, 31)


def test_a_jump_starts_another_track() -> None:
    scan = scan_of([still(LEFT, range(0, 25, 5)), still(RIGHT, range(25, 51, 5))], 51)
    assert len(link_tracks(scan)) == 2


def test_smoothing_steadies_without_moving() -> None:
    generator = np.random.default_rng(0)
    truth = np.array(LEFT, dtype=np.float64) + np.arange(100.0)[:, None]
    noisy = truth + generator.normal(0, 2, truth.shape)
    track = Track(7, noisy, np.stack([noisy[:, :2]] * 5, axis=1), np.ones(100))
    smooth = smooth_track(track, 3.0)
    assert (smooth.start, len(smooth)) == (7, 100)
    assert np.abs(smooth.boxes - truth)[12:-12].mean() < 0.5 * np.abs(noisy - truth).mean()
    assert abs((smooth.boxes - truth)[12:-12].mean()) < 0.5
    np.testing.assert_allclose(smooth.points[:, 3], smooth.boxes[:, :2])
    np.testing.assert_array_equal(smooth.scores, track.scores)

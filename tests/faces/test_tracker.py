"""Linking detections whose truth is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from w2l.faces.appearance import NO_LOOK
from w2l.faces.tracker import Scan, Track, link_tracks, smooth_track

Path4 = dict[int, Sequence[float]]


def scan_of(faces: Sequence[Path4], n_frames: int, stride: int = 5, looks: Sequence[int] = ()) -> Scan:
    """A scan at 25 fps in which face k has the boxes `faces[k]`, by frame, and the pattern `looks[k]` as its look."""
    rows = sorted((idx, tuple(box), which) for which, path in enumerate(faces) for idx, box in path.items())
    boxes = np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4)
    patterns = [np.random.default_rng(look).integers(1, 255, NO_LOOK.shape, dtype=np.uint8) for look in looks]
    return Scan(
        n_frames=n_frames,
        fps=25.0,
        width=640,
        height=480,
        times=np.arange(n_frames) / 25,
        frame=np.array([idx for idx, _, _ in rows], dtype=np.int64),
        box=boxes,
        score=np.full(len(rows), 0.9),
        points=np.stack([boxes[:, [0, 1]]] * 5, axis=1),
        detector="none",
        stride=stride,
        looks=np.array([patterns[row[2]] for row in rows] if looks else [], np.uint8).reshape(-1, *NO_LOOK.shape),
    )


def still(box: Sequence[float], indices: Sequence[int]) -> Path4:
    return dict.fromkeys(indices, box)


LEFT, RIGHT, SMALL = (100, 100, 200, 200), (400, 100, 500, 200), (300, 300, 330, 330)


def test_one_face_gives_one_row_a_frame() -> None:
    path = {idx: (2 * idx, 0, 2 * idx + 40, 40) for idx in [*range(0, 23, 5), 22]}
    (track,) = link_tracks(scan_of([path], 23))
    assert (track.start, track.stop, len(track)) == (0, 23, 23)
    np.testing.assert_allclose(track.boxes[:, 0], 2 * np.arange(23))
    np.testing.assert_allclose(track.scores, 0.9)
    assert track.seen.all()


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
    scan = replace(scan_of([still(LEFT, range(0, 51, 5))], 51), cuts=np.array([23]))
    tracks = sorted(link_tracks(scan), key=lambda track: track.start)
    assert [(track.start, track.stop) for track in tracks] == [(0, 23), (23, 51)]
    assert scan.shots == [(0, 23), (23, 51)]


@pytest.mark.parametrize("stride", [1, 2])
def test_crossing_faces_keep_their_own_looks(stride: int) -> None:
    """One passes before the other, which is not seen meanwhile; both go on as they came."""
    near = {idx: (100 + 8 * idx, 100, 200 + 8 * idx, 200) for idx in range(0, 59, stride)}
    far = {idx: (580 - 8 * idx, 110, 670 - 8 * idx, 200) for idx in range(0, 59, stride) if not 24 <= idx <= 36}
    tracks = link_tracks(scan_of([near, far], 59, stride, looks=(1, 2)))
    main = tracks[0]
    assert (main.start, main.stop) == (0, 59)
    np.testing.assert_allclose(main.boxes[:, 0], 100 + 8 * np.arange(59))
    for track in tracks[1:]:
        frames = np.flatnonzero(track.seen) + track.start
        np.testing.assert_allclose(track.boxes[track.seen, 0], 580 - 8 * frames)
        assert (track.look == tracks[1].look).all()
        assert (track.look != main.look).any()


def test_a_stranger_in_the_same_place_is_another_track() -> None:
    first, second = still(LEFT, range(30)), still(LEFT, range(33, 60))
    assert len(link_tracks(scan_of([first, second], 60, 1, looks=(1, 2)))) == 2
    assert len(link_tracks(scan_of([first, second], 60, 1, looks=(1, 1)))) == 1


def test_what_was_not_seen_is_marked() -> None:
    seen = [idx for idx in range(0, 50) if not 20 <= idx < 30]
    (track,) = link_tracks(scan_of([still(LEFT, seen)], 50, 1))
    assert (np.flatnonzero(~track.seen) == np.arange(20, 30)).all()


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

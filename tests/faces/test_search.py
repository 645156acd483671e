"""The scan of a video with detectors that see coloured squares: what is found, when, and how little is looked at."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from w2l.core.arrays import Floats, Image
from w2l.core.errors import MediaError
from w2l.faces.detectors.base import Detection
from w2l.faces.search import UNGUIDED_STRIDE, scan_faces
from w2l.faces.tracker import link_tracks
from w2l.media.coded import CodedFrame
from w2l.media.picture import Picture
from w2l.media.video import Frame

Place = Callable[[int], tuple[float, float] | None]

COLOURS = {"red": (230, 40, 40), "green": (40, 220, 40)}
SIDE = 60
POINTS = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])


class Whole:
    """Sees squares in whole pictures only."""

    name = "squares"
    fingerprint = "squares-1"

    def __init__(self) -> None:
        self.n_searched = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_searched += len(images)
        return [self._all(image) for image in images]

    def _all(self, image: Image) -> list[Detection]:
        found = []
        for colour in COLOURS.values():
            rows, columns = np.nonzero(np.abs(image.astype(int) - colour).max(axis=-1) < 60)
            if len(rows) > 20:
                box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float64)
                found.append(Detection(box, 0.95, box[:2] + POINTS * (box[2:] - box[:2])))
        return found


class Guided(Whole):
    """Sees them also near a place."""

    def __init__(self) -> None:
        super().__init__()
        self.n_looked = 0

    def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
        self.n_looked += len(boxes)
        faces = self._all(image)
        nearest = [
            min(faces, key=lambda face: float(np.abs(face.box - box).sum()), default=None) for box in boxes
        ]  # fmt: skip
        return [face if face and np.abs(face.box - box).max() < SIDE else None for face, box in zip(nearest, boxes)]


def video(n_frames: int, *, scene: Callable[[int], int] = lambda _: 0, **places: Place) -> list[Frame]:
    """Frames of 200 x 320 with a square of each colour where it says, before one of two walls."""
    walls = [np.full((200, 320, 3), 90, np.uint8), np.full((200, 320, 3), 200, np.uint8)]
    walls[1][:, 160:] = (20, 20, 90)
    frames = []
    for idx in range(n_frames):
        image = walls[scene(idx)].copy()
        for name, place in places.items():
            if corner := place(idx):
                x, y = (round(part) for part in corner)
                image[max(y, 0) : max(y + SIDE, 0), max(x, 0) : max(x + SIDE, 0)] = COLOURS[name]
        frames.append(Frame(idx, idx / 25, image))
    return frames


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_known_face_is_looked_at_but_hardly_searched(stride: int) -> None:
    detector = Guided()
    scan = scan_faces(video(100, red=lambda idx: (20 + 2 * idx, 50 + 20 * np.sin(idx / 9))), detector, stride)
    assert detector.n_searched <= 5
    assert set(range(0, 100, stride)) <= set(scan.frame.tolist())
    (track,) = link_tracks(scan)
    assert (track.start, track.stop) == (0, 100)
    assert np.abs(track.boxes[:, 0] - (20 + 2 * np.arange(100))).max() < 2
    assert scan.cuts.tolist() == []
    assert len(scan.looks) == len(scan.frame)


@pytest.mark.parametrize("n_frames", [1, 2, 6, 8])
def test_a_detector_without_close_looks_searches_every_few_frames_and_the_last(n_frames: int) -> None:
    detector, progress = Whole(), list[int]()
    scan = scan_faces(video(n_frames, red=lambda _: (40, 50)), detector, 1, progress.append)
    expected = sorted({*range(0, n_frames, UNGUIDED_STRIDE), n_frames - 1})
    assert scan.frame.tolist() == expected
    assert detector.n_searched == len(expected)
    assert progress == list(range(1, n_frames + 1))
    assert (scan.n_frames, scan.width, scan.height, scan.detector) == (n_frames, 320, 200, "squares-1")
    assert len(link_tracks(scan)[0]) == n_frames


@pytest.mark.parametrize("appears", [1, 13, 37, 50])
def test_a_face_is_known_from_the_frame_where_it_appears(appears: int) -> None:
    """Also beside one that was known, where the picture is searched but once a second."""
    scan = scan_faces(
        video(100, green=lambda _: (20, 20), red=lambda idx: (220, 100) if appears <= idx < 90 else None), Guided()
    )
    tracks = {round(track.boxes[0, 0]): track for track in link_tracks(scan)}
    assert (tracks[20].start, tracks[20].stop) == (0, 100)
    assert (tracks[220].start, tracks[220].stop) == (appears, 90)


def test_a_video_whose_first_half_has_no_face() -> None:
    detector = Guided()
    (track,) = link_tracks(scan_faces(video(100, red=lambda idx: (100, 60) if idx >= 53 else None), detector))
    assert (track.start, track.stop) == (53, 100)
    assert detector.n_searched < 30


def test_every_second_a_cut() -> None:
    """The face jumps with each; it is found in the first frame of every shot, and no track crosses one."""
    detector = Guided()
    frames = video(100, scene=lambda idx: idx // 25 % 2, red=lambda idx: (20 + 70 * (idx // 25), 60))
    scan = scan_faces(frames, detector)
    assert scan.cuts.tolist() == [25, 50, 75]
    tracks = sorted(link_tracks(scan), key=lambda track: track.start)
    assert [(track.start, track.stop) for track in tracks] == [(0, 25), (25, 50), (50, 75), (75, 100)]
    for number, track in enumerate(tracks):
        np.testing.assert_allclose(track.boxes[:, 0], 20 + 70 * number, atol=2)


def test_a_face_that_leaves_by_the_edge_ends_there() -> None:
    (track,) = link_tracks(scan_faces(video(60, red=lambda idx: (150 - 5 * idx, 60)), Guided()))
    assert track.start == 0
    assert 36 <= track.stop <= 42
    assert (track.boxes[:, 0] >= 0).all()


def test_coded_frames_give_the_same_faces() -> None:
    plain = video(30, red=lambda idx: (40 + 3 * idx, 60))
    coded = [CodedFrame(frame.idx, frame.time_s, Picture.from_rgb(frame.image)) for frame in plain]
    scans = [scan_faces(plain, Guided()), scan_faces(coded, Guided())]
    np.testing.assert_array_equal(scans[0].frame, scans[1].frame)
    np.testing.assert_allclose(scans[0].box, scans[1].box, atol=2)


def test_large_faces_are_looked_at_small_and_placed_exactly() -> None:
    seen: list[tuple[int, ...]] = []

    class Noting(Guided):
        def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
            seen.append(image.shape)
            return super().refine(image, boxes)

    image = np.full((720, 1280, 3), 90, np.uint8)
    image[101:505, 303:707] = COLOURS["red"]
    coded = [CodedFrame(idx, idx / 25, Picture.from_rgb(image)) for idx in range(3)]
    for frames in (coded, [Frame(frame.idx, frame.time_s, image) for frame in coded]):
        scan = scan_faces(frames, Noting())
        np.testing.assert_allclose(scan.box, np.tile([303, 101, 707, 505], (3, 1)), atol=4)
    assert max(max(shape) for shape in seen) < 420


def test_scan_without_faces_keeps_its_shapes() -> None:
    scan = scan_faces(video(7), Guided())
    assert (scan.box.shape, scan.points.shape, scan.score.shape) == ((0, 4), (0, 5, 2), (0,))
    assert len(scan.looks) == 0
    assert link_tracks(scan) == []


def test_scan_of_nothing_is_an_error() -> None:
    with pytest.raises(MediaError, match="no frames"):
        scan_faces([], Guided())
    with pytest.raises(ValueError, match="stride"):
        scan_faces(video(2), Guided(), stride=0)


def test_what_goes_wrong_while_reading_is_told() -> None:
    def broken() -> Iterator[Frame]:
        yield from video(3, red=lambda _: (40, 40))
        raise MediaError("the disk is gone")

    with pytest.raises(MediaError, match="disk is gone"):
        scan_faces(broken(), Guided())

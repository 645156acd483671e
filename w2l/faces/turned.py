"""Faces that lie or stand on their head: found in turned pictures, only in shots whose faces are doubtful upright."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.detectors.base import Detection, Detector
from w2l.faces.refine import AnyFrame, Refiner, whole_of
from w2l.faces.search import scan_faces
from w2l.faces.tracker import Scan, link_tracks
from w2l.media.coded import read_coded

logger = logging.getLogger(__name__)

TRUSTED = 0.97
"""Median score of a face from which it is taken for upright."""
PRESENT = 0.8
"""Share of a shot in which such a face must be seen."""
CLEAR = 0.8
"""Mean score that the best face of a shot's turned pictures must have, and be higher than in the upright ones."""
SAMPLES, MOST_SAMPLES = 6, 24
"""Pictures of a shot, and of all, that are turned to look whether there are any."""
LEAST_VOTES = 3
"""Pictures with such a face for which a video is searched again; all of them if there are fewer."""
WORDS = {1: "clockwise by 90 degrees", 2: "by 180 degrees", 3: "counter-clockwise by 90 degrees"}
"""How the head is turned that is upright after so many quarter turns counter-clockwise."""
BY_ROW = ("frame", "box", "score", "points", "looks")
"""Arrays of a scan with a row per detection."""


class TurnedDetector:
    """A detector that sees pictures after some quarter turns counter-clockwise; faces are given as in the picture."""

    def __init__(self, inner: Detector, quarters: int) -> None:
        self._inner = inner
        self._quarters = quarters
        self.name = inner.name

    @property
    def fingerprint(self) -> str:
        """That of the detector within."""
        return self._inner.fingerprint

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """See `Detector.detect`."""
        found = self._inner.detect([self._turned(image) for image in images])
        return [[self._back(face, image) for face in faces] for faces, image in zip(found, images)]

    def _turned(self, image: Image) -> Image:
        return np.ascontiguousarray(np.rot90(image, self._quarters))

    def _back(self, face: Detection, image: Image) -> Detection:
        sizes = _sizes(image, self._quarters)
        corners, points = face.box.reshape(2, 2), face.points
        for width, _ in reversed(sizes[:-1]):
            corners = np.column_stack([width - corners[:, 1], corners[:, 0]])
            points = np.column_stack([width - 1 - points[:, 1], points[:, 0]])
        return replace(face, box=np.concatenate([corners.min(axis=0), corners.max(axis=0)]), points=points)


class TurnedRefiner(TurnedDetector):
    """The same for a detector that can refine places."""

    def refine(self, image: Image, boxes: Floats) -> list[Detection | None]:
        """See `Refiner.refine`."""
        assert isinstance(self._inner, Refiner)
        corners = boxes.reshape(-1, 2, 2)
        for width, _ in _sizes(image, self._quarters)[:-1]:
            corners = np.stack([corners[..., 1], width - corners[..., 0]], axis=-1)
        turned = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        found = self._inner.refine(self._turned(image), turned)
        return [None if face is None else self._back(face, image) for face in found]


def turned(detector: Detector, quarters: int) -> TurnedDetector:
    """Return a detector for pictures that are upright after so many quarter turns counter-clockwise."""
    return (TurnedRefiner if isinstance(detector, Refiner) else TurnedDetector)(detector, quarters)


def with_turned(
    scan: Scan, path: Path, detector: Detector, min_face: int, read: Callable[[], Iterable[AnyFrame]] | None = None
) -> Scan:
    """Return the scan of a video with the faces of turned heads in those shots where they are surer than upright ones.

    Of shots in which a face is clear throughout, nothing is read again. `read` gives the frames that were scanned; by
    default all of the video.
    """
    read = read or partial(read_coded, path)
    doubtful = [shot for shot in scan.shots if not _is_clear(scan, shot)]
    if not doubtful:
        return scan
    for quarters in _ways(doubtful, detector, read):
        again = scan_faces(read(), turned(detector, quarters), scan.stride, min_face=min_face)
        better = [shot for shot in doubtful if _surest(again, shot) > _surest(scan, shot)]
        if better:
            logger.info("%s: a head is turned %s; its face is drawn so", path, WORDS[quarters])
        scan = _merged(scan, again, better)
    return scan


def _ways(shots: Sequence[tuple[int, int]], detector: Detector, read: Callable[[], Iterable[AnyFrame]]) -> list[int]:
    """Return the quarter turns after which some of the shots show a clear face, from a few pictures of each."""
    shots = [shots[idx] for idx in np.unique(np.linspace(0, len(shots) - 1, MOST_SAMPLES).astype(int))]
    n_each = min(SAMPLES, MOST_SAMPLES // len(shots))
    wanted = [np.unique(np.linspace(first, last - 1, n_each).astype(int)) for first, last in shots]
    images = list(_pictures(read(), set(np.concatenate(wanted).tolist())))
    scores = np.array([_scores(turned(detector, quarters) if quarters else detector, images) for quarters in range(4)])
    votes = [0, 0, 0, 0]
    for start, stop in pairwise(np.cumsum([0, *map(len, wanted)]).tolist()):
        means = scores[:, start:stop].mean(axis=1)
        if start < min(stop, len(images)) and means.max() >= CLEAR:
            votes[int(np.argmax(means))] += min(stop, len(images)) - start
    least = min(LEAST_VOTES, len(images))
    return [quarters for quarters in WORDS if votes[quarters] >= least]


def way_back(roll: float) -> str:
    """Return how a video must be turned in which heads have a roll, in degrees clockwise, to make them upright."""
    return WORDS[2] if abs(roll) > 135 else WORDS[3 if roll > 0 else 1]


def _sizes(image: Image, quarters: int) -> list[tuple[int, int]]:
    """Width and height of a picture before the first quarter turn and after each."""
    size = (int(image.shape[1]), int(image.shape[0]))
    return [size if number % 2 == 0 else size[::-1] for number in range(quarters + 1)]


def _in_shot(scan: Scan, shot: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray((scan.frame >= shot[0]) & (scan.frame < shot[1]))


def _is_clear(scan: Scan, shot: tuple[int, int]) -> bool:
    """Whether an upright face is seen surely for most of a shot."""
    tracks = [track for track in link_tracks(scan) if shot[0] <= track.start < shot[1]]
    return any(
        track.seen.sum() >= PRESENT * (shot[1] - shot[0]) and float(np.median(track.scores[track.seen])) >= TRUSTED
        for track in tracks
    )


def _surest(scan: Scan, shot: tuple[int, int]) -> float:
    """Return the score of the surest face of a shot, over all its frames."""
    tracks = [track for track in link_tracks(scan) if shot[0] <= track.start < shot[1]]
    return max((float(track.scores[track.seen].sum()) for track in tracks), default=0.0)


def _pictures(frames: Iterable[AnyFrame], wanted: set[int]) -> Iterator[Image]:
    for idx, frame in enumerate(frames):
        if idx in wanted:
            yield whole_of(frame)


def _scores(detector: Detector, images: Sequence[Image]) -> list[float]:
    """Return the score of the surest face of each picture; 0 without a face."""
    return [max((face.score for face in detector.detect([image])[0]), default=0.0) for image in images]


def _merged(scan: Scan, again: Scan, shots: Sequence[tuple[int, int]]) -> Scan:
    """Return the scan with the detections of another in some shots."""
    for shot in shots:
        kept, new = ~_in_shot(scan, shot), _in_shot(again, shot)
        arrays = {name: np.concatenate([getattr(scan, name)[kept], getattr(again, name)[new]]) for name in BY_ROW}
        order = np.argsort(arrays["frame"], kind="stable")
        by_row: dict[str, Any] = {name: rows[order] for name, rows in arrays.items()}
        scan = replace(scan, **by_row)
    return scan

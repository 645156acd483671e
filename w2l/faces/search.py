"""All faces of a video in one pass: occasional searches of the whole image, tracking of known faces in between.

A search happens at the first frame of a shot after a plain cut (fades and faint cuts are confirmed only some frames
later), every second, when a known face is lost and, while none is known, every quarter of a second. A face that a
search finds is traced back through the frames since the last search, so it is known from the frame where it appears.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from w2l.core.arrays import Floats, Image
from w2l.core.errors import MediaError
from w2l.core.prefetch import ahead
from w2l.core.timing import FPS
from w2l.faces.appearance import NO_LOOK, likeness
from w2l.faces.detectors.base import MIN_FACE, Detector
from w2l.faces.refine import AnyFrame, Sight, can_look, look_near, sight_of, size_of, small_picture, whole_of
from w2l.faces.shots import SMALL_WIDTH, ShotFinder
from w2l.faces.tracker import MIN_OVERLAP, Scan, best_pairs
from w2l.faces.turning import RenewalFinder
from w2l.features import boxes as bx
from w2l.media.coded import CodedFrame

SEARCH_S = 1.0
"""Seconds between searches of the whole image while faces are known."""
LOST_SEARCH_S = 0.24
"""The same while none is known, or one has just been lost."""
FORGET_S = 0.4
"""Seconds for which a lost face is still searched for at its last position."""
SAME_FACE = 0.45
"""Overlap (intersection over union) from which two boxes of one frame are the same face."""
HELD_BYTES = 64 << 20
"""Memory limit for the frames through which new faces are traced back."""
AHEAD = 4
"""Frames that are decoded ahead."""
UNGUIDED_STRIDE = 5
"""Smallest number of frames between searches with a detector that only searches whole images."""


def scan_faces(
    frames: Iterable[AnyFrame],
    detector: Detector,
    stride: int = 1,
    on_progress: Callable[[int], None] | None = None,
    min_face: int = MIN_FACE,
) -> Scan:
    """Return the faces of a video and its cuts, holding few frames at a time.

    Parameters
    ----------
    frames : iterable of Frame
        Of one size; their order counts, not their `idx`. Decoded in a thread, ahead of the detection.
    stride : int
        Known faces are detected on every `stride`-th frame and on the last one. A detector that cannot refine a known
        position searches whole images instead, at least `UNGUIDED_STRIDE` frames apart.
    on_progress : callable
        Called with the number of frames read so far.
    min_face : int
        Smallest face searched for, in pixels; as in the detector.
    """
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    search = _Search(detector, stride, min_face)
    with _one_torch_thread(), closing(ahead(_with_small(frames), AHEAD)) as stream:
        for frame, small in stream:
            search.take(frame, small)
            if on_progress is not None:
                on_progress(len(search.times))
    return search.finish()


def _with_small(frames: Iterable[AnyFrame]) -> Iterator[tuple[AnyFrame, Image]]:
    """Yield each frame with its reduced image, computed in the decoding thread."""
    for frame in frames:
        yield frame, small_picture(frame, SMALL_WIDTH)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Run networks on small patches in one thread: more would be slower and compete with the decoder."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@dataclass
class _Known:
    """A face that is being tracked."""

    box: Floats
    look: Image
    time_s: float
    move: Floats = field(default_factory=lambda: np.zeros(2))
    """Movement of its centre in pixels from the previous detection to the last one."""
    is_lost: bool = False

    def expected(self) -> Floats:
        """Return the box expected in the next frame that is processed."""
        return self.box if self.is_lost else self.box + np.tile(self.move, 2)

    def meet(self, sight: Sight, time_s: float) -> None:
        """Update its position."""
        box = sight.face.box
        move = (box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2
        self.move = np.zeros(2) if self.is_lost else 0.5 * self.move + 0.5 * move
        self.box, self.look, self.time_s, self.is_lost = box, sight.look, time_s, False


class _Search:
    """The state of a scan between two frames."""

    def __init__(self, detector: Detector, stride: int, min_face: int) -> None:
        self._detector = detector
        self._guided = can_look(detector)
        self._stride = stride if self._guided else max(stride, UNGUIDED_STRIDE)
        self._min_face = min_face
        self._shots = ShotFinder()
        self._renewal = RenewalFinder()
        self._known: list[_Known] = []
        self._held: deque[tuple[int, AnyFrame]] = deque()
        self._found: list[tuple[int, Sight]] = []
        self._searched_s = -np.inf
        self._looked_at = -1
        self._last: AnyFrame | None = None
        self.times: list[float] = []

    def take(self, frame: AnyFrame, small: Image) -> None:
        """Process the next frame as far as necessary; `small` is its image for the shot finder."""
        idx = len(self.times)
        self.times.append(frame.time_s)
        is_new_shot = self._shots.push(small)
        self._renewal.push(frame.time_s, small)
        if is_new_shot:
            self._known, self._held = [], deque()
        due = frame.time_s - self._searched_s >= (SEARCH_S if self._is_calm() else LOST_SEARCH_S) - 1e-6
        if not self._guided:
            if is_new_shot or idx % self._stride == 0:
                self._search(idx, frame)
        elif is_new_shot or due:
            self._search(idx, frame)
        elif idx % self._stride == 0:
            self._look(idx, frame)
        self._hold(idx, frame)
        self._last = frame

    def finish(self) -> Scan:
        """Return the complete scan."""
        if self._last is None:
            raise MediaError("the video has no frames; choose another file")
        last_idx = len(self.times) - 1
        if self._looked_at < last_idx or self.times[-1] - self._searched_s >= LOST_SEARCH_S:
            # A face that appeared since the last search would be missed, so this frame is searched again.
            self._found = [entry for entry in self._found if entry[0] != last_idx]
            self._search(last_idx, self._last)
        found = sorted(self._found, key=lambda entry: entry[0])
        span_s = self.times[-1] - self.times[0]
        height, width = size_of(self._last)
        times = np.asarray(self.times, dtype=np.float64)
        return Scan(
            n_frames=len(self.times),
            fps=last_idx / span_s if span_s > 0 else float(FPS),
            width=width,
            height=height,
            times=times,
            renewed=self._renewal.at(times),
            frame=np.array([idx for idx, _ in found], dtype=np.int64),
            box=np.array([sight.face.box for _, sight in found], dtype=np.float64).reshape(-1, 4),
            score=np.array([sight.face.score for _, sight in found], dtype=np.float64),
            points=np.array([sight.face.points for _, sight in found], dtype=np.float64).reshape(-1, 5, 2),
            detector=self._detector.fingerprint,
            stride=self._stride,
            cuts=self._shots.finish(),
            looks=np.array([sight.look for _, sight in found], dtype=np.uint8).reshape(-1, *NO_LOOK.shape),
        )

    def _is_calm(self) -> bool:
        return bool(self._known) and not any(known.is_lost for known in self._known)

    def _hold(self, idx: int, frame: AnyFrame) -> None:
        """Keep the frame for faces that are found later, as far as memory allows."""
        height, width = size_of(frame)
        n_most = max(1, HELD_BYTES // (height * width * (2 if isinstance(frame, CodedFrame) else 3)))
        self._held.append((idx, frame))
        while len(self._held) > n_most:
            self._held.popleft()

    def _search(self, idx: int, frame: AnyFrame) -> None:
        """Search the whole image; trace new faces back."""
        proposed = self._detector.detect([whole_of(frame)])[0]
        self._searched_s = frame.time_s
        if not self._guided:
            self._note(idx, frame, [sight_of(frame, face) for face in proposed])
            return
        # All boxes come from the refinement, so that a search does not show as a jump in a track.
        closer = look_near(self._detector, frame, [face.box for face in proposed], self._min_face)
        sights = [near or sight_of(frame, face) for near, face in zip(closer, proposed, strict=True)]
        missed = [known for known in self._known if not _overlaps(known.expected(), sights)]
        sights += [sight for sight in self._seen(frame, missed) if sight is not None]
        for known in self._note(idx, frame, _distinct(sights)):
            self._trace_back(known, idx)
        self._held.clear()

    def _look(self, idx: int, frame: AnyFrame) -> None:
        """Detect the known faces, and search if one of them is lost."""
        found = self._seen(frame, self._known)
        lost = any(sight is None and not known.is_lost for sight, known in zip(found, self._known, strict=True))
        if lost and frame.time_s - self._searched_s >= LOST_SEARCH_S:
            self._search(idx, frame)
        else:
            self._note(idx, frame, _distinct([sight for sight in found if sight is not None]))

    def _seen(self, frame: AnyFrame, known: list[_Known]) -> list[Sight | None]:
        return look_near(self._detector, frame, [face.expected() for face in known], self._min_face)

    def _note(self, idx: int, frame: AnyFrame, sights: list[Sight]) -> list[_Known]:
        """Record the faces of one frame and update the known ones; return the new ones."""
        self._looked_at = idx
        self._found += [(idx, sight) for sight in sights]
        pairs = _pairs(self._known, sights)
        for known_idx, known in enumerate(self._known):
            if known_idx in pairs:
                known.meet(sights[pairs[known_idx]], frame.time_s)
            else:
                known.is_lost = True
        self._known = [known for known in self._known if frame.time_s - known.time_s <= FORGET_S]
        taken = set(pairs.values())
        new = [
            _Known(sight.face.box, sight.look, frame.time_s)
            for sight_idx, sight in enumerate(sights)
            if sight_idx not in taken
        ]
        self._known += new
        return new

    def _trace_back(self, known: _Known, idx: int) -> None:
        """Record a new face in the held frames before `idx`, back to where it appears or another face is."""
        tracer = _Known(known.box, known.look, known.time_s)
        for before, frame in reversed(self._held):
            if before % self._stride:
                continue
            (sight,) = self._seen(frame, [tracer])
            if sight is None or _overlaps(sight.face.box, [other for at, other in self._found if at == before]):
                return
            self._found.append((before, sight))
            tracer.meet(sight, frame.time_s)


def _overlaps(box: Floats, sights: list[Sight]) -> bool:
    if not sights:
        return False
    return bool((bx.iou(box[None], np.array([sight.face.box for sight in sights])) >= SAME_FACE).any())


def _distinct(sights: list[Sight]) -> list[Sight]:
    """Return the faces without duplicates, keeping the best score."""
    if not sights:
        return []
    found = np.array([sight.face.box for sight in sights])
    scores = np.array([sight.face.score for sight in sights])
    return [sights[idx] for idx in sorted(bx.nms(found, scores, SAME_FACE).tolist())]


def _pairs(known: list[_Known], sights: list[Sight]) -> dict[int, int]:
    """Match known faces with detected ones: near the expected position and, if ambiguous, the more similar one."""
    if not known or not sights:
        return {}
    found = np.array([sight.face.box for sight in sights])
    overlap = bx.iou(np.array([face.expected() for face in known]), found)
    fitness = np.where(overlap >= MIN_OVERLAP, overlap, 0.0)
    if fitness.size > 1:
        for known_idx, sight_idx in np.argwhere(fitness > 0):
            alike = likeness(known[known_idx].look, sights[sight_idx].look)
            fitness[known_idx, sight_idx] *= 0.5 + 0.5 * max(alike, 0.0)
    return best_pairs(fitness)

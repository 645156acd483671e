"""How well the mouth and the voice of one video agree: decode, 25 fps, crop, the judge, LSE-D, LSE-C and offset.

With a `FaceFinder` the judge sees the main face, cut as the judge was trained; without one it sees whole frames, as the
evaluation on LRS2 does, whose clips are crops of faces already.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from w2l.cache import Cache
from w2l.data.windows import nearest_frames
from w2l.errors import MediaError, NoFaceError
from w2l.faces.crop import CropSpec, cut
from w2l.faces.detector import Detector
from w2l.faces.scanning import DetectSettings, clip_for, scan_clip
from w2l.faces.tracker import Scan, link_tracks, smooth_track
from w2l.media.audio import read_audio
from w2l.media.video import at_fps, probe, read_frames
from w2l.metrics.embed import BATCH, embed_clip
from w2l.metrics.sync import MAX_SHIFT, distances, median_filter, score_curve
from w2l.nets.judge import Judge
from w2l.timing import FPS, SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.training.checkpoint import PUBLIC_DATA, Model

STEADY_FRAMES = 13
"""Frames over which the SyncNet pipeline takes the median of a face's place and size."""

Kind = Literal["output", "real"]
KINDS: tuple[Kind, ...] = ("output", "real")
Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FaceFinder:
    """Finds the faces of a video; what it finds is kept in the cache."""

    detector: Detector
    cache: Cache
    settings: DetectSettings = field(default_factory=DetectSettings)


@dataclass(frozen=True)
class ClipScore:
    """What the judge says of one clip."""

    lse_d: float
    """Distance of mouth and voice at the best shift; lower is better."""
    lse_c: float
    """Confidence: how far the other shifts are from the best; higher is better."""
    offset: int
    """Frames at 25 fps by which the sound runs ahead of the picture; negative: the sound is late."""
    windows: int
    """Windows of five frames that were judged."""
    start_s: float
    """Seconds before the first frame that was judged."""
    curve: tuple[float, ...]
    """Mean distance at each shift; the middle is no shift."""


@dataclass(frozen=True)
class Row:
    """One clip of a table, with its score or the reason why it has none."""

    clip: Path
    kind: Kind
    score: ClipScore | None = None
    reason: str = ""


@dataclass(frozen=True)
class Average:
    """Plain means over clips, as the published evaluation takes them."""

    clips: int
    lse_d: float
    lse_c: float
    offset: float
    windows: float


@dataclass(frozen=True)
class _Plan:
    """Which source frame and which face make each frame at 25 fps."""

    source_idx: NDArray[np.int64]
    boxes: Floats
    points: Floats
    first_frame: int
    """Place of the first one on the clip's 25 fps grid."""


def score_clip(
    path: Path, judge: Model, finder: FaceFinder | None = None, batch: int = BATCH, max_shift: int = MAX_SHIFT
) -> ClipScore:
    """The scores of the video at `path` with its own sound.

    Parameters
    ----------
    judge : Model
        Its card says how a face is cut and in which order the colours come.
    finder : FaceFinder, optional
        Finds the face to be judged, the one with the most area over time; without it, whole frames are judged.
    batch : int
        Windows judged at once.
    max_shift : int
        Largest shift tried, in frames at 25 fps, both ways.

    Raises
    ------
    MediaError
        For a video that cannot be read, has no sound or is shorter than 6 frames.
    NoFaceError
        When no face is seen for 6 frames on end.
    """
    info = probe(path)
    wave = read_audio(path, origin_s=info.start_s)
    if finder is None:
        first_frame = 0
        frames: Iterator[Image] = (frame.image for frame in at_fps(read_frames(path), FPS))
    else:
        scan, _ = scan_clip(clip_for(finder.cache, path), path, finder.detector, finder.settings)
        plan = _plan(path, scan, judge.card.crop)
        first_frame = plan.first_frame
        frames = _faces(path, plan, judge.card.crop)
    heard = wave[first_frame * SAMPLES_PER_FRAME :]
    try:
        lip, audio = embed_clip(cast(Judge, judge.network), frames, heard, judge.card.colour, batch)
    except MediaError as error:
        raise error if str(path) in str(error) else MediaError(f"{path}: {error}") from error
    score = score_curve(distances(lip, audio, max_shift))
    curve = tuple(round(float(value), 6) for value in score.mean_distances)
    return ClipScore(score.min_distance, score.confidence, score.offset, len(lip), first_frame / FPS, curve)


def score_clips(
    clips: Iterable[tuple[Path, Kind]],
    judge: Model,
    finder: FaceFinder | None = None,
    batch: int = BATCH,
    max_shift: int = MAX_SHIFT,
) -> Iterator[Row]:
    """The scores of many videos, see `score_clip`; one that cannot be scored gives a row with its reason."""
    for path, kind in clips:
        try:
            yield Row(path, kind, score_clip(path, judge, finder, batch, max_shift))
        except (MediaError, NoFaceError) as error:
            yield Row(path, kind, reason=str(error))


def average(scores: Iterable[ClipScore]) -> Average | None:
    """The means over clips; None when there are none."""
    rows = [(score.lse_d, score.lse_c, score.offset, score.windows) for score in scores]
    if not rows:
        return None
    return Average(len(rows), *(float(value) for value in np.mean(rows, axis=0)))


def mean_of(rows: Iterable[Row], kind: Kind) -> Average | None:
    """The means over the clips of one kind that have a score."""
    return average(row.score for row in rows if row.kind == kind and row.score is not None)


def is_public(judge: Model) -> bool:
    """Whether scores by this judge can be set beside published ones."""
    return judge.card.data == PUBLIC_DATA


def describe(judge: Model, name: str) -> str:
    """Whose scores these are: the title of a table."""
    if is_public(judge):
        return "LSE with SyncNet v2 (public weights)"
    which = "the judge trained by w2l" if name == "w2l" else f"judge {Path(name).name}, trained by w2l"
    return f"LSE with {which} (not comparable with published numbers)"


def _plan(path: Path, scan: Scan, spec: CropSpec) -> _Plan:
    nearest = nearest_frames(scan.times, FPS)
    for track in link_tracks(scan):
        inside = np.flatnonzero((nearest >= track.start) & (nearest < track.stop))
        if len(inside) <= WINDOW_FRAMES:
            continue
        if spec.kind != "judge":
            track = smooth_track(track, spec.smooth_s * scan.fps)
        rows = nearest[inside] - track.start
        boxes = steadied(track.boxes[rows]) if spec.kind == "judge" else track.boxes[rows]
        return _Plan(nearest[inside], boxes, track.points[rows], int(inside[0]))
    raise NoFaceError(
        f"{path}: no face seen for {WINDOW_FRAMES + 1} frames on end; try a smaller detect.min_face, another detector, "
        "or --crop frame when the picture is the face"
    )


def steadied(boxes: Floats) -> Floats:
    """Squares around boxes (frames, 4), their centre and half side median-filtered as the SyncNet pipeline does.

    As published, zeros count beyond the ends; a track shorter than the filter takes a shorter filter, which leaves no
    square empty.
    """
    span = min(STEADY_FRAMES, len(boxes) - 1 + len(boxes) % 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    half = median_filter(sides.max(axis=1) / 2, span)
    x, y = (median_filter(boxes[:, [axis, axis + 2]].mean(axis=1), span) for axis in (0, 1))
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


def _faces(path: Path, plan: _Plan, spec: CropSpec) -> Iterator[Image]:
    """The face of each frame at 25 fps, (size, size, 3) RGB."""
    row = 0
    for frame in read_frames(path):
        while row < len(plan.source_idx) and plan.source_idx[row] == frame.idx:
            yield cut(frame.image, plan.boxes[row], plan.points[row], spec)
            row += 1
        if row == len(plan.source_idx):
            return

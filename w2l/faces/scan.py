"""Detections of one video, read from the cache if available, else computed and stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from w2l.cache.store import Cache, Clip, safe_id
from w2l.core.errors import ConfigError, MediaError
from w2l.core.files import DAMAGED, fingerprint, read_arrays, write_arrays
from w2l.faces.detectors.base import Detector
from w2l.faces.search import scan_faces
from w2l.faces.tracker import Scan
from w2l.faces.turned import with_turned
from w2l.media.coded import read_coded
from w2l.media.sequence import source_mark
from w2l.media.showing import counts_as_decoded
from w2l.media.video import VideoInfo

VERSION = 4
"""Incremented if the same detector would return other boxes, so that old ones are recomputed."""
RETIMED = frozenset({".avi", ".asf", ".wmv", ".mxf"})
"""Endings of the containers that may count in the order of decoding; others are not opened for a fingerprint."""
SHOTS_VERSION = 2
"""Incremented if other shots would be found; 1 lacks fades through black and faint cuts, see `_made_mark`."""


@dataclass(frozen=True)
class DetectSettings:
    """Settings of face detection."""

    detector: str = "auto"
    """`auto`, `mtcnn`, `insightface:PATH` or `yunet:PATH`."""
    stride: int = 2
    """Frames between two detections of a known face; boxes between are interpolated."""
    min_face: int = 40
    """Smallest face searched for, in pixels of the source."""

    def __post_init__(self) -> None:
        """Reject numbers out of range."""
        if self.stride < 1:
            raise ConfigError(f"stride {self.stride} must be at least 1")
        if self.min_face < 12:
            raise ConfigError(f"min_face {self.min_face} must be at least 12 pixels")


def scan_fingerprint(path: Path, detector: Detector, settings: DetectSettings, content: bool = True) -> str:
    """Return a fingerprint of the source, the detector's weights and the settings; see `source_mark`."""
    retimed = ["shown"] if _is_retimed(path) else []
    source = source_mark(path, content)
    return fingerprint("detect", VERSION, source, detector.fingerprint, settings.stride, *retimed)


def _is_retimed(path: Path) -> bool:
    """Return whether earlier versions stored other times for the frames of a video."""
    try:
        return path.suffix.lower() in RETIMED and counts_as_decoded(path)
    except MediaError:  # whoever reads the video says so
        return False


def scan_clip(
    clip: Clip,
    path: Path,
    detector: Detector,
    settings: DetectSettings,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Scan, bool]:
    """Return the detections of the video at `path`, and whether they were computed now (True) or cached.

    Results of an earlier `SHOTS_VERSION` are kept: the boxes are as good, the shots may lack fades and faint cuts, and
    only another pass over the video could show whether there are any.

    Raises MediaError if the video cannot be read.
    """
    mark = scan_fingerprint(path, detector, settings)
    if not force and clip.faces.exists():
        kept = _load(clip.faces, (mark, scan_fingerprint(path, detector, settings, content=False)))
        if kept is not None:
            return kept, False
    scan = scan_faces(read_coded(path), detector, settings.stride, on_progress, settings.min_face)
    scan = with_turned(scan, path, detector, settings.min_face)
    made = np.array(_made_mark(mark, has_cuts=bool(len(scan.cuts))))
    write_arrays(clip.faces, {**{name: np.asarray(value) for name, value in vars(scan).items()}, "mark": made})
    return scan, True


def at_rate(scan: Scan, info: VideoInfo) -> Scan:
    """Return the detections of a sequence of pictures at the rate it is shown at; those of a video as they are."""
    return replace(scan, fps=info.fps, times=np.arange(scan.n_frames) / info.fps) if info.is_sequence else scan


def _made_mark(mark: str, has_cuts: bool) -> str:
    """Return the fingerprint of a scan made now; for a single shot it does not depend on the rule."""
    return fingerprint(mark, "shots", SHOTS_VERSION) if has_cuts else mark


def _load(path: Path, marks: tuple[str, ...]) -> Scan | None:
    """Return the scan stored under one of the marks, by this or an earlier version; None if there is none."""
    try:
        values = read_arrays(path)
        if str(values.pop("mark")) not in (*marks, *(_made_mark(mark, has_cuts=True) for mark in marks)):
            return None
    except DAMAGED:
        return None
    scalars = {name: value.item() for name, value in values.items() if value.ndim == 0}
    try:
        scan = Scan(**{**values, **scalars})
        return scan if _fits(scan) else None
    except (TypeError, ValueError, AttributeError):  # other fields, or numbers instead of arrays
        return None


def _fits(scan: Scan) -> bool:
    """Whether the arrays of a scan have consistent sizes and valid numbers."""
    count = len(scan.frame)
    shapes = ((scan.times, (scan.n_frames,)), (scan.frame, (count,)), (scan.box, (count, 4)), (scan.score, (count,)),
              (scan.points, (count, 5, 2)))  # fmt: skip
    if any(array.shape != shape for array, shape in shapes) or scan.cuts.ndim != 1:
        return False
    if scan.renewed.shape not in ((scan.n_frames,), (0,)) or not np.isfinite(scan.renewed).all():
        return False
    finite = all(bool(np.isfinite(array).all()) for array in (scan.times, scan.box, scan.score, scan.points))
    frames = [scan.frame, scan.cuts] if scan.frame.dtype.kind == scan.cuts.dtype.kind == "i" else []
    inside = all(not len(idx) or (idx.min() >= 0 and idx.max() < scan.n_frames) for idx in frames)
    return finite and bool(frames) and inside and bool((np.diff(scan.frame) >= 0).all())


def clip_for(cache: Cache, path: Path) -> Clip:
    """Return the cache folder of a video outside a dataset: its name and a hash of its location."""
    path = path.absolute()
    return cache.clip(safe_id(f"{path.stem}-{fingerprint(str(path))[:8]}"))

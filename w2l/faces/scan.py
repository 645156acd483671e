"""Detections of one video, read from the cache where they are there, else made and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2l.cache.store import Cache, Clip, safe_id
from w2l.core.errors import ConfigError
from w2l.core.files import DAMAGED, fingerprint, read_arrays, source_fingerprint, write_arrays
from w2l.faces.detectors.base import Detector
from w2l.faces.search import scan_faces
from w2l.faces.tracker import Scan
from w2l.media.coded import read_coded

VERSION = 3
"""Rises whenever the same detector would give other boxes, so that old ones are made anew."""
SHOTS_VERSION = 2
"""Rises whenever other shots would be found; 1 lacks fades through black and faint cuts, see `_made_mark`."""


@dataclass(frozen=True)
class DetectSettings:
    """How faces are found."""

    detector: str = "auto"
    """`auto`, `mtcnn`, `insightface:PATH` or `yunet:PATH`."""
    stride: int = 2
    """Frames from one look at a known face to the next; between them boxes are interpolated."""
    min_face: int = 40
    """Smallest face looked for, in pixels of the source."""

    def __post_init__(self) -> None:
        """Refuses numbers that make no sense."""
        if self.stride < 1:
            raise ConfigError(f"stride {self.stride} must be at least 1")
        if self.min_face < 12:
            raise ConfigError(f"min_face {self.min_face} must be at least 12 pixels")


def scan_fingerprint(path: Path, detector: Detector, settings: DetectSettings, content: bool = True) -> str:
    """Return what changes when the source, the detector's weights or the settings do; see `source_fingerprint`."""
    return fingerprint("detect", VERSION, source_fingerprint(path, content), detector.fingerprint, settings.stride)


def scan_clip(
    clip: Clip,
    path: Path,
    detector: Detector,
    settings: DetectSettings,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Scan, bool]:
    """The detections of the video at `path`, and whether they were made now (True) or read from the cache.

    What an earlier `SHOTS_VERSION` made is kept: its boxes are as good, its shots lack some fades and faint cuts, and
    nothing short of another pass over the video says whether there are any.

    Raises MediaError when the video cannot be read.
    """
    mark = scan_fingerprint(path, detector, settings)
    if not force and clip.faces.exists():
        kept = _load(clip.faces, (mark, scan_fingerprint(path, detector, settings, content=False)))
        if kept is not None:
            return kept, False
    scan = scan_faces(read_coded(path), detector, settings.stride, on_progress, settings.min_face)
    made = np.array(_made_mark(mark, has_cuts=bool(len(scan.cuts))))
    write_arrays(clip.faces, {**{name: np.asarray(value) for name, value in vars(scan).items()}, "mark": made})
    return scan, True


def _made_mark(mark: str, has_cuts: bool) -> str:
    """The fingerprint of a scan made now; that of a single shot is the same whatever rule found none."""
    return fingerprint(mark, "shots", SHOTS_VERSION) if has_cuts else mark


def _load(path: Path, marks: tuple[str, ...]) -> Scan | None:
    """Return what is kept under one of the marks, made now or by an earlier version; None where nothing is."""
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
    except (TypeError, ValueError, AttributeError):  # other fields, or numbers in the place of arrays
        return None


def _fits(scan: Scan) -> bool:
    """Whether the arrays of a scan have the sizes and the numbers that they say."""
    count = len(scan.frame)
    shapes = ((scan.times, (scan.n_frames,)), (scan.frame, (count,)), (scan.box, (count, 4)), (scan.score, (count,)),
              (scan.points, (count, 5, 2)))  # fmt: skip
    if any(array.shape != shape for array, shape in shapes) or scan.cuts.ndim != 1:
        return False
    finite = all(bool(np.isfinite(array).all()) for array in (scan.times, scan.box, scan.score, scan.points))
    frames = [scan.frame, scan.cuts] if scan.frame.dtype.kind == scan.cuts.dtype.kind == "i" else []
    inside = all(not len(idx) or (idx.min() >= 0 and idx.max() < scan.n_frames) for idx in frames)
    return finite and bool(frames) and inside and bool((np.diff(scan.frame) >= 0).all())


def clip_for(cache: Cache, path: Path) -> Clip:
    """The cache's folder for one video outside a dataset: its name and a hash of where it lies."""
    path = path.absolute()
    return cache.clip(safe_id(f"{path.stem}-{fingerprint(str(path))[:8]}"))

"""Detections of one video, read from the cache if available, else computed and stored."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from w2l.cache.store import Cache, Clip, safe_id
from w2l.core.arrays import Floats
from w2l.core.errors import MediaError
from w2l.core.files import DAMAGED, fingerprint, read_arrays, write_arrays
from w2l.faces.detectors.base import Detector
from w2l.faces.search import scan_faces
from w2l.faces.settings import DetectSettings as DetectSettings
from w2l.faces.tracker import Scan
from w2l.faces.turned import BY_ROW, with_turned
from w2l.media.coded import read_coded
from w2l.media.player import play
from w2l.media.sequence import source_mark
from w2l.media.showing import counts_as_decoded
from w2l.media.video import VideoInfo

VERSION = 4
"""Incremented if the same detector would return other boxes, so that old ones are recomputed."""
RETIMED = frozenset({".avi", ".asf", ".wmv", ".mxf"})
"""Endings of the containers that may count in the order of decoding; others are not opened for a fingerprint."""
SHOTS_VERSION = 2
"""Incremented if other shots would be found; 1 lacks fades through black and faint cuts, see `_made_mark`."""


SPAN_VERSION = 1
"""The same for the detections of some frames of a video, see `scan_span`."""


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
    kept = None if force else kept_scan(clip, path, detector, settings)
    if kept is not None:
        return kept, False
    scan = scan_faces(read_coded(path), detector, settings.stride, on_progress, settings.min_face)
    scan = with_turned(scan, path, detector, settings.min_face)
    mark = scan_fingerprint(path, detector, settings)
    _store(clip.faces, scan, _made_mark(mark, has_cuts=bool(len(scan.cuts))))
    return scan, True


def kept_scan(clip: Clip, path: Path, detector: Detector, settings: DetectSettings) -> Scan | None:
    """Return the detections of the whole video that are in the cache; None if there are none."""
    if not clip.faces.exists():
        return None
    return _load(clip.faces, tuple(scan_fingerprint(path, detector, settings, content) for content in (True, False)))


def scan_span(
    clip: Clip,
    path: Path,
    times: Floats,
    span: tuple[int, int],
    detector: Detector,
    settings: DetectSettings,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Scan, bool]:
    """Return the detections of some frames of a video, as `scan_clip` does for all, and whether they are new.

    `times` (frames,) are those of all frames, `span` the first frame and the one after the last. The scan is that of a
    video in which these frames lie between two cuts, and in which nothing was found in other frames.
    """
    first, stop = span
    stored = clip.part(f"faces-{first}-{stop}")
    mark = fingerprint(scan_fingerprint(path, detector, settings), "span", SPAN_VERSION, span)
    scan = _load(stored, (mark,)) if stored.exists() else None
    is_fresh = scan is None
    if scan is None:
        read = partial(play, path, times, range(first, stop))
        scan = scan_faces(read(), detector, settings.stride, on_progress, settings.min_face)
        scan = with_turned(scan, path, detector, settings.min_face, read)
        _store(stored, scan, mark)
    return _placed(scan, times, first), is_fresh


def _placed(scan: Scan, times: Floats, first: int) -> Scan:
    """Return the scan of some frames, from `first` on, as one of the whole video, whose frames are shown at `times`."""
    n_frames, stop = len(times), first + scan.n_frames
    renewed = np.zeros(n_frames)
    renewed[first:stop] = scan.renewed
    edges = [edge for edge in (first, stop) if 0 < edge < n_frames]
    span_s = float(times[-1] - times[0])
    return replace(
        scan,
        n_frames=n_frames,
        fps=(n_frames - 1) / span_s if span_s > 0 else scan.fps,
        times=times,
        frame=scan.frame + first,
        cuts=np.unique(np.concatenate([scan.cuts + first, edges]).astype(np.int64)),
        renewed=renewed,
    )


def merge_scans(scan: Scan, other: Scan) -> Scan:
    """Return the detections of two scans of the same video, of which one has none where the other has some."""
    order = np.argsort(np.concatenate([scan.frame, other.frame]), kind="stable")
    by_row: dict[str, Any] = {
        name: np.concatenate([getattr(scan, name), getattr(other, name)])[order] for name in BY_ROW
    }
    cuts = np.union1d(scan.cuts, other.cuts).astype(np.int64)
    return replace(scan, cuts=cuts, renewed=np.maximum(scan.renewed, other.renewed), **by_row)


def _store(path: Path, scan: Scan, mark: str) -> None:
    write_arrays(path, {**{name: np.asarray(value) for name, value in vars(scan).items()}, "mark": np.array(mark)})


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

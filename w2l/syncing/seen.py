"""Find the faces to redraw in a source: in all of its frames, or in some spans of them."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from w2l.cache.store import Cache
from w2l.core.arrays import Floats
from w2l.core.errors import NoFaceError
from w2l.core.progress import progress
from w2l.faces.detectors.base import Detector
from w2l.faces.follow import FADE_S, Faces, follow, no_faces, without_lying
from w2l.faces.scan import at_rate, clip_for, merge_scans, scan_clip, scan_span
from w2l.faces.select import Chosen, Known, choose, parse_choice, steady_tracks
from w2l.faces.tracker import Scan
from w2l.faces.turned import way_back
from w2l.features.crop import CropSpec
from w2l.media.video import VideoInfo
from w2l.syncing.cast import join
from w2l.syncing.hearing import HeardSpeech
from w2l.syncing.portrait import portrait_of
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

HINT = "check with 'w2l detect --preview', try --set detect.min_face=20, or set --box"

Span = tuple[int, int]
"""The first of some frames of a source, and the one after the last."""


@dataclass(frozen=True)
class Seen:
    """Result of the analysis of a source."""

    faces: Faces
    times: Floats
    """(source frames,) seconds."""
    chosen: str
    """Description of the face to redraw and of other faces."""
    fresh: bool = False
    """Whether faces were detected now rather than read from the cache."""
    members: Mapping[int, int] = field(default_factory=dict)
    """Track -> index of the cast member."""


def look(
    settings: SyncSettings,
    info: VideoInfo,
    spec: CropSpec,
    cache: Cache,
    detector: Detector,
    heard: "Future[HeardSpeech]",
) -> Seen:
    """Return the chosen faces of all frames; stop as soon as the audio turns out to be silent."""
    choices = [parse_choice(face) for face, _ in settings.cast] or [parse_choice(settings.face)]
    portraits = [portrait_of(choice, detector) for choice in choices]
    with progress("faces", info.n_frames or None) as advance:

        def on_progress(_total: int) -> None:
            advance()
            if heard.done():
                heard.result()

        clip = clip_for(cache, info.path)
        scan, fresh = scan_clip(clip, info.path, detector, settings.detect, on_progress=on_progress)
    scan = at_rate(scan, info)
    try:
        tracks = steady_tracks(scan)
        found = [choose(tracks, scan, choice, portrait) for choice, portrait in zip(choices, portraits)]
        chosen, members = join(settings.cast, found) if settings.cast else (found[0], {})
    except NoFaceError as error:
        raise NoFaceError(f"{info.path}: {error}; {HINT}") from error
    faces = _followed(settings, info, spec, scan, chosen)
    if not faces.tracks:
        reasons = ", ".join(f"{count} frames {reason}" for reason, count in faces.passed().items())
        raise NoFaceError(f"{info.path}: no face was detected reliably enough to be redrawn ({reasons}); {HINT}")
    return Seen(faces, scan.times, chosen.description, fresh, members)


def look_in(
    tools: Tools,
    info: VideoInfo,
    spec: CropSpec,
    times: Floats,
    spans: Sequence[Span],
    known: Known | None = None,
) -> Seen:
    """Return the chosen faces of some spans of a source, which is not looked at elsewhere; there may be none.

    Faces that are `known` from before are chosen again in their shot.
    """
    if not spans:
        return Seen(no_faces(len(times)), times, "none")
    settings, clip = tools.settings, clip_for(tools.cache, info.path)
    with progress("faces", sum(stop - first for first, stop in spans)) as advance:
        scanned = [
            scan_span(clip, info.path, times, span, tools.detector, settings.detect, lambda _total: advance())
            for span in spans
        ]
    scan = reduce(merge_scans, (scan for scan, _ in scanned))
    fresh = any(is_fresh for _, is_fresh in scanned)
    where = " and ".join(f"{times[first]:.1f}-{times[stop - 1]:.1f} s" for first, stop in spans)
    try:
        chosen = choose(steady_tracks(scan), scan, parse_choice(settings.face), known=known)
    except NoFaceError as error:
        logger.warning("%s: %s (of %s)", info.path, error, where)
        return Seen(no_faces(len(times)), times, f"none in {where}", fresh)
    faces = _followed(settings, info, spec, scan, chosen)
    return Seen(faces, times, f"in {where}, {chosen.description}", fresh)


def _followed(settings: SyncSettings, info: VideoInfo, spec: CropSpec, scan: Scan, chosen: Chosen) -> Faces:
    """Return the faces to redraw in every frame of a scan."""
    faces = follow(
        scan,
        spec.smooth_s,
        chosen,
        hold=settings.on_missing == "hold",
        smoothing="published" if settings.alignment == "reference" and spec.kind == "box" else "gaussian",
    )
    if spec.kind == "box":
        faces, roll = without_lying(faces, max(1, round(FADE_S * scan.fps)))
        if roll:
            logger.warning("%s: a head is lying or upside down; for this model, turn it %s", info.path, way_back(roll))
    return faces


def faces_in(faces: Faces, spans: Sequence[Span]) -> Faces:
    """Return the faces of some spans of frames alone."""
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    kept = np.zeros(len(frame_of), dtype=np.bool_)
    for first, stop in spans:
        kept |= (frame_of >= first) & (frame_of < stop)
    before = np.concatenate([[0], np.cumsum(kept)])
    rows = {name: getattr(faces, name)[kept] for name in ("track", "boxes", "points", "strength")}
    return replace(faces, first=before[faces.first], **rows)

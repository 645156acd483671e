"""Find the frames in which something covers a mouth, once per face, for every model and reference."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from w2l.core.progress import progress
from w2l.faces.detectors.base import Detector
from w2l.faces.follow import COVERED, FADE_S, WHY, Faces, without
from w2l.faces.scan import clip_for
from w2l.features.boxes import iou
from w2l.models.lip_reader import BATCH
from w2l.syncing.memory.hidden import Covers, Front, Mask, lettered, steadied
from w2l.syncing.memory.looks import Measures
from w2l.syncing.memory.measure import Sightings, look_at, shown
from w2l.syncing.memory.store import covers_mark, kept_covers
from w2l.syncing.pictures import pictures_of
from w2l.syncing.plan import Plan
from w2l.syncing.reference_bank import ReadFrames, track_rows
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

N_VIEWS = 5
"""Frames in which a face is looked for in a box by hand."""
LEAST_OVERLAP = 0.3
"""Intersection over union of that box and a face, at least."""

Noted = tuple[NDArray[np.int64], Mask, Mask, Mask, Mask, Mask, NDArray[np.int64], Mask]
"""Frames (rows,), in which the mouth is surely covered, perhaps covered, something is seen, and it is sudden; and
unusual strokes, where they suddenly come or go, and which cross the middle."""


def without_covered(tools: Tools, plan: Plan) -> Plan:
    """Return the plan with what covers its faces; frames with a covered mouth pass through, unless all are redrawn."""
    if tools.settings.on_covered == "redraw":
        return plan
    read = partial(pictures_of, plan)
    seen = {track: looks.seen for track, looks in plan.looks.items()}
    clip = clip_for(tools.cache, plan.info.path)
    covers = kept_covers(
        clip.part(f"covers-{plan.extent}") if plan.extent else clip.covers,
        covers_mark(plan.info.path, plan.faces),
        lambda: find_covers(read, plan.faces, seen),
    )
    if tools.settings.box is not None and not is_face(tools.detector, read, plan.faces, covers):
        return plan
    return replace(plan, covers=covers, faces=faces_without(plan.faces, covers, plan.info.fps))


def faces_without(faces: Faces, covers: Mapping[int, Covers], fps: float) -> Faces:
    """Return the faces without those whose mouth is covered; redrawing fades towards them."""
    return without(faces, {track: found.hidden for track, found in covers.items()}, max(1, round(FADE_S * fps)))


def is_face(detector: Detector, read: ReadFrames, faces: Faces, covers: Mapping[int, Covers]) -> bool:
    """Return whether a detector takes what is in a box by hand for a face; only asked where something covers it.

    The lip reader knows faces alone: of an animal or a drawing, which people have redrawn by its box, it says anything.
    """
    if not any(found.hidden.any() for found in covers.values()):
        return True
    frames = np.flatnonzero(np.diff(faces.first))
    views = frames[np.unique(np.linspace(0, len(frames) - 1, N_VIEWS).astype(np.int64))]
    return any(
        float(iou(found.box[None], faces.at(frame_idx)[0].box[None]).max()) >= LEAST_OVERLAP
        for frame_idx, canvas in read(views.tolist())
        for found in detector.detect([canvas.rgb()])[0]
    )


def find_covers(read: ReadFrames, faces: Faces, seen: Mapping[int, Measures] | None = None) -> dict[int, Covers]:
    """Return what is in front of each face of a video, in all frames in which it is redrawn.

    Parameters
    ----------
    read : callable
        Gives pictures of the source.
    faces : Faces
    seen : mapping of int to Measures
        By track, what was measured of it before, so that these frames are not looked at again; else they are now.
    """
    seen = seen or {track: one.measures() for track, one in look_at(read, faces).items()}
    fronts = {track: Front.of(some) for track, some in seen.items()}
    noted = {track: [_noted(fronts[track], some)] for track, some in seen.items()}
    for track, some in _others(read, faces, seen):
        noted[track].append(_noted(fronts[track], some))
    return {track: _covers(parts) for track, parts in noted.items()}


def report_covered(plan: Plan) -> None:
    """Log the number of frames of the output in which a covered mouth passes through, if any."""
    report_count(plan, count_covered(plan), len(plan))


def count_covered(plan: Plan) -> int:
    """Return the number of frames of the output in which a covered mouth passes through."""
    hidden: set[int] = set()
    for covers in plan.covers.values():
        hidden.update(covers.frame_idx[covers.hidden].tolist())
    last = plan.faces.n_frames - 1
    shown_at = np.minimum(plan.timeline.source, last)[plan.gain > 0.0]
    return int(np.isin(shown_at, list(hidden)).sum())


def report_count(plan: Plan, count: int, n_frames: int) -> None:
    """Log that a covered mouth passes through in `count` of the frames of the output, if in any."""
    if count:
        logger.warning(
            "%s: %d of %d frames: %s; passed through (--on-covered redraw draws there anyway)",
            plan.info.path, count, n_frames, WHY[COVERED],
        )  # fmt: skip


def _others(read: ReadFrames, faces: Faces, seen: Mapping[int, Measures]) -> Iterator[tuple[int, Measures]]:
    """Measure the frames of each track that were not looked at before; yield some of one track at a time."""
    left: dict[int, list[int]] = {}
    for track, some in seen.items():
        for frame_idx in np.setdiff1d(track_rows(faces, track)[0], some.frame_idx):
            left.setdefault(int(frame_idx), []).append(track)
    if not left:
        return
    growing: dict[int, Sightings] = {}
    with progress("covers", len(left)) as advance:
        before = None
        for frame_idx, face, canvas in shown(read, faces, left):
            growing.setdefault(face.track, Sightings()).add(frame_idx, face, canvas)
            if len(growing[face.track].frames) == BATCH:
                yield face.track, growing.pop(face.track).measures()
            advance(int(frame_idx != before))
            before = frame_idx
    for track, one in growing.items():
        yield track, one.measures()


def _noted(front: Front, measures: Measures) -> Noted:
    seen, sudden = front.over_face(measures), front.sudden(measures)
    return measures.frame_idx, *front.covers(measures), seen, sudden, *front.strokes(measures)


def _covers(parts: Iterable[Noted]) -> Covers:
    """Return what some parts of a track say together, by frame."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0])
    frames, surely, perhaps, seen, sudden, unusual, changes, middle = (column[order] for column in columns)
    letters = lettered(unusual, changes, middle)
    hidden = steadied(surely, perhaps)
    if not (hidden.any() or sudden.any()):
        seen = np.zeros_like(seen)  # on a head that turns much
    sudden |= np.diff(letters, prepend=letters[:1])
    return Covers(frames, hidden, seen | letters, sudden)

"""Make the references of the generator that `--reference` requests."""

import logging
from functools import partial
from pathlib import Path

import numpy as np

from w2l.core.arrays import Image
from w2l.core.errors import ConfigError, NoFaceError
from w2l.core.timecodes import parse_seconds
from w2l.faces.detectors.base import Detector
from w2l.features.crop import cut, cut_from
from w2l.syncing.memory.coverage import LEAST_LOOKS
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.memory import MemoryReferences
from w2l.syncing.pictures import pictures_of
from w2l.syncing.plan import Plan, why_not
from w2l.syncing.portrait import face_on
from w2l.syncing.reference_bank import Bank, GivenLooks, OwnFrame, References, frames_of, gather
from w2l.syncing.remember import CLOSED, MEMORY, reference_of
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

SAME = "same"


def references_for(tools: Tools, plan: Plan) -> References:
    """Return the references of a plan, as requested by `--reference`.

    `auto` (see `reference_of`), `memory`, `closed`, `same`, seconds of the video (`1.5,4`), or a picture of a face.

    Raises ConfigError for other values and NoFaceError if there is no face.
    """
    wanted = reference_of(tools)
    n_references = int(tools.model.card.dimensions.get("n_references", 1))
    if wanted == SAME or not plan.faces.tracks:  # nothing is redrawn where all mouths are covered
        return OwnFrame(n_references)
    if wanted == MEMORY:
        return _memory(tools, plan, n_references)
    seconds = _seconds(wanted)
    if wanted != CLOSED and seconds is None:
        look = _portrait(Path(wanted), plan, tools.detector)
        return GivenLooks({track: np.tile(look, (1, 1, n_references)) for track in plan.faces.tracks})
    given = _at(seconds or [], plan, n_references)
    if seconds and given.keys() >= set(plan.faces.tracks):
        return GivenLooks(given)
    bank = _closed(plan, n_references)
    return GivenLooks(given, bank) if given else bank


def _closed(plan: Plan, n_references: int) -> Bank:
    """Use closed mouths of similar pose."""
    spoilt = {track: covers.spoilt() for track, covers in plan.covers.items()}
    return gather(partial(pictures_of, plan), plan.faces, plan.spec, plan.info.fps, n_references, spoilt)


def _memory(tools: Tools, plan: Plan, n_references: int) -> References:
    """Use the person's own mouths, chosen by audio; `closed` if there are none."""
    tracks = plan.faces.tracks
    enough = {track: some for track, some in plan.looks.items() if track in tracks and len(some) >= LEAST_LOOKS}
    drawn = plan.faces.track[np.isin(frames_of(plan.faces), plan.timeline.source)]
    for track in sorted(set(drawn.tolist()) - set(enough)):
        count = len(plan.looks[track]) if track in plan.looks else 0
        logger.info("%s: %d mouth samples of face %d are too few to choose from", plan.info.path, count, track)
    if n_references > 1 or len(enough) < len(tracks):
        others: References = _closed(plan, n_references)
    else:
        others = OwnFrame(n_references)
    return MemoryReferences(enough, plan, SyncExpert(tools.expert), others, n_references) if enough else others


def _seconds(text: str) -> list[float] | None:
    try:
        return [parse_seconds(part) for part in text.split(",")]
    except ValueError:
        return None


def _at(seconds: list[float], plan: Plan, n_references: int) -> dict[int, Image]:
    """Return track -> crops (size, size, 3 * references) of the faces at those times of the source."""
    end_s = float(plan.source_times[-1])
    looks: dict[int, list[Image]] = {}
    for time_s in sorted(seconds):
        if not 0.0 <= time_s <= end_s + 0.5:
            raise ConfigError(f"--reference {time_s:g}: the video lasts {end_s:.2f} s; choose a time within it")
        frame_idx = int(np.abs(plan.source_times - time_s).argmin())
        faces = plan.faces.at(frame_idx)
        if not faces:
            why = why_not(plan.faces, frame_idx)
            raise NoFaceError(f"{plan.info.path}: no face at {time_s:g} s for --reference ({why}); choose another time")
        _, canvas = next(pictures_of(plan, [frame_idx]))
        for face in faces:
            looks.setdefault(face.track, []).append(cut_from(canvas, face.box, face.points, plan.spec))
    return {
        track: np.concatenate([crops[idx % len(crops)] for idx in range(n_references)], axis=-1)
        for track, crops in looks.items()
    }


def _portrait(path: Path, plan: Plan, detector: Detector) -> Image:
    """Use the crop of the face in an image file."""
    if not path.is_file():
        raise ConfigError(
            f"--reference {path} is not a file; pass a picture, times such as 1.5,4, or auto, memory, closed or same"
        )
    if any(len(plan.faces.at(frame_idx)) > 1 for frame_idx in range(plan.faces.n_frames)):
        raise ConfigError(f"--reference {path} shows one person, but several are redrawn; choose one with --face")
    image, face = face_on(path, detector)
    return cut(image, face.box, face.points, plan.spec)

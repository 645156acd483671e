"""Further mouths of the same person from other videos (`--mouths`)."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError, NoFaceError
from w2l.faces.follow import follow
from w2l.faces.scan import clip_for, scan_clip
from w2l.faces.select import Choice, Chosen, choose, steady_tracks
from w2l.faces.tracker import Scan, Track
from w2l.media.video import probe
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.gather import LEAST_KEPT, MOST_KEPT, gather_looks, thinned
from w2l.syncing.memory.looks import Looks, merge_looks
from w2l.syncing.memory.sampling import shares
from w2l.syncing.memory.store import kept_looks, looks_mark
from w2l.syncing.pictures import pictures_in, pictures_of
from w2l.syncing.plan import Plan
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

N_VIEWS = 5
"""Frames of a face from which a person is recognised."""
SAME_PERSON = 0.28
"""Least cosine of two faces of the same person, the threshold that insightface uses."""


def with_footage(tools: Tools, plan: Plan) -> Plan:
    """Return the plan with mouth samples of the same person from the videos of `--mouths` added.

    Raises ConfigError if several people are redrawn, and for a video without a face or of another person.
    """
    paths = [Path(text) for text in tools.settings.mouths]
    if not paths or not plan.faces.tracks:
        return plan
    if any(len(plan.faces.at(frame_idx)) > 1 for frame_idx in range(plan.faces.n_frames)):
        raise ConfigError("--mouths supports one person, but several are redrawn; choose one with --face")
    who = _who(tools, plan)
    found = [some for path in paths for some in _looks_in(tools, plan, path, who)]
    return replace(plan, looks={track: merge_looks(looks, found) for track, looks in plan.looks.items()})


def check_footage(mouths: Sequence[str]) -> None:
    """Raise ConfigError for a path of `--mouths` that is not a video."""
    for text in mouths:
        if not Path(text).is_file():
            raise ConfigError(f"--mouths {text} is not a file; pass a video of the person")
        if probe(Path(text)).is_still:
            raise ConfigError(f"--mouths {text} is a picture; pass a video in which the person talks")


def _looks_in(tools: Tools, plan: Plan, path: Path, who: Floats | None) -> list[Looks]:
    """Return the mouth samples of the person in another video, from the cache if gathered before."""
    clip = clip_for(tools.cache, path)
    scan, _ = scan_clip(clip, path, tools.detector, tools.settings.detect)
    chosen = _person_in(tools, path, scan, who, plan.info.path)
    faces = follow(scan, plan.spec.smooth_s, chosen)
    read, expert = partial(pictures_in, path, scan.times), SyncExpert(tools.expert)
    mark = looks_mark(path, faces, plan.spec, tools.expert.path)
    looks = kept_looks(clip.looks, mark, lambda: gather_looks(read, faces, scan.times, plan.spec, expert))
    most = MOST_KEPT // len(tools.settings.mouths)
    shared = zip(sorted(looks), shares([len(looks[track]) for track in sorted(looks)], most, LEAST_KEPT))
    found = [thinned(looks[track], count) for track, count in shared if len(looks[track])]
    logger.info("%s: %d mouth samples of %s", path, sum(map(len, found)), chosen.description)
    return found


def _person_in(tools: Tools, path: Path, scan: Scan, who: Floats | None, video: Path) -> Chosen:
    """Return the faces of the person in another video: the recognised ones, or the largest without a recogniser."""
    tracks = steady_tracks(scan)
    try:
        if who is None:
            logger.warning(
                "%s: not verified to show the person in %s; pass a recogniser with --set recogniser=FILE",
                path, video,
            )  # fmt: skip
            return choose(tracks, scan, Choice("largest"))
        alike = [float(_embedded(tools, path, scan, track) @ who) for track in tracks]
        own = tuple(number for number, cosine in enumerate(alike) if cosine >= SAME_PERSON)
        if own or not tracks:
            return choose(tracks, scan, Choice("numbers", numbers=own))
    except NoFaceError as error:
        raise ConfigError(f"--mouths {path}: {error}; pass a video in which the person in {video} talks") from error
    raise ConfigError(
        f"--mouths {path} shows a different person than {video} (similarity {max(alike):.2f}, at least {SAME_PERSON}"
        " required); pass footage of the same person"
    )


def _who(tools: Tools, plan: Plan) -> Floats | None:
    """Return the unit embedding (features,) of the person who is redrawn; None without a recogniser."""
    if tools.recogniser is None:
        return None
    shown = np.flatnonzero(np.diff(plan.faces.first))
    views = [(canvas.rgb(), plan.faces.at(idx)[0].points) for idx, canvas in pictures_of(plan, _some(shown))]
    return _unit(tools.recogniser.embed(views).mean(axis=0))


def _embedded(tools: Tools, path: Path, scan: Scan, track: Track) -> Floats:
    """Return the embedding of a track of another video."""
    if tools.recogniser is None:
        raise ValueError("embedding a face requires a recogniser")
    wanted = _some(track.start + np.flatnonzero(track.seen))
    views = [(one.rgb(), track.points[idx - track.start]) for idx, one in pictures_in(path, scan.times, wanted)]
    return _unit(tools.recogniser.embed(views).mean(axis=0))


def _some(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most `N_VIEWS` of the frames, spread evenly."""
    return np.asarray(frames[np.unique(np.linspace(0, len(frames) - 1, N_VIEWS).astype(np.int64))])


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))

"""preprocess: a folder of talking clips -> face crops, mels and an index in the cache."""

import logging
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from stages.options import Common, common_options
from w2l.cache import Cache, Clip
from w2l.config import plain
from w2l.data.layouts import Listing, Source, find_videos
from w2l.data.prepare import PrepareSettings, prepare_clip, prepare_fingerprint
from w2l.device import choose
from w2l.errors import MediaError, NoFaceError
from w2l.faces.detector import Detector, make_detector
from w2l.log import progress

logger = logging.getLogger(__name__)
STAGE = "preprocess"
POLL_S = 1.0
"""Seconds between two looks at clips that another process works on."""


@dataclass(frozen=True)
class Result:
    """What became of the clips."""

    done: int
    """Clips prepared now."""
    skipped: int
    """Clips that were ready already."""
    tracks: int
    """Face tracks in the whole cache."""
    set_aside: dict[str, str] = field(default_factory=dict)
    """Clip id -> why it cannot be used."""
    missing: tuple[str, ...] = ()
    """Lines of the file lists that name no video."""


def run(
    settings: PrepareSettings,
    root: Path,
    cache: Cache,
    filelists: tuple[Path, ...] = (),
    device: str = "cpu",
    force: bool = False,
) -> Result:
    """Prepares every clip below `root` (or on the lists) that is not ready; several processes may do so at once."""
    listing = find_videos(root, filelists)
    detector = make_detector(settings.detect.detector, device, settings.detect.min_face, cache.models)
    done, skipped = _work_through(listing, cache, detector, settings, force)
    tracks = len(cache.all_tracks())
    outcomes = {source.clip_id: cache.clip(source.clip_id).outcome(STAGE) for source in listing.sources}
    reasons = {clip_id: str(outcome["reason"]) for clip_id, outcome in outcomes.items() if "reason" in outcome}
    return Result(done, skipped, tracks, reasons, listing.missing)


def _work_through(
    listing: Listing, cache: Cache, detector: Detector, settings: PrepareSettings, force: bool
) -> tuple[int, int]:
    done = skipped = 0
    waiting = list(listing.sources)
    with progress("preprocess", len(waiting), "clips") as advance:
        while waiting:
            elsewhere: list[Source] = []
            for source in waiting:
                prepared = _prepare(source, cache, detector, settings, force)
                if prepared is None:
                    elsewhere.append(source)
                    continue
                done, skipped = done + prepared, skipped + (not prepared)
                advance()
            if elsewhere:
                logger.debug("another process works on %d clips; waiting for it", len(elsewhere))
                time.sleep(POLL_S)
            waiting = elsewhere
    return done, skipped


def _prepare(source: Source, cache: Cache, detector: Detector, settings: PrepareSettings, force: bool) -> bool | None:
    """Prepares one clip: True; False when it was ready, None when another process holds it."""
    clip = cache.clip(source.clip_id)
    mark = prepare_fingerprint(source.path, detector, settings)
    if not force and _is_ready(clip, mark, source) and not clip.lock.exists():
        return False
    with clip.claim() as mine:
        if not mine:
            return None
        clip.clear_leftovers()
        if not force and _is_ready(clip, mark, source):  # by a process that has just left, or was killed at its end
            return False
        if force or clip.outcome(STAGE).get("fingerprint") != mark:
            outcome, facts = _make(clip, mark, source, cache, detector, settings, force)
        else:  # only its split is new
            outcome, facts = clip.outcome(STAGE), {}
        clip.note(STAGE, outcome, **facts, split=source.split or clip.record().get("split", ""))
        cache.invalidate_index()
    return True


def _is_ready(clip: Clip, mark: str, source: Source) -> bool:
    """Whether nothing is left to do; a clip whose split is not said keeps the one it has."""
    same_split = source.split in ("", clip.record().get("split", ""))
    return same_split and clip.outcome(STAGE).get("fingerprint") == mark


def _make(
    clip: Clip, mark: str, source: Source, cache: Cache, detector: Detector, settings: PrepareSettings, force: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outcome and facts for clip.json, once crops and mel are there."""
    clip.reopen(STAGE)
    cache.invalidate_index()
    outcome: dict[str, Any] = {"fingerprint": mark, "outcome": "done", "crop": plain(settings.crop)}
    facts: dict[str, Any] = {"source": str(source.path.absolute())}
    try:
        facts |= prepare_clip(clip, source.path, detector, settings, force)
        outcome["tracks"] = facts.pop("tracks")
    except (MediaError, NoFaceError) as error:
        clip.clear_tracks()
        outcome |= {"outcome": "set aside", "reason": str(error)}
        logger.warning("set aside %s: %s", source.clip_id, error)
    return outcome, facts


@click.command(STAGE)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--filelist", "filelists", multiple=True, type=click.Path(path_type=Path), help="Only the clips listed.")
@click.option("--force", is_flag=True, help="Do it again, even where it is done.")
@common_options
def command(folder: Path, filelists: tuple[Path, ...], force: bool, common: Common) -> None:
    """Prepares the clips in FOLDER for training: 25 fps face crops and the mel of their sound.

    A clip that cannot be used is set aside with its reason; the others go on. Run it again to continue after a stop.
    A list named train.txt, val.txt or test.txt tells which split its clips belong to.

    \b
    w2l preprocess lrs2/main --filelist lrs2/train.txt --filelist lrs2/val.txt
    w2l preprocess clips/ --set crop.size=128 --set detect.detector=yunet:yunet.onnx
    """
    settings = common.settings(PrepareSettings, STAGE)
    cache = Cache.open(common.cache, create=True)
    result = run(settings, folder, cache, filelists, str(choose(common.device)), force)
    common.show(asdict(result), _summary(result, cache))
    if result.set_aside or result.missing:
        sys.exit(1)


def _summary(result: Result, cache: Cache) -> str:
    nothing = "; nothing to do" if not result.done else ""
    lines = [
        f"{result.done} clips prepared, {result.skipped} ready before{nothing}; {result.tracks} tracks in {cache.root}"
    ]
    lines += [f"set aside {clip}: {reason}" for clip, reason in result.set_aside.items()]
    lines += [f"not found: {line}" for line in result.missing]
    return "\n".join(lines)

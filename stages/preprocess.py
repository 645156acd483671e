"""preprocess: a folder of talking clips -> face crops, mels and an index in the cache."""

import logging
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
    detector = make_detector(settings.detect.detector, device, settings.detect.min_face)
    done, skipped = _work_through(listing, cache, detector, settings, force)
    tracks = len(cache.tracks()) if any(cache.clips()) and _has_tracks(cache) else 0
    reasons = {source.clip_id: reason for source in listing.sources if (reason := _reason(cache, source))}
    return Result(done, skipped, tracks, reasons, listing.missing)


def _has_tracks(cache: Cache) -> bool:
    return (cache.root / "index.npz").exists() or cache.build_index() > 0


def _reason(cache: Cache, source: Source) -> str:
    return str(cache.clip(source.clip_id).outcome(STAGE).get("reason", ""))


def _work_through(
    listing: Listing, cache: Cache, detector: Detector, settings: PrepareSettings, force: bool
) -> tuple[int, int]:
    done = skipped = 0
    waiting = list(listing.sources)
    with progress("preprocess", len(waiting), "clips") as advance:
        while waiting:
            elsewhere: list[Source] = []
            for source in waiting:
                clip = cache.clip(source.clip_id)
                mark = prepare_fingerprint(source.path, detector, settings)
                if not force and _is_ready(clip, mark, source):
                    skipped += 1
                elif not _prepare(clip, mark, source, cache, detector, settings, force):
                    elsewhere.append(source)
                    continue
                else:
                    done += 1
                advance()
            waiting = elsewhere
            force = False
            if waiting:
                time.sleep(POLL_S)
    return done, skipped


def _is_ready(clip: Clip, mark: str, source: Source) -> bool:
    record = clip.record()
    return clip.outcome(STAGE).get("fingerprint") == mark and record.get("split", "") == source.split


def _prepare(
    clip: Clip, mark: str, source: Source, cache: Cache, detector: Detector, settings: PrepareSettings, force: bool
) -> bool:
    """Prepares one clip; False when another process holds it."""
    with clip.claim() as mine:
        if not mine:
            return False
        if not force and clip.outcome(STAGE).get("fingerprint") == mark:  # only its split is new
            outcome, facts = clip.outcome(STAGE), {}
        else:
            cache.invalidate_index()
            clip.clear_tracks()
            outcome = {"fingerprint": mark, "outcome": "done", "crop": plain(settings.crop)}
            facts = {"source": str(source.path)}
            try:
                facts |= prepare_clip(clip, source.path, detector, settings)
                outcome["tracks"] = facts.pop("tracks")
            except (MediaError, NoFaceError) as error:
                clip.clear_tracks()
                outcome |= {"outcome": "set aside", "reason": str(error)}
                logger.warning("set aside %s: %s", source.clip_id, error)
        clip.note(STAGE, outcome, **facts, split=source.split)
        cache.invalidate_index()
    return True


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

"""preprocess: a folder of talking clips -> face crops, mels and an index in the cache."""

import functools
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option
from w2l.cache import Cache, Clip
from w2l.data.layouts import Listing, Source, find_videos
from w2l.data.prepare import SET_ASIDE, PrepareSettings, prepare_clip, prepare_fingerprint
from w2l.data.shapes import LAYOUTS
from w2l.device import choose
from w2l.errors import MediaError
from w2l.faces.detector import Detector, make_detector
from w2l.log import progress
from w2l.pool import run_tasks
from w2l.tasks import Busy, Done, Task

logger = logging.getLogger(__name__)
STAGE = "preprocess"
MOST_NAMED = 20
"""Clips that the summary names for one reason; the others are counted."""
FAILED = "failed"
"""The word for clips at which the work broke off, which are tried again by the next run."""
PAGE = "report.html"
"""Where in the cache the page of the report is written."""


@dataclass(frozen=True)
class ClipResult:
    """What became of one clip."""

    is_new: bool
    """Whether it was worked on now; else it was ready."""
    gate: str = ""
    """The word for why it is set aside; empty when it is not."""
    reason: str = ""
    """The same as a sentence."""
    rejected: tuple[str, ...] = ()
    """The gate of each of its face tracks that is no sample."""


@dataclass(frozen=True)
class Result:
    """What became of the clips."""

    done: int = 0
    """Clips worked on now, also those set aside."""
    skipped: int = 0
    """Clips that were ready, or set aside, already."""
    tracks: int = 0
    """Face tracks in the whole cache."""
    set_aside: dict[str, str] = field(default_factory=dict)
    """Clip id -> why it cannot be used."""
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """Word for the reason -> the ids of the clips set aside for it."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Word of a gate -> face tracks that it rejected, of all clips of this call."""
    missing: tuple[str, ...] = ()
    """Lines of the file lists that name no video, and folders that could not be looked into."""

    @property
    def is_whole(self) -> bool:
        """Whether everything asked for is there."""
        return not (self.set_aside or self.missing)


def run(
    settings: PrepareSettings,
    listing: Listing,
    cache: Cache,
    device: str = "cpu",
    force: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    strict: bool = False,
) -> Result:
    """Prepares every clip of a listing that is not ready; several processes may do so at once on one cache.

    `jobs` and `ray` are as `w2l.pool.run_tasks` takes them. With `strict` the first clip that cannot be used is a
    MediaError; the work on others stops.
    """
    missing = (*listing.missing, *listing.unreadable)
    if strict and missing:
        raise MediaError(f"{missing[0]}: not found ({len(missing)} such); without --strict the others are prepared")
    tasks = (Task(source.clip_id, (_absolute(source), settings, force)) for source in listing.sources)
    set_up = functools.partial(_set_up, settings, cache.root, device)
    tally = _Tally()
    with progress("preprocess", len(listing.sources), "clips") as advance:
        for done in run_tasks(tasks, prepare_one, set_up, jobs, ray):
            tally.add(done)
            if strict and tally.set_aside:
                clip_id, reason = next(iter(tally.set_aside.items()))
                raise MediaError(f"{clip_id} cannot be used: {reason}; without --strict it is set aside")
            advance()
    return tally.result(len(cache.all_tracks()), missing)


def _absolute(source: Source) -> Source:
    """The same under a name that means the same in every process."""
    return Source(source.clip_id, source.path.absolute(), source.split, source.speaker)


def _set_up(settings: PrepareSettings, root: Path, device: str) -> tuple[Cache, Detector]:
    """What a worker makes once; the device is chosen where it works, as machines of a cluster may differ."""
    cache, detect = Cache.open(root), settings.detect
    return cache, make_detector(detect.detector, str(choose(device)), detect.min_face, cache.models)


def prepare_one(context: tuple[Cache, Detector], source: Source, settings: PrepareSettings, force: bool) -> ClipResult:
    """Prepares one clip unless it is ready; raises Busy while another process works on it."""
    cache, detector = context
    clip = cache.clip(source.clip_id)
    mark = prepare_fingerprint(source.path, detector, settings)
    if not force and _is_ready(clip, mark, source) and not clip.lock.exists():
        return _result(clip, is_new=False)
    with clip.claim() as mine:
        if not mine:
            raise Busy
        clip.clear_leftovers()
        if not force and _is_ready(clip, mark, source):  # by a process that has just left, or was killed at its end
            return _result(clip, is_new=False)
        cache.invalidate_index()
        before, outcome, facts = clip.record(), clip.outcome(STAGE), {}
        if force or outcome.get("fingerprint") != mark:  # else only its split or speaker is new
            prepared = prepare_clip(clip, source.path, detector, settings, force)
            outcome = {"fingerprint": mark} | prepared.outcome
            facts = {"source": str(source.path)} | prepared.facts
            if outcome["outcome"] == SET_ASIDE:
                logger.warning("set aside %s: %s", source.clip_id, outcome["reason"])
        known = {name: getattr(source, name) or before.get(name, "") for name in ("split", "speaker")}
        clip.note(STAGE, outcome, **facts, **known)
        cache.invalidate_index()
    return _result(clip, is_new=True)


def _is_ready(clip: Clip, mark: str, source: Source) -> bool:
    """Whether nothing is left to do; a clip whose split or speaker is not said keeps what it has."""
    record = clip.record()
    same = all(getattr(source, name) in ("", record.get(name, "")) for name in ("split", "speaker"))
    return same and clip.outcome(STAGE).get("fingerprint") == mark


def _result(clip: Clip, is_new: bool) -> ClipResult:
    outcome = clip.outcome(STAGE)
    rejected = tuple(str(track["gate"]) for track in outcome.get("rejected", []))
    return ClipResult(is_new, outcome.get("gate", ""), outcome.get("reason", ""), rejected)


class _Tally:
    """Counts what becomes of clips as they come."""

    def __init__(self) -> None:
        self.set_aside: dict[str, str] = {}
        self._reasons: dict[str, list[str]] = {}
        self._rejected: Counter[str] = Counter()
        self._n = Counter[bool]()

    def add(self, done: Done[ClipResult]) -> None:
        """Takes one clip."""
        result = done.result or ClipResult(False, FAILED, done.error)
        if done.result is not None:
            self._n[result.is_new] += 1
        self._rejected.update(result.rejected)
        if result.gate:
            self.set_aside[done.task.name] = result.reason
            self._reasons.setdefault(result.gate, []).append(done.task.name)

    def result(self, n_tracks: int, missing: tuple[str, ...]) -> Result:
        """All in all, sorted by name and not by who was ready first."""
        reasons = {gate: sorted(self._reasons[gate]) for gate in sorted(self._reasons)}
        aside = {clip: self.set_aside[clip] for clip in sorted(self.set_aside)}
        rejected = dict(sorted(self._rejected.items()))
        return Result(self._n[True], self._n[False], n_tracks, aside, reasons, rejected, missing)


DATA = "Data"


@click.command(STAGE, cls=HeadedCommand)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@option("--layout", type=click.Choice(LAYOUTS), default="auto", heading=DATA,
        help="How the dataset names its clips, splits and speakers.  [auto: as the paths look]")  # fmt: skip
@option("--filelist", "filelists", multiple=True, type=click.Path(path_type=Path), heading=DATA,
        help="Only the clips listed; train.txt, val.txt, test.txt also say their split.")  # fmt: skip
@option("--strict", is_flag=True, heading=DATA,
        help="Stop at the first clip that cannot be used.")  # fmt: skip
@option("--report", is_flag=False, flag_value="", metavar="[FILE]", heading=DATA,
        help=f"Then show what was kept and why the rest was not; histograms go to FILE  [{PAGE} in the cache]."
             " Without FOLDER: of the cache as it is.")  # fmt: skip
@option("--jobs", type=click.IntRange(1), default=1, heading=WORK,
        help="Clips worked on at once.  [1]")  # fmt: skip
@ray_option
@option("--force", is_flag=True, heading=WORK, help="Do it again, even where it is done.")
@common_options
def command(
    folder: Path | None,
    layout: str,
    filelists: tuple[Path, ...],
    strict: bool,
    report: str | None,
    jobs: int,
    ray: str | None,
    force: bool,
    common: Common,
) -> None:
    """Prepares the clips in FOLDER for training: 25 fps crops of every face and the mel of its sound.

    Tracks of one face become samples when they are long, large, sharp and loud enough: --set gates.min_face_px=64 and
    others; --report shows what each gate costs. A clip that cannot be used is set aside with its reason; the others go
    on. Run it again to continue after a stop; several runs may share one cache.

    \b
    w2l preprocess lrs2/                       # the dataset's own splits and speakers
    w2l preprocess clips/ --jobs 8 --set store=jpeg --set crop.size=128
    w2l preprocess --report                    # of what is in the cache

    Exit status: 0 all clips can be used; 1 some were set aside (the others are ready), or none could be found; 2 wrong
    usage. With --strict, 1 says that the work stopped.
    """
    settings = common.settings(PrepareSettings, STAGE)
    folder, report, ray = _folder(folder, report, ray)
    if folder is None:
        if report is None:
            raise click.UsageError("Missing argument 'FOLDER'; --report goes without one, for what is in the cache.")
        _show_report(Cache.open(common.cache), settings, report, common)
        return
    if ray is None:
        choose(common.device)  # refuses one that is not there before any work
    listing = find_videos(folder, filelists, layout)
    cache = Cache.open(common.cache, create=True)
    result = run(settings, listing, cache, common.device, force, jobs, ray, strict)
    if report is None:
        common.show(asdict(result), "\n".join(_summary(result, cache)))
    else:
        click.echo("\n".join(_summary(result, cache)), err=True)
        _show_report(cache, settings, report, common)
    if not result.is_whole:
        sys.exit(1)


def _folder(folder: Path | None, report: str | None, ray: str | None) -> tuple[Path | None, str | None, str | None]:
    """Folder, report and Ray address: a folder behind an option whose value may be left out is no value of it."""
    if folder is None and report and Path(report).is_dir():
        return Path(report), "", ray
    if folder is None and ray and Path(ray).is_dir():
        return Path(ray), report, HERE
    return folder, report, ray


def _show_report(cache: Cache, settings: PrepareSettings, page: str, common: Common) -> None:
    from w2l.data.report import collect, summary, table, write_page

    found = collect(cache, settings.gates)
    path = Path(page) if page else cache.root / PAGE
    write_page(found, path)
    common.show(summary(found), f"{table(found)}\n{path}")


def _summary(result: Result, cache: Cache) -> Iterator[str]:
    nothing = "; nothing to do" if not (result.done or FAILED in result.reasons) else ""
    ready = f"{result.done} clips prepared, {result.skipped} ready before{nothing}"
    yield f"{ready}; {result.tracks} tracks in {cache.root}"
    if result.rejected:
        told = ", ".join(f"{count} {gate}" for gate, count in result.rejected.items())
        yield f"{sum(result.rejected.values())} face tracks rejected: {told}; see --report and --set gates.*"
    if result.reasons:
        told = ", ".join(f"{len(clips)} {gate}" for gate, clips in result.reasons.items())
        yield f"{len(result.set_aside)} clips cannot be used: {told}"
    for gate, clips in result.reasons.items():
        yield from (f"set aside {clip}: {result.set_aside[clip]}" for clip in clips[:MOST_NAMED])
        if len(clips) > MOST_NAMED:
            yield f"... and {len(clips) - MOST_NAMED} more: {gate}; --json names all"
    yield from (f"not found: {line}" for line in result.missing[:MOST_NAMED])
    if len(result.missing) > MOST_NAMED:
        yield f"... and {len(result.missing) - MOST_NAMED} more not found; --json names all"

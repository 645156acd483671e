"""preprocess: extract face crops, mels and an index from a folder of talking clips into the cache."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option
from stages.types import FILE
from w2l.api.preprocess import preprocess
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.files import check_writable
from w2l.core.text import counted, printable
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.prepare.run import FAILED, STAGE, PrepareResult
from w2l.data.sources.layouts import LAYOUTS

MOST_NAMED = 20
"""Clips listed in the summary for one reason; the others are counted."""
PAGE = "report.html"
"""Location of the report page in the cache."""
DATA = "Data"

PAGE_SUFFIXES = (".html", ".htm")


@click.command(STAGE, cls=HeadedCommand)
@click.argument("folder", type=FILE, required=False)
@option("--layout", type=click.Choice(LAYOUTS), default="auto", heading=DATA,
        help="Naming scheme of clips, splits and speakers.  [auto: recognised from the paths]")  # fmt: skip
@option("--filelist", "filelists", multiple=True, type=FILE, heading=DATA,
        help="Only the listed clips; train.txt, val.txt, test.txt also set their split.")  # fmt: skip
@option("--strict", is_flag=True, heading=DATA,
        help="Stop at the first clip that cannot be used.")  # fmt: skip
@option("--report", is_flag=False, flag_value="", metavar="[FILE]", heading=DATA,
        help=f"Show what was kept and why the rest was not; write histograms to FILE  [{PAGE} in the cache]."
             " Without FOLDER: report on the existing cache.")  # fmt: skip
@option("--jobs", type=click.IntRange(1), default=1, heading=WORK,
        help="Clips processed in parallel.  [1]")  # fmt: skip
@ray_option
@option("--force", is_flag=True, heading=WORK, help="Prepare clips again, even if finished.")
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
    """Prepare the clips in FOLDER for training: 25 fps crops of every face and the mel of its audio.

    Face tracks become samples if they are long, large, sharp and loud enough: --set gates.min_face_px=64 and others;
    --report shows how much each gate removes. A clip that cannot be used is set aside with the reason; the others
    continue. Rerun the command to resume; several runs may share one cache.

    \b
    w2l preprocess lrs2/                       # the dataset's own splits and speakers
    w2l preprocess clips/ --jobs 8 --set store=jpeg --set crop.size=128
    w2l preprocess --report                    # report on the cache

    Exit status: 0 all clips can be used; 1 some were set aside (the others are ready), or none was found; 2 wrong
    usage. With --strict, 1 means that the run stopped.
    """
    settings = common.settings(PrepareSettings, STAGE)
    folder, report, ray = _folder(folder, report, ray)
    if report:
        _check_page(Path(report))
    if folder is None:
        if report is None:
            raise click.UsageError("Missing argument 'FOLDER'; only --report works without it, on the cache.")
        _show_report(Cache.open(common.cache), settings, report, common)
        return
    result = preprocess(
        folder, layout=layout, filelist=filelists, strict=strict, jobs=jobs, ray=ray, force=force, **common.given()
    )
    cache = Cache.open(common.cache)
    if report is None:
        common.show(asdict(result), "\n".join(_summary(result, cache)))
    else:
        click.echo(printable("\n".join(_summary(result, cache))), err=True)
        _show_report(cache, settings, report, common)
    if not result.is_whole:
        sys.exit(1)


def _folder(folder: Path | None, report: str | None, ray: str | None) -> tuple[Path | None, str | None, str | None]:
    """Return folder, report and Ray address: a folder after an option with an optional value is not its value."""
    if folder is None and report and Path(report).is_dir():
        return Path(report), "", ray
    if folder is None and ray and Path(ray).is_dir():
        return Path(ray), report, HERE
    return folder, report, ray


def _check_page(page: Path) -> None:
    """Raise ConfigError, before any work, for a report file that cannot be written or is not a page."""
    if page.suffix.lower() not in PAGE_SUFFIXES:
        raise ConfigError(f"--report {page} must end in {PAGE_SUFFIXES[0]}; that file is replaced")
    check_writable(page)


def _show_report(cache: Cache, settings: PrepareSettings, page: str, common: Common) -> None:
    from w2l.data.prepare.report import collect, report_summary, table, write_report

    found = collect(cache, settings.gates)
    path = Path(page) if page else cache.root / PAGE
    write_report(found, path)
    common.show(report_summary(found), f"{table(found)}\n{path}")


def _summary(result: PrepareResult, cache: Cache) -> Iterator[str]:
    nothing = "; nothing to do" if not (result.done or FAILED in result.reasons) else ""
    ready = f"{counted(result.done, 'clip')} prepared, {result.skipped} already finished{nothing}"
    yield f"{ready}; {counted(result.tracks, 'track')} in {cache.root}"
    if result.rejected:
        told = ", ".join(f"{count} {gate}" for gate, count in result.rejected.items())
        yield f"{counted(sum(result.rejected.values()), 'face track')} rejected: {told}; see --report and --set gates.*"
    if result.reasons:
        told = ", ".join(f"{len(clips)} {gate}" for gate, clips in result.reasons.items())
        yield f"{counted(len(result.set_aside), 'clip')} cannot be used: {told}"
    for gate, clips in result.reasons.items():
        yield from (f"set aside {clip}: {result.set_aside[clip]}" for clip in clips[:MOST_NAMED])
        if len(clips) > MOST_NAMED:
            yield f"... and {len(clips) - MOST_NAMED} more: {gate}; --json lists all"
    yield from (f"not found: {line}" for line in result.missing[:MOST_NAMED])
    if len(result.missing) > MOST_NAMED:
        yield f"... and {len(result.missing) - MOST_NAMED} more not found; --json lists all"

"""preprocess: a folder of talking clips -> face crops, mels and an index in the cache."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option
from w2l.api.preprocess import preprocess
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.files import check_writable
from w2l.core.text import printable
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.prepare.run import FAILED, STAGE, PrepareResult
from w2l.data.sources.layouts import LAYOUTS

MOST_NAMED = 20
"""Clips that the summary names for one reason; the others are counted."""
PAGE = "report.html"
"""Where in the cache the page of the report is written."""
DATA = "Data"

PAGE_SUFFIXES = (".html", ".htm")


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
    if report:
        _check_page(Path(report))
    if folder is None:
        if report is None:
            raise click.UsageError("Missing argument 'FOLDER'; --report goes without one, for what is in the cache.")
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
    """Folder, report and Ray address: a folder behind an option whose value may be left out is no value of it."""
    if folder is None and report and Path(report).is_dir():
        return Path(report), "", ray
    if folder is None and ray and Path(ray).is_dir():
        return Path(ray), report, HERE
    return folder, report, ray


def _check_page(page: Path) -> None:
    """Refuse a file for the report, before any work, that cannot be written or is not a page and would be lost."""
    if page.suffix.lower() not in PAGE_SUFFIXES:
        raise ConfigError(f"--report {page} must end in {PAGE_SUFFIXES[0]}; what it names is replaced")
    check_writable(page)


def _show_report(cache: Cache, settings: PrepareSettings, page: str, common: Common) -> None:
    from w2l.data.prepare.report import collect, report_summary, table, write_report

    found = collect(cache, settings.gates)
    path = Path(page) if page else cache.root / PAGE
    write_report(found, path)
    common.show(report_summary(found), f"{table(found)}\n{path}")


def _summary(result: PrepareResult, cache: Cache) -> Iterator[str]:
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

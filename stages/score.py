"""score: how well mouths and voices agree, beside the real videos they were made from."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from stages.options import Common, common_options
from w2l import scoring, weights
from w2l.cache import Cache
from w2l.device import choose
from w2l.errors import CacheError, ConfigError
from w2l.faces.detector import make_detector
from w2l.faces.scanning import DetectSettings
from w2l.files import read_json, write_text
from w2l.log import progress
from w2l.metrics.embed import BATCH
from w2l.metrics.sync import MAX_SHIFT
from w2l.score_table import as_csv, as_table
from w2l.scoring import Average, FaceFinder, Kind, Row

STAGE = "score"
SIDECAR = ".w2l.json"  # the record that `sync` leaves beside its output
NO_REAL = "no real video is known to compare with; name it with --real"


@dataclass(frozen=True)
class ScoreSettings:
    """How clips are judged."""

    judge: str = weights.SHIPPED
    """`w2l` (the shipped one), a run of the cache, or a file."""
    crop: str = "face"
    """`face`: the main face of whole frames; `frame`: frames that are the crop of a face already, as in LRS2."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are found: detect.detector, detect.stride, detect.min_face."""
    max_shift: int = MAX_SHIFT
    """Largest shift tried, in frames at 25 fps, both ways."""
    batch: int = BATCH
    """Windows judged at once; changes speed alone."""

    def __post_init__(self) -> None:
        """Refuses unknown crops and empty ranges."""
        if self.crop not in ("face", "frame"):
            raise ConfigError(f"crop {self.crop!r} is unknown; choose face or frame")
        if self.max_shift < 1 or self.batch < 1:
            raise ConfigError(f"max_shift {self.max_shift} and batch {self.batch} must be at least 1")


@dataclass(frozen=True)
class Result:
    """All clips, and the means of those that could be scored."""

    title: str
    """Names the judge, and says whether its numbers can be set beside published ones."""
    judge: Path
    crop: str
    rows: tuple[Row, ...]
    outputs: Average | None
    real: Average | None
    notes: tuple[str, ...] = ()


def run(
    settings: ScoreSettings, files: Sequence[Path], reals: Sequence[Path], cache: Cache, device: str = "cpu"
) -> Result:
    """Scores `files`, or without them all that `sync` made with this cache, and the real videos beside them."""
    judge = weights.load(settings.judge, "judge", cache, device)
    finder = None
    if settings.crop == "face":
        detector = make_detector(settings.detect.detector, device, settings.detect.min_face, cache.models)
        finder = FaceFinder(detector, cache, settings.detect)
    asked = _clips(files, reals, cache)
    rows: list[Row] = []
    with progress(STAGE, len(asked), "clips") as advance:
        for row in scoring.score_clips(asked, judge, finder, settings.batch, settings.max_shift):
            rows.append(row)
            advance()
    title = scoring.describe(judge, settings.judge)
    notes = () if any(kind == "real" for _, kind in asked) else (NO_REAL,)
    outputs, real = (scoring.mean_of(rows, kind) for kind in scoring.KINDS)
    return Result(title, judge.path, settings.crop, tuple(rows), outputs, real, notes)


def _clips(files: Sequence[Path], reals: Sequence[Path], cache: Cache) -> list[tuple[Path, Kind]]:
    """What to score, each file once: the outputs, then the real videos."""
    records = _records(cache)
    if not files and not records:
        raise CacheError(f"no run of w2l sync is recorded in {cache.root}; name files to score, or another --cache")
    outputs = _once(files or [Path(record["output"]) for record in records])
    found = list(reals) or [real for path in outputs if (real := _real_of(path, records)) is not None]
    return [(path, "output") for path in outputs] + [(path, "real") for path in _once(found)]


def _records(cache: Cache) -> list[dict[str, Any]]:
    records = [read_json(path) for path in sorted(cache.runs.glob("*.json"))]
    return [record for record in records if "output" in record]


def _real_of(output: Path, records: Iterable[dict[str, Any]]) -> Path | None:
    """The video that `output` was made from, if a record of the cache or the one beside the output tells."""
    told = [record for record in records if Path(record["output"]).resolve() == output.resolve()]
    if (beside := output.with_suffix(SIDECAR)).is_file():
        told += [record for record in [read_json(beside)] if Path(record.get("output", "")).name == output.name]
    return next((Path(record["video"]) for record in told if record.get("video")), None)


def _once(paths: Iterable[Path]) -> list[Path]:
    return list({path.resolve(): path for path in paths}.values())


@click.command(STAGE)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--lse", is_flag=True, default=True, help="LSE-D, LSE-C and offset (the only measure, so far).")
@click.option("--judge", metavar="NAME|PATH", help="w2l (shipped), a run of the cache, or a file.")
@click.option("--real", "reals", multiple=True, type=click.Path(path_type=Path), help="A real video to compare with.")
@click.option("--crop", type=click.Choice(["face", "frame"]), help="Judge the main face (default), or whole frames.")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there, too.")
@common_options
def command(
    files: tuple[Path, ...],
    lse: bool,
    judge: str | None,
    reals: tuple[Path, ...],
    crop: str | None,
    csv_path: Path | None,
    common: Common,
) -> None:
    """Measures how well mouth and voice agree in FILES; without FILES, in all that `w2l sync` made with this cache.

    The real videos that the outputs were made from are scored beside them. A clip that cannot be scored is named with
    its reason; the others go on.

    \b
    w2l score --lse
    w2l score --lse out.mp4 --real in.mp4 --judge syncnet_v2.model
    w2l score --lse lrs2-crops/*.mp4 --crop frame --csv scores.csv
    """
    settings = common.settings(ScoreSettings, STAGE, judge=judge, crop=crop)
    result = run(settings, files, reals, Cache.open(common.cache, create=bool(files)), str(choose(common.device)))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    common.show(asdict(result), as_table(result.title, result.rows, result.notes, width))
    if csv_path is not None:
        write_text(csv_path, as_csv(result.rows))
    if any(row.score is None for row in result.rows):
        sys.exit(1)

"""score: measure lip sync and picture quality, optionally against the real videos."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option, setting
from stages.types import FILE, FileName
from w2l.api.score import STAGE, score
from w2l.core.errors import ConfigError
from w2l.data.sources.pairs import Order
from w2l.scoring.metrics.columns import GROUPS, MeasureGroup
from w2l.scoring.report.table import explain, score_table
from w2l.scoring.settings import VARIANTS, ScoreSettings
from w2l.scoring.tools import ALL_COLUMNS

MEASURES, INPUTS, NETWORKS, OUTPUT, STUDY = "Measures", "Inputs", "Networks", "Output", "User study"
WHAT: dict[MeasureGroup, str] = {
    "lse": "LSE-D, LSE-C and offset: agreement of mouth and voice (default).",
    "fid": "FID of the faces, or FD-judge without --inception.",
    "quality": "PSNR, SSIM, LPIPS, sharpness, seam, flicker; requires real videos.",
    "mouth": "Closure, silence, articulation, foreign colours, teeth.",
    "identity": "Likeness of the face; identity with --recogniser.",
}


def measure_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each group of measures, and --all."""
    function = option(
        "--all", "everything", is_flag=True, heading=MEASURES, help="All measures that need no further files."
    )(function)
    for group in reversed(GROUPS):
        function = option(f"--{group}", group, is_flag=True, heading=MEASURES, help=WHAT[group])(function)
    return function


@click.command(STAGE, cls=HeadedCommand)
@click.argument("files", nargs=-1, type=FILE, metavar="[OUTPUTS]...")
@measure_options
@option("--explain", "explains", is_flag=True, heading=MEASURES, help="Explain each column and exit.")
@option("--reference", "--real", "reference", multiple=True, type=FILE, heading=INPUTS,
        help="Real video, folder or list that the outputs were made from.  [what w2l sync recorded]")  # fmt: skip
@option("--root", type=FILE, heading=INPUTS, help="Folder that names in lists are relative to.")
@option("--pairs-order", "pairs_order", type=click.Choice(get_args(Order)), default="auto", heading=INPUTS,
        help="Order of a list of pairs.  [auto: by the suffixes]")  # fmt: skip
@setting(ScoreSettings, "judge", "--judge", heading=NETWORKS, metavar="NAME|PATH",
         help="Model for LSE-D, LSE-C, offset: w2l (shipped), a run, or a file such as syncnet_v2.model.")  # fmt: skip
@setting(ScoreSettings, "variant", "--variant", heading=NETWORKS, type=click.Choice(list(VARIANTS)),
         help="Its input: the main face; whole frames (lrs) or long face tracks (real), as published.")  # fmt: skip
@option("--allow-teacher", is_flag=True, heading=NETWORKS, help="Allow an expert to judge a generator it trained.")
@setting(ScoreSettings, "inception", "--inception", heading=NETWORKS, metavar="FILE",
         help="pt_inception-2015-12-05 weights, for FID.")  # fmt: skip
@option("--lpips", multiple=True, metavar="FILE", heading=NETWORKS, help="LPIPS weights: AlexNet and layers.")
@setting(ScoreSettings, "recogniser", "--recogniser", heading=NETWORKS, metavar="FILE",
         help="insightface recogniser (.onnx), for --identity.")  # fmt: skip
@setting(ScoreSettings, "landmarks", "--landmarks", heading=NETWORKS, metavar="FILE",
         help="insightface 2d106det.onnx, for --mouth.")  # fmt: skip
@setting(ScoreSettings, "words", "--words", heading=NETWORKS, metavar="FILE",
         help="Word times, to measure closure at b, p and m.")  # fmt: skip
@option("--csv", type=FileName(path_type=Path, dir_okay=False), heading=OUTPUT,
        help="Write one line per clip.")  # fmt: skip
@option("--report", type=FileName(path_type=Path, dir_okay=False), heading=OUTPUT,
        help="Write a page with plots and the worst clips (.html).")  # fmt: skip
@option("-y", "--overwrite", is_flag=True, heading=OUTPUT, help="Replace existing --csv and --report files.")
@option("--clips", is_flag=True, heading=OUTPUT, help="List every clip in the table, however many there are.")
@option("--study", type=FileName(path_type=Path, file_okay=False), heading=STUDY,
        help="Build a blind study there from the folders OUTPUTS, or its subfolders, one per system.")  # fmt: skip
@option("--study-results", multiple=True, type=FileName(exists=True, path_type=Path, dir_okay=False), heading=STUDY,
        help="Evaluate a study: preference shares and mean opinions from its key and answers.")  # fmt: skip
@option("--jobs", type=click.IntRange(1), default=1, heading=WORK, help="Clips scored in parallel.  [1]")
@ray_option
@option("--force", is_flag=True, heading=WORK, help="Measure again, ignoring earlier results.")
@common_options
def command(
    files: tuple[Path, ...], explains: bool, study: Path | None, study_results: tuple[Path, ...], common: Common,
    **given: Any,
) -> None:  # fmt: skip
    """Measure how well mouth and voice agree, and picture quality.

    OUTPUTS are videos, folders (each a system, compared clip by clip) or lists. Without any: everything that `w2l sync`
    made with this cache.

    The first line shows whether the judge can detect lip sync on these clips (p < 0.05, own against shuffled audio); if
    not, LSE and offset are marked ?, and --json has judge_check.can_tell false. An offset at chance level is null.

    Always scored as well: the real videos, and as chance level the real pictures with other clips' speech.
    A clip that cannot be scored is listed with its reason; the others continue. Rerun the command to resume.

    \b
    w2l score out.mp4 --reference in.mp4
    w2l score ours/ theirs/ --reference real/ --all --report page.html
    w2l score lrs2-crops/ --variant lrs --judge syncnet_v2.model --csv scores.csv
    w2l score --explain

    Exit status: 0 all clips were scored; 1 some could not be, or a model cannot be used; 2 wrong usage.
    """
    if explains:
        click.echo(explain(ALL_COLUMNS))
        return
    if study is not None or study_results:
        _study(study, study_results, files, common)
        return
    if given["ray"] is not None and Path(given["ray"]).exists():
        # A file after an option with an optional value is not its value.
        files, given["ray"] = (Path(given["ray"]), *files), HERE
    clips, asked = given.pop("clips"), [group for group in GROUPS if given.pop(group)]
    measures = GROUPS if given.pop("everything") else asked or None
    scores = score(files, measures=measures, **given, **common.given())
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    table = score_table(scores.report, scores.columns, width, clips)
    common.show(scores.as_dict() if common.json else None, table, styled=width is not None)
    if any(not clip.scored for clip in scores.report.clips):
        sys.exit(1)


def _study(folder: Path | None, results: tuple[Path, ...], others: tuple[Path, ...], common: Common) -> None:
    """Build a study of the folders `others`, or evaluate the files `results` and `others`."""
    from w2l.scoring.study import build
    from w2l.scoring.study.results import as_dict, as_text, read_results

    if folder is not None and results:
        raise ConfigError("--study and --study-results cannot be combined; run one after the other")
    if folder is not None:
        settings = common.settings(build.StudySettings, "study")
        built = build.build_study(build.find_systems(folder, others), folder, settings)
        common.show(asdict(built), build.study_summary(built))
        return
    found = read_results([*results, *others])
    common.show(as_dict(found), as_text(found))

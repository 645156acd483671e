"""Re-sync a dataset's clips with their own speech and with another clip's, and score both next to the real videos.

    python -m examples.research.resync_grid grid/ grid/test.txt results/ --limit 20

A mouth that follows its speech scores like the real video with both speeches. Prints the table of `w2l score` with the
two as systems. Existing outputs are reused; another model or other settings use a separate folder.
"""

import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import MediaError, NoFaceError, W2LError
from w2l.core.files import fingerprint, source_fingerprint
from w2l.core.progress import progress
from w2l.data.sources.listing import Source, find_videos
from w2l.models import registry as weights
from w2l.scoring import run as scoring
from w2l.scoring.inputs.samples import ScoreInputs
from w2l.scoring.metrics.columns import GROUPS
from w2l.scoring.report.frames import frames_of_clip
from w2l.scoring.report.page import write_score_page
from w2l.scoring.report.table import score_table
from w2l.scoring.results import REAL, Sample
from w2l.scoring.run import ScoreWork
from w2l.scoring.settings import ScoreSettings, plain_settings
from w2l.syncing.jobs import Job
from w2l.syncing.run import run
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)
UNMARKED = "disclosure.mark=record"
"""Setting used for measuring: pictures without the imperceptible mark."""
OWN, OTHER = "own speech", "another's speech"


@dataclass(frozen=True)
class Trial:
    """One clip of the dataset and the clip that provides its speech."""

    video: Source
    speech: Source


def pair_up(sources: Sequence[Source], seed: int) -> list[Trial]:
    """Pair all clips, in random order, each with the speech of the next; the order does not depend on the limit."""
    order = np.random.default_rng(seed).permutation(len(sources))
    return [Trial(sources[video], sources[speech]) for video, speech in zip(order, np.roll(order, -1))]


def make_samples(trials: Sequence[Trial], folder: Path, tools: Tools) -> Iterator[Sample]:
    """Make both versions of each clip; clips that fail are reported and left out."""
    with progress("re-sync", len(trials), "clips") as advance:
        for trial in trials:
            name, video = trial.video.clip_id, trial.video.path
            other = trial.speech.clip_id.replace("/", "-")
            versions = {
                OWN: (folder / "own" / f"{name}.mp4", video),
                OTHER: (folder / "shuffled" / f"{name}--{other}.mp4", trial.speech.path),
            }
            try:
                for path, speech in versions.values():
                    if not path.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        run(tools, Job(video, speech, path))
                speaker = trial.video.speaker
                yield from [Sample(path, key, name, video, None, speaker) for key, (path, _) in versions.items()]
                yield Sample(video, REAL, name, speaker=speaker)
            except (MediaError, NoFaceError) as error:
                logger.warning("left out %s: %s", name, error)
            advance()


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("filelist", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--model", default=weights.SHIPPED, show_default=True, help="Generator: w2l, a run, or a file.")
@click.option("--judge", "judge_name", default=weights.SHIPPED, show_default=True, help="Judge: w2l, a run, or a file.")
@click.option("--measure", "measures", multiple=True, type=click.Choice(GROUPS), default=["lse"], show_default=True)
@click.option("--words", default="", help="Times of words, for the closure of lips.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the score page to this file.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Setting of w2l sync.")
@click.option("--cache", "cache_root", type=click.Path(path_type=Path), help="Cache folder  [OUTPUT/cache]")
@click.option("--device", default="auto", show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Clips scored in parallel.")
@click.option("--limit", type=int, help="Number of clips to use  [all]")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of clips and of the pairing.")
def main(
    folder: Path, filelist: Path, output: Path, model: str, judge_name: str, measures: tuple[str, ...], words: str,
    report: Path | None, assignments: tuple[str, ...], cache_root: Path | None, device: str, jobs: int,
    limit: int | None, seed: int,
) -> None:  # fmt: skip
    """Make the videos and score them."""
    set_up_logging(0)
    where = str(choose_device(device))
    cache = Cache.open(cache_root or output / "cache", create=True)
    settings = config.load(SyncSettings, "sync", None, [UNMARKED, f"model={model}", *assignments])
    generator = weights.find(settings.model, "generator", cache)
    how = ScoreSettings(judge=judge_name, measures=measures, detect=settings.detect, words=words)  # type: ignore[arg-type]
    trials = pair_up(find_videos(folder, [filelist]).sources, seed)
    if len(trials) < 2:
        raise MediaError(f"{filelist} names {len(trials)} clip; at least 2 are needed to exchange speech")
    made = output / f"{generator.stem}-{fingerprint(source_fingerprint(generator), config.plain(settings))[:8]}"
    samples = sorted(
        make_samples(trials[:limit], made, Tools(settings, cache, where)),
        key=lambda sample: [OWN, OTHER, REAL].index(sample.system),
    )
    if not samples:
        raise MediaError(f"none of the clips in {filelist} could be re-synced")
    scored = scoring.score(ScoreInputs(tuple(samples)), how, cache, ScoreWork(where, jobs))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(score_table(scored.report, scored.columns, width, clips=False))
    if report is not None:
        write_score_page(report, scored.report, scored.columns, plain_settings(how), frames_of_clip)


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

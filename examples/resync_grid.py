"""Re-syncs a dataset's clips with their own speech and with another clip's, and scores both beside the real videos.

    python examples/resync_grid.py grid/ grid/test.txt results/ --limit 20

A mouth that follows the speech it is given scores like the real video with both speeches. Prints a markdown table with
95 % bootstrap intervals over clips. What is in the output folder already is not made again; a change of the model or of
the settings makes it anew, in a folder of its own.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from stages import sync
from w2l import config, scoring, weights
from w2l.cache import Cache
from w2l.data.layouts import Source, find_videos
from w2l.device import choose
from w2l.errors import MediaError, NoFaceError, W2LError
from w2l.faces.detector import make_detector
from w2l.files import fingerprint, source_fingerprint
from w2l.log import progress, set_up
from w2l.scoring import ClipScore, FaceFinder
from w2l.sync_settings import SyncSettings
from w2l.training.checkpoint import Model

logger = logging.getLogger(__name__)
RESAMPLES = 10_000
"""Bootstrap samples of an interval."""
NEAR = 1
"""Offsets of at most so many frames count as in sync."""
VERSIONS = {"real": "real", "own": "re-synced, own speech", "shuffled": "re-synced, another clip's speech"}


@dataclass(frozen=True)
class Trial:
    """One clip of the dataset and the clip whose speech it is to say."""

    video: Source
    speech: Source


def pair_up(sources: Sequence[Source], seed: int) -> list[Trial]:
    """All clips in random order, each with the speech of the next: never its own, and the same for every limit."""
    order = np.random.default_rng(seed).permutation(len(sources))
    return [Trial(sources[video], sources[speech]) for video, speech in zip(order, np.roll(order, -1))]


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over clips."""
    sample = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.percentile(sample[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def score_trials(
    trials: Sequence[Trial],
    folder: Path,
    settings: SyncSettings,
    judge: Model,
    finder: FaceFinder,
    device: str,
) -> Iterator[dict[str, ClipScore]]:
    """The scores of the versions of each clip; a clip of which one cannot be made or scored is named and left out."""
    with progress("re-sync", len(trials), "clips") as advance:
        for trial in trials:
            name = trial.video.clip_id
            other = trial.speech.clip_id.replace("/", "-")
            versions = {
                "real": (trial.video.path, None),
                "own": (folder / "own" / f"{name}.mp4", trial.video.path),
                "shuffled": (folder / "shuffled" / f"{name}--{other}.mp4", trial.speech.path),
            }
            try:
                for path, speech in versions.values():
                    if speech is not None and not path.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        sync.run(settings, trial.video.path, speech, path, finder.cache, device)
                yield {key: scoring.score_clip(path, judge, finder) for key, (path, _) in versions.items()}
            except (MediaError, NoFaceError) as error:
                logger.warning("left out %s: %s", name, error)
            advance()


def as_markdown(title: str, scored: Sequence[dict[str, ClipScore]]) -> str:
    """A row for each version."""
    lines = [
        f"**{title}**",
        "",
        f"| video | clips | LSE-D | LSE-C | offset, median | within {NEAR} frame |",
        "|---|---|---|---|---|---|",
    ]
    for key, label in VERSIONS.items():
        scores = [clip[key] for clip in scored]
        offsets = np.array([score.offset for score in scores])
        near = f"{np.mean(np.abs(offsets) <= NEAR):.0%}"
        distance = _with_interval([score.lse_d for score in scores])
        confidence = _with_interval([score.lse_c for score in scores])
        lines.append(f"| {label} | {len(scores)} | {distance} | {confidence} | {np.median(offsets):+g} | {near} |")
    return "\n".join([*lines, "", "Means over clips with 95 % bootstrap intervals; the same clips in all rows."])


def _with_interval(values: Sequence[float]) -> str:
    low, high = interval(values)
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("filelist", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--model", default=weights.SHIPPED, show_default=True, help="The generator: w2l, a run, or a file.")
@click.option("--judge", "judge_name", default=weights.SHIPPED, show_default=True, help="The judge, likewise.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of w2l sync.")
@click.option("--cache", "cache_root", type=click.Path(path_type=Path), help="Cache folder  [OUTPUT/cache]")
@click.option("--device", default="auto", show_default=True)
@click.option("--limit", type=int, help="Take only so many clips.")
@click.option("--seed", default=0, show_default=True, help="Which clips are taken first, and who says what.")
def main(
    folder: Path, filelist: Path, output: Path, model: str, judge_name: str, assignments: tuple[str, ...],
    cache_root: Path | None, device: str, limit: int | None, seed: int,
) -> None:  # fmt: skip
    set_up(0)
    where = str(choose(device))
    cache = Cache.open(cache_root or output / "cache", create=True)
    settings = config.load(SyncSettings, "sync", None, [f"model={model}", *assignments])
    generator = weights.find(settings.model, "generator", cache)
    judge = weights.load(judge_name, "judge", cache, where)
    finder = FaceFinder(
        make_detector(settings.detect.detector, where, settings.detect.min_face, cache.models), cache, settings.detect
    )
    trials = pair_up(find_videos(folder, [filelist]).sources, seed)
    if len(trials) < 2:
        raise MediaError(f"{filelist} names {len(trials)} clip; at least 2 are needed to exchange speech")
    made = output / f"{generator.stem}-{fingerprint(source_fingerprint(generator), config.plain(settings))[:8]}"
    scored = list(score_trials(trials[:limit], made, settings, judge, finder, where))
    if not scored:
        raise MediaError(f"none of the clips in {filelist} could be scored")
    print(as_markdown(scoring.describe(judge, judge_name), scored))


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

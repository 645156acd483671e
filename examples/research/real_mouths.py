"""Measure the score of a perfect generator: give every clip the real mouth and speech of another clip of its speaker.

    python -m examples.research.real_mouths grid/ grid/test.txt results/ --limit 20

The other clip's lower face is pasted frame by frame as `w2l sync` pastes generated faces, so that pasting and judge are
the same and only the mouths are real. Its row is the limit of re-syncing with another's speech (see resync_grid.py),
as far as the heads of both clips agree; the difference from the row `real` is the effect of pasting and of the rest of
the face, which still speaks the old words.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from examples.research.resync_grid import UNMARKED, Trial, pair_up
from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import MediaError, NoFaceError, W2LError
from w2l.core.progress import progress
from w2l.data.sources.listing import find_videos
from w2l.features.crop import CropSpec, cut_from
from w2l.scoring import run as scoring
from w2l.scoring.inputs.samples import ScoreInputs
from w2l.scoring.report.table import score_table
from w2l.scoring.results import REAL, Sample
from w2l.scoring.run import ScoreWork
from w2l.scoring.settings import ScoreSettings
from w2l.syncing.compose import Compositor
from w2l.syncing.draw import Watch, draw, make_parts
from w2l.syncing.engine import Redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.plan import Plan, plan_of
from w2l.syncing.references import references_for
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)
SWAPPED = "real mouths of the speech"
Pixels = NDArray[np.uint8]


class RealMouths:
    """A replacement of the generator that returns the lower rows of given crops (frames, size, size, 3), in order."""

    moves_pixels = True
    """Whether crops may be finer than the input of the generator."""

    def __init__(self, crops: Pixels, first_row: int) -> None:
        self._rows = crops[:, first_row:].astype(np.float32)
        self._next = 0

    def __call__(self, mels: NDArray[np.float32], faces: Pixels, references: Pixels | None) -> NDArray[np.float32]:
        """Return the next rows, (faces, rows, size, 3) in 0..255."""
        first, self._next = self._next, self._next + len(faces)
        return self._rows[first : self._next]


def crops_of(plan: Plan, spec: CropSpec) -> Pixels:
    """Return the face, (frames, size, size, 3), of each frame of a plan; raise NoFaceError unless each has one."""
    crops: list[Pixels] = []
    for cue in plan.cues(0, len(plan)):
        if len(cue.faces) != 1:
            raise NoFaceError(f"{plan.info.path}: frame {len(crops)} shows {len(cue.faces)} faces, not one")
        face = cue.faces[0]
        crops.append(cut_from(cue.canvas, face.box, face.points, spec))
    return np.stack(crops)


def swap_mouths(tools: Tools, trial: Trial, output: Path) -> None:
    """Write the video of a trial with the mouth and the audio of the clip that provides the speech."""
    plan = plan_of(tools, Job(trial.video.path, trial.speech.path, output))
    theirs = crops_of(plan_of(tools, Job(trial.speech.path, trial.speech.path, output)), plan.spec)
    shown = [min(idx, len(theirs) - 1) for idx in range(len(plan)) if plan.is_redrawn(idx)]
    card, settings = tools.model.card, tools.settings
    compositor = Compositor(plan.spec, "lower", settings.blend)
    looks = references_for("same", plan, card, tools.detector)
    mouths = RealMouths(theirs[shown], compositor.first_row)
    redrawer = Redrawer(mouths, card, plan.spec, looks, compositor, settings.batch)  # type: ignore[arg-type]
    draw(plan, redrawer, make_parts(settings, plan, output, "real mouths"), Watch())


def make_samples(trials: Sequence[Trial], folder: Path, tools: Tools) -> Iterator[Sample]:
    """Make each video; clips that fail are reported and left out."""
    with progress("swap mouths", len(trials), "clips") as advance:
        for trial in trials:
            name = trial.video.clip_id
            path = folder / f"{name}--{trial.speech.clip_id.replace('/', '-')}.mp4"
            try:
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    swap_mouths(tools, trial, path)
                yield Sample(path, SWAPPED, name, trial.video.path, None, trial.video.speaker)
                yield Sample(trial.video.path, REAL, name, speaker=trial.video.speaker)
            except (MediaError, NoFaceError) as error:
                logger.warning("left out %s: %s", name, error)
            advance()


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("filelist", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--judge", default="w2l", show_default=True, help="Judge: w2l, a run, or a file.")
@click.option("--limit", type=int, help="Number of clips to use  [all]")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of clips and of the pairing.")
def main(folder: Path, filelist: Path, output: Path, judge: str, limit: int | None, seed: int) -> None:
    """Make the videos and score them."""
    set_up_logging(0)
    cache = Cache.open(output / "cache", create=True)
    settings = config.load(SyncSettings, "sync", None, [UNMARKED])
    tools = Tools(settings, cache, str(choose_device("auto")))
    trials = pair_up(find_videos(folder, [filelist]).sources, seed)
    trials = [trial for trial in trials if trial.video.speaker == trial.speech.speaker][:limit]
    samples = sorted(make_samples(trials, output / "swapped", tools), key=lambda sample: sample.system == REAL)
    how = ScoreSettings(judge=judge, detect=settings.detect)
    scored = scoring.score(ScoreInputs(tuple(samples)), how, cache, ScoreWork(tools.device))
    print(score_table(scored.report, scored.columns, None, clips=False))


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

r"""Train several recipes on one cache for the same number of steps, score videos re-synced by each, write one table.

    python -m examples.research.compare_recipes cache/ grid/ grid/test.txt results/ --words grid/words.tsv --limit 20 \
        --set loop.steps=20000 examples/recipes/l1.yaml examples/recipes/wav2lip.yaml \
        "no swap: examples/recipes/w2l.yaml sampling.swap=0"

A row of the table is a recipe file, optionally with a name before and changes after it. All rows use the same batches
of the same seeds for the same steps, unless their recipes differ in this; the model of the last step is scored rather
than the best one, as recipes differ in what counts as best. `--set init=...` gives all of them the same weights first.

Each model then redraws the clips of the list with their own speech and with another clip's (see resync_grid.py), and
`w2l score` measures the videos. Pauses are left to the model (silence=model), as sync would otherwise hide leaks.

OUTPUT/table.md and OUTPUT/table.json are written after each model. Finished work is reused: run the command again with
more seeds, rows or clips and only the new ones are made.
"""

import logging
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from examples.research.resync_grid import OTHER, OWN, UNMARKED, Trial, make_samples, pair_up
from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, MediaError, W2LError
from w2l.core.files import fingerprint, source_fingerprint, write_json, write_text
from w2l.data.sources.listing import find_videos
from w2l.models import registry as weights
from w2l.scoring import run as scoring
from w2l.scoring.inputs.samples import ScoreInputs
from w2l.scoring.metrics.columns import GROUPS, Column
from w2l.scoring.results import REAL, SHUFFLED
from w2l.scoring.run import ScoreWork
from w2l.scoring.settings import ScoreSettings, plain_settings
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools
from w2l.training.generator.run import STAGE, train_generator
from w2l.training.generator.settings import GeneratorSettings

logger = logging.getLogger(__name__)
SHOWN = (
    "lse_d", "lse_c", "fd_judge", "fid", "psnr_lower", "psnr_mouth", "ssim_mouth", "closure_recall",
    "closure_precision", "leak", "articulation", "sharpness", "flicker",
)  # fmt: skip
"""Columns of the table, in order; table.json has all."""
OF_OWN_SPEECH = ("psnr_lower", "psnr_mouth", "ssim_mouth")
"""Columns that are meaningless if the real mouth said something else."""
SPEECHES = (OWN, OTHER)
CHANCE = "chance"
"""Name of the row of real pictures with the speech of other clips."""


@dataclass(frozen=True)
class Row:
    """A recipe and changes of its settings."""

    name: str
    recipe: Path
    changes: tuple[str, ...] = ()
    """Settings of `w2l train`, KEY=VALUE each."""

    def settings(self, common: Sequence[str], seed: int) -> GeneratorSettings:
        """Return the settings: the recipe, then those `common` to all rows, then the row's own changes."""
        return config.load(GeneratorSettings, STAGE, self.recipe, [*common, *self.changes, f"seed={seed}"])


@dataclass(frozen=True)
class Outcome:
    """Scores of one model."""

    row: str
    seed: int
    model: str
    scores: dict[str, dict[str, float]]
    """Speech, or `REAL` or `SHUFFLED`, -> column -> mean over the clips."""
    intervals: dict[str, dict[str, tuple[float, float]]]
    """Likewise, the 95 % interval of the mean over clips, if there is one."""
    clips: dict[str, int]
    """Likewise, the number of clips that were scored."""
    steps: int


def parse_rows(texts: Sequence[str]) -> list[Row]:
    """Parse rows ``[NAME:] FILE [KEY=VALUE ...]``; raise ConfigError for unreadable or duplicate ones."""
    rows = [_row(text) for text in texts]
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two rows are named {name!r}; write 'NAME: FILE KEY=VALUE ...' for one of them")
        if name in (REAL, CHANCE):
            raise ConfigError(
                f"a row cannot be named {name!r}, which is the name of another row; write 'NAME: FILE ...'"
            )
    return rows


def _row(text: str) -> Row:
    before, colon, after = text.partition(": ")
    name, rest = (before.strip(), after) if colon and "=" not in before else ("", text)
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ConfigError(f"row {text!r} cannot be read: {error}; write '[NAME:] FILE [KEY=VALUE ...]'") from error
    if not words:
        raise ConfigError(f"row {text!r} names no recipe; write '[NAME:] FILE [KEY=VALUE ...]'")
    return Row(name or Path(words[0]).stem, Path(words[0]), tuple(words[1:]))


def run_name(row: Row, settings: GeneratorSettings) -> str:
    """Return the run of a row's model in the cache, which changes with every setting."""
    plain = "".join(letter if letter.isalnum() or letter in "-_+" else "-" for letter in row.name)
    return f"compare-{plain}-seed{settings.seed}-{fingerprint(config.plain(settings))[:6]}"


def combined(outcomes: Sequence[Outcome], key: str, column: str) -> tuple[float, float | None] | None:
    """Return the mean over models, and the standard deviation of several; None if no model has the number."""
    values = [outcome.scores[key][column] for outcome in outcomes if column in outcome.scores.get(key, {})]
    if not values:
        return None
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def as_markdown(outcomes: Sequence[Outcome], columns: Sequence[Column], common: Sequence[str] = ()) -> str:
    """Return one table per kind of speech: the rows in order, then real video and chance."""
    rows = list(dict.fromkeys(outcome.row for outcome in outcomes))
    by_row = {row: [outcome for outcome in outcomes if outcome.row == row] for row in rows}
    known = {column.name: column for column in columns}
    parts = []
    for speech in SPEECHES:
        lines = (
            {row: (by_row[row], speech) for row in rows}
            | {
                REAL: (list(outcomes[:1]), REAL),  # the same beside every model
                CHANCE: (list(outcomes[:1]), SHUFFLED),
            }
        )
        found = {
            (name, column): combined(of_it, key, column) for name, (of_it, key) in lines.items() for column in SHOWN
        }
        left_out = OF_OWN_SPEECH if speech == OTHER else ()
        shown = [name for name in SHOWN if name not in left_out and any(found[row, name] for row in rows)]
        head = ["recipe", "seeds", *(known[column].heading for column in shown)]
        text = [f"### {speech}", "", _line(head), _line(["---"] * len(head))]
        for name in lines:
            seeds = str(len(by_row[name])) if name in by_row else ""
            cells = [_cell(found[name, column], known[column].digits) for column in shown]
            text.append(_line([name, seeds, *cells]))
        parts.append("\n".join(text))
    steps = sorted({outcome.steps for outcome in outcomes})
    clips = sorted({outcome.clips[speech] for outcome in outcomes for speech in SPEECHES if speech in outcome.clips})
    told = f"Means over {_span(clips)} clips of models after {_span(steps)} steps; ±: standard deviation over seeds."
    if common:
        told += f" All rows: `{' '.join(common)}`."
    return "\n\n".join([told, *parts]) + "\n"


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}" if numbers else "no"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(found: tuple[float, float | None] | None, digits: int) -> str:
    if found is None:
        return ""
    mean, spread = found
    return f"{mean:.{digits}f}" if spread is None else f"{mean:.{digits}f} ± {spread:.{digits}f}"


@dataclass(frozen=True)
class Comparison:
    """Settings that all rows share."""

    cache: Cache
    trials: tuple[Trial, ...]
    output: Path
    common: tuple[str, ...]
    sync: tuple[str, ...]
    judging: ScoreSettings
    device: str
    jobs: int = 1

    def train(self, row: Row, seed: int) -> tuple[Path, int]:
        """Return the model of the last step, trained now or before, and its number of steps."""
        settings = row.settings(self.common, seed)
        name = run_name(row, settings)
        result = train_generator(settings, self.cache, name, self.device)
        return self.cache.run_folder(name) / "generator-latest.safetensors", result.steps

    def judge(self, row: Row, seed: int, model: Path, steps: int) -> tuple[Outcome, tuple[Column, ...]]:
        """Re-sync the clips, unless that was done before, and score them."""
        settings = config.load(SyncSettings, "sync", None, [UNMARKED, "silence=model", *self.sync, f"model={model}"])
        mark = fingerprint(source_fingerprint(model), config.plain(settings))[:8]
        folder = self.output / "videos" / f"{model.parent.name}-{mark}"
        made = list(make_samples(self.trials, folder, Tools(settings, self.cache, self.device)))
        samples = sorted(made, key=lambda sample: [*SPEECHES, REAL].index(sample.system))
        if not samples:
            raise MediaError(f"none of the {len(self.trials)} clips could be re-synced by {model}; see the warnings")
        scored = scoring.score(ScoreInputs(tuple(samples)), self.judging, self.cache, ScoreWork(self.device, self.jobs))
        systems = scored.report.systems
        means = {one.system: {name: each.mean for name, each in one.means.items()} | one.whole for one in systems}
        intervals = {one.system: {name: (each.low, each.high) for name, each in one.means.items()} for one in systems}
        clips = {one.system: one.scored for one in systems}
        return Outcome(row.name, seed, str(model), means, intervals, clips, steps), scored.columns

    def write(self, outcomes: Sequence[Outcome], columns: Sequence[Column]) -> str:
        """Write table.md and table.json; return the text of the first."""
        text = as_markdown(outcomes, columns, self.common)
        write_text(self.output / "table.md", text)
        kept = {
            "common": list(self.common),
            "judging": plain_settings(self.judging),
            "clips": [[trial.video.clip_id, trial.speech.clip_id] for trial in self.trials],
            "columns": {column.name: column.heading for column in columns},
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        write_json(self.output / "table.json", kept)
        return text


def compare(comparison: Comparison, rows: Sequence[Row], n_seeds: int) -> tuple[list[Outcome], list[str]]:
    """Train and score all rows, seed by seed; return the outcomes, and the errors of rows that failed."""
    for row in rows:  # fail on unreadable rows before hours of training
        row.settings(comparison.common, 0)
    outcomes: list[Outcome] = []
    failed = []
    for seed in range(n_seeds):
        for row in rows:
            logger.info("%s, seed %d", row.name, seed)
            try:
                model, steps = comparison.train(row, seed)
                outcome, columns = comparison.judge(row, seed, model, steps)
            except W2LError as error:
                failed.append(f"{row.name}, seed {seed}: {error}")
                logger.warning("%s", failed[-1])
                continue
            outcomes.append(outcome)
            order = [row.name for row in rows]
            comparison.write(sorted(outcomes, key=lambda each: order.index(each.row)), columns)
    return outcomes, failed


@click.command(help=__doc__)
@click.argument("cache_root", metavar="CACHE", type=click.Path(path_type=Path))
@click.argument("folder", metavar="VIDEOS", type=click.Path(path_type=Path))
@click.argument("filelist", metavar="LIST", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("texts", metavar="ROW...", nargs=-1, required=True)
@click.option("--set", "common", multiple=True, metavar="KEY=VALUE", help="Setting of w2l train, for all rows.")
@click.option("--sync-set", "sync", multiple=True, metavar="KEY=VALUE", help="Setting of w2l sync.")
@click.option("--seeds", "n_seeds", default=1, show_default=True, help="Models per row: seeds 0, 1, ...")
@click.option("--limit", type=int, help="Number of clips to score, the same ones for all models.")
@click.option("--order", "order_seed", default=0, show_default=True, help="Seed for the choice of clips and speeches.")
@click.option("--judge", default=weights.SHIPPED, show_default=True, help="The judge: w2l, a run, or a file.")
@click.option("--measure", "measures", multiple=True, type=click.Choice(GROUPS), show_default=True,
              default=["lse", "fid", "quality", "mouth"])  # fmt: skip
@click.option("--words", default="", help="Times of words, for the closure of lips.")
@click.option("--device", default="auto", show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Clips scored in parallel.")
def main(
    cache_root: Path, folder: Path, filelist: Path, output: Path, texts: tuple[str, ...], common: tuple[str, ...],
    sync: tuple[str, ...], n_seeds: int, limit: int | None, order_seed: int, judge: str, measures: tuple[str, ...],
    words: str, device: str, jobs: int,
) -> None:  # fmt: skip
    """Train and score all rows, and write the table."""
    set_up_logging(0)
    rows = parse_rows(texts)
    trials = pair_up(find_videos(folder, [filelist]).sources, order_seed)
    if len(trials) < 2:
        raise MediaError(f"{filelist} names {len(trials)} clip; at least 2 are needed to exchange speech")
    settings = config.load(SyncSettings, "sync", None, [UNMARKED, *sync])
    judging = ScoreSettings(judge=judge, measures=measures, detect=settings.detect, words=words)  # type: ignore[arg-type]
    comparison = Comparison(
        Cache.open(cache_root), tuple(trials[:limit]), output, common, sync, judging, str(choose_device(device)), jobs
    )
    outcomes, failed = compare(comparison, rows, n_seeds)
    if outcomes:
        print((output / "table.md").read_text(encoding="utf-8"))
    if failed:
        raise W2LError(f"{len(failed)} of {len(rows) * n_seeds} models are missing: {'; '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

r"""Train experts, leaving out one person at a time, and measure each on the person who was left out.

    python -m examples.research.leave_one_out CACHE OUT --config examples/recipes/expert-people.yaml \
        --same uc=s5 --same uf=s3 --same ue=s23 [--set loop.steps=750] [--person s2] [--init-saw s1]
    python -m examples.research.leave_one_out CACHE OUT --config ... --same ... --train-on 2 --train-on 4

The first form has a fold for each person on the list `train`, or for those of --person. The second one trains on that
many people only, in nested sets of random order, and measures on the split `unseen`: the curve over the number of
people; --draws repeats it in other orders. Scale and bias, for balanced accuracy at p = 0.5 and the calibration error,
are always fitted on the other people who were left out, never on the person who is measured. The last weights are
measured, as the best ones would be chosen by the person left out.

Folds are hard links to CACHE. Finished ones are kept in OUT and interrupted ones resume, so that the command can be
run again, also with more people. A recipe that starts with the weights of another expert (`init`) needs --init-saw:
the people those weights were trained on, who are named in their card, always train and are never left out.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from examples.research.calibrate_expert import alike, merge_pairs
from examples.research.evaluate_expert import interval
from examples.research.leave_people_out import link_fold, same_people
from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, W2LError
from w2l.core.files import fingerprint, read_arrays, sha256, write_arrays, write_text
from w2l.data.batches.tracks import Tracks, crop_spec
from w2l.models import registry
from w2l.models.checkpoint import load_model
from w2l.training import scores
from w2l.training.expert.evaluate import score_pairs
from w2l.training.expert.pairing import pairing_of
from w2l.training.expert.run import STAGE, train_expert
from w2l.training.expert.settings import ExpertSettings
from w2l.training.scores import ScoredPairs

RUN = "expert"
COLUMNS = ("balanced accuracy at p = 0.5", "AUC", "whole clip", "ECE")
Same = Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Plan of one training."""

    name: str
    """Name of its folder in OUT."""
    left_out: str
    """Person for validation; empty: the cache's validation clips."""
    trained: tuple[str, ...]
    """People to train on."""

    @property
    def measured(self) -> str:
        """The split that is measured."""
        return "val" if self.left_out else "unseen"


@dataclass(frozen=True)
class Runner:
    """Settings shared by all trainings."""

    root: Path
    """The cache."""
    out: Path
    settings: ExpertSettings
    same: Same
    """Speaker -> person."""
    device: str = "auto"

    def run(self, plan: Plan) -> dict[str, ScoredPairs]:
        """Return the pairs of the people whom the plan measures, from an earlier run if that is finished."""
        folder = self.out / plan.name
        self._check_mark(plan, folder)
        finished = folder / "pairs.npz"
        if not finished.exists():
            cache = self._fold(plan, folder / "cache")
            train_expert(self.settings, cache, RUN, self.device)
            write_arrays(finished, _arrays(self._measure(cache, plan.measured)))
        return by_person(read_arrays(finished))

    def _check_mark(self, plan: Plan, folder: Path) -> None:
        """Record the plan in its folder before training; raise ConfigError if the folder has another plan."""
        path, mark = folder / "mark.txt", self._mark(plan)
        if path.exists() and path.read_text(encoding="utf-8") != mark:
            raise ConfigError(f"{folder} contains a training of another recipe or of other people; pass another OUT")
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, mark)

    def _mark(self, plan: Plan) -> str:
        init = self.settings.init
        weights = sha256(registry.find(init, "expert", Cache.open(self.root))) if init else ""
        identity = {**self.settings.identity(), "init": weights}
        return fingerprint(identity, plan.left_out, sorted(plan.trained), dict(self.same))

    def _fold(self, plan: Plan, path: Path) -> Cache:
        if not path.exists():
            part = path.with_name("part")
            shutil.rmtree(part, ignore_errors=True)
            link_fold(self.root, part, [plan.left_out] if plan.left_out else [], self.same, plan.trained)
            part.rename(path)
        return Cache.open(path)

    def _measure(self, cache: Cache, split: str) -> ScoredPairs:
        device = choose_device(self.device)
        network = load_model(cache.run_folder(RUN) / "expert-latest.safetensors", "expert", device).network
        rows = cache.tracks()
        tracks = Tracks(cache, rows.select(rows.has("split", split)), crop_spec(cache), self.settings.n_frames)
        return score_pairs(tracks, pairing_of(network), device)


def _arrays(pairs: ScoredPairs) -> dict[str, NDArray[np.generic]]:
    names = np.array(pairs.speakers, dtype=np.str_)
    of_clip = names[np.unique(pairs.track)]  # one offset each, in this order: clips are in one piece
    return {
        "in_sync": pairs.in_sync, "off_sync": pairs.off_sync, "person": names[pairs.track],
        "offsets": pairs.offsets, "offset_person": of_clip,
    }  # fmt: skip


def by_person(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, ScoredPairs]:
    """Return the pairs and the offsets of each person."""
    found = {}
    for person in np.unique(arrays["person"]).tolist():
        own = arrays["person"] == person
        n_windows = int(own.sum())
        found[person] = ScoredPairs(
            in_sync=arrays["in_sync"][own].astype(np.float64),
            off_sync=arrays["off_sync"][own].astype(np.float64),
            voiced=np.ones(n_windows, np.bool_),
            at_gap=np.zeros((n_windows, 0)),
            track=np.zeros(n_windows, np.int64),
            speakers=[person],
            offsets=arrays["offsets"][arrays["offset_person"] == person].astype(np.int64),
            span_offsets={},
        )
    return found


def measure(found: Mapping[str, ScoredPairs]) -> dict[str, tuple[float, ...]]:
    """Return person -> `COLUMNS`; those that need a calibration are nan if there is only one person."""
    measured = {}
    for person, pairs in found.items():
        rng = np.random.default_rng(0)
        others = [drawn for other, theirs in found.items() if other != person for drawn in alike(theirs, rng)]
        half = ece = float("nan")
        if others:
            calibration = scores.calibrate(merge_pairs(others))
            half, ece = scores.accuracy_at_half(pairs, *calibration), scores.calibration_error(pairs, *calibration)
        measured[person] = (half, scores.area_under_roc(pairs), scores.within_one(pairs.offsets), ece)
    return measured


def mean_cells(measured: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Return the mean of each column over people, with its 95 % interval."""
    cells = []
    for column in zip(*measured.values(), strict=True):
        low, high = interval(list(column))
        cells.append("" if np.isnan(low) else f"{np.mean(column):.3f} ({low:.3f} to {high:.3f})")
    return cells


def people_table(found: Mapping[str, ScoredPairs]) -> str:
    """Return a Markdown table with a row per person left out, and their mean."""
    measured = measure(found)
    lines = [["person left out", "clips", *COLUMNS], ["---"] * (len(COLUMNS) + 2)]
    for person, values in measured.items():
        cells = ["" if np.isnan(value) else f"{value:.3f}" for value in values]
        lines.append([person, str(len(found[person].offsets)), *cells])
    n_clips = sum(len(pairs.offsets) for pairs in found.values())
    lines.append([f"mean of {len(found)} people", str(n_clips), *mean_cells(measured)])
    return markdown(lines)


def curve_table(found: Mapping[Plan, Mapping[str, ScoredPairs]]) -> str:
    """Return a Markdown table with a row per number of people, of means over the unseen people."""
    lines = [["people", "who", "unseen people", *COLUMNS], ["---"] * (len(COLUMNS) + 3)]
    for plan, pairs in found.items():
        who = ", ".join(plan.trained)
        lines.append([str(len(plan.trained)), who, str(len(pairs)), *mean_cells(measure(pairs))])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return the text of a table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def training_people(root: Path, same: Same, needed: Sequence[str] = ()) -> list[str]:
    """Return the people on the list `train`; raise ConfigError for fewer than two, or without a split `needed`."""
    rows = Cache.open(root).tracks()
    if missing := [split for split in needed if not rows.has("split", split).any()]:
        raise ConfigError(f"cache {root} has no clips of the list {missing[0]}; preprocess them into it")
    speakers = rows.select(rows.has("split", "train")).words("speaker")
    people = sorted({same.get(speaker, speaker) for speaker in speakers} - {""})
    if len(people) < 2:
        raise ConfigError(f"cache {root} names {len(people)} speakers on the list train; two are needed")
    return people


def check_known(people: Sequence[str], named: Sequence[str]) -> None:
    """Raise ConfigError for an unknown name."""
    if unknown := sorted({*named} - {*people}):
        raise ConfigError(f"{', '.join(unknown)}: not on the list train; choose from {', '.join(people)}")


def folds(people: Sequence[str], left_out: Sequence[str], saw: Sequence[str]) -> Iterator[Plan]:
    """Yield the plan of each fold: for everyone on whom the initial weights were not trained, or for those named."""
    check_known(people, [*left_out, *saw])
    if both := sorted({*left_out} & {*saw}):
        raise ConfigError(f"the initial weights were trained on {', '.join(both)}, who cannot be left out")
    for person in left_out or [person for person in people if person not in saw]:
        yield Plan(f"without-{person}", person, tuple(other for other in people if other != person))


def curve(people: Sequence[str], counts: Sequence[int], saw: Sequence[str], draw: int) -> Iterator[Plan]:
    """Yield the plan of each number of people; those on whom the initial weights were trained come first."""
    check_known(people, saw)
    low = max(1, len(saw))
    if any(not low <= count <= len(people) for count in counts):
        raise ConfigError(f"--train-on {list(counts)}: the list train allows {low} to {len(people)} people")
    order = [*saw, *np.random.default_rng(draw).permutation([name for name in people if name not in saw]).tolist()]
    for count in counts:
        yield Plan(f"{count}-people-{draw}", "", tuple(order[:count]))


def check_init(settings: ExpertSettings, saw: Sequence[str]) -> None:
    """Raise ConfigError for a recipe whose initial weights have unknown training people, or that trains a judge."""
    if settings.arch != "expert":
        raise ConfigError("only experts can be trained this way; remove arch=judge")
    if settings.init and not saw:
        raise ConfigError(
            f"the recipe starts with the weights of {settings.init}, which may have been trained on the people left "
            "out; name the people they were trained on (--init-saw s1), or start with random weights (--set init=)"
        )


@click.command(help=__doc__)
@click.argument("root", metavar="CACHE", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--config", "recipe", type=click.Path(path_type=Path, exists=True), help="The recipe.")
@click.option("--set", "assignments", multiple=True, help="key=value, over the recipe.")
@click.option("--same", multiple=True, help="A=B: speaker A is person B.")
@click.option("--person", "left_out", multiple=True, help="Leave out this person; repeatable  [everyone]")
@click.option("--init-saw", "saw", multiple=True, help="A person on whom the initial weights were trained.")
@click.option("--train-on", "counts", multiple=True, type=int, help="Train on N people, measure on `unseen`.")
@click.option("--draws", default=1, show_default=True, type=click.IntRange(1), help="Orders of people, for --train-on.")
@click.option("--device", default="auto", show_default=True)
def main(
    root: Path, out: Path, recipe: Path | None, assignments: tuple[str, ...], same: tuple[str, ...],
    left_out: tuple[str, ...], saw: tuple[str, ...], counts: tuple[int, ...], draws: int, device: str,
) -> None:  # fmt: skip
    """Train all plans and print the tables."""
    set_up_logging(0)
    try:
        merged, saw = same_people(same), tuple(dict.fromkeys(saw))
        settings = config.load(ExpertSettings, STAGE, recipe, assignments)
        check_init(settings, saw)
        runner = Runner(root, out, settings, merged, device)
        people = training_people(root, merged, ["unseen"] if counts else [])
        drawn = [plan for draw in range(draws) for plan in curve(people, counts, saw, draw)]
        found = {}
        for plan in drawn or folds(people, left_out, saw):
            found[plan] = runner.run(plan)
            click.echo(f"{plan.name}: trained on {', '.join(plan.trained)}", err=True)
        strangers = {plan.left_out: pairs[plan.left_out] for plan, pairs in found.items() if plan.left_out}
        text = people_table(strangers) if strangers else curve_table(found)
        click.echo(text, nl=False)
        write_text(out / ("curve.md" if drawn else "people.md"), text)
    except W2LError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()

"""The story of `score`: every sample is measured once, kept, and summed up beside the real videos and beside chance."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from w2l.cache.records import versions
from w2l.cache.store import Cache
from w2l.core.config import plain
from w2l.core.errors import ConfigError
from w2l.core.files import sha256
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Task
from w2l.core.log import progress
from w2l.core.text import some
from w2l.models import registry as weights
from w2l.models.checkpoint import PUBLIC_DATA, PUBLIC_JUDGE_DATA, Model, ModelCard, read_card
from w2l.score.clip import measure_clip
from w2l.score.fid_sets import FrechetSets
from w2l.score.inputs.records import Records
from w2l.score.inputs.samples import Inputs
from w2l.score.metrics.columns import Column
from w2l.score.metrics.lse import lse_values
from w2l.score.results import REAL, SHUFFLED, ClipScore, Sample, ScoreReport
from w2l.score.sets import summarise
from w2l.score.settings import ScoreSettings
from w2l.score.store import Slot, slot_for
from w2l.score.tools import Bench, find_judge, open_bench

logger = logging.getLogger(__name__)
ONE_CLIP = "shuffled speech needs two clips: there is no row for chance"
OWN_CHANCE = f"{SHUFFLED}: the outputs' own pictures under each other's speech, as two real videos are not known"
PARTNERS = 5
"""Other sounds that each picture is judged with for the row of chance: one alone would be luck."""
Slots = Mapping[Sample, Slot]
"""Where each sample's numbers are kept; the samples as they were asked for."""


@dataclass(frozen=True)
class Scored:
    """A report, and what its numbers mean."""

    report: ScoreReport
    columns: tuple[Column, ...]


def score(
    inputs: Inputs,
    settings: ScoreSettings,
    cache: Cache,
    device: str = "cpu",
    jobs: int = 1,
    ray: str | None = None,
    force: bool = False,
) -> Scored:
    """Scores all samples; one that cannot be scored is named with its reason, and the others go on.

    What the cache holds of an earlier run with the same files and settings is taken from there, unless `force` is
    given: a run that was stopped goes on, and new clips cost their own time alone.
    """
    judge = find_judge(settings.judge, cache)
    slots = {sample: slot_for(cache, sample, settings, judge) for sample in inputs.samples}
    bench = open_bench(settings, cache.root, device)
    if bench.judge.card.kind == "expert" and not settings.allow_teacher:  # nothing else teaches
        refuse_teacher(inputs.samples, judge, Records(cache))
    alone = jobs == 1 and ray is None
    set_up = (lambda: bench) if alone else partial(open_bench, settings, cache.root, device)
    clips = _measure_all(slots, set_up, jobs, ray, force)
    notes = [*inputs.notes, *settings.idle, *_without_words(inputs.samples, bench)]
    if "lse" in settings.measures:
        shuffled = list(shuffled_speech(clips, slots, settings))
        clips += shuffled
        notes += [] if shuffled else [ONE_CLIP]
        notes += [OWN_CHANCE] if shuffled and all(sample.system != REAL for sample in inputs.samples) else []
    whole: dict[str, dict[str, float]] = {}
    if bench.source is not None:
        sets = _frechet_sets(clips, slots, bench)
        whole = {system: sets.score(system) for system in inputs.systems}
        notes += [f"{bench.source.title}, on the {settings.fid_region}", *sets.notes()]
    summary = summarise(clips, bench.columns, whole, settings.seed)
    title = describe(bench.judge, settings)
    notes += [*summary.notes, f"judged by {judge.name}, sha256 {sha256(judge)[:12]}; w2l {versions()['w2l']}"]
    return Scored(ScoreReport(title, tuple(clips), summary.systems, summary.comparisons, tuple(notes)), bench.columns)


def refuse_teacher(samples: Sequence[Sample], judge: Path, records: Records) -> None:
    """ConfigError where a sample was made by a generator that `judge` taught: it learnt to please this very network."""
    made: dict[Path, Path] = {}
    for sample in samples:
        model = records.model_of(sample.path) if sample.system != REAL else None
        if model is not None and model.suffix == weights.SUFFIX:
            made.setdefault(model, sample.path)
    mark = sha256(judge)
    for model, output in made.items():
        if read_card(model).teacher == mark:
            raise ConfigError(
                f"{judge} taught the generator {model}, which made {output}: it is no fair judge of it; name another "
                "--judge, or say --allow-teacher"
            )


def _without_words(samples: Sequence[Sample], bench: Bench) -> list[str]:
    """Says how many clips the table of words leaves out, which are then asked for all closures."""
    outputs = [one for one in samples if one.system != REAL]
    left = [one.name for one in outputs if not bench.words_of(one.speech, one.path, one.reference)]
    if "mouth" not in bench.settings.measures or not bench.words or not left:
        return []
    return [f"{bench.settings.words} has no words of {len(left)} of {len(outputs)} outputs: {some(left)}"]


def _measure_all(slots: Slots, set_up: Callable[[], Bench], jobs: int, ray: str | None, force: bool) -> list[ClipScore]:
    """The scores of all samples, in their order."""
    found: dict[Sample, tuple[ClipScore, ...]] = {}
    for sample, slot in slots.items():
        kept = None if force else slot.load(sample)
        if kept is not None:
            found[sample] = kept
    if found:
        logger.info("%d of %d clips are known from an earlier run", len(found), len(slots))
    waiting = [sample for sample in slots if sample not in found]
    tasks = (Task(str(sample.path), (sample, slots[sample])) for sample in waiting)
    with progress("score", len(waiting), "clips") as advance:
        for done in run_tasks(tasks, _work, set_up, jobs, ray):
            sample = done.task.arguments[0]
            found[sample] = done.result or (ClipScore(sample, reason=done.error),)
            advance()
    return [score for sample in slots for score in found[sample]]


def _work(bench: Bench, sample: Sample, slot: Slot) -> tuple[ClipScore, ...]:
    """Measures one sample and keeps it."""
    measured = measure_clip(sample, bench)
    slot.keep(measured)
    return measured.scores


def shuffled_speech(clips: Sequence[ClipScore], slots: Slots, settings: ScoreSettings) -> Iterator[ClipScore]:
    """The pictures of the real clips, or of the outputs where there are not two, each under another's sound: chance.

    Every clip hears the next `PARTNERS` of a seeded shuffle, never itself, and gets the mean of what they score; the
    longer of two is cut. The offset is that of the first, as a mean of offsets would be nearer to 0 than chance is. Of
    one clip only one output takes part: the others, and the real video, say the same.
    """
    kept = [clip.sample for clip in clips if clip.scored]
    real = list({sample.path: sample for sample in kept if sample.system == REAL}.values())
    outputs = {sample.name: sample for sample in reversed(kept) if sample.system != REAL}
    samples = real if len(real) > 1 else list(reversed(outputs.values()))
    order = np.random.default_rng(settings.seed).permutation(len(samples)).tolist()
    if len(samples) < 2:
        return
    # Neighbours of the shuffle share their partners: each clip is read once, and few are held.
    load = lru_cache(PARTNERS + 1)(lambda idx: slots[samples[idx]].heard_and_seen())
    for place, mine in enumerate(order):
        others = [order[(place + step) % len(order)] for step in range(1, min(PARTNERS, len(order) - 1) + 1)]
        seen = load(mine)
        heard = [found for other in others if (found := load(other)) is not None]
        pairs = [(seen[0], sound) for _, sound in heard if seen is not None and min(len(seen[0]), len(sound)) > 1]
        if pairs:
            told = [lse_values(*pair, settings.max_shift) for pair in pairs]
            partner = samples[others[0]]
            sample = replace(samples[mine], system=SHUFFLED, speech=partner.speech or partner.path)
            names = [name for name in told[0].values if all(name in one.values for one in told)]
            values = {name: float(np.mean([one.values[name] for one in told])) for name in names}
            values |= {name: told[0].values[name] for name in names if name.startswith("offset")}
            curve = tuple(np.mean([one.curve for one in told], axis=0).round(6).tolist())
            yield ClipScore(sample, values, curve, *told[0][2:], windows=round(values["windows"]))


def _frechet_sets(clips: Sequence[ClipScore], slots: Slots, bench: Bench) -> FrechetSets:
    assert bench.source is not None
    sets = FrechetSets(bench.source.columns, bench.settings.seed)
    for sample in dict.fromkeys(clip.sample for clip in clips if clip.scored and clip.sample in slots):
        slot = slots[sample]
        if slot.features.is_file():
            sets.add(sample.system, sample.name, slot.features, slot.real_features if sample.reference else None)
    return sets


def is_public(card: ModelCard) -> bool:
    """Whether a judge is the published one, whose scores can be set beside published ones."""
    return card.kind == "judge" and card.data in (PUBLIC_DATA, PUBLIC_JUDGE_DATA)


def describe(judge: Model, settings: ScoreSettings) -> str:
    """Whose scores these are: the title of a table."""
    how = f"LSE, variant {settings.variant}, by"
    if is_public(judge.card):
        compares = "" if settings.variant in ("lrs", "real") else "; published numbers take the variants lrs or real"
        return f"{how} SyncNet v2 (public weights{compares})"
    if judge.card.kind == "expert":
        return f"{how} the expert {judge.path} (half faces; not comparable with published numbers or with judges)"
    name = settings.judge
    which = "the judge trained by w2l" if name == weights.SHIPPED else f"judge {judge.path.stem}, trained by w2l"
    return f"{how} {which} (not comparable with published numbers)"


def plain_settings(settings: ScoreSettings) -> dict[str, object]:
    """The settings for a page or a file."""
    return {name: value for name, value in plain(settings).items() if value not in ("", [], ())}

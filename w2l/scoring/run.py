"""The score stage: find samples and judge, measure each clip once and chance, check the judge, summarise, report."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from w2l.cache.records import SIDECAR, versions
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.files import sha256
from w2l.core.jobs.pool import run_tasks
from w2l.core.jobs.tasks import Task
from w2l.core.progress import progress
from w2l.core.reading import real_path
from w2l.core.text import some
from w2l.data.sources.pairs import Order
from w2l.scoring.chance import Slots, chance_notes, shuffled_speech
from w2l.scoring.check import check_judge, offset_notes, without_chance_offsets
from w2l.scoring.clip import measure_clip
from w2l.scoring.fid_sets import FrechetSets
from w2l.scoring.inputs.records import Records
from w2l.scoring.inputs.samples import ScoreInputs, find_inputs
from w2l.scoring.judge import find_judge, is_public, teacher_notes, title_of
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.fid import JudgeSource
from w2l.scoring.report.wording import TITLES
from w2l.scoring.results import REAL, ClipScore, Sample, ScoreReport
from w2l.scoring.sets import summarise
from w2l.scoring.settings import ScoreSettings
from w2l.scoring.store import Slot, slot_for
from w2l.scoring.tools import Bench, open_bench

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreRequest:
    """The videos to score; see `find_inputs`."""

    outputs: tuple[Path, ...] = ()
    """Videos, folders and lists; empty for all that `sync` made with the cache."""
    references: tuple[Path, ...] = ()
    """Real videos, folders of them, and lists."""
    root: Path | None = None
    """Folder that names in lists are relative to."""
    order: Order = "auto"
    """Order of a list of pairs."""
    results: tuple[Path, ...] = ()
    """Output files; none of them may be an input."""

    def everywhere(self) -> "ScoreRequest":
        """Return the request with absolute paths, for machines with other working folders."""
        outputs, references = (tuple(path.absolute() for path in paths) for paths in (self.outputs, self.references))
        return replace(self, outputs=outputs, references=references)


@dataclass(frozen=True)
class ScoreWork:
    """Parallelism of a score."""

    device: str = "cpu"
    jobs: int = 1
    """Clips measured in parallel."""
    ray: str | None = None
    """Address of a Ray cluster; None: run on this machine."""
    force: bool = False
    """Whether clips are measured again despite earlier results."""


ONE_PROCESS = ScoreWork()


@dataclass(frozen=True)
class Scored:
    """A report, and the meaning of its numbers."""

    report: ScoreReport
    columns: tuple[Column, ...]


def run(request: ScoreRequest, settings: ScoreSettings, cache: Cache, work: ScoreWork = ONE_PROCESS) -> Scored:
    """Score the outputs, their real videos, and the chance level; see `score`."""
    inputs = find_inputs(request.outputs, request.references, cache, request.root, request.order)
    _keep_inputs(request, inputs, settings)
    return score(inputs, settings, cache, work)


def _keep_inputs(request: ScoreRequest, inputs: ScoreInputs, settings: ScoreSettings) -> None:
    """Raise ConfigError if a result would overwrite an input."""
    samples = (path for one in inputs.samples for path in (one.path, one.reference, one.speech) if path is not None)
    named = (Path(text) for text in (settings.judge, settings.words, *settings.files) if text)
    files = (*request.outputs, *request.references, *samples, *named)
    read = {real_path(one) for path in files for one in (path, path.parent / f"{path.stem}{SIDECAR}")}
    for path in request.results:
        if real_path(path) in read:
            raise ConfigError(f"{path} is also an input; choose another file for the result")


def score(inputs: ScoreInputs, settings: ScoreSettings, cache: Cache, work: ScoreWork = ONE_PROCESS) -> Scored:
    """Score all samples; one that cannot be scored is listed with its reason, and the others continue.

    Cached results of an earlier run with the same files and settings are reused, unless `work.force` is set: an
    interrupted run resumes, and only new clips are measured.
    """
    judge = find_judge(settings.judge, cache)
    slots = {sample: slot_for(cache, sample, settings, judge) for sample in inputs.samples}
    bench = open_bench(settings, cache.root, work.device)
    taught = teacher_notes(inputs.samples, bench.judge, Records(cache), settings.allow_teacher)
    measured = _measure_all(slots, bench, work)
    chance = shuffled_speech(measured, slots, settings)
    sets = _frechet_sets(measured, slots, bench)
    whole = {system: sets.score(system) for system in inputs.systems} if sets is not None else {}
    check = check_judge(measured, chance, slots, settings)
    if check is not None:
        check = replace(check, published=is_public(bench.judge.card))
    clips = tuple(without_chance_offsets(measured, chance, slots, settings))
    summary = summarise(clips, bench.columns, whole, settings.seed)
    notes = [
        *inputs.notes,
        *taught,
        *settings.idle,
        *_without_words(inputs.samples, bench),
        *chance_notes(chance, inputs.samples, settings),
        *offset_notes(clips[: len(measured)], settings),
        *_frechet_notes(sets, bench),
        *summary.notes,
        _measured_by(bench),
    ]
    title = title_of(bench.judge, settings) if "lse" in settings.measures else _title_without_lse(bench)
    report = ScoreReport(title, clips, summary.systems, summary.comparisons, tuple(notes), check)
    return Scored(report, bench.columns)


def _title_without_lse(bench: Bench) -> str:
    """Return the title of a table without the judge's columns: its measures, and the features of FID."""
    titles = {group: TITLES[group] for group in bench.settings.measures}
    if bench.source is not None:
        titles["fid"] = bench.source.title
    return "; ".join(titles.values())


def _measured_by(bench: Bench) -> str:
    """Return the judge, if any, and the version of w2l."""
    version = f"w2l {versions()['w2l']}"
    if "lse" not in bench.settings.measures and not isinstance(bench.source, JudgeSource):
        return f"measured by {version}"
    return f"judged by {bench.judge.path.name}, sha256 {sha256(bench.judge.path)[:12]}; {version}"


def _measure_all(slots: Slots, bench: Bench, work: ScoreWork) -> list[ClipScore]:
    """Return the scores of all samples, in their order."""
    found: dict[Sample, tuple[ClipScore, ...]] = {}
    for sample, slot in slots.items():
        kept = None if work.force else slot.load(sample)
        if kept is not None:
            found[sample] = kept
    if found:
        logger.info("%d of %d clips are cached from an earlier run", len(found), len(slots))
    waiting = [sample for sample in slots if sample not in found]
    tasks = (Task(str(sample.path), (sample, slots[sample])) for sample in waiting)
    alone = work.jobs == 1 and work.ray is None
    set_up = (lambda: bench) if alone else partial(open_bench, bench.settings, bench.cache.root, work.device)
    with progress("score", len(waiting), "clips") as advance:
        for done in run_tasks(tasks, _measure, set_up, work.jobs, work.ray):
            sample = done.task.arguments[0]
            found[sample] = done.result or (ClipScore(sample, reason=done.error),)
            advance()
    return [score for sample in slots for score in found[sample]]


def _measure(bench: Bench, sample: Sample, slot: Slot) -> tuple[ClipScore, ...]:
    """Measure one sample and store the result."""
    measured = measure_clip(sample, bench)
    slot.keep(measured)
    return measured.scores


def _frechet_sets(clips: Sequence[ClipScore], slots: Slots, bench: Bench) -> FrechetSets | None:
    """Return the features of all scored clips, by system; None if FID is not requested."""
    if bench.source is None:
        return None
    sets = FrechetSets(bench.source.columns, bench.settings.seed)
    for sample in dict.fromkeys(clip.sample for clip in clips if clip.scored):
        slot = slots[sample]
        if slot.features.is_file():
            sets.add(sample.system, sample.name, slot.features, slot.real_features if sample.reference else None)
    return sets


def _frechet_notes(sets: FrechetSets | None, bench: Bench) -> list[str]:
    """Return the features that FID compares, and notes on its sets."""
    if sets is None or bench.source is None:
        return []
    return [f"{bench.source.title}, on the {bench.settings.fid_region}", *sets.notes()]


def _without_words(samples: Sequence[Sample], bench: Bench) -> list[str]:
    """Return a note on clips missing in the table of words, for which all closures are measured."""
    outputs = [one for one in samples if one.system != REAL]
    left = [one.name for one in outputs if not bench.words_of(one.speech, one.path, one.reference)]
    if "mouth" not in bench.settings.measures or not bench.words or not left:
        return []
    return [f"{bench.settings.words} lacks the words of {len(left)} of {len(outputs)} outputs: {some(left)}"]

"""The judge of LSE: finding the model, whether it may judge these outputs, and the title of its scores."""

from collections.abc import Sequence
from pathlib import Path

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import sha256
from w2l.core.text import some
from w2l.models import registry as weights
from w2l.models.checkpoint import (
    PUBLIC_DATA,
    PUBLIC_JUDGE_DATA,
    Model,
    ModelCard,
    load_model,
    marks_of,
    read_card,
)
from w2l.models.lineage import TaughtBy, weights_mark
from w2l.scoring.expert_judge import check_judging_expert
from w2l.scoring.inputs.records import Records
from w2l.scoring.results import REAL, Sample
from w2l.scoring.settings import ScoreSettings


def find_judge(name: str, cache: Cache) -> Path:
    """Return the file of the judge `name`, or of a run's expert if it has none; raise CheckpointError for neither."""
    try:
        return weights.find(name, "judge", cache)
    except CheckpointError:
        if name == weights.SHIPPED or not any((cache.checkpoints / name).glob("expert-*")):
            raise
        return weights.find(name, "expert", cache)


def load_judge(name: str, cache: Cache, device: str) -> Model:
    """Load the judge `name`, or an expert in its place; raise CheckpointError for any other model."""
    path = find_judge(name, cache)
    judge = load_model(path, None, device)
    if judge.card.kind == "expert":
        check_judging_expert(judge)
    elif judge.card.kind != "judge":
        raise CheckpointError(f"model {path} is of kind {judge.card.kind}, not judge; choose another file")
    return judge


def teacher_notes(samples: Sequence[Sample], judge: Model, records: Records, allowed: bool) -> list[str]:
    """Return notes on an expert that judges generators possibly trained with it or a relative.

    An expert is related to another if one is a copy, a calibration, a fine-tuned version or an average of the
    other, or both derive from the same weights. Such outputs were optimised for it. Raises ConfigError for them, unless
    it is `allowed`.
    """
    if judge.card.kind != "expert":
        return []  # nothing else teaches
    made, unknown = _models_of(samples, records)
    marks, notes = frozenset(marks_of(judge)), []
    for model, output in made.items():
        teacher = next((one for one in read_card(model).teachers if one.marks & marks), None)
        if teacher is None:
            continue
        how = _relation(teacher, judge)
        if not allowed:
            raise ConfigError(
                f"{judge.path} {how} the generator {model}, which made {output}: it is not a fair judge of it; choose "
                "another --judge, or add --allow-teacher"
            )
        notes.append(f"{judge.path} {how} the generator {model}: its scores favour that generator")
    if unknown:
        notes.append(
            f"the models of {len(unknown)} outputs are not recorded, so {judge.path} may have trained them: "
            f"{some(unknown)}"
        )
    return notes


def _models_of(samples: Sequence[Sample], records: Records) -> tuple[dict[Path, Path], list[str]]:
    """Return the models that made outputs, each with one of them, and the names of outputs of unknown models."""
    made: dict[Path, Path] = {}
    unknown = []
    for sample in samples:
        if sample.system == REAL:
            continue
        model = records.model_of(sample.path)
        if model is None:
            unknown.append(sample.name)
        else:
            made.setdefault(model, sample.path)
    return made, unknown


def _relation(teacher: TaughtBy, judge: Model) -> str:
    """Return how a judge is related to the expert of a generator, as the words between their names."""
    if teacher.sha256 == sha256(judge.path) or teacher.weights == weights_mark(judge.network):
        return "taught"
    named = f" {teacher.name}" if teacher.name else ""
    return f"shares weights with the expert{named}, which taught"


def is_public(card: ModelCard) -> bool:
    """Whether a judge is the published one, whose scores can be compared with published ones."""
    return card.kind == "judge" and card.data in (PUBLIC_DATA, PUBLIC_JUDGE_DATA)


def title_of(judge: Model, settings: ScoreSettings) -> str:
    """Return the title of a table: the judge of its scores, and what they compare with."""
    how = f"LSE, variant {settings.variant}, by"
    if is_public(judge.card):
        compares = "" if settings.variant in ("lrs", "real") else "; published numbers use the variants lrs or real"
        return f"{how} SyncNet v2 (public weights{compares})"
    if judge.card.kind == "expert":
        return f"{how} the expert {judge.path} (half faces; not comparable with published numbers or with judges)"
    name = settings.judge
    which = "the judge trained by w2l" if name == weights.SHIPPED else f"judge {judge.path.stem}, trained by w2l"
    return f"{how} {which} (not comparable with published numbers)"

"""The judge of LSE: which model it is, whether it may judge these outputs, and what its scores are called."""

from collections.abc import Sequence
from pathlib import Path

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import sha256
from w2l.models import registry as weights
from w2l.models.checkpoint import PUBLIC_DATA, PUBLIC_JUDGE_DATA, Model, ModelCard, load_model, read_card
from w2l.score.expert_judge import check_judging_expert
from w2l.score.inputs.records import Records
from w2l.score.results import REAL, Sample
from w2l.score.settings import ScoreSettings


def find_judge(name: str, cache: Cache) -> Path:
    """Return the file of the judge `name`, or of the expert of a run without one; CheckpointError for neither."""
    try:
        return weights.find(name, "judge", cache)
    except CheckpointError:
        if name == weights.SHIPPED or not any((cache.checkpoints / name).glob("expert-*")):
            raise
        return weights.find(name, "expert", cache)


def load_judge(name: str, cache: Cache, device: str) -> Model:
    """Load the judge `name`, or an expert in its place; CheckpointError for any other model."""
    path = find_judge(name, cache)
    judge = load_model(path, None, device)
    if judge.card.kind == "expert":
        check_judging_expert(judge)
    elif judge.card.kind != "judge":
        raise CheckpointError(f"model {path} is of kind {judge.card.kind}, not judge; name another file")
    return judge


def refuse_teacher(samples: Sequence[Sample], judge: Path, records: Records) -> None:
    """Raise ConfigError where a sample was made by a generator that `judge` taught, which learnt to please it."""
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


def is_public(card: ModelCard) -> bool:
    """Return whether a judge is the published one, whose scores can be set beside published ones."""
    return card.kind == "judge" and card.data in (PUBLIC_DATA, PUBLIC_JUDGE_DATA)


def title_of(judge: Model, settings: ScoreSettings) -> str:
    """Return the title of a table: which judge gave its scores, and what they compare with."""
    how = f"LSE, variant {settings.variant}, by"
    if is_public(judge.card):
        compares = "" if settings.variant in ("lrs", "real") else "; published numbers take the variants lrs or real"
        return f"{how} SyncNet v2 (public weights{compares})"
    if judge.card.kind == "expert":
        return f"{how} the expert {judge.path} (half faces; not comparable with published numbers or with judges)"
    name = settings.judge
    which = "the judge trained by w2l" if name == weights.SHIPPED else f"judge {judge.path.stem}, trained by w2l"
    return f"{how} {which} (not comparable with published numbers)"

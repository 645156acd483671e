"""Settings for tuning a generator to one person: other defaults, and those that must match the initial generator."""

from dataclasses import dataclass, field, replace

from w2l.data.batches.generator import GeneratorSampling
from w2l.models.checkpoint import ModelCard
from w2l.models.choices import SHIPPED
from w2l.training.generator.settings import GeneratorSettings, Schedule
from w2l.training.settings import LoopSettings


@dataclass(frozen=True)
class PersonSettings(GeneratorSettings):
    """Settings for tuning a generator to one person: as `GeneratorSettings`, but from weights, slowly and briefly.

    Layout, width, rows, mask and references are those of `init`, whatever is set.
    """

    expert: str = SHIPPED
    init: str = SHIPPED
    sampling: GeneratorSampling = field(default_factory=lambda: GeneratorSampling(batch_size=8))
    sync: float = 0.01
    schedule: Schedule = field(default_factory=lambda: Schedule(sync=(0, 0)))
    """All terms from the start: the generator knows them, and the first validation must count like all others."""
    mouth_focus: float = 4.0
    lr: float = 3e-4
    warm_up: int = 50
    ema: float = 0.99
    validation_tracks: int = 1
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(1000, 25, 50, 50, patience=6))


def like(settings: PersonSettings, card: ModelCard) -> PersonSettings:
    """Return the settings for a generator of the same dimensions, mask and references as the one with this card.

    The focus on the mouth is disabled if its crops do not have the mouth at a fixed position.
    """
    dimensions = card.dimensions
    sampling = replace(
        settings.sampling,
        n_references=dimensions.get("n_references", 1),
        references="still" if card.references == "still" else "consecutive",
    )
    return replace(
        settings, layout=dimensions.get("layout", "published"), scale="", width=dimensions["width"],
        rows=dimensions.get("rows", "full"), mask=card.mask, sampling=sampling,
        mouth_focus=settings.mouth_focus if card.crop.kind == "aligned" else 0.0,
    )  # fmt: skip

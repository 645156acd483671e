"""How a generator is trained: its shape, the windows it sees, its loss terms and their schedules."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from w2l.core.config import check_word
from w2l.core.errors import ConfigError
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.generator import GeneratorSampling
from w2l.data.batches.resident import Resident
from w2l.features.masks import MASKS, Mask
from w2l.models.tensors import Precision
from w2l.nets.generator import GeneratedRows, GeneratorLayout
from w2l.training.generator.adversaries import AdversaryKind
from w2l.training.generator.collapse import CollapseSettings
from w2l.training.losses import ramp
from w2l.training.settings import LoopSettings, RateSchedule, shaping

WIDTHS = {"published": {"nano": 2, "small": 4, "base": 16}, "warping": {"nano": 6, "small": 10, "base": 16}}
"""Channels of the first layer, by layout and name."""
NOW = (0, 0)
SHAPELESS = ("resident", "compile", "watchdog")
"""Settings that change no step."""
JUDGED_BY = {"contrast": ("pairs",), "features": ("patches",), "adversarial": ("published", "patches")}
"""Terms that need a discriminator, and the kinds of it that give them."""


@dataclass(frozen=True)
class Schedule:
    """For each loss term the step at which it begins, and the steps over which its weight rises from 0."""

    l1: tuple[int, int] = NOW
    """First step and steps of rise of the weight `l1`."""
    edges: tuple[int, int] = NOW
    """First step and steps of rise of the weight `edges`."""
    sync: tuple[int, int] = (0, 1000)
    """First step and steps of rise of the weight `sync`."""
    lips: tuple[int, int] = NOW
    """First step and steps of rise of the weight `lips`."""
    rest: tuple[int, int] = NOW
    """First step and steps of rise of the weight `rest`."""
    adversarial: tuple[int, int] = NOW
    """First step and steps of rise of the weight `adversarial`."""
    features: tuple[int, int] = NOW
    """First step and steps of rise of the weight `features`."""
    contrast: tuple[int, int] = NOW
    """First step and steps of rise of the weight `contrast`."""
    drawn: tuple[int, int] = NOW
    """First step and steps of rise of the weight `drawn`."""
    smooth: tuple[int, int] = NOW
    """First step and steps of rise of the weight `smooth`."""

    def __post_init__(self) -> None:
        """Refuse steps before the first."""
        for name, steps in self.by_term().items():
            if len(steps) != 2 or min(steps) < 0:
                raise ConfigError(f"schedule.{name} must be [first step, steps of rise], each at least 0, got {steps}")

    def by_term(self) -> dict[str, tuple[int, int]]:
        """Return (first step, steps of rise) by the name of the term."""
        return {each.name: tuple(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True)
class DiscriminatorSettings:
    """What is trained against the generator, where `adversarial`, `features` or `contrast` is above 0."""

    kind: AdversaryKind = "published"
    """Wav2Lip's, one that judges patches at several scales, or LipGAN's, which compares face and sound."""
    frames: int = WINDOW_FRAMES
    """Frames seen at once: all five stacked, or 1, as the published code does."""
    width: int = 32
    """Channels of its first layer; 32 is the published one."""
    lr: float = 1e-4
    """Learning rate, with the generator's warm-up and course."""
    init: str = ""
    """Run, file or imported discriminator, also a public one, whose weights are the start; empty: random weights."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_word("discriminator.kind", self.kind, get_args(AdversaryKind))
        if self.frames not in (1, WINDOW_FRAMES):
            raise ConfigError(f"discriminator.frames must be 1 or {WINDOW_FRAMES}, got {self.frames}")
        if self.width < 1 or self.lr <= 0:
            raise ConfigError("discriminator.width must be at least 1 and its lr above 0")


@dataclass(frozen=True)
class GeneratorSettings:
    """How a generator is trained."""

    expert: str = "expert"
    """Run, file or shipped expert (`w2l`) that teaches; not needed when `sync` is 0."""
    init: str = ""
    """Run, file or shipped generator (`w2l`) whose weights are the start; empty: random weights."""
    layout: GeneratorLayout = "published"
    """`published`: Wav2Lip's network; `warping`: our own, which moves the references' pixels."""
    hearing: Literal["own", "expert"] = "own"
    """What the sound's encoder begins with: random weights, or the `expert`'s, which know already which sounds look
    alike; for the warping layout of the expert's width."""
    scale: Literal["", "nano", "small", "base"] = ""
    """A width by its name; empty: `width` counts."""
    width: int = 16
    """Channels of the first layer; 16 is the published generator."""
    rows: GeneratedRows = "lower"
    """What is generated: the `lower` half, which is all that is pasted, or the `full` face, as published."""
    mask: Mask = "lower-half"
    """What of the target is hidden: its `lower-half`, or only the `jaw` and what it moves over."""
    sampling: GeneratorSampling = field(default_factory=GeneratorSampling)
    """Which windows make a batch, and with what references and sounds."""
    words: str = ""
    """Table of the words of each clip, for `sampling.bilabials` and for the closures that validation counts."""
    mouth_focus: float = 0.0
    """By how much the mouth's pixels weigh more than others in L1; 0 weighs all alike, as published."""
    l1: float = 0.97
    """Weight of the mean absolute error."""
    edges: float = 0.0
    """Weight of the mean absolute error of differences between neighbouring pixels: sharpness."""
    sync: float = 0.03
    """Weight of how improbable the expert finds that face and sound are in sync."""
    lips: float = 0.0
    """Weight of the lips' distance from where the real ones are, as the lip reader sees both."""
    rest: float = 0.0
    """Weight of how far the lips are apart where silence was put in the place of speech."""
    adversarial: float = 0.0
    """Weight of the discriminator's verdict (published: 0.07)."""
    features: float = 0.0
    """Weight of feature matching, with `discriminator.kind=patches`."""
    contrast: float = 0.0
    """Weight of the distance between face and sound, with `discriminator.kind=pairs` (LipGAN: 0.01)."""
    drawn: float = 0.0
    """Weight of how much is drawn, not moved from the references, with layout=warping: what is drawn looks like those
    who trained it, what is moved like the person. A haze over many pixels costs more than a few that are all drawn."""
    smooth: float = 0.0
    """Weight of how unevenly neighbouring pixels are moved, with layout=warping: on faces that it does not know an
    uneven flow tears lips and teeth."""
    schedule: Schedule = field(default_factory=Schedule)
    """When each term begins: schedule.sync=[first step, steps of rise]."""
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    """The discriminator and its training."""
    lr: float = 1e-4
    """Learning rate of Adam after the warm-up; it falls to `lr_end` of it along a cosine."""
    lr_end: float = 0.05
    """Share of the learning rates that is left at the last step; 1 keeps them all."""
    warm_up: int = 100
    """Steps over which the learning rates rise."""
    clip_norm: float = 1.0
    """Largest norm of a gradient."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is then what is validated and kept; 0: none."""
    accumulate: int = 1
    """Parts in which a batch is worked on, one after the other: less memory."""
    resident: Resident = "auto"
    """Whether all crops are kept in the device's memory: `auto`, where they fit a GPU's."""
    compile: bool = False
    """Whether PyTorch compiles the generator: minutes at the start, a faster step afterwards."""
    seed: int = 0
    """Of everything that is random in training: weights, order of windows, augmentation."""
    precision: Precision = "fp32"
    """Arithmetic of the convolutions."""
    data: str = ""
    """What the model's card says about the training data."""
    licence: str = ""
    """Licence of the training data, for the card."""
    validation_batches: int = 8
    """Batches measured at each validation."""
    validation_tracks: int = 16
    """Tracks generated whole at each validation, to see whether the mouth moves, closes and rests; 0: none. With
    fewer than 16 the figures hardly tell two models apart."""
    watchdog: CollapseSettings = field(default_factory=CollapseSettings)
    """When a run counts as collapsed."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """How long: loop.steps, loop.log_every, loop.validate_every, loop.checkpoint_every."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        check_word("layout", self.layout, tuple(WIDTHS))
        check_word("scale", self.scale, ("", *WIDTHS["warping"]))
        check_word("hearing", self.hearing, ("own", "expert"))
        check_word("rows", self.rows, get_args(GeneratedRows))
        check_word("mask", self.mask, MASKS)
        check_word("precision", self.precision, get_args(Precision))
        check_word("resident", self.resident, get_args(Resident))
        if min(self.validation_batches, self.width, self.accumulate) < 1 or self.validation_tracks < 0:
            raise ConfigError("validation_batches, width and accumulate must be at least 1, validation_tracks 0")
        if min(self.lr, self.clip_norm) <= 0 or min(self.warm_up, self.seed) < 0 or not 0 <= self.lr_end <= 1:
            raise ConfigError("lr and clip_norm must be above 0, warm_up and seed at least 0, lr_end from 0 to 1")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema must be at least 0 and less than 1, got {self.ema}")
        self._check_terms()

    def _check_terms(self) -> None:
        weights = {name: getattr(self, name) for name in self.schedule.by_term()}
        if min(*weights.values(), self.mouth_focus) < 0 or weights["l1"] <= 0:
            raise ConfigError("l1 must be above 0, all other weights of the loss, and mouth_focus, at least 0")
        kind = self.discriminator.kind
        for term, needed in JUDGED_BY.items():
            if weights[term] and kind not in needed:
                raise ConfigError(f"{term} is above 0, which needs discriminator.kind={needed[0]}, not {kind}")
        if self.hearing == "expert" and (self.layout != "warping" or not self.sync):
            raise ConfigError("hearing=expert needs layout=warping and an expert that teaches: sync above 0")
        for term in ("drawn", "smooth"):
            if weights[term] and self.layout != "warping":
                raise ConfigError(f"{term} needs layout=warping: other layouts draw all that they make; set {term}=0")
        if self.layout == "warping" and self.rows != "lower":
            raise ConfigError("layout=warping generates the lower rows only; set rows=lower")
        if self.discriminator.init and not self.adversary:
            raise ConfigError(
                f"discriminator.init {self.discriminator.init} is of no use without a discriminator: set adversarial, "
                "features or contrast above 0"
            )
        if self.rest and not self.sampling.silence:
            raise ConfigError("rest is above 0, so windows of silence are needed: set sampling.silence above 0")

    @property
    def channels(self) -> int:
        """Channels of the generator's first layer."""
        return WIDTHS[self.layout][self.scale] if self.scale else self.width

    @property
    def adversary(self) -> bool:
        """Whether a discriminator is trained along."""
        return any(getattr(self, name) for name in JUDGED_BY)

    @property
    def adversary_start(self) -> int:
        """The step from which it is trained: with the first term that needs it."""
        steps = self.schedule.by_term()
        return min(steps[name][0] for name in JUDGED_BY if getattr(self, name))

    @property
    def rates(self) -> RateSchedule:
        """How the learning rates rise and fall."""
        return RateSchedule(self.warm_up, self.lr_end)

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape a step; a run that was begun with others is not continued."""
        found = shaping(self, SHAPELESS)
        if not self.discriminator.init:
            del found["discriminator"]["init"]  # came later: runs that were begun without it go on
        return found

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each loss term at `step`, of those whose weight is not 0 for good."""
        used = {name: steps for name, steps in self.schedule.by_term().items() if getattr(self, name)}
        return {name: getattr(self, name) * ramp(step, *steps) for name, steps in used.items()}

    @property
    def without_change(self) -> GeneratorSampling:
        """How windows are drawn for validation: own sounds, references as near as in training, nothing changed."""
        s = self.sampling
        return GeneratorSampling(s.batch_size, s.n_references, s.references, s.distance, near=s.near, augment=STILL)


STILL = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
"""No augmentation."""

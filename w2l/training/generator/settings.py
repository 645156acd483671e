"""Settings of a generator's training: its shape, the sampling of windows, its loss terms and their schedules."""

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
"""Settings that do not affect a step."""
JUDGED_BY = {"contrast": ("pairs",), "features": ("patches",), "adversarial": ("published", "patches")}
"""Terms that require a discriminator, and the kinds of it that provide them."""


@dataclass(frozen=True)
class Schedule:
    """For each loss term: its first step, and the number of steps over which its weight rises from 0."""

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
        """Reject negative steps."""
        for name, steps in self.by_term().items():
            if len(steps) != 2 or min(steps) < 0:
                raise ConfigError(f"schedule.{name} must be [first step, steps of rise], each at least 0, got {steps}")

    def by_term(self) -> dict[str, tuple[int, int]]:
        """Return (first step, steps of rise) by the name of the term."""
        return {each.name: tuple(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True)
class DiscriminatorSettings:
    """The network trained against the generator, if `adversarial`, `features` or `contrast` is above 0."""

    kind: AdversaryKind = "published"
    """Wav2Lip's, one that judges patches at several scales, or LipGAN's, which compares face and sound."""
    frames: int = WINDOW_FRAMES
    """Frames judged together: all five stacked, or 1, as in the published code."""
    width: int = 32
    """Channels of its first layer; 32 is the published one."""
    lr: float = 1e-4
    """Learning rate, with the generator's warm-up and schedule."""
    init: str = ""
    """Run, file or imported discriminator, including public ones, to start from; empty: random weights."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be built."""
        check_word("discriminator.kind", self.kind, get_args(AdversaryKind))
        if self.frames not in (1, WINDOW_FRAMES):
            raise ConfigError(f"discriminator.frames must be 1 or {WINDOW_FRAMES}, got {self.frames}")
        if self.width < 1 or self.lr <= 0:
            raise ConfigError("discriminator.width must be at least 1 and its lr above 0")


@dataclass(frozen=True)
class GeneratorSettings:
    """Settings of a generator's training."""

    expert: str = "expert"
    """Run, file or shipped expert (`w2l`) for the sync loss; not needed if `sync` is 0."""
    init: str = ""
    """Run, file or shipped generator (`w2l`) to start from; empty: random weights."""
    layout: GeneratorLayout = "published"
    """`published`: Wav2Lip's network; `warping`: our own, which warps the references' pixels."""
    audio_encoder_init: Literal["own", "expert"] = "own"
    """Initial weights of the audio encoder: random, or the `expert`'s, which already represents visual similarity of
    sounds; for the warping layout of the expert's width."""
    scale: Literal["", "nano", "small", "base"] = ""
    """Width by name; empty: `width` is used."""
    width: int = 16
    """Channels of the first layer; 16 is the published generator."""
    rows: GeneratedRows = "lower"
    """Generated rows: the `lower` half, which is all that is pasted, or the `full` face, as published."""
    mask: Mask = "lower-half"
    """Hidden part of the target: its `lower-half`, or only the `jaw` and the region it moves over."""
    sampling: GeneratorSampling = field(default_factory=GeneratorSampling)
    """Sampling of windows, references and audio."""
    words: str = ""
    """Table of the words of each clip, for `sampling.bilabials` and for the closures measured in validation."""
    mouth_focus: float = 0.0
    """Additional weight of the mouth's pixels in L1; 0 weighs all alike, as published."""
    l1: float = 0.97
    """Weight of the mean absolute error."""
    edges: float = 0.0
    """Weight of the mean absolute error of differences between neighbouring pixels, for sharpness."""
    sync: float = 0.03
    """Weight of the expert's loss: how improbable it rates face and audio as in sync."""
    lips: float = 0.0
    """Weight of the lips' distance from the real ones, as measured by the lip reader."""
    rest: float = 0.0
    """Weight of the gap between the lips in windows whose speech was replaced by silence."""
    adversarial: float = 0.0
    """Weight of the discriminator's loss (published: 0.07)."""
    features: float = 0.0
    """Weight of feature matching, with `discriminator.kind=patches`."""
    contrast: float = 0.0
    """Weight of the distance between face and audio, with `discriminator.kind=pairs` (LipGAN: 0.01)."""
    drawn: float = 0.0
    """Weight of the drawn share, with layout=warping: drawn pixels resemble the training faces, warped ones the person.
    A haze over many pixels costs more than a few that are drawn entirely."""
    smooth: float = 0.0
    """Weight of the unevenness of the flow, with layout=warping: on unknown faces an uneven flow tears lips and
    teeth."""
    flow_blur: float | None = None
    """How far the flow is smoothed, with layout=warping: standard deviation in sides of the face. Lips and teeth of the
    reference then stay whole. Empty: as in `init`, else 0."""
    schedule: Schedule = field(default_factory=Schedule)
    """When each term begins: schedule.sync=[first step, steps of rise]."""
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    """The discriminator and its training."""
    lr: float = 1e-4
    """Learning rate of Adam after the warm-up; it decreases to `lr_end` of it along a cosine."""
    lr_end: float = 0.05
    """Share of the learning rates that remains at the last step; 1 keeps them constant."""
    warm_up: int = 100
    """Steps over which the learning rates rise."""
    clip_norm: float = 1.0
    """Largest norm of a gradient."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is validated and kept; 0: none."""
    accumulate: int = 1
    """Number of parts into which a batch is divided, one after the other, to save memory."""
    resident: Resident = "auto"
    """Whether all crops are kept in the device's memory: `auto`, if they fit a GPU's."""
    compile: bool = False
    """Whether PyTorch compiles the generator: minutes at the start, a faster step afterwards."""
    seed: int = 0
    """Seed of all randomness in training: weights, order of windows, augmentation."""
    precision: Precision = "fp32"
    """Precision of the convolutions."""
    data: str = ""
    """Description of the training data for the model's card."""
    licence: str = ""
    """Licence of the training data, for the card."""
    validation_batches: int = 8
    """Number of batches measured at each validation."""
    validation_tracks: int = 16
    """Tracks generated whole at each validation, to measure whether the mouth moves, closes and rests; 0: none.
    With fewer than 16 the figures hardly distinguish two models."""
    watchdog: CollapseSettings = field(default_factory=CollapseSettings)
    """When a run counts as collapsed."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """Length of training: loop.steps, loop.log_every, loop.validate_every, loop.checkpoint_every."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be trained."""
        check_word("layout", self.layout, tuple(WIDTHS))
        check_word("scale", self.scale, ("", *WIDTHS["warping"]))
        check_word("audio_encoder_init", self.audio_encoder_init, ("own", "expert"))
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
                raise ConfigError(f"{term} is above 0, which requires discriminator.kind={needed[0]}, not {kind}")
        if self.audio_encoder_init == "expert" and (self.layout != "warping" or not self.sync):
            raise ConfigError("audio_encoder_init=expert requires layout=warping and an expert: sync above 0")
        for term in ("drawn", "smooth"):
            if weights[term] and self.layout != "warping":
                raise ConfigError(f"{term} requires layout=warping: other layouts draw all pixels; set {term}=0")
        if self.layout == "warping" and self.rows != "lower":
            raise ConfigError("layout=warping generates the lower rows only; set rows=lower")
        if self.discriminator.init and not self.adversary:
            raise ConfigError(
                f"discriminator.init {self.discriminator.init} has no effect without a discriminator: set adversarial, "
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
        """Whether a discriminator is trained, too."""
        return any(getattr(self, name) for name in JUDGED_BY)

    @property
    def adversary_start(self) -> int:
        """The step from which it is trained: that of the first term that needs it."""
        steps = self.schedule.by_term()
        return min(steps[name][0] for name in JUDGED_BY if getattr(self, name))

    @property
    def rates(self) -> RateSchedule:
        """Learning rate schedule."""
        return RateSchedule(self.warm_up, self.lr_end)

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape a step; a run started with others is not continued."""
        found = shaping(self, SHAPELESS)
        found["hearing"] = found.pop("audio_encoder_init")  # its name in w2l 0.2, whose runs can resume
        if not self.discriminator.init:
            del found["discriminator"]["init"]  # added later: runs started without it can resume
        return found

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each loss term at `step`, for terms whose weight is not always 0."""
        used = {name: steps for name, steps in self.schedule.by_term().items() if getattr(self, name)}
        return {name: getattr(self, name) * ramp(step, *steps) for name, steps in used.items()}

    @property
    def without_change(self) -> GeneratorSampling:
        """Sampling for validation: own audio, references as near as in training, no augmentation."""
        s = self.sampling
        return GeneratorSampling(s.batch_size, s.n_references, s.references, s.distance, near=s.near, augment=STILL)


STILL = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
"""No augmentation."""

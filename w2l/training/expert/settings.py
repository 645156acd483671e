"""Settings of an expert's training; the defaults are our recipe (`examples/recipes/expert.yaml`)."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from w2l.core import config
from w2l.core.errors import ConfigError
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.expert import ExpertSampling
from w2l.data.batches.resident import Resident
from w2l.models.tensors import Precision
from w2l.nets.blocks import Norm
from w2l.training.expert.plateau import PlateauSettings
from w2l.training.losses import ObjectiveName
from w2l.training.settings import LoopSettings, RateSchedule, shaping

WORDS = {
    "arch": ("expert", "judge"),
    "layout": ("strided", "published"),
    "norm": get_args(Norm),
    "loss": ("auto", "contrastive", "bce", "sigmoid"),
    "optimiser": ("adam", "adamw"),
    "precision": get_args(Precision),
    "resident": get_args(Resident),
}
SHAPELESS = ("workers", "resident", "check", "overfit_steps", "watchdog")
"""Settings that no step depends on, except for rounding: a run may continue with other values."""


@dataclass(frozen=True)
class ExpertSettings:
    """Settings of an expert's training."""

    arch: Literal["expert", "judge"] = "expert"
    """`expert` trains a generator (half faces and mel); `judge` (SyncNet v2) scores (whole crops and MFCC)."""
    layout: Literal["strided", "published"] = "strided"
    """`published`: Wav2Lip's expert; `strided` halves its grids in the first layer: several times faster."""
    width: int = 16
    """Channels of the first layer; 32 is the published expert, 96 the published judge."""
    n_frames: int = WINDOW_FRAMES
    """Frames per window; 5 is published."""
    embedding: int = 0
    """Length of the embeddings; 0: 16 times the width, as published."""
    norm: Norm = "batch"
    """`batch`, as published; `group` behaves the same in training and inference, and with any batch size."""
    loss: Literal["auto", "contrastive", "bce", "sigmoid"] = "auto"
    """In-batch contrastive, the paper's cross entropy of the cosine (`bce`), or pairwise `sigmoid`; `auto`: sigmoid for
    an expert, contrastive for a judge."""
    n_clips: int = ExpertSampling.n_clips
    """Clips per batch."""
    per_clip: int = ExpertSampling.per_clip
    """Windows per clip in a batch."""
    gap: int = ExpertSampling.gap
    """Smallest distance, in frames, between windows of one clip, and so of off-sync pairs."""
    gap_from: int = ExpertSampling.gap_from
    """The gap at the first step, from which it falls to `gap`: easy negatives first; 0: `gap` from the start."""
    curriculum_steps: int = ExpertSampling.curriculum_steps
    """Steps over which the gap falls."""
    max_silent: float = ExpertSampling.max_silent
    """Largest share of silent windows in a clip's draw, if the clip has enough others; 1 does not restrict them."""
    spread: bool = ExpertSampling.spread
    """Draw speakers first, with equal probability, then one of their clips; otherwise clips with equal probability."""
    init: str = ""
    """Run, file or shipped expert (`w2l`) of the same dimensions to start from; empty: random weights."""
    accumulate: int = 1
    """Number of parts in which a batch passes the network, to save memory; the loss still covers the whole batch."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """`adamw` applies `weight_decay` to the weights themselves, `adam` through the gradient."""
    lr: float = 1e-3
    """Learning rate after the warm-up; it decreases along a cosine."""
    lr_end: float = 0.02
    """Share of the learning rate that remains at the last step; 1 keeps it constant, as published."""
    warm_up: int = 100
    """Steps over which the learning rate rises."""
    weight_decay: float = 0.0
    """Weight decay of the network; 0.01 is usual with `adamw`."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 disables clipping, as published."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is validated and exported; 0: use the last weights."""
    seed: int = 0
    """Seed of all randomness in training: weights, order of windows, augmentation."""
    precision: Precision = "fp32"
    """Precision of the convolutions."""
    workers: int = 0
    """Processes that load batches; 0: a thread of this process."""
    resident: Resident = "auto"
    """Whether all crops are kept on the device; `auto`: if they fit a GPU's free memory."""
    check: bool = True
    """Whether to check the data, and to overfit one small batch, before the first step."""
    overfit_steps: int = 200
    """Largest number of steps of the test on one small batch; 0 skips it."""
    watchdog: PlateauSettings = field(default_factory=PlateauSettings)
    """When a run that does not learn ends with a diagnosis: watchdog.patience (steps; 0: never), watchdog.window,
    watchdog.margin."""
    data: str = ""
    """Description of the training data for the model's card."""
    licence: str = ""
    """Licence of the training data, for the card."""
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(shift=0.02))
    """Image and audio augmentation: augment.flip, augment.shift, augment.gain_db and others of `AugmentSettings`."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """Length of training: loop.steps, loop.log_every, loop.validate_every, loop.checkpoint_every."""

    def __post_init__(self) -> None:
        """Reject settings that cannot be trained."""
        for name, known in WORDS.items():
            config.check_word(name, getattr(self, name), known)
        if min(self.width, self.accumulate, self.n_frames) < 1:
            raise ConfigError("width, accumulate and n_frames must be at least 1")
        if self.lr <= 0 or min(self.clip_norm, self.weight_decay, self.warm_up, self.seed) < 0:
            raise ConfigError("lr must be above 0; clip_norm, weight_decay, warm_up and seed at least 0")
        if min(self.workers, self.overfit_steps, self.embedding) < 0:
            raise ConfigError("workers, overfit_steps and embedding must be at least 0")
        if not (0 <= self.ema < 1 and 0 <= self.lr_end <= 1):
            raise ConfigError("ema must be at least 0 and below 1, lr_end between 0 and 1")
        if self.accumulate > self.sampling.n_clips * self.per_clip:  # `sampling` rejects what cannot make a batch
            raise ConfigError(f"accumulate {self.accumulate} is more than the windows of a batch; reduce it")
        self._check_judge()

    def _check_judge(self) -> None:
        if self.arch == "judge" and self.objective != "contrastive":
            raise ConfigError("the judge measures distances, not cosines: train it with loss=contrastive")
        if self.arch == "judge" and (self.n_frames != WINDOW_FRAMES or self.norm != "batch" or self.embedding):
            raise ConfigError("the judge is SyncNet v2: n_frames, norm and embedding apply only to the expert")

    @property
    def objective(self) -> ObjectiveName:
        """Name of the effective loss; see `w2l.training.expert.objectives`."""
        if self.loss == "auto":
            return "contrastive" if self.arch == "judge" else "sigmoid"
        return self.loss

    @property
    def sampling(self) -> ExpertSampling:
        """How batches are drawn."""
        return ExpertSampling(
            self.n_clips, self.per_clip, self.gap, self.gap_from, self.curriculum_steps, self.max_silent, self.spread,
            self.augment,
        )  # fmt: skip

    @property
    def rates(self) -> RateSchedule:
        """Learning rate schedule."""
        return RateSchedule(self.warm_up, self.lr_end)

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape a step; a run started with others is not continued."""
        found = shaping(self, SHAPELESS)
        if not self.init:
            del found["init"]  # added later: runs started without it can resume
        return found

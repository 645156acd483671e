"""What one step of a generator's training is: L1 + sync from a frozen expert + an adversarial term."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.data.augment import AugmentSettings
from w2l.data.dataset import GeneratorBatch, Tracks, generator_batch
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec
from w2l.nets.blocks import fold_time, lower_half, stack_frames
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.timing import WINDOW_FRAMES
from w2l.training.checkpoint import Model, ModelCard, dimensions_of
from w2l.training.evaluate import to_device
from w2l.training.loop import LoopSettings, Validation
from w2l.training.losses import adversarial, focused_l1, mouth_focus, ramp
from w2l.training.samples import write_sheet
from w2l.training.teacher import Teacher
from w2l.training.tensors import channels_last, in_order, masked, pictures

VALIDATION_SEED = 20
"""Of the validation batches: the same in every validation."""
STILL = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
"""No augmentation."""
FIRST_LAYER = "face_encoder_blocks.0.0.conv_block.0.weight"
LAST_LAYER = ("output_block.1.weight", "output_block.1.bias")
"""Where a generator's colours come in and go out."""


@dataclass(frozen=True)
class GeneratorSettings:
    """How a generator is trained."""

    expert: str = "expert"
    """Run, file or shipped expert (`w2l`) that teaches; not needed when `sync` is 0."""
    init: str = ""
    """Run, file or shipped generator (`w2l`) whose weights are the start; empty: random weights."""
    width: int = 16
    """Channels of the first layer; 16 is the published generator."""
    rows: Literal["full", "lower"] = "lower"
    """What is generated: the `lower` half, which is all that is pasted, or the `full` face, as published."""
    n_references: int = 1
    """Reference frames given beside the masked one."""
    references: Literal["still", "consecutive"] = "still"
    """A reference is one `still` frame, as at inference, or a moving window, as published."""
    batch_size: int = 16
    """Windows of five frames in a batch."""
    mouth_focus: float = 0.0
    """By how much the mouth's pixels weigh more than others in L1; 0 weighs all alike, as published."""
    sync: float = 0.03
    """Weight of the sync loss, from `sync_start` on."""
    sync_start: int = 0
    """Step at which the sync loss begins."""
    sync_ramp: int = 1000
    """Steps over which its weight rises."""
    adversarial: float = 0.0
    """Weight of the adversarial loss (published: 0.07); 0 trains without a discriminator."""
    adversarial_start: int = 0
    """Step at which the adversarial loss begins; the discriminator trains from there, too."""
    discriminator_frames: int = WINDOW_FRAMES
    """Frames the discriminator sees at once: all five stacked, or one by one, as the published code does."""
    discriminator_width: int = 32
    """Channels of its first layer; 32 is the published one."""
    lr: float = 1e-4
    """Learning rate of Adam after the warm-up; it falls to a twentieth along a cosine."""
    discriminator_lr: float = 1e-4
    warm_up: int = 100
    """Steps over which the learning rates rise."""
    clip_norm: float = 1.0
    """Largest norm of a gradient."""
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the convolutions."""
    data: str = ""
    """What the model's card says about the training data."""
    licence: str = ""
    """Licence of the training data, for the card."""
    validation_batches: int = 8
    """Batches measured at each validation."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """How looks and sounds vary."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """How long: loop.steps, loop.log_every, loop.validate_every, loop.checkpoint_every."""

    def __post_init__(self) -> None:
        """Refuses weights that leave nothing for the reconstruction, and unknown words."""
        known = {"rows": ("full", "lower"), "references": ("still", "consecutive"), "precision": ("fp32", "bf16")}
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise ConfigError(f"{name} {getattr(self, name)!r} is unknown; choose {' or '.join(words)}")
        if self.discriminator_frames not in (1, WINDOW_FRAMES):
            raise ConfigError(f"discriminator_frames must be 1 or {WINDOW_FRAMES}, got {self.discriminator_frames}")
        counts = (self.batch_size, self.validation_batches, self.width, self.discriminator_width, self.n_references)
        if min(counts) < 1:
            raise ConfigError("batch_size, validation_batches, widths and n_references must be at least 1")
        if min(self.lr, self.discriminator_lr, self.clip_norm) <= 0 or min(self.warm_up, self.seed) < 0:
            raise ConfigError("lr, discriminator_lr and clip_norm must be above 0, warm_up and seed at least 0")
        if self.mouth_focus < 0:
            raise ConfigError(f"mouth_focus must be at least 0, got {self.mouth_focus}")
        if min(self.sync, self.adversarial) < 0 or self.sync + self.adversarial >= 1:
            raise ConfigError("sync and adversarial must be at least 0 and together less than 1: the rest weighs L1")


class GeneratorTask:
    """Training of a generator; see `w2l.training.loop.Task`."""

    def __init__(
        self, settings: GeneratorSettings, train: Tracks, val: Tracks, crop: CropSpec, expert: Model | None,
        device: torch.device, data: str = "", init: Model | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(settings.seed)
        self.settings, self.crop, self.device = settings, crop, device
        self.train, self.val, self.data = train, val, data
        self.teacher = Teacher(expert, crop, settings.precision) if expert else None
        if settings.sync and not self.teacher:
            raise ConfigError("sync is above 0, so an expert is needed; name one with --expert, or set sync=0")
        try:
            dimensions = GeneratorDimensions(crop.size, settings.width, settings.n_references, settings.rows)
        except ValueError as error:
            raise ConfigError(f"no generator fits these crops: {error}") from error
        self.generator = Generator(dimensions).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init:
            start_from(self.generator, init)
        rows = crop.size // 2 if settings.rows == "lower" else crop.size
        self.focus = mouth_focus(crop.size, rows, settings.mouth_focus).to(device)
        self.networks: dict[str, nn.Module] = {"generator": self.generator}
        betas = (0.5, 0.999) if settings.adversarial else (0.9, 0.999)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=settings.lr, betas=betas)
        }
        self.learning_rates = {"generator": settings.lr}
        if settings.adversarial:
            self._add_discriminator(betas)

    def _add_discriminator(self, betas: tuple[float, float]) -> None:
        s = self.settings
        dimensions = DiscriminatorDimensions(self.crop.size, s.discriminator_width, s.discriminator_frames)
        discriminator = Discriminator(dimensions).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks["discriminator"] = discriminator
        self.optimisers["discriminator"] = torch.optim.Adam(
            discriminator.parameters(), lr=s.discriminator_lr, betas=betas
        )
        self.learning_rates["discriminator"] = s.discriminator_lr

    def batch(self, step: int) -> GeneratorBatch:
        """The batch of `step`."""
        s = self.settings
        still = s.references == "still"
        return generator_batch(self.train, s.seed, step, s.batch_size, s.n_references, still, s.augment)

    def step(self, step: int, batch: GeneratorBatch) -> dict[str, float]:
        """One update of the generator, then one of the discriminator."""
        target, generated = self._generate(batch)
        weights = self.weights(step)
        terms = {"l1": focused_l1(generated, target, self.focus)}
        if weights["sync"]:
            terms["sync"] = self._sync(batch, generated)
        if weights["adversarial"]:
            terms["adversarial"] = adversarial(self._judge(generated), real=True)
        total = sum((weights[name] * term for name, term in terms.items()), torch.zeros((), device=self.device))
        found = {name: float(term.detach()) for name, term in terms.items()}
        found["grad_norm"] = self._update("generator", total)
        if weights["adversarial"]:
            found |= self._train_discriminator(target, generated.detach())
        return found

    def weights(self, step: int) -> dict[str, float]:
        """The weight of each loss term at `step`; L1 has what the others leave."""
        s = self.settings
        sync = s.sync * ramp(step, s.sync_start, s.sync_ramp)
        against = s.adversarial * float(step >= s.adversarial_start)
        return {"l1": 1 - sync - against, "sync": sync, "adversarial": against}

    def validate(self, step: int, folder: Path) -> Validation:
        """Mean L1 and sync loss on validation clips, with a sheet of samples."""
        s = self.settings
        l1, sync = [], []
        for number in range(s.validation_batches):
            batch = generator_batch(
                self.val, VALIDATION_SEED, number, s.batch_size, s.n_references, s.references == "still", STILL
            )
            target, generated = self._generate(batch)
            l1.append(float(F.l1_loss(generated, target)))
            if self.teacher:
                sync.append(float(self._sync(batch, generated)))
            if number == 0:
                write_sheet(folder / f"step{step:09d}.png", batch, generated, self.crop.size)
        scores = {"l1": sum(l1) / len(l1)}
        if sync:
            scores["sync"] = sum(sync) / len(sync)
        return Validation(scores, -(scores["l1"] + s.sync * scores.get("sync", 0.0)))

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """The generator, and the discriminator where there is one."""
        files: dict[str, tuple[nn.Module, ModelCard]] = {}
        for name, network in self.networks.items():
            card = ModelCard(
                name,  # type: ignore[arg-type]
                dimensions_of(network),
                self.crop,
                references="still" if self.settings.references == "still" else "same",
                step=step,
                data=self.settings.data or self.data,
                licence=self.settings.licence,
                scores=scores,
                schedule=self.weights(step),
                teacher=self.teacher.sha256 if self.teacher else "",
            )
            files[name] = (network, card)
        return files

    def _generate(self, batch: GeneratorBatch) -> tuple[Tensor, Tensor]:
        """(target, generated), both (batch, 3, frames, rows, width) in [0, 1]."""
        s = self.settings
        target = pictures(to_device(batch.target, self.device))
        faces = torch.cat([masked(target), pictures(to_device(batch.reference, self.device))], dim=1)
        mels = to_device(batch.mels, self.device)[:, :, None]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=s.precision == "bf16"):
            generated = self.generator(mels, faces).float()
        return (lower_half(target) if s.rows == "lower" else target), generated

    def _lower(self, frames: Tensor) -> Tensor:
        return frames if self.settings.rows == "lower" else lower_half(frames)

    def _sync(self, batch: GeneratorBatch, generated: Tensor) -> Tensor:
        assert self.teacher is not None
        mel = to_device(batch.expert_mels, self.device)[:, None]
        return self.teacher.sync_loss(mel, stack_frames(self._lower(generated)))

    def _judge(self, frames: Tensor) -> Tensor:
        """The discriminator's logits for the lower halves."""
        discriminator = self.networks["discriminator"]
        assert isinstance(discriminator, Discriminator)
        lower = self._lower(frames)
        seen = fold_time(lower) if self.settings.discriminator_frames == 1 else stack_frames(lower)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            return discriminator.logits(channels_last(seen))

    def _train_discriminator(self, target: Tensor, generated: Tensor) -> dict[str, float]:
        real, fake = adversarial(self._judge(target), real=True), adversarial(self._judge(generated), real=False)
        norm = self._update("discriminator", real + fake)
        return {"disc_real": float(real.detach()), "disc_fake": float(fake.detach()), "disc_grad_norm": norm}

    def _update(self, name: str, loss: Tensor) -> float:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.networks[name].parameters(), self.settings.clip_norm)
        optimiser.step()
        return float(norm)


def start_from(generator: Generator, init: Model) -> None:
    """Gives the generator the weights of another one of the same dimensions, but for the rows that are generated.

    One that sees and draws BGR, such as the published ones, becomes one that sees and draws RGB.
    """
    weights = init.network.state_dict()
    if init.card.colour == "bgr":
        weights[FIRST_LAYER] = in_order(weights[FIRST_LAYER], "bgr")
        weights |= {name: weights[name].flip(0) for name in LAST_LAYER}
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"init {init.path} has other dimensions: {init.card.dimensions}; set width alike") from error

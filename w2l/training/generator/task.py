"""One training step of a generator: an update of the generator, then one of the network trained against it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.data.batches.generator import GeneratorBatch
from w2l.data.batches.generator_loaders import GeneratorDrawing, GeneratorTensors, choose_generator_loader
from w2l.data.batches.spans import Spans
from w2l.data.sources.word_times import Words
from w2l.features.crop import CropSpec
from w2l.features.masks import hidden_pixels
from w2l.models.checkpoint import Model, ModelCard, dimensions_of
from w2l.models.lip_reader import load_lips
from w2l.models.tensors import cast, masked, pictures
from w2l.nets.blocks import lower_half
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import WarpingGenerator, make_generator
from w2l.training.data import TrainingData
from w2l.training.ema import Average
from w2l.training.generator.adversaries import Adversary, AdversaryShape, make_adversary
from w2l.training.generator.initial_weights import begin_discriminator, copy_audio_encoder, start_from
from w2l.training.generator.models import TrainedModels
from w2l.training.generator.settings import GeneratorSettings
from w2l.training.generator.teacher import Teacher
from w2l.training.generator.terms import Judges, Made, Terms, on_device
from w2l.training.generator.validation import GeneratorValidation
from w2l.training.guards import GradientGuard
from w2l.training.parallel import ALONE, Ranks
from w2l.training.run_folder import Stateful
from w2l.training.task import Validation

GENERATOR, AVERAGE, DISCRIMINATOR = "generator", "average", "discriminator"
NOT_MEASURED = Validation({}, 0.0)
"""Scores in a process that leaves validation to the first one."""


class GeneratorTask:
    """Training of a generator; see `w2l.training.task.TrainingTask`, and `GeneratorValidation` for the measurements."""

    def __init__(
        self, settings: GeneratorSettings, data: TrainingData, models: TrainedModels, device: torch.device,
        ranks: Ranks = ALONE, words: Words | None = None,
    ) -> None:  # fmt: skip
        """Create networks and optimisers; `words` of the clips are for `sampling.bilabials` and for closures."""
        crop, expert = data.crop, models.expert
        _check_surroundings(settings, device, ranks)
        check_crops(settings, crop)
        torch.manual_seed(settings.seed)
        self.settings, self.data, self.device, self.ranks = settings, data, device, ranks
        drawing = GeneratorDrawing(settings.sampling, settings.seed, Spans.of(words or {}), ranks.rank, ranks.size)
        self.loader = choose_generator_loader(data.train, drawing, device, settings.resident)
        teacher = Teacher(expert, crop, settings.precision) if expert else None
        self.teachers = models.teachers(teacher)
        if settings.sync and not teacher:
            raise ConfigError("sync is above 0, which requires an expert; choose one with --expert, or set sync=0")
        generator = _generator(settings, crop, models).to(device)
        generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(generator, settings.ema) if settings.ema else None
        self.networks: dict[str, nn.Module] = {GENERATOR: generator}
        if self.average:
            self.networks[AVERAGE] = self.average.network
        self.learning_rates = {GENERATOR: settings.lr}
        self.adversary = self._make_adversary(models.discriminator) if settings.adversary else None
        betas = (0.5, 0.999) if self.adversary else (0.9, 0.999)
        self.optimisers = {
            name: torch.optim.Adam(self.networks[name].parameters(), lr=rate, betas=betas, fused=True)
            for name, rate in self.learning_rates.items()
        }  # type: dict[str, torch.optim.Optimizer]
        rows = crop.size // 2 if settings.rows == "lower" else crop.size
        lips = load_lips().to(device) if max(settings.lips, settings.rest) > 0 else None
        judges = Judges(teacher, self.adversary, lips)
        self.terms = Terms(crop.size, rows, settings.mouth_focus, judges, device, settings.precision)
        self.validation = GeneratorValidation(settings, data, self.terms, words)
        self.hidden = torch.from_numpy(hidden_pixels(crop.size, settings.mask)).to(device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.guard = GradientGuard(settings.clip_norm)
        self.others: dict[str, Stateful] = {
            "scaler": self.scaler, "guard": self.guard, "watch": self.validation.watch,
        }  # fmt: skip
        """Other objects whose state a resumed run needs."""
        if settings.compile:
            generator.compile()
            if teacher:
                teacher.expert.compile()

    def _make_adversary(self, init: Model | None) -> Adversary:
        s, chosen = self.settings, self.settings.discriminator
        shape = AdversaryShape(chosen.kind, self.data.crop.size, chosen.width, chosen.frames, s.rows)
        adversary = make_adversary(shape, self.device, s.precision, features=s.features > 0)
        if init:
            begin_discriminator(adversary.network, init)
        self.networks[DISCRIMINATOR] = adversary.network
        self.learning_rates[DISCRIMINATOR] = chosen.lr
        return adversary

    def batch(self, step: int) -> GeneratorTensors:
        """Return this process's part of the batch of `step`, on the device."""
        return self.loader.batch(step)

    def describe(self, batch: GeneratorTensors) -> str:
        """Name the clips of a batch, for messages."""
        return ", ".join(dict.fromkeys(batch.clips))

    def step(self, step: int, batch: GeneratorTensors) -> dict[str, float]:
        """Update the generator, then the network trained against it."""
        weights = self.settings.weights(step)
        parts = batch.parts(self.settings.accumulate)
        found: dict[str, Tensor] = {}
        shown = []
        self.optimisers[GENERATOR].zero_grad(set_to_none=True)
        for part in parts:
            made = self.make(part)
            terms = self.terms(made, weights)
            total = sum((weights[name] * term for name, term in terms.items()), made.generated.new_zeros(()))
            self._backward(total * (len(part) / len(batch)))
            _add(found, terms, len(part) / len(batch))
            shown.append(made.seen(self.terms.whole_faces))
        found["grad_norm"] = self._update(GENERATOR)
        if self.adversary and step >= self.settings.adversary_start:
            self.optimisers[DISCRIMINATOR].zero_grad(set_to_none=True)
            self.adversary.settle()
            for seen in shown:
                own = self.adversary.own_terms(seen)
                share = len(seen.mels) / len(batch)
                self._backward(sum(own.values(), torch.zeros((), device=self.device)) * share)
                _add(found, own, share)
            found["disc_grad_norm"] = self._update(DISCRIMINATOR)
        self.scaler.update()
        self._share_statistics()
        if self.average:
            self.average.update(self.networks[GENERATOR], step)
        joint = self._joint_mean(torch.stack([value.detach().float() for value in found.values()]))
        values: dict[str, float] = dict(zip(found, joint.tolist()))  # one synchronisation with the device
        self.validation.watch.push(step, values)
        return values | self.guard.terms()

    def make(self, batch: GeneratorBatch | GeneratorTensors, network: nn.Module | None = None) -> Made:
        """Return the output of the generator, or of another `network` of its shape, which is not compiled."""
        sent = on_device(batch, self.device)
        target, reference = pictures(sent["target"]), pictures(sent["reference"])
        faces = torch.cat([masked(target, self.hidden), reference], dim=1)
        with cast(self.device, self.settings.precision):
            made = network.forward if network else self.networks[GENERATOR]
            asked = {"with_parts": True} if self.settings.drawn or self.settings.smooth else {}
            generated = made(sent["mels"][:, :, None], faces, **asked).float()
        generated, parts = generated[:, :3], generated[:, 3:]
        real = lower_half(target) if self.settings.rows == "lower" else target
        return Made(
            real, generated, reference, sent["mels"], sent["expert_mels"], sent["own"], sent["silent"],
            *((parts[:, :1], parts[:, 1:]) if asked else ()),
        )  # fmt: skip

    def validate(self, step: int, folder: Path) -> Validation:
        """Measure scores, and write a sheet and a video of samples; the first process measures for all."""
        first = self.ranks.first
        found = self.validation(step, folder, lambda batch: self.make(batch, self.best)) if first else NOT_MEASURED
        quality = torch.tensor([[found.quality]], dtype=torch.float64, device=self.device)
        return replace(found, quality=float(self.ranks.joint(quality, self.ranks.rank, self.ranks.size)[0]))

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """Return the generator, its average and the discriminator, if there are such."""
        files: dict[str, tuple[nn.Module, ModelCard]] = {}
        for name, network in ((GENERATOR, self.best), (DISCRIMINATOR, self.networks.get(DISCRIMINATOR))):
            if network is None:
                continue
            kind = self.adversary.kind if self.adversary and name == DISCRIMINATOR else "generator"
            card = ModelCard(
                kind,
                dimensions_of(network),
                self.data.crop,
                mask=self.settings.mask,
                references="still" if self.settings.sampling.references == "still" else "same",
                step=step,
                data=self.settings.data or self.data.about,
                licence=self.settings.licence,
                scores=scores,
                schedule=self.settings.weights(step),
                teachers=self.teachers,
            )
            files[name] = (network, card)
        return files

    @property
    def best(self) -> nn.Module:
        """The network that is validated and exported: the average if there is one."""
        return self.average.network if self.average else self.networks[GENERATOR]

    def close(self) -> None:
        """Stop the batch loader."""
        self.loader.close()

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def _update(self, name: str) -> Tensor:
        """Step one network's optimiser and return the norm of the joint batch's gradient."""
        optimiser, network = self.optimisers[name], self.networks[name]
        self.ranks.add_gradients((), network.parameters())  # before they are unscaled: all detect the same overflow
        self.scaler.unscale_(optimiser)
        return self.guard.update(name, optimiser, network.parameters(), self.scaler)

    def _joint_mean(self, values: Tensor) -> Tensor:
        """Return the mean of (n,) over all processes."""
        return self.ranks.joint(values[None], self.ranks.rank, self.ranks.size).mean(dim=0)

    def _share_statistics(self) -> None:
        """Average the batch norm statistics of all processes: networks stay the same everywhere."""
        if self.ranks.size == 1:
            return
        moving = [
            buffer for name, network in self.networks.items() if name != AVERAGE for buffer in statistics(network)
        ]
        joint = self._joint_mean(torch.cat([buffer.flatten() for buffer in moving]))
        for buffer, mean in zip(moving, torch.split(joint, [buffer.numel() for buffer in moving])):
            buffer.copy_(mean.view_as(buffer))


def statistics(network: nn.Module) -> list[Tensor]:
    """Return the running means and variances of a network's batch norms."""
    return [buffer for name, buffer in network.named_buffers() if name.endswith(("running_mean", "running_var"))]


def _check_surroundings(settings: GeneratorSettings, device: torch.device, ranks: Ranks) -> None:
    if settings.precision == "fp16" and device.type == "cpu":
        raise ConfigError("precision=fp16 requires a CUDA GPU; on a CPU set precision=bf16, or fp32")
    if settings.sampling.batch_size % ranks.size:
        raise ConfigError(
            f"sampling.batch_size={settings.sampling.batch_size} cannot be shared evenly by {ranks.size} processes; "
            f"set a multiple of {ranks.size}"
        )


def _add(found: dict[str, Tensor], terms: dict[str, Tensor], share: float) -> None:
    for name, term in terms.items():
        part = term.detach() * share
        found[name] = found[name] + part if name in found else part


def check_crops(settings: GeneratorSettings, crop: CropSpec) -> None:
    """Raise ConfigError if a setting requires a mouth at a fixed position."""
    asked = [name for name in ("lips", "rest", "mouth_focus") if getattr(settings, name)]
    asked += [f"sampling.{name}" for name in ("swap", "silence") if getattr(settings.sampling, name)]
    asked += ["mask=jaw"] * (settings.mask == "jaw") + ["augment.mouth"] * (settings.sampling.augment.mouth > 0)
    if asked and crop.kind != "aligned":
        raise ConfigError(
            f"{asked[0]} requires aligned crops, the cache contains {crop.kind} crops; use crop.kind=aligned, or "
            "leave it out"
        )


def _generator(settings: GeneratorSettings, crop: CropSpec, models: TrainedModels) -> nn.Module:
    blur = settings.flow_blur
    if blur is None:
        begun = models.init.network if models.init else None
        blur = begun.dimensions.flow_blur if isinstance(begun, WarpingGenerator) else 0.0
    try:
        dimensions = GeneratorDimensions(
            crop.size,
            settings.channels,
            settings.sampling.n_references,
            settings.rows,
            settings.layout,
            blur,
        )
        generator = make_generator(dimensions)
    except ValueError as error:
        raise ConfigError(f"no generator fits these crops: {error}") from error
    if models.init:
        start_from(generator, models.init)
    elif settings.audio_encoder_init == "expert" and models.expert:
        copy_audio_encoder(generator, models.expert)
    return generator

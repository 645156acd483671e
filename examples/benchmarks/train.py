"""Measure training: the published loop and that of `w2l train`."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from examples.benchmarks.timing import Work, best_of
from w2l.cache.records import DONE, PreprocessOutcome, TrackRecord
from w2l.cache.store import Cache
from w2l.core.config import plain
from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, mel_columns
from w2l.data.batches.generator import GeneratorSampling
from w2l.data.batches.generator_loaders import GeneratorTensors
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import Model, ModelCard, dimensions_of
from w2l.models.registry import load_by_name
from w2l.models.runtime import Runner
from w2l.models.tensors import pictures
from w2l.nets.blocks import lower_half, stack_frames
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import make_generator
from w2l.training.data import TrainingData, open_training_data
from w2l.training.generator.models import TrainedModels
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings, Schedule
from w2l.training.generator.task import GENERATOR, GeneratorTask
from w2l.training.losses import adversarial, bce_cosine

SYNC, ADVERSARIAL, L1 = 0.03, 0.07, 0.9
"""Weights of the published loss."""
DISCRIMINATORS = {"nano": 8, "small": 16, "base": 32}
"""Width of the discriminator for each scale of the generator; 32 is the published one."""
PEAK_SIDE = 8192
"""Side of the matrices multiplied to measure the peak of the device."""


def train(layouts: list[str], scales: list[str], batch: int, size: int, rounds: int, compiled: bool) -> None:
    """Print frames per second of each variant of a step, alternating; the best round counts.

    A step is an update of the generator with L1, expert and discriminator, then one of the discriminator. Public
    dimensions, `published` at `base`, are trained with an expert of public dimensions, others with the shipped one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = peak_of(device) if device.type == "cuda" else 0.0
    told = f"; measured bf16 matrix peak {peak / 1e12:.0f} TFLOP/s" if peak else ""
    print(f"{batch} windows of {WINDOW_FRAMES} frames, {size} px, {torch.get_num_threads()} threads, {device}{told}")
    with tempfile.TemporaryDirectory() as folder:
        data = noise(Path(folder), size)
        for layout in layouts:
            for scale in scales:
                _compare(settings_of(layout, scale, batch), data, size, device, rounds, compiled, peak)


def _compare(
    settings: GeneratorSettings,
    data: TrainingData,
    size: int,
    device: torch.device,
    rounds: int,
    compiled: bool,
    peak: float,
) -> None:
    """Print the speeds for one shape of the generator."""
    steps = steps_of(settings, data, size, device, compiled)
    best = best_of(steps.ways, rounds)
    n_frames, flops = steps.n_frames, steps.flops()
    print(f"{settings.layout}, {settings.scale}: {flops / n_frames / 1e9:.2f} GFLOP per frame")
    first = next(iter(best.values()))[0]
    for name, (seconds, used) in best.items():
        share = f"  {flops / seconds / peak:5.1%} of the bf16 peak" if peak else ""
        rate = f"{n_frames / seconds:8.1f} frames/s  x {first / seconds:4.2f}"
        print(f"  {name:20s} {rate}  {1000 * used / n_frames:6.1f} ms of CPU per frame{share}", flush=True)
    _infer(steps.halved, size, rounds)


@dataclass(frozen=True)
class Steps:
    """The variants of one training step, on one batch."""

    ways: dict[str, Work]
    """By name; the published loop first."""
    n_frames: int
    """Frames of the batch."""
    halved: GeneratorTask
    """Our training in bf16."""
    given: GeneratorTensors
    """The batch."""

    def flops(self) -> int:
        """Return the floating point operations of a step."""
        with FlopCounterMode(display=False) as counter:
            self.halved.step(0, self.given)
        return int(counter.get_total_flops())


def steps_of(
    settings: GeneratorSettings, data: TrainingData, size: int, device: torch.device, compiled: bool = False
) -> Steps:
    """Return the published step and ours for one shape of the generator."""
    crop = CropSpec("aligned", size)
    public = settings.layout == "published" and settings.scale == "base"
    expert = _public_expert(crop, device) if public else load_by_name("w2l", "expert", device=device)

    def task(**options: object) -> GeneratorTask:
        return GeneratorTask(replace(settings, **options), data, TrainedModels(copy.deepcopy(expert)), device)  # type: ignore[arg-type]

    halved = task(precision="bf16")
    given = halved.batch(0)
    ways: dict[str, Work] = {
        "published loop": _Published(settings, expert, size, device).on(given),
        "w2l, float32": _step(task(), given),
        "w2l, bf16": _step(halved, given),
    }
    if compiled:
        ways["w2l, bf16, compiled"] = _step(task(precision="bf16", compile=True), given)
    return Steps(ways, len(given) * WINDOW_FRAMES, halved, given)


def _infer(task: GeneratorTask, size: int, rounds: int, n_faces: int = 0) -> None:
    """Print faces per second of the folded generator, from arrays to arrays."""
    n = n_faces or (2048 if task.device.type == "cuda" else 32)
    network = task.networks[GENERATOR].eval()
    card = ModelCard("generator", dimensions_of(network), task.data.crop)
    runner = Runner(Model(network, card, Path("made")), size // 2, batch=256 if task.device.type == "cuda" else 16)
    rng = np.random.default_rng(0)
    channels = 3 * (1 + task.settings.sampling.n_references)
    faces = rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    mels = rng.uniform(-4, 4, (n, 80, 16)).astype(np.float32)
    seconds, _ = best_of({"inference": lambda: runner(mels, faces)}, rounds)["inference"]
    print(f"  inference            {n / seconds:8.1f} faces/s ({runner.backend})", flush=True)


class _Published:
    """A step of the published training: float32, contiguous, eager, all rows if the layout has them."""

    def __init__(self, settings: GeneratorSettings, expert: Model, size: int, device: torch.device) -> None:
        rows = "full" if settings.layout == "published" else "lower"
        dimensions = GeneratorDimensions(size, settings.channels, settings.sampling.n_references, rows, settings.layout)
        chosen = settings.discriminator
        self.generator = make_generator(dimensions).to(device)
        self.discriminator = Discriminator(DiscriminatorDimensions(size, chosen.width, chosen.frames)).to(device)
        self.expert = copy.deepcopy(expert.network).to(memory_format=torch.contiguous_format).requires_grad_(False)  # type: ignore[call-overload]
        networks: tuple[nn.Module, ...] = (self.generator, self.discriminator)
        self.optimisers = [torch.optim.Adam(network.parameters(), foreach=False) for network in networks]

    def on(self, batch: GeneratorTensors) -> Callable[[], object]:
        """Run the step on a batch."""
        target, reference = pictures(batch.target).contiguous(), pictures(batch.reference).contiguous()
        return lambda: self._step(target, reference, batch)

    def _step(self, target: Tensor, reference: Tensor, batch: GeneratorTensors) -> float:
        masked = target.clone()
        lower_half(masked).zero_()
        generated = self.generator(batch.mels[:, :, None], torch.cat([masked, reference], dim=1))
        lower = generated if generated.shape[-2] < generated.shape[-1] else lower_half(generated)
        real = target if generated.shape == target.shape else lower_half(target)
        sound, face = self.expert(batch.expert_mels[:, None], stack_frames(lower))
        in_sync = torch.ones(len(target), device=target.device)
        sync = bce_cosine(F.cosine_similarity(sound, face), in_sync)
        fooled = adversarial(self.discriminator.logits(stack_frames(lower)), real=True)
        loss = L1 * F.l1_loss(generated, real) + SYNC * sync + ADVERSARIAL * fooled
        self._update(0, loss)
        told_real = self.discriminator.logits(stack_frames(lower_half(target)))
        told_fake = self.discriminator.logits(stack_frames(lower.detach()))
        self._update(1, adversarial(told_real, real=True) + adversarial(told_fake, real=False))
        return float(loss.detach())

    def _update(self, number: int, loss: Tensor) -> None:
        self.optimisers[number].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[number].step()


def _step(task: GeneratorTask, batch: GeneratorTensors) -> Callable[[], object]:
    return lambda: task.step(0, batch)


def settings_of(layout: str, scale: str, batch: int) -> GeneratorSettings:
    """Return the settings of a training with all terms of the published loss."""
    return GeneratorSettings(
        layout=layout,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        sampling=GeneratorSampling(batch_size=batch),
        l1=L1,
        sync=SYNC,
        adversarial=ADVERSARIAL,
        schedule=Schedule(sync=(0, 0)),
        discriminator=DiscriminatorSettings(width=DISCRIMINATORS[scale]),
        validation_tracks=0,
    )


def _public_expert(crop: CropSpec, device: torch.device) -> Model:
    """Return an expert of public dimensions with random weights."""
    network = Expert(ExpertDimensions(crop.size)).to(device).eval()
    return Model(network, ModelCard("expert", dimensions_of(network), crop), Path("made"))


def noise(folder: Path, size: int, n_frames: int = 60) -> TrainingData:
    """Return tracks of noise; their content does not affect the speed."""
    cache, crop, rng = Cache.open(folder, create=True), CropSpec("aligned", size), np.random.default_rng(0)
    columns = mel_columns(n_frames * SAMPLES_PER_FRAME)
    for name in ("one", "two"):
        frames = rng.integers(0, 256, (n_frames, size, size, 3), dtype=np.uint8)
        mel = rng.uniform(-4, 4, (80, columns)).astype(np.float32)
        clip = cache.clip(name)
        clip.write_track(0, iter(frames), frames.shape, {"mel": mel})
        facts = TrackRecord(n_frames, columns, 0)
        clip.note(PreprocessOutcome("made", outcome=DONE, crop=plain(crop), tracks=(facts,)))
    return open_training_data(cache, crop)


def peak_of(device: torch.device, side: int = PEAK_SIDE, repeats: int = 20) -> float:
    """Return the floating point operations per second of large bf16 matrix products."""
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def work() -> None:
        for _ in range(repeats):
            torch.mm(one, other)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return 2 * side**3 * repeats / best_of({"product": work}, 5)["product"][0]

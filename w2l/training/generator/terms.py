"""The terms of a generator's loss, by name."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from w2l.data.batches.generator import GeneratorBatch
from w2l.data.batches.generator_loaders import GeneratorTensors, generator_tensors
from w2l.models.tensors import Precision, cast, channels_last
from w2l.nets.blocks import lower_half, stack_frames
from w2l.nets.lips import EYE_DISTANCE, Lips, mouth_of_lower
from w2l.training.generator.adversaries import Adversary, PairAdversary, ShownFaces
from w2l.training.generator.teacher import Teacher
from w2l.training.losses import around_mouth, edge_l1, focused_l1, mouth_focus, roughness, scattered

REST_GAP = 0.01
"""Gap between the lips, in eye distances, up to which a mouth counts as closed."""


@dataclass(frozen=True)
class Made:
    """Output of a generator for a batch, with its inputs and targets; tensors on the device."""

    target: Tensor
    """(batch, 3, frames, rows, width) in [0, 1]: the real faces."""
    generated: Tensor
    """The same shape, generated, with its graph."""
    reference: Tensor
    """(batch, 3 * references, frames, height, width): the references."""
    mels: Tensor
    """(batch, frames, 80, 16)"""
    expert_mels: Tensor
    """(batch, 80, 16)"""
    own: Tensor
    """(batch,) bool: whether the audio belongs to the faces."""
    silent: Tensor
    """(batch,) bool: whether the audio was replaced by silence."""
    drawn: Tensor | None = None
    """(batch, 1, frames, rows, width): drawn share of each pixel, if requested."""
    moves: Tensor | None = None
    """(batch, 2 * references, frames, rows, width): displacement of each reference, in sides of the face, likewise."""

    def lower(self, frames: Tensor) -> Tensor:
        """Return the lower halves of `target` or `generated`."""
        return frames if frames.shape[-2] < frames.shape[-1] else lower_half(frames)

    def lower_reference(self) -> Tensor:
        """Return the lower half of the references."""
        return lower_half(self.reference)

    def seen(self, whole: bool = False) -> ShownFaces:
        """Return the inputs of an adversary: the lower halves, or `whole` faces if these were generated."""
        shown = (self.target, self.generated)
        real, generated = shown if whole else (self.lower(each) for each in shown)
        return ShownFaces(real, generated, self.mels, self.own)


@dataclass(frozen=True)
class Judges:
    """The networks used by the loss terms; each is None if no term needs it."""

    teacher: Teacher | None = None
    """The expert, for `sync`."""
    adversary: Adversary | None = None
    """The network trained against the generator, for `adversarial`, `features` or `contrast`."""
    lips: Lips | None = None
    """The lip reader, for `lips` and `rest`."""


class Terms:
    """Computes the terms whose weight is not 0.

    If the audio is not the faces' own, the target mouth is unknown: pixels then count only around the mouth, and the
    expert, the discriminator and the resting lips determine the rest.
    """

    def __init__(
        self, size: int, rows: int, focus: float, judges: Judges, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        self.judges, self.precision = judges, precision
        self.whole_faces = rows == size and isinstance(judges.adversary, PairAdversary)
        """Whether the adversary takes whole faces, as LipGAN's does."""
        self._inside = mouth_focus(size, rows, focus).to(device)
        self._around = around_mouth(size, rows).to(device)

    def __call__(self, made: Made, weights: dict[str, float]) -> dict[str, Tensor]:
        """Return the terms whose weight is above 0, unweighted."""
        wanted = {name for name, weight in weights.items() if weight}
        terms: dict[str, Tensor] = {}
        if wanted & {"l1", "edges"}:
            focus = torch.where(made.own[:, None, None], self._inside, self._around)[:, None, None]
            for name, term in (("l1", focused_l1), ("edges", edge_l1)):
                if name in wanted:
                    terms[name] = term(made.generated, made.target, focus)
        if "sync" in wanted:
            terms["sync"] = self.sync(made)
        if wanted & {"lips", "rest"}:
            terms |= {name: term for name, term in self._of_lips(made).items() if name in wanted}
        if "drawn" in wanted and made.drawn is not None:
            terms["drawn"] = scattered(made.drawn)
        if "smooth" in wanted and made.moves is not None:
            terms["smooth"] = roughness(made.moves)
        adversary = self.judges.adversary
        if adversary and wanted & {"adversarial", "features", "contrast"}:
            found = adversary.generator_terms(made.seen(self.whole_faces))
            terms |= {name: term for name, term in found.items() if name in wanted}
        return terms

    def sync(self, made: Made) -> Tensor:
        """Return the expert's loss, except for windows with inserted silence, on which it was never trained."""
        assert self.judges.teacher is not None
        spoken = ~made.silent
        if not bool(spoken.any()):
            return made.generated.sum() * 0.0
        lower = made.lower(made.generated)[spoken]
        return self.judges.teacher.sync_loss(made.expert_mels[spoken][:, None], stack_frames(lower))

    def _of_lips(self, made: Made) -> dict[str, Tensor]:
        """Return `lips`: mean distance of gap and points from the real ones, in eye distances, for own audio.

        `rest`: mean gap above a closed mouth's in windows with inserted silence.
        """
        points, gap = self._read(made.lower(made.generated))
        with torch.no_grad():
            real_points, real_gap = self._read(made.lower(made.target))
        own, silent = made.own.float()[:, None], made.silent.float()[:, None]
        away = (gap - real_gap).abs() + (points - real_points).abs().mean(dim=(2, 3)) / EYE_DISTANCE
        parted = F.relu(gap - REST_GAP)
        return {
            "lips": (away * own).sum() / (own.sum() * gap.shape[1]).clamp(min=1),
            "rest": (parted * silent).sum() / (silent.sum() * gap.shape[1]).clamp(min=1),
        }

    def _read(self, lower: Tensor) -> tuple[Tensor, Tensor]:
        """Read points (batch, frames, 6, 2) and gaps (batch, frames) of (batch, 3, frames, rows, width)."""
        assert self.judges.lips is not None
        n_batch, _, n_frames = lower.shape[:3]
        flat = lower.transpose(1, 2).flatten(0, 1)
        with cast(lower.device, self.precision):
            points, gap = self.judges.lips.read(channels_last(mouth_of_lower(flat)))
        return points.float().reshape(n_batch, n_frames, -1, 2), gap.float().reshape(n_batch, n_frames)


def on_device(batch: GeneratorBatch | GeneratorTensors, device: torch.device) -> dict[str, Tensor]:
    """Return the arrays of a batch as tensors on `device`, by name."""
    tensors = batch if isinstance(batch, GeneratorTensors) else generator_tensors(batch)
    return tensors.to(device).tensors()

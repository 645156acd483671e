"""What one step of an expert's training is, for the expert that teaches and for the judge that scores."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l.data.augment import AugmentSettings
from w2l.data.dataset import ExpertBatch, Tracks, expert_batch
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec
from w2l.nets.blocks import stack_frames
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.timing import WINDOW_FRAMES
from w2l.training import evaluate
from w2l.training.checkpoint import Kind, ModelCard, dimensions_of
from w2l.training.loop import LoopSettings, Validation
from w2l.training.losses import bce_cosine, contrastive
from w2l.training.tensors import channels_last, in_order, pictures

MAX_TEMPERATURE = 100.0
"""Ceiling of the learnt temperature (Radford et al., CLIP, 2021)."""
MINIMUM_GAP = WINDOW_FRAMES
"""Frames between a window and its off-sync partner in validation."""


@dataclass(frozen=True)
class ExpertSettings:
    """How an expert is trained."""

    arch: Literal["expert", "judge"] = "expert"
    """`expert` teaches a generator (half faces and mel); `judge` (SyncNet v2) scores (whole crops and MFCC)."""
    width: int = 32
    """Channels of the first layer; 32 is the published expert, 96 the published judge."""
    loss: Literal["contrastive", "bce"] = "contrastive"
    """In-batch contrastive, or the paper's cross entropy of the cosine."""
    n_clips: int = 16
    """Clips in a batch."""
    per_clip: int = 4
    """Windows of each clip in a batch."""
    gap: int = WINDOW_FRAMES
    """Least distance, in frames, between windows of one clip: off-sync pairs are so far apart."""
    lr: float = 3e-4
    """Learning rate of Adam after the warm-up; it falls to a twentieth along a cosine."""
    warm_up: int = 100
    """Steps over which the learning rate rises."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the convolutions."""
    data: str = ""
    """What the model's card says about the training data."""
    licence: str = ""
    """Licence of the training data, for the card."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """How looks and sounds vary: augment.flip, augment.colour, augment.gain_db, augment.tilt_db, augment.noise."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    """How long: loop.steps, loop.log_every, loop.validate_every, loop.checkpoint_every."""

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        for name, known in (
            ("arch", ("expert", "judge")),
            ("loss", ("contrastive", "bce")),
            ("precision", ("fp32", "bf16")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} {getattr(self, name)!r} is unknown; choose {' or '.join(known)}")
        if self.per_clip < 2 or min(self.n_clips, self.gap, self.width) < 1:
            raise ConfigError(
                "n_clips, gap and width must be at least 1 and per_clip at least 2: off-sync pairs come from one clip"
            )
        if self.lr <= 0 or self.clip_norm <= 0 or min(self.warm_up, self.seed) < 0:
            raise ConfigError("lr and clip_norm must be above 0, warm_up and seed at least 0")
        if self.arch == "judge" and self.loss == "bce":
            raise ConfigError("the judge measures distances, not cosines: train it with loss=contrastive")


class Pairing(Protocol):
    """What differs between the two architectures: inputs, and how alike two embeddings are."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 windows (batch, frames, rows, columns, 3) and sounds (batch, bands, columns) -> (audio, face)."""

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """(audio windows, face windows); the higher the more alike."""


class CosinePairing:
    """The expert: half faces, mel, cosine."""

    def __init__(self, network: Expert) -> None:
        self.network = network

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """See `Pairing`."""
        audio, face = self.network(sounds[:, None], channels_last(stack_frames(pictures(faces))))
        return audio, face

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Cosines."""
        return audio.float() @ face.float().T


class DistancePairing:
    """The judge: whole crops, MFCC, Euclidean distance; its pictures are BGR in 0..255, as published."""

    def __init__(self, network: Judge) -> None:
        self.network = network

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """See `Pairing`."""
        frames = in_order(pictures(faces) * 255, "bgr")
        return self.network.forward_aud(sounds[:, None]), self.network.forward_lip(frames)

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Distances with a minus sign."""
        return -torch.cdist(audio.float(), face.float())


class ExpertTask:
    """Training of an expert or a judge; see `w2l.training.loop.Task`."""

    def __init__(
        self, settings: ExpertSettings, train: Tracks, val: Tracks, crop: CropSpec, device: torch.device, data: str = ""
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.train, self.val, self.crop, self.device, self.data = (
            settings,
            train,
            val,
            crop,
            device,
            data,
        )
        self.pairing = _pairing(settings, crop)
        network = self.pairing.network.to(device)
        if settings.arch == "expert":
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        start = 10.0 if settings.arch == "expert" else 1.0
        self.temperature = nn.ParameterDict({"log": nn.Parameter(torch.tensor(start, device=device).log())})
        self.networks: dict[str, nn.Module] = {"network": network, "temperature": self.temperature}
        parameters = [*network.parameters(), *self.temperature.parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {"network": torch.optim.Adam(parameters, lr=settings.lr)}
        self.learning_rates = {"network": settings.lr}

    def batch(self, step: int) -> ExpertBatch:
        """The batch of `step`."""
        s = self.settings
        return expert_batch(self.train, s.seed, step, s.n_clips, s.per_clip, s.gap, s.augment)

    def step(self, step: int, batch: ExpertBatch) -> dict[str, float]:
        """One update of the network and the temperature."""
        s = self.settings
        faces, sounds = evaluate.to_device(batch.faces, self.device), evaluate.to_device(batch.sounds, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=s.precision == "bf16"):
            audio, face = self.pairing.embed(faces, sounds)
        table = self.pairing.similarity(audio, face)
        terms = self._terms(table, batch)
        optimiser = self.optimisers["network"]
        optimiser.zero_grad(set_to_none=True)
        terms[s.loss].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.networks["network"].parameters(), s.clip_norm)
        optimiser.step()
        return {**{name: float(term.detach()) for name, term in terms.items()}, "grad_norm": float(norm)}

    def _terms(self, table: Tensor, batch: ExpertBatch) -> dict[str, Tensor]:
        """The loss; with the contrastive one also the choice between own sound and partner's, whose chance is ln 2."""
        own = torch.arange(len(table), device=self.device)
        partner = evaluate.to_device(batch.partner, self.device)
        if self.settings.loss == "bce":
            in_sync = evaluate.to_device(batch.in_sync, self.device)
            return {"bce": bce_cosine(table[torch.where(in_sync, own, partner), own], in_sync)}
        factor = self.temperature["log"].exp().clamp(max=MAX_TEMPERATURE)
        silent = evaluate.to_device(batch.silent, self.device)
        choice = F.softplus(-factor * (table[own, own] - table[partner, own])).mean()
        return {"contrastive": contrastive(table, factor, silent), "pair": choice}

    def validate(self, step: int, folder: Path) -> Validation:
        """Accuracies over all windows of the validation clips."""
        pairs = evaluate.score_pairs(self.val, self.embed, self.pairing.similarity, silent_windows, MINIMUM_GAP)
        scores = evaluate.summary(pairs, evaluate.best_threshold(pairs), evaluate.calibrate(pairs))
        return Validation(scores, scores["auc"])

    def embed(self, tracks: Tracks, track: int, starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Embeddings of the windows of one track, for `evaluate.score_pairs`."""
        return embed_windows(self.pairing, tracks, track, starts, self.device)

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """The one model file."""
        kind: Kind = self.settings.arch
        card = ModelCard(
            kind,
            dimensions_of(self.pairing.network),
            self.crop,
            "rgb" if kind == "expert" else "bgr",
            step=step,
            data=self.settings.data or self.data,
            licence=self.settings.licence,
            scores=scores,
        )
        if self.settings.loss == "contrastive" and "scale" in scores:
            card = replace(card, calibrated=True, scale=scores["scale"], bias=scores["bias"])
        return {kind: (self.pairing.network, card)}


def silent_windows(tracks: Tracks, track: int, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which windows of a track hold no speech."""
    return np.array([tracks.is_silent(track, int(start)) for start in starts])


def pairing_of(network: nn.Module) -> Pairing:
    """How windows are compared with this network."""
    if isinstance(network, Expert):
        return CosinePairing(network)
    if isinstance(network, Judge):
        return DistancePairing(network)
    raise TypeError(f"{type(network).__name__} does not compare sounds with faces")


@torch.no_grad()
def embed_windows(
    pairing: Pairing, tracks: Tracks, track: int, starts: NDArray[np.int64], device: torch.device, size: int = 64
) -> tuple[Tensor, Tensor]:
    """(audio, face) embeddings, each (windows, features), in batches of `size`."""
    parts: list[tuple[Any, Any]] = []
    for first in range(0, len(starts), size):
        chosen = starts[first : first + size]
        faces = np.stack([tracks.seen(track, int(start)) for start in chosen])
        sounds = np.stack([tracks.heard(track, int(start)) for start in chosen])
        parts.append(pairing.embed(evaluate.to_device(faces, device), evaluate.to_device(sounds, device)))
    return torch.cat([audio for audio, _ in parts]), torch.cat([face for _, face in parts])


def _pairing(settings: ExpertSettings, crop: CropSpec) -> Pairing:
    signed = settings.loss == "contrastive"
    try:
        if settings.arch == "judge":
            return DistancePairing(Judge(JudgeDimensions(crop.size, settings.width)))
        return CosinePairing(Expert(ExpertDimensions(crop.size, WINDOW_FRAMES, settings.width, signed)))
    except ValueError as error:
        raise ConfigError(f"no {settings.arch} fits these crops: {error}") from error

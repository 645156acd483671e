"""Model cards: metadata stored in model files, and that of the public files, which have none."""

from dataclasses import dataclass, field
from typing import Any, Literal

from w2l.core.config import build, plain
from w2l.features.crop import CropSpec
from w2l.features.masks import Mask
from w2l.models.lineage import PUBLISHED_LINEAGE, TaughtBy

Kind = Literal["generator", "expert", "discriminator", "judge", "patches", "pairs"]
PUBLIC_PADS = (0, 10, 0, 0)
"""Pads (top, bottom, left, right) around the detected box that the public generators expect."""
PUBLIC_DATA = "LRS2, by the authors of Wav2Lip"
PUBLIC_JUDGE_DATA = "broadcasts, by the authors of SyncNet (Chung and Zisserman, 2016)"
PUBLIC_LICENCE = "non-commercial, see the model's publisher"
DATA_LICENCES = {
    "GRID audio-visual sentence corpus": "CC BY 4.0",
    "Face Research Lab London Set": "CC BY 4.0",
    "US Congress": "public domain",
    "drawn puppets": "made by w2l",
    "LRS2": "BBC, non-commercial research",
}
"""Data that cards name -> its licence."""
MEL = "wav2lip-80x16"
"""Mel settings: 80 bands, 16 kHz, hop 200, windows of 16 columns, see `w2l.features.mel`."""


@dataclass(frozen=True)
class ModelCard:
    """Metadata of a model file: enough to rebuild the network and to prepare its inputs."""

    kind: Kind
    dimensions: dict[str, Any]
    """Fields of the network's dimensions."""
    crop: CropSpec = field(default_factory=CropSpec)
    """How faces are cropped for it."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Channel order of the network's images."""
    mask: Mask = "lower-half"
    """The part of the face hidden from the generator; see `w2l.features.masks`."""
    references: Literal["still", "same"] = "still"
    """Reference at inference: one `still` frame of the clip, or the `same` frame that is redrawn (published)."""
    mel: str = MEL
    """Mel settings."""
    fps: float = 25.0
    step: int = 0
    """Training steps."""
    data: str = ""
    """Training data."""
    licence: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    """Validation scores."""
    scale: float = 1.0
    """With `bias`: the probability of being in sync is sigmoid(scale * cosine + bias) for a calibrated expert."""
    bias: float = 0.0
    schedule: dict[str, float] = field(default_factory=dict)
    """Weights of the loss terms at `step`, by name."""
    calibrated: bool = False
    """False: the cosine itself is the probability, as in the paper."""
    teachers: tuple[TaughtBy, ...] = ()
    """The experts used to train a generator, or one that its weights derive from: they are not fair judges of it."""
    ancestors: tuple[str, ...] = ()
    """Marks of what the weights derive from: SHA-256 of files and of weights (see `marks_of`), and of training runs."""


def data_licences(data: str) -> str:
    """Return the licences of the data that a card names, as far as they are known; empty where none is."""
    return "; ".join(f"{name}: {licence}" for name, licence in DATA_LICENCES.items() if name in data)


def public_card(kind: str, dimensions: dict[str, Any], step: int = 0) -> ModelCard:
    """Return a card with what the publishers state about their networks."""
    is_judge = kind == "judge"
    crop = CropSpec("box", dimensions["size"], PUBLIC_PADS)
    card = ModelCard(
        kind=kind,  # type: ignore[arg-type]
        dimensions=dimensions,
        crop=CropSpec("judge", 224, smooth_s=0.0, shrink="linear") if is_judge else crop,
        colour="bgr",
        references="same",
        step=step,
        data=PUBLIC_JUDGE_DATA if is_judge else PUBLIC_DATA,
        licence=PUBLIC_LICENCE,
    )
    return build(ModelCard, {**plain(card), **PUBLISHED_LINEAGE.get(kind, {})})

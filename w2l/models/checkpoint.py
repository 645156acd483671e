"""Model files and training states: the only place where networks are saved and loaded.

Our own model files are safetensors whose metadata holds a `ModelCard`; public PyTorch checkpoints are recognised by
their keys and shapes and read without unpickling code.
"""

import dataclasses
import json
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from w2l.core.config import build, plain
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import write_atomic
from w2l.features.crop import CropSpec
from w2l.features.masks import Mask
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.nets.pairs import PairDimensions, Pairs
from w2l.nets.patches import PatchDimensions, Patches
from w2l.nets.warping import make_generator

Kind = Literal["generator", "expert", "discriminator", "judge", "patches", "pairs"]
Network = TypeVar("Network", bound=nn.Module)

NETWORKS: dict[str, tuple[Callable[[Any], nn.Module], type[Any]]] = {
    "generator": (make_generator, GeneratorDimensions),
    "expert": (Expert, ExpertDimensions),
    "discriminator": (Discriminator, DiscriminatorDimensions),
    "judge": (Judge, JudgeDimensions),
    "patches": (Patches, PatchDimensions),
    "pairs": (Pairs, PairDimensions),
}
PUBLIC_MARKS = {
    "generator": "face_decoder_blocks.0.0.conv_block.0.weight",
    "discriminator": "binary_pred.0.weight",
    "judge": "netcnnlip.0.weight",
    "expert": "face_encoder.0.conv_block.0.weight",
}
"""A key that only this kind of public checkpoint has."""
PUBLIC_PADS = (0, 10, 0, 0)
"""Pads (top, bottom, left, right) around the detected box that the public generators expect."""
PUBLIC_DATA = "LRS2, by the authors of Wav2Lip"
PUBLIC_JUDGE_DATA = "broadcasts, by the authors of SyncNet (Chung and Zisserman, 2016)"
PUBLIC_LICENCE = "non-commercial, see the model's publisher"
METADATA_KEY = "w2l"
MEL = "wav2lip-80x16"
"""Mel settings: 80 bands, 16 kHz, hop 200, windows of 16 columns, see `w2l.features.mel`."""
DAMAGE = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    MemoryError, struct.error,
)  # fmt: skip
"""What PyTorch's reader was seen to raise for files that are cut off, changed at random, or no checkpoints at all."""


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself: enough to rebuild the network and to feed it."""

    kind: Kind
    dimensions: dict[str, Any]
    """Fields of the network's dimensions."""
    crop: CropSpec = field(default_factory=CropSpec)
    """How faces are cut for it."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Order of the colour channels that the network sees."""
    mask: Mask = "lower-half"
    """What of the face is hidden from the generator; see `w2l.features.masks`."""
    references: Literal["still", "same"] = "still"
    """Reference at inference: one `still` frame of the clip, or the `same` frame that is redrawn (published)."""
    mel: str = MEL
    """The mel settings."""
    fps: float = 25.0
    step: int = 0
    """Training steps."""
    data: str = ""
    """What it was trained on."""
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
    teacher: str = ""
    """SHA-256 of the expert's file that taught a generator: it is no fair judge of it."""


@dataclass(frozen=True)
class Model:
    """A network in eval mode, its card and where it came from."""

    network: nn.Module
    card: ModelCard
    path: Path


def save_model(path: Path, network: nn.Module, card: ModelCard) -> None:
    """Writes one model file, atomically."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    content = to_safetensors(tensors, {METADATA_KEY: json.dumps(plain(card), sort_keys=True)})
    write_atomic(path, lambda file: file.write(content))


def load_model(path: Path, kind: Kind | None, device: torch.device | str = "cpu") -> Model:
    """The model at `path`, in eval mode; ours (.safetensors) or a public checkpoint. Of any kind where that is None.

    Raises CheckpointError when the file is missing, damaged or holds another kind of network.
    """
    if not path.is_file():
        raise CheckpointError(f"model {path} does not exist; check the path or train one")
    tensors, card = _read_ours(path) if path.suffix == ".safetensors" else _read_public(path)
    if kind is not None and card.kind != kind:
        raise CheckpointError(f"model {path} is of kind {card.kind}, not {kind}; name another file")
    network = build_network(card, path)
    counters = {key for key in network.state_dict() if key.endswith("num_batches_tracked")}
    try:
        left = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        lines = str(error).strip().splitlines()  # the first names no tensor
        raise CheckpointError(f"model {path} does not fit its dimensions: {lines[-1].strip()}") from error
    missing = sorted(set(left.missing_keys) - counters)
    if missing or left.unexpected_keys:
        odd = f"{missing[0]} is missing" if missing else f"{min(left.unexpected_keys)} is unknown"
        raise CheckpointError(f"model {path} is no complete {card.kind}: {odd}")
    return Model(network.to(device).eval(), card, path)


def build_network(card: ModelCard, path: Path | None = None) -> nn.Module:
    """A network with the dimensions of `card` and random weights."""
    network, dimensions = NETWORKS[card.kind]
    try:
        built = network(build(dimensions, card.dimensions))
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"model {path or card.kind} has dimensions that cannot be built: {error}") from error
    return built


def dimensions_of(network: nn.Module) -> dict[str, Any]:
    """The dimensions of one of our networks, as plain values."""
    return dataclasses.asdict(network.dimensions)  # type: ignore[arg-type,call-overload,no-any-return,unused-ignore]


def read_card(path: Path) -> ModelCard:
    """The card of a model file of ours, without its weights."""
    return _read_ours(path, weights=False)[1]


def _read_ours(path: Path, weights: bool = True) -> tuple[dict[str, Tensor], ModelCard]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()} if weights else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"model {path} is damaged or cut off ({_first_sentence(error)}); copy or make it anew"
        ) from error
    if METADATA_KEY not in metadata:
        raise CheckpointError(f"model {path} says nothing about itself; it was not written by w2l")
    try:
        card = build(ModelCard, dict(json.loads(metadata[METADATA_KEY])))
    except (ConfigError, ValueError, TypeError) as error:
        raise CheckpointError(f"model {path} has a card that cannot be read: {error}") from error
    if card.kind not in NETWORKS:
        raise CheckpointError(f"model {path} holds a {card.kind!r}, which this w2l does not know")
    return tensors, card


def _read_public(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Weights of a public checkpoint with the prefix ``module.`` taken off, and a card for it."""
    content = _torch_load(path)
    tensors = content.get("state_dict", content)
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"model {path} holds no weights; name a Wav2Lip or SyncNet checkpoint")
    tensors = {str(key).removeprefix("module."): value for key, value in tensors.items()}
    step = content.get("global_step", 0)
    kind = next((kind for kind, mark in PUBLIC_MARKS.items() if mark in tensors), None)
    if kind is None:
        raise CheckpointError(f"model {path} is none of the known public checkpoints ({', '.join(PUBLIC_MARKS)})")
    crops = {"judge": CropSpec("judge", 224, smooth_s=0.0, shrink="linear")}
    card = ModelCard(
        kind=kind,  # type: ignore[arg-type]
        dimensions=dataclasses.asdict(NETWORKS[kind][1]()),
        crop=crops.get(kind, CropSpec("box", 96, PUBLIC_PADS)),
        colour="bgr",
        references="same",
        step=step if isinstance(step, int) else 0,
        data=PUBLIC_JUDGE_DATA if kind == "judge" else PUBLIC_DATA,
        licence=PUBLIC_LICENCE,
    )
    return tensors, card


def _torch_load(path: Path, remedy: str = "copy or make it anew") -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        raise CheckpointError(f"{path} is damaged or cut off ({_first_sentence(error)}); {remedy}") from error
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or holds more than weights; it was not loaded, name another file"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no dictionary of weights")
    return content


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a training state (tensors, numbers, text, dictionaries and lists of them), atomically."""
    write_atomic(path, lambda file: torch.save(state, file))


def load_state(path: Path) -> dict[str, Any]:
    """A training state; CheckpointError when it is damaged."""
    return _torch_load(path, "choose another --run, or --force to start this one anew")


def _first_sentence(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.split(". ")[0][:200]

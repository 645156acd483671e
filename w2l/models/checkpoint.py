"""Model files and training states: the only place where networks are saved and loaded.

Our own model files are safetensors whose metadata holds a `ModelCard`. Public files (PyTorch checkpoints, TorchScript,
safetensors without a card) are recognised by the names and shapes of their tensors, whatever their file name and
nesting; code in a file is never run.
"""

import contextlib
import dataclasses
import json
import logging
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from w2l.core.config import build, plain
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import fingerprint, sha256, write_atomic
from w2l.core.ranges import check_ranges
from w2l.core.reading import parse_json
from w2l.models.archives import read_tensors
from w2l.models.card import MEL as MEL
from w2l.models.card import PUBLIC_DATA as PUBLIC_DATA
from w2l.models.card import PUBLIC_JUDGE_DATA as PUBLIC_JUDGE_DATA
from w2l.models.card import PUBLIC_LICENCE as PUBLIC_LICENCE
from w2l.models.card import Kind as Kind
from w2l.models.card import ModelCard as ModelCard
from w2l.models.card import public_card
from w2l.models.file_kinds import FileKind, kind_of
from w2l.models.lineage import PUBLISHED_LINEAGE, merged, weights_mark
from w2l.models.onnx_generator import OnnxGenerator
from w2l.models.public import clean, flat, fork_layout, odd_generator, other_network, recognise_network, steps_in
from w2l.models.soundness import check_numbers, check_sizes
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import FORK_SIZE, GeneratorDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.nets.pairs import PairDimensions, Pairs
from w2l.nets.patches import PatchDimensions, Patches
from w2l.nets.warping import make_generator

Network = TypeVar("Network", bound=nn.Module)
logger = logging.getLogger(__name__)

NETWORKS: dict[str, tuple[Callable[[Any], nn.Module], type[Any]]] = {
    "generator": (make_generator, GeneratorDimensions),
    "expert": (Expert, ExpertDimensions),
    "discriminator": (Discriminator, DiscriminatorDimensions),
    "judge": (Judge, JudgeDimensions),
    "patches": (Patches, PatchDimensions),
    "pairs": (Pairs, PairDimensions),
}
METADATA_KEY = "w2l"
WHAT_IS_READ = "supported are checkpoints of Wav2Lip and SyncNet, and models of w2l: .pth, .pt, .safetensors, .onnx"
DAMAGE = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    MemoryError, struct.error,
)  # fmt: skip
"""Exceptions of PyTorch's reader observed for files that are truncated, randomly changed, or not checkpoints."""
NOT_WEIGHTS = re.compile(r"GLOBAL ([\w.]{1,100}) was not an allowed global")
"""Where PyTorch's reader names the class or function that it rejects."""


@dataclass(frozen=True)
class Model:
    """A network in eval mode, its card and its origin."""

    network: nn.Module
    card: ModelCard
    path: Path


def save_model(path: Path, network: nn.Module, card: ModelCard) -> None:
    """Write one model file, atomically."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    content = to_safetensors(tensors, {METADATA_KEY: json.dumps(plain(card), sort_keys=True)})
    write_atomic(path, lambda file: file.write(content))


def load_model(path: Path, kind: Kind | None, device: torch.device | str = "cpu") -> Model:
    """Return the model at `path`, ours or a public one, in eval mode; of any kind if `kind` is None.

    Raises CheckpointError if the file is missing, damaged or contains another kind of network.
    """
    found = _kind_of(path)
    if found.container == "onnx":
        graph = OnnxGenerator(path, str(device)).eval()
        card = _onnx_card(graph)
        _check_kind(path, card, kind)
        return Model(graph, card, path)
    tensors, card = _read(path, found, kind)
    _check_kind(path, card, kind)
    check_numbers(path, tensors)
    return Model(_filled(path, card, tensors).to(device).eval(), card, path)


def _filled(path: Path, card: ModelCard, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the network of a card with these weights.

    It is built on the meta device: a card whose dimensions differ from its tensors could otherwise request any amount
    of memory, and random weights, which are replaced here, take time.
    """
    with torch.device("meta"):
        network = build_network(card, path)
    check_sizes(path, card.kind, network, tensors)
    weights = {}
    for name, wanted in network.state_dict().items():
        found = tensors.get(name, torch.zeros(wanted.shape, dtype=wanted.dtype))  # only counters are missing
        weights[name] = found.detach().to("cpu", wanted.dtype, copy=True, memory_format=torch.contiguous_format)
    network.load_state_dict(weights, assign=True)
    return network


def _check_kind(path: Path, card: ModelCard, kind: Kind | None) -> None:
    if kind is not None and card.kind != kind:
        raise CheckpointError(f"model {path} is of kind {card.kind}, not {kind}; choose another file")


def build_network(card: ModelCard, path: Path | None = None) -> nn.Module:
    """Return a network with the dimensions of `card` and random weights."""
    network, dimensions = NETWORKS[card.kind]
    try:
        sizes = build(dimensions, card.dimensions)
        check_ranges(sizes)
        built = network(sizes)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"model {path or card.kind} has dimensions that cannot be built: {error}") from error
    return built


def dimensions_of(network: nn.Module) -> dict[str, Any]:
    """Return the dimensions of one of our networks, as plain values."""
    return dataclasses.asdict(network.dimensions)  # type: ignore[arg-type,call-overload,no-any-return,unused-ignore]


def read_card(path: Path) -> ModelCard:
    """Return the card of a model file; for our own files without reading the weights."""
    found = _kind_of(path)
    if found.container == "onnx":
        return _onnx_card(OnnxGenerator(path))
    return _read(path, found, None, weights=False)[1]


def marks_of(model: Model) -> tuple[str, ...]:
    """Return the marks of a model: SHA-256 of its file and of its weights, and those of its ancestors.

    Two models with a mark in common are related: one is a copy, a calibration, a fine-tuned version or an average of
    the other, or both derive from a third.
    """
    file = (sha256(model.path),) if model.path.is_file() else ()
    return merged(file, (weights_mark(model.network),), model.card.ancestors)


def card_fingerprint(card: ModelCard) -> str:
    """Return a fingerprint of a card, for resuming a run; the origin of the weights does not count."""
    facts = {name: value for name, value in plain(card).items() if name not in ("teachers", "ancestors")}
    return fingerprint({**facts, "teacher": card.teachers[-1].sha256 if card.teachers else ""})


def _kind_of(path: Path) -> FileKind:
    """Return the kind of a model file; raise CheckpointError if it is missing or not supported."""
    if not path.is_file():
        raise CheckpointError(f"model {path} does not exist; check the path or train one")
    try:
        found = kind_of(path)
    except OSError as error:
        raise CheckpointError(f"model {path} cannot be read: {error.strerror}; check its permissions") from error
    if found.container == "other":
        raise CheckpointError(f"model {path} is {found.name}; it was not loaded ({WHAT_IS_READ})")
    return found


def _read(
    path: Path, found: FileKind, wanted: Kind | None, weights: bool = True
) -> tuple[dict[str, Tensor], ModelCard]:
    """Return weights and card of a file; of safetensors without `weights`, the shapes."""
    if found.container != "safetensors":
        return _read_torch(path, found, wanted)
    tensors, card = _read_safetensors(path, weights)
    return (tensors, card) if card else _public(path, {clean(key): value for key, value in tensors.items()}, wanted)


def _onnx_card(graph: OnnxGenerator) -> ModelCard:
    """Return the card of a generator in an ONNX file: its own, or that of a published generator.

    The dimensions lack the layout, because an ONNX graph cannot be rebuilt at a finer resolution.
    """
    shape = {"size": graph.size, "n_references": graph.n_references, "rows": "lower" if graph.first_row else "full"}
    if METADATA_KEY not in graph.metadata:
        return public_card("generator", shape)
    card = _card_in(graph.path, graph.metadata)
    return dataclasses.replace(card, dimensions=shape | {"rows": card.dimensions.get("rows", "full")})


def _read_safetensors(path: Path, weights: bool) -> tuple[dict[str, Tensor], ModelCard | None]:
    """Return the tensors, and the card if the file has one."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if weights:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            else:
                shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
                tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"model {path} is damaged or truncated ({_first_sentence(error)}); copy or create it again"
        ) from error
    return tensors, _card_in(path, metadata) if METADATA_KEY in metadata else None


def _card_in(path: Path, metadata: dict[str, str]) -> ModelCard:
    """Return the card in the metadata of one of our files."""
    try:
        card = build(ModelCard, _of_today(dict(parse_json(metadata[METADATA_KEY]))))
        check_ranges(card)
    except (ConfigError, ValueError, TypeError) as error:
        raise CheckpointError(f"model {path} has an unreadable card: {error}") from error
    if card.kind not in NETWORKS:
        raise CheckpointError(
            f"model {path} is a {card.kind!r}, which this version of w2l does not support; update w2l"
        )
    return card


def _of_today(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a card's fields in today's form; w2l 0.1 stored only the SHA-256 of the teacher's file."""
    teacher = facts.pop("teacher", "")
    if "ancestors" not in facts and facts.get("data") == PUBLIC_DATA:
        facts |= PUBLISHED_LINEAGE.get(str(facts.get("kind")), {})
    return {**facts, "teachers": [{"sha256": teacher}]} if teacher else facts


def _read_torch(path: Path, found: FileKind, wanted: Kind | None) -> tuple[dict[str, Tensor], ModelCard]:
    """Return the weights of a PyTorch checkpoint or a TorchScript archive, and a card for them."""
    step = 0
    if found.archive is not None and found.archive.is_script:
        if found.archive.is_frozen:
            raise CheckpointError(
                f"model {path} is frozen TorchScript, whose weights lost their names; save it without torch.jit.freeze"
            )
        tensors = read_tensors(path, found.archive)
    else:
        try:
            content = _torch_load(path)
            tensors, step = flat(content), steps_in(content)
        except CheckpointError as error:
            if found.archive is None or not isinstance(error.__cause__, UnpicklingError):
                raise
            tensors = read_tensors(path, found.archive)
            if recognise_network(map(clean, tensors), wanted) is None:
                raise
            logger.warning("%s contains more than weights; only the weights were read, no code was run", path)
    cleaned: dict[str, Tensor] = {}
    for key, value in tensors.items():
        cleaned.setdefault(clean(key), value)
    return _public(path, cleaned, wanted, step)


def _public(
    path: Path, tensors: dict[str, Tensor], wanted: Kind | None, step: int = 0
) -> tuple[dict[str, Tensor], ModelCard]:
    """Return the weights of the network in a public file, under our names, and a card for it."""
    if not tensors:
        raise CheckpointError(f"model {path} does not contain weights ({WHAT_IS_READ})")
    found = recognise_network(tensors, wanted)
    if found is None:
        told, example = other_network(tensors), ascii(min(tensors))[:80]
        held = f"is {told}; it is" if told else f"holds {len(tensors)} tensors such as {example} and is"
        raise CheckpointError(f"model {path} {held} none of the known public checkpoints ({WHAT_IS_READ})")
    kind, prefix = found
    weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if kind == "generator" and (layout := fork_layout(weights)):
        dimensions = dataclasses.asdict(GeneratorDimensions(FORK_SIZE, layout=layout))
        return weights, public_card(kind, dimensions, step)
    if kind == "generator" and (odd := odd_generator(weights)):
        raise CheckpointError(f"model {path} does not fit its dimensions: it is {odd}; name another file")
    return weights, public_card(kind, dataclasses.asdict(NETWORKS[kind][1]()), step)


def _torch_load(path: Path, remedy: str = "copy or create it again") -> dict[str, Any]:
    """Return what PyTorch's weight reader returns; may contain NumPy numbers and arrays."""
    try:
        # Opened here, as PyTorch would otherwise choose the reader by the file's name.
        with warnings.catch_warnings(), _with_numpy(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # about pickles that are rejected below
            content = torch.load(file, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        raise CheckpointError(f"{path} is damaged or truncated ({_first_sentence(error)}); {remedy}") from error
    except UnpicklingError as error:
        named = NOT_WEIGHTS.search(str(error))
        what = f"contains more than weights ({named[1]})" if named else "is damaged or contains more than weights"
        raise CheckpointError(f"{path} {what}; it was not loaded, choose another file") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not contain a dictionary of weights")
    return content


def _with_numpy() -> contextlib.AbstractContextManager[Any]:
    """Allow the weight reader to build numbers and arrays of NumPy, which contain only data."""
    functions: tuple[Any, Any] = (np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0])
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    known: list[Any] = [np.dtype, np.ndarray, *dtypes]
    for function in functions:  # NumPy 1 and 2
        known += [(function, f"{module}.multiarray.{function.__name__}") for module in ("numpy._core", "numpy.core")]
    return torch.serialization.safe_globals(known)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors, numbers, text, dictionaries and lists of them), atomically."""
    write_atomic(path, lambda file: torch.save(state, file))


def load_state(path: Path) -> dict[str, Any]:
    """Load a training state; raise CheckpointError if it is damaged."""
    return _torch_load(path, "choose another --run, or restart this one with --force")


def _first_sentence(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.split(". ")[0][:200]

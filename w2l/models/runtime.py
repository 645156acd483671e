"""The generator, ready for inference: batches of mel windows and faces in, redrawn rows out, as fast as possible."""

import logging
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.arrays import Floats
from w2l.core.config import check_word
from w2l.core.errors import CheckpointError, ConfigError
from w2l.models.checkpoint import Model
from w2l.models.choices import Backend, InferencePrecision
from w2l.models.onnx_generator import OnnxGenerator
from w2l.nets.folded.generator import Folded, fold
from w2l.nets.folded.warping import FoldedWarping
from w2l.nets.generator import Generator
from w2l.nets.warping import WarpingGenerator

logger = logging.getLogger(__name__)

SMALL_BYTES = 64_000_000
"""On the CPU `auto` chooses ONNX Runtime for weights of at most this many bytes, else PyTorch.

Measured on two AVX-512 cores, rows from 48 on, frames/s, PyTorch : ONNX Runtime. Published layout of width 4:
146 : 206 at batch 1, 260 : 307 at 4, 361 : 349 at 16, and 85 : 155 at 16 beside a thread that encodes 720p,
because PyTorch's threads busy-wait for each other and ONNX Runtime's do not.
Public dimensions: 20 : 29 at 1, 27 : 31 at 4, 36 : 32 at 16,
13 : 15 beside the encoder; but with 145 MB of weights ONNX Runtime starts 2 s later and peaks 580 MB higher.

Warping layout with two references, one core, frames per second of CPU time: nano 174 : 298 at batch 1, 292 : 338 at 4,
382 : 344 at 16; small 106 : 149, 153 : 163, 182 : 164; base 58 : 92, 85 : 103, 104 : 104; small of 192 px 67 : 76,
92 : 81, 102 : 77. Since PyTorch moves the pixels for both, base with one reference: 72 : 100, 102 : 114, 116 : 115,
with references three times finer 59 : 83, 79 : 93, 81 : 88.
"""

Pixels = NDArray[np.uint8]


class _Engine(Protocol):
    """Computes one batch; `finish` waits for pending work and is called before any result is read."""

    def start(self, mels: Floats, faces: Pixels, references: Pixels | None) -> Floats:
        """Map (n, 80, 16), (n, size, size, channels), (n, fine size, fine size, channels) to (n, rows, columns, 3)."""

    def finish(self) -> None:
        """Wait for what was started."""


class Runner:
    """A generator prepared for inference on its device: the CPU, or a GPU in half precision.

    If a batch does not fit into the GPU's memory, the batch size is halved permanently. The weights are copied: `model`
    may be deleted afterwards. On the CPU, `torch.get_num_threads()` threads are used.

    Parameters
    ----------
    model : Model
        A generator in eval mode.
    first_row : int
        First row of the face that is needed; the lower it lies, the less is computed. See `fold`.
    backend : str
        `torch`, `onnx` (ONNX Runtime, on the CPU) or `auto`: the one measured to be faster.
    batch : int
        Largest number of frames per batch.
    precision : str
        `float32`, `half` (on a GPU), `bf16` (in PyTorch; fast where the processor has instructions for it, as with
        AVX-512 BF16 or AMX), or `auto`: half on a GPU, else float32.
    own_pixels : bool
        Whether a generator that warps pixels shows only pixels of its references, and none that it draws.
    """

    def __init__(
        self,
        model: Model,
        first_row: int = 0,
        backend: Backend = "auto",
        batch: int = 16,
        precision: InferencePrecision = "auto",
        own_pixels: bool = False,
    ) -> None:
        check_word("backend", backend, get_args(Backend))
        check_word("precision", precision, get_args(InferencePrecision))
        if batch < 1:
            raise ConfigError(f"batch {batch} must be at least 1")
        self.batch = batch
        self._path = model.path
        self._engine: _Engine
        if isinstance(model.network, OnnxGenerator):
            is_lower = model.card.dimensions.get("rows") == "lower"
            first_row = max(first_row, model.network.size // 2 if is_lower else 0)
            self._open_file(model.network, first_row, backend, precision)
            return
        network = cast(Generator | WarpingGenerator, model.network)
        device = next(network.parameters()).device
        dtype = _dtype(precision, device)
        folded = fold(network, first_row)
        if own_pixels:
            if not isinstance(folded, FoldedWarping):
                raise ConfigError("own_pixels requires a generator that warps pixels, unlike this one: leave it out")
            folded.draw_nothing()
        self.backend: Literal["torch", "onnx"] = _chosen(backend, precision, folded, device)
        self.first_row = folded.first_row
        self.moves_pixels = isinstance(folded, FoldedWarping)
        """Whether it warps pixels of the references, so that these may be finer than its input."""
        self._size = network.dimensions.size
        if self.backend == "onnx":
            self._engine = _OnnxEngine(folded)
        else:
            self._engine = _TorchEngine(folded, device, dtype)

    def _open_file(self, graph: OnnxGenerator, first_row: int, backend: str, precision: str) -> None:
        """Prepare a generator in an ONNX file, which only ONNX Runtime can run."""
        if backend == "torch" or precision in ("half", "bf16"):
            what = "backend torch" if backend == "torch" else f"precision {precision}"
            raise ConfigError(f"{graph.path} is an ONNX file, which {what} cannot run; leave that out")
        if graph.first_row > first_row:
            raise ConfigError(
                f"{graph.path} generates the rows from {graph.first_row} on, and those from {first_row} on are shown;"
                " export it without --first-row"
            )
        self.backend, self.moves_pixels = "onnx", False
        self.first_row, self._size = first_row, graph.size
        self._engine = _FileEngine(graph, self.first_row)

    def __call__(self, mels: Floats, faces: Pixels, references: Pixels | None = None) -> Floats:
        """Return redrawn rows (n, size - first_row, size, 3) in 0..255, in the network's channel order, or finer ones.

        Parameters
        ----------
        mels : (n, 80, 16)
            One mel window per frame.
        faces : (n, size, size, 3 * (1 + n_references))
            The face, black where `w2l.features.masks` hides it, then the references, in the network's channel order.
        references : (n, fine size, fine size, 3 * n_references)
            For a generator that warps pixels: the same references, a whole number of times finer; so fine the rows are.
        """
        if references is not None and not self.moves_pixels:
            raise ValueError("only a generator that warps pixels takes finer references")
        pieces: list[Floats] = []
        start = 0
        while start < len(faces):
            stop = start + self.batch
            try:
                fine = None if references is None else references[start:stop]
                pieces.append(self._engine.start(mels[start:stop], faces[start:stop], fine))
            except torch.cuda.OutOfMemoryError as error:
                self._shrink(min(self.batch, len(faces) - start), error)
            else:
                start = stop
        self._engine.finish()
        if pieces:
            generated = np.concatenate(pieces)
            if not np.isfinite(generated.sum(dtype=np.float64)):  # one NaN makes the sum NaN
                raise CheckpointError(
                    f"model {self._path} returns non-finite values; its training diverged or its file is damaged:"
                    " use an earlier one"
                )
            return generated
        columns = self._size if references is None else references.shape[2]
        return np.zeros((0, (self._size - self.first_row) * columns // self._size, columns, 3), dtype=np.float32)

    def _shrink(self, tried: int, error: torch.cuda.OutOfMemoryError) -> None:
        if tried == 1:
            raise ConfigError(
                "the generator and one frame do not fit into the GPU's memory; close other programs or use --device cpu"
            ) from error
        self._engine.finish()
        torch.cuda.empty_cache()
        self.batch = tried // 2
        logger.info("the GPU's memory is too small for batches of %d frames; continuing with %d", tried, self.batch)


class _TorchEngine:
    """The folded network in PyTorch; on a GPU, copies overlap with computation, from and to pinned memory."""

    def __init__(self, folded: Folded, device: torch.device, dtype: torch.dtype) -> None:
        self._network = folded.to(dtype=dtype)
        self._device = device
        self._dtype = dtype
        self._under_way: list[Tensor] = []

    def start(self, mels: Floats, faces: Pixels, references: Pixels | None) -> Floats:
        """See `_Engine.start`; read the result after `finish`."""
        with torch.inference_mode():
            seen = self._sent(faces).permute(0, 3, 1, 2).to(self._dtype) / 255
            heard = self._sent(mels)[:, None].to(self._dtype)
            finer = () if references is None else (self._sent(references).permute(0, 3, 1, 2).float() / 255,)
            generated = self._network(heard, seen, *finer).float() * 255
            return cast(Floats, self._fetched(generated.permute(0, 2, 3, 1)).numpy())

    def finish(self) -> None:
        """Wait for the GPU."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        self._under_way.clear()

    def _sent(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self._device.type != "cuda":
            return tensor
        pinned = tensor.pin_memory()
        self._under_way.append(pinned)
        return pinned.to(self._device, non_blocking=True)

    def _fetched(self, tensor: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return tensor.contiguous()
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._under_way.append(pinned)
        return pinned.copy_(tensor, non_blocking=True)


class _OnnxEngine:
    """The folded network in ONNX Runtime, on the CPU; pixels are warped by PyTorch, at any resolution."""

    def __init__(self, folded: Folded) -> None:
        from w2l.models.onnx_export import (  # imported late, as ONNX and its runtime take half a second
            graph,
            session,
        )

        self._moving = folded if isinstance(folded, FoldedWarping) else None
        made = graph(folded, steps=self._moving is not None)
        self._session = session(made.SerializeToString(), torch.get_num_threads())

    def start(self, mels: Floats, faces: Pixels, references: Pixels | None) -> Floats:
        """See `_Engine.start`."""
        seen = np.ascontiguousarray(faces.transpose(0, 3, 1, 2), dtype=np.float32) / 255
        inputs = {"mel": np.ascontiguousarray(mels[:, None], dtype=np.float32), "faces": seen}
        made = self._session.run(None, inputs)
        if self._moving is None:
            return np.ascontiguousarray((made[0] * 255).transpose(0, 2, 3, 1))
        shown = faces[..., 3:] if references is None else references
        with torch.inference_mode():
            moved = torch.from_numpy(np.ascontiguousarray(shown.transpose(0, 3, 1, 2))).float() / 255
            flow, drawn = (torch.from_numpy(each) for each in made)
            picture = self._moving.mixed((flow, drawn), moved) * 255
        return cast(Floats, picture.permute(0, 2, 3, 1).contiguous().numpy())

    def finish(self) -> None:
        """Do nothing: no work is ever pending."""


class _FileEngine:
    """A generator in an ONNX file; rows above `first_row` are dropped."""

    def __init__(self, graph: OnnxGenerator, first_row: int) -> None:
        self._graph = graph
        self._top = first_row - graph.first_row

    def start(self, mels: Floats, faces: Pixels, references: Pixels | None) -> Floats:
        """See `_Engine.start`; an ONNX file does not take finer references."""
        made = self._graph.run(mels[:, None], faces.transpose(0, 3, 1, 2).astype(np.float32) / 255)
        return np.ascontiguousarray((made[:, :, self._top :] * 255).transpose(0, 2, 3, 1))

    def finish(self) -> None:
        """Do nothing: no work is ever pending."""


def _chosen(
    backend: Backend, precision: InferencePrecision, folded: Folded, device: torch.device
) -> Literal["torch", "onnx"]:
    if precision == "bf16":
        if backend == "onnx":
            raise ConfigError("precision bf16 runs in PyTorch; leave out backend onnx")
        return "torch"
    if backend == "onnx" and device.type != "cpu":
        raise ConfigError(f"backend onnx runs on the CPU, not on {device}; use --device cpu or backend torch")
    if backend != "auto":
        return backend
    n_bytes = sum(weight.numel() * weight.element_size() for weight in folded.parameters())
    return "onnx" if device.type == "cpu" and n_bytes <= SMALL_BYTES else "torch"


def _dtype(precision: InferencePrecision, device: torch.device) -> torch.dtype:
    if precision == "half" and device.type == "cpu":
        raise ConfigError("precision half requires a GPU; use float32 or --device cuda")
    if precision == "bf16":
        return torch.bfloat16
    is_half = precision == "half" or (precision == "auto" and device.type == "cuda")
    return torch.half if is_half else torch.float32

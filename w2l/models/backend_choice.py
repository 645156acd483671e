"""Choose by a measurement what runs a generator on the CPU, and keep the choice for this machine.

PyTorch and ONNX Runtime give the same pictures up to rounding; which is faster depends on the processor, the versions,
the number of threads and the generator.
"""

import logging
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch

from w2l.core.errors import CacheError
from w2l.core.files import fingerprint, read_json, write_json
from w2l.models.checkpoint import Model
from w2l.models.onnx_generator import OnnxGenerator
from w2l.models.runtime import SMALL_BYTES, Runner

logger = logging.getLogger(__name__)

SECONDS = 1.0
"""Seconds of a measurement, without the first run of each alternative."""
MARGIN = 1.1
"""How many times as fast another library must be to replace the one that is chosen by the size of the weights."""
PROCESSOR = Path("/proc/cpuinfo")
"""Linux's description of the processor."""
Library = Literal["torch", "onnx"]
Choose = Callable[[Mapping[Library, Callable[[], object]]], Library]
"""Returns which alternative is preferred; the first is the default."""


def fastest(ways: Mapping[Library, Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> Library:
    """Return the fastest alternative by the median of runs in turn; the first unless another is clearly faster."""
    took: dict[Library, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    end = clock() + SECONDS
    while not all(took.values()) or clock() < end:
        for name, work in ways.items():
            began = clock()
            work()
            took[name].append(clock() - began)
    first, *others = ways
    best = min(others, key=lambda name: median(took[name]), default=first)
    return best if MARGIN * median(took[best]) < median(took[first]) else first


def is_open(model: Model) -> bool:
    """Return whether a measurement may choose: on the CPU, for weights that take little memory twice."""
    if isinstance(model.network, OnnxGenerator):
        return False
    weights = list(model.network.parameters())
    is_small = sum(weight.numel() * weight.element_size() for weight in weights) <= SMALL_BYTES
    return bool(weights) and weights[0].device.type == "cpu" and is_small


def choice_key(model: Model, first_row: int, batch: int) -> str:
    """Return a hash of everything that a choice depends on."""
    try:
        processor = next(line for line in PROCESSOR.read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    versions = [version(name) for name in ("torch", "onnxruntime")]
    threads = torch.get_num_threads()
    return fingerprint(platform.machine(), processor, versions, threads, model.card.dimensions, first_row, batch)


def kept_choice(path: Path, key: str) -> Library | None:
    """Return the choice that was made before; None if there is none."""
    if not path.exists():
        return None
    try:
        name = read_json(path).get(key)
    except CacheError as error:
        logger.warning("%s; what runs generators is measured again", error)
        return None
    return name if name in ("torch", "onnx") else None


def choose_backend(
    path: Path, model: Model, first_row: int, batch: int, own_pixels: bool = False, choose: Choose = fastest
) -> None:
    """Run the generator in both libraries for a second and keep the choice in the file at `path`."""
    default = Runner(model, first_row, "auto", batch, own_pixels=own_pixels)
    other: Library = "torch" if default.backend == "onnx" else "onnx"
    runners: dict[Library, Runner] = {
        default.backend: default,
        other: Runner(model, first_row, other, batch, own_pixels=own_pixels),
    }
    dimensions = model.card.dimensions
    size, n_references = int(dimensions["size"]), int(dimensions.get("n_references", 1))
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (batch, size, size, 3 * (1 + n_references)), dtype=np.uint8)
    mels = rng.uniform(-4, 4, (batch, 80, 16)).astype(np.float32)
    chosen = choose({name: partial(runner, mels, faces) for name, runner in runners.items()})
    logger.info("%s runs the generator, as measured on this machine", {"torch": "PyTorch"}.get(chosen, "ONNX Runtime"))
    try:
        choices = read_json(path) if path.exists() else {}
    except CacheError:
        choices = {}
    try:
        write_json(path, choices | {choice_key(model, first_row, batch): chosen})
    except CacheError as error:  # the output does not depend on it
        logger.info("%s; the choice is not stored", error)

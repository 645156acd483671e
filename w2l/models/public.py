"""Recognition of networks in public files by the names and shapes of their tensors, however nested."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from w2l.nets.generator import GeneratorLayout

MARKS = {
    "generator": "face_decoder_blocks.0.0.conv_block.0.weight",
    "discriminator": "binary_pred.0.weight",
    "judge": "netcnnlip.0.weight",
    "expert": "face_encoder.0.conv_block.0.weight",
}
"""A tensor that only this kind of network has."""
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Prefixes added to names by PyTorch: DataParallel, compiled modules, FSDP."""
OTHERS = {
    "conv3_3_norm_mbox_conf.weight": "S3FD, a face detector",
    "Mixed_5b.branch1x1.conv.weight": "Inception v3, for FID; use it with 'w2l score --fid --inception'",
    "sam.sa.conv1.weight": "a generator of the 384 px fork with spatial attention (Wav2Lip_SAM)",
    "lin0.model.1.weight": "LPIPS; use it with 'w2l score --quality --lpips'",
    "stylegan_decoder.constant_input.weight": "GFPGAN, a face restorer",
    "conv_body_first.weight": "GFPGAN, a face restorer",
    "quantize.embedding.weight": "CodeFormer or VQGAN, face restorers",
    "body.0.rdb1.conv1.weight": "Real-ESRGAN, an upscaler",
    "body.stage1.0.0.weight": "RetinaFace, a face detector",
    "face_decoder_blocks.0.0.conv_block.1._mean": "a generator of PaddlePaddle",
}
"""A tensor of each known network that w2l cannot use here, and a description."""
MAX_DEPTH = 8
"""Depth of nested dictionaries in which tensors are searched."""
FORK_KEY = "face_encoder_blocks.8.0.conv_block.0.weight"
FORK_SHAPES = {
    FORK_KEY: (512, 512, 3, 3),
    "face_encoder_blocks.1.0.conv_block.0.weight": (32, 16, 5, 5),
    "face_decoder_blocks.8.0.conv_block.0.weight": (96, 64, 3, 3),
}
"""A tensor only the generator of the 288 px fork has (github.com/primepake/wav2lip_288x288, models/wav2lipv2.py)."""
FORK_SLOPE = "face_encoder_blocks.0.0.act.weight"
"""A tensor that it also has if its activations are PReLU and not ReLU."""


def flat(content: Any) -> dict[str, Tensor]:
    """Return all tensors in nested dictionaries by their dotted names, NumPy arrays included."""
    found: dict[str, Tensor] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping) and len(name) <= MAX_DEPTH:
            waiting += [((*name, str(key)), item) for key, item in reversed(list(value.items()))]
        elif isinstance(value, Tensor):
            found[".".join(name)] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            found[".".join(name)] = torch.from_numpy(value)
    return found


def steps_in(content: Mapping[str, Any]) -> int:
    """Return the training steps of a checkpoint, a number of Python, NumPy or PyTorch; 0 if not stated."""
    number = content.get("global_step", 0)
    if isinstance(number, Tensor) and number.numel() == 1:
        number = number.item()
    is_whole = isinstance(number, (int, float, np.number)) and 0 <= number < 2**63 and number == int(number)
    return int(number) if is_whole else 0


def clean(name: str) -> str:
    """Return a tensor's name without the parts added by PyTorch's wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def recognise_network(names: Iterable[str], wanted: str | None = None) -> tuple[str, str] | None:
    """Return the network recognised by cleaned names, and the prefix of its names; None if none is known.

    Of several, `wanted` comes first, then averaged weights (``ema``), then the first one found.
    """
    names = list(names)
    order = sorted(MARKS, key=lambda kind: kind != wanted)
    for kind in order:
        mark = MARKS[kind]
        prefixes = [name.removesuffix(mark) for name in names if name == mark or name.endswith(f".{mark}")]
        if prefixes:
            return kind, min(prefixes, key=lambda prefix: "ema" not in prefix.lower())
    return None


def other_network(names: Iterable[str]) -> str:
    """Return a description of a known network of another project, by its tensor names; empty if unknown."""
    names = list(names)
    for mark, what in OTHERS.items():
        if any(name == mark or name.endswith(f".{mark}") for name in names):
            return what
    return ""


def fork_layout(tensors: Mapping[str, Tensor]) -> GeneratorLayout | None:
    """Return the layout of a generator of the 288 px fork; None for any other."""
    if any(name not in tensors or tuple(tensors[name].shape) != shape for name, shape in FORK_SHAPES.items()):
        return None
    return "fork288-prelu" if FORK_SLOPE in tensors else "fork288"


def odd_generator(tensors: Mapping[str, Tensor]) -> str:
    """Return how the levels of a generator differ from those of the published one; empty if they do not."""
    levels = {int(name.split(".")[1]) for name in tensors if name.startswith("face_encoder_blocks.")}
    first = tensors.get("face_encoder_blocks.0.0.conv_block.0.weight")
    width = 0 if first is None else int(first.shape[0])
    if len(levels) == 7 and width == 16 and not any(".act." in name for name in tensors):
        return ""
    return f"a fork of Wav2Lip with {len(levels)} levels of {width} channels and more; the published one has 7 of 16"

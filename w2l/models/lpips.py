"""Load the weights of LPIPS from the public files: torchvision's AlexNet, and the weights of its layers."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from w2l.core.errors import CheckpointError
from w2l.models.checkpoint import load_state
from w2l.models.soundness import check_numbers
from w2l.nets.lpips import Lpips

NAMES = (
    (re.compile(r"(?:net\.)?(?:slice\d\.|features\.)(\d+)\.(weight|bias)"), r"features.\1.\2"),
    (re.compile(r"lins?\.?(\d)\.model\.\d\.weight"), r"lin\1"),
)
"""Names in torchvision's AlexNet, in the lpips package's layer weights and in its whole network -> names here."""


def load_lpips(files: Sequence[Path], device: torch.device | str = "cpu") -> Lpips:
    """Load LPIPS in eval mode from one file with everything, or from two: AlexNet's and the layer weights.

    Files are read without unpickling code; other tensors in them (AlexNet's classifier) are ignored. Raises
    CheckpointError for files that are missing, damaged, incomplete or of another network.
    """
    network = Lpips()
    wanted = network.state_dict()
    found: dict[str, Tensor] = {}
    for path in files:
        for name, value in _weights(path).items():
            if name in wanted and value.shape != wanted[name].shape:
                raise CheckpointError(
                    f"{path}: {name} has the shape {tuple(value.shape)}, not {tuple(wanted[name].shape)}: it belongs "
                    "to another network; w2l computes LPIPS with AlexNet"
                )
            found[name] = value
    named = ", ".join(str(path) for path in files) or "no files"
    missing = [name for name in wanted if name not in found]
    if missing:
        what = "the layer weights (lin0 to lin4)" if missing[0].startswith("lin") else "AlexNet"
        raise CheckpointError(
            f"{named}: LPIPS lacks {missing[0]}; add the file with {what}: torchvision's alexnet .pth and the lpips "
            "package's weights/v0.1/alex.pth"
        )
    network.load_state_dict({name: found[name].float() for name in wanted})
    if min(float(found[f"lin{number}"].min()) for number in range(5)) < 0:
        raise CheckpointError(f"{named}: the layer weights of LPIPS must not be negative; choose another file")
    return network.to(device).eval().requires_grad_(False)


def _weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file under the names of `Lpips`; others are left out."""
    if not path.is_file():
        raise CheckpointError(f"LPIPS weights {path} do not exist; check the path")
    content = load_state(path)
    tensors = content.get("state_dict", content)
    if not isinstance(tensors, dict):
        raise CheckpointError(f"{path} does not contain a dictionary of weights")
    found = {}
    for key, value in tensors.items():
        for pattern, replacement in NAMES:
            match = pattern.fullmatch(str(key).removeprefix("module."))
            if match and isinstance(value, Tensor):
                found[match.expand(replacement)] = value
    check_numbers(path, found)
    return found

"""The weights of LPIPS, from the public files: AlexNet as torchvision publishes it, and the weights of its layers."""

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
    """LPIPS in eval mode from one file that holds everything, or from two: AlexNet's and the layers' weights.

    Files are read without unpickling code, and other tensors in them (AlexNet's classifier) are passed over. Raises
    CheckpointError for files that are missing, damaged, incomplete or of another network.
    """
    network = Lpips()
    wanted = network.state_dict()
    found: dict[str, Tensor] = {}
    for path in files:
        for name, value in _weights(path).items():
            if name in wanted and value.shape != wanted[name].shape:
                raise CheckpointError(
                    f"{path}: {name} has the shape {tuple(value.shape)}, not {tuple(wanted[name].shape)}: it is "
                    "of another network; LPIPS is computed with AlexNet here"
                )
            found[name] = value
    named = ", ".join(str(path) for path in files) or "no file"
    missing = [name for name in wanted if name not in found]
    if missing:
        what = "the layers' weights (lin0 to lin4)" if missing[0].startswith("lin") else "AlexNet"
        raise CheckpointError(
            f"{named}: LPIPS lacks {missing[0]}; name the file with {what}: torchvision's alexnet .pth and the lpips "
            "package's weights/v0.1/alex.pth"
        )
    network.load_state_dict({name: found[name].float() for name in wanted})
    if min(float(found[f"lin{number}"].min()) for number in range(5)) < 0:
        raise CheckpointError(f"{named}: the layers' weights of LPIPS must not be negative; name another file")
    return network.to(device).eval().requires_grad_(False)


def _weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one file under the names of `Lpips`; others are left out."""
    if not path.is_file():
        raise CheckpointError(f"LPIPS weights {path} do not exist; check the path")
    content = load_state(path)
    tensors = content.get("state_dict", content)
    if not isinstance(tensors, dict):
        raise CheckpointError(f"{path} holds no dictionary of weights")
    found = {}
    for key, value in tensors.items():
        for pattern, replacement in NAMES:
            match = pattern.fullmatch(str(key).removeprefix("module."))
            if match and isinstance(value, Tensor):
                found[match.expand(replacement)] = value
    check_numbers(path, found)
    return found

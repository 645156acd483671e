"""Load and verify the Inception weights used for FID."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from w2l.core.errors import CheckpointError
from w2l.core.files import sha256
from w2l.models.checkpoint import load_state
from w2l.models.soundness import check_numbers
from w2l.nets.inception import Inception, fold_inception

STANDARD = "pt_inception-2015-12-05"
"""The network that published FID figures are based on, as converted for PyTorch."""
STANDARD_SHA256 = "6726825d"
"""Prefix of the SHA-256 of its released file."""


@dataclass(frozen=True)
class InceptionWeights:
    """A network that is ready to run, and its origin."""

    network: Inception
    """Folded, in evaluation mode, on its device."""
    path: Path
    sha256: str

    @property
    def standard(self) -> bool:
        """Whether figures computed with it can be compared with published ones."""
        return self.sha256.startswith(STANDARD_SHA256)

    @property
    def title(self) -> str:
        """The weights in a few words, for the title of a table."""
        known = STANDARD if self.standard else f"weights of unknown origin, {self.path.name}"
        return f"{known}, sha256 {self.sha256[:8]}"


def load_inception(path: Path, device: torch.device | str = "cpu") -> InceptionWeights:
    """Load the FID network with the weights at `path`: a plain state dict, read without unpickling code.

    Missing batch counters and a missing classifier (`fc`) are accepted: FID uses neither. A file with other weights
    of the same shapes is loaded, and its title says that their origin is unknown.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or contains another network.
    """
    if not path.is_file():
        raise CheckpointError(f"the FID weights {path} do not exist; expected {STANDARD}-{STANDARD_SHA256}.pth")
    tensors = {str(key).removeprefix("module."): value for key, value in load_state(path).items()}
    check_numbers(path, tensors)
    with torch.device("meta"):
        network = Inception()
    wanted = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    if problem := _problem(tensors, {key: value.shape for key, value in wanted.items()}):
        raise CheckpointError(
            f"{path} is not a FID Inception network: {problem}; expected {STANDARD}-{STANDARD_SHA256}.pth"
        )
    network.load_state_dict({key: tensors[key].float() for key in wanted}, strict=False, assign=True)
    return InceptionWeights(fold_inception(network).to(device), path, sha256(path))


def _problem(tensors: dict[str, Any], wanted: dict[str, torch.Size]) -> str:
    """Return why these are not the tensors of the network, in a few words; empty if they are."""
    if any(key.startswith("AuxLogits.") for key in tensors):
        return "it is torchvision's Inception, which computes other features"
    for key, shape in wanted.items():
        tensor = tensors.get(key)
        if not isinstance(tensor, torch.Tensor):
            return f"{key} is missing"
        if tensor.shape != shape:
            return f"{key} has shape {tuple(tensor.shape)}, not {tuple(shape)}"
    return ""

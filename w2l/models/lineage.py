"""Origin of weights: marks that recognise a model after its file, its card or its weights have changed."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

PUBLISHED_EXPERT = "wav2lip-published-expert"
"""Mark of the published expert, which taught the published generators."""
PUBLISHED_LINEAGE: dict[str, dict[str, Any]] = {
    "generator": {"teachers": [{"name": "the published expert", "ancestors": [PUBLISHED_EXPERT]}]},
    "expert": {"ancestors": [PUBLISHED_EXPERT]},
}
"""Origin stated in the cards of published weights, by kind."""


@dataclass(frozen=True)
class TaughtBy:
    """The expert used to train a generator, and its origin."""

    name: str = ""
    """Its name."""
    sha256: str = ""
    """SHA-256 of its file."""
    weights: str = ""
    """SHA-256 of its weights, see `weights_mark`; empty in cards of w2l 0.1."""
    ancestors: tuple[str, ...] = ()
    """Marks of what its weights derive from, see `ModelCard.ancestors`."""

    @property
    def marks(self) -> frozenset[str]:
        """All marks of this expert and its ancestors; a related expert shares one of them."""
        return frozenset({self.sha256, self.weights, *self.ancestors} - {""})


def weights_mark(network: nn.Module) -> str:
    """Return the SHA-256 of a network's tensors: names, shapes and values.

    It does not change if a file is imported, renamed or calibrated, unlike the file's SHA-256. Batch counters are left
    out, as published checkpoints do not have them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def merged(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return all marks of `groups`, each once, in order."""
    return tuple(dict.fromkeys(mark for group in groups for mark in group if mark))

"""LipGAN's discriminator: the distance between a face and the speech it is paired with.

KR et al., "Towards Automatic Face-to-Face Translation", ACM Multimedia 2019. It differs from the public Keras code in
three things: the audio is our window of 80 bands and 16 columns; the norm takes the same statistics (of all channels
and pixels of one image) but has a gain and a bias for each channel, where Keras' axis left unset leaves one for all;
and the last audio layer is linear, as the face's is, so that both embeddings may point anywhere.
"""

from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.blocks import SMALLEST_GRID, IntPair
from w2l.nets.generator import GeneratedRows

SLOPE = 0.2
"""Slope of the leaky ReLUs."""
_FACE_KERNELS = (7, 5)
"""Kernels of the first levels; coarser ones have 3 x 3."""
_WIDEST_FACE = 16
"""Channels of the coarsest levels and of the embedding, in widths."""


@dataclass(frozen=True)
class PairDimensions:
    """Everything needed to rebuild a pair discriminator; the defaults are LipGAN's except for the rows."""

    size: int = 96
    """Rows and columns of a whole face, in pixels."""
    width: int = 32
    """Channels of the first audio layer; all others scale with it."""
    rows: GeneratedRows = "lower"
    """Rows that are taken: the `lower` half or the `full` face (LipGAN)."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if self.rows not in get_args(GeneratedRows):
            raise ValueError(f"rows must be one of {get_args(GeneratedRows)}, got {self.rows!r}")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}")


class Pairs(nn.Module):
    """Two encoders whose embeddings lie on one unit sphere."""

    def __init__(self, dimensions: PairDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or PairDimensions()
        self.face_encoder = _face_encoder(self.dimensions)
        self.audio_encoder = _audio_encoder(self.dimensions.width)

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of speech and of faces, each (batch, 16 * width) of length 1.

        Parameters
        ----------
        mel : (batch, 1, 80, 16)
        faces : (batch, 3, rows, size)
            Single frames in [0, 1]: `rows` is size / 2 for lower halves, size for full faces.
        """
        return self.embed_audio(mel), self.embed_faces(faces)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Encode speech; see `forward`."""
        return F.normalize(self.audio_encoder(mel).flatten(1).float(), dim=1)

    def embed_faces(self, faces: Tensor) -> Tensor:
        """Encode faces; see `forward`."""
        return F.normalize(self.face_encoder(faces).flatten(1).float(), dim=1)


def pair_distances(audio: Tensor, faces: Tensor) -> Tensor:
    """Return the Euclidean distances (...) between unit embeddings (..., features), in [0, 2]."""
    apart: Tensor = torch.linalg.vector_norm(audio - faces, dim=-1)  # its gradient at 0 is 0, unlike a root's
    return apart


def _block(n_in: int, n_out: int, kernel: IntPair, stride: IntPair = 1, padding: IntPair = 0) -> nn.Sequential:
    norm = nn.GroupNorm(1, n_out)
    return nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, padding), norm, nn.LeakyReLU(SLOPE))


def _face_encoder(dims: PairDimensions) -> nn.Sequential:
    """Return halvings until the grid is at most 4 x 4, and a valid convolution; lower halves first become square."""
    layers: list[nn.Module] = []
    grid, n_in, n_out = dims.size, 3, 2 * dims.width
    while grid > SMALLEST_GRID:
        kernel = _FACE_KERNELS[len(layers)] if len(layers) < len(_FACE_KERNELS) else 3
        stride = (1, 2) if not layers and dims.rows == "lower" else 2
        layers.append(_block(n_in, n_out, kernel, stride, kernel // 2))
        grid, n_in, n_out = -(-grid // 2), n_out, min(2 * n_out, _WIDEST_FACE * dims.width)
    return nn.Sequential(*layers, nn.Conv2d(n_in, _WIDEST_FACE * dims.width, grid))


def _audio_encoder(width: int) -> nn.Sequential:
    """Return LipGAN's layers with the strides of Wav2Lip, whose windows these are."""
    w = width
    return nn.Sequential(
        _block(1, w, 3, 1, 1),
        _block(w, 2 * w, 3, (3, 1), 1),  # 27 x 16
        _block(2 * w, 4 * w, 3, 3, 1),  # 9 x 6
        _block(4 * w, 8 * w, 3, (3, 2), 1),  # 3 x 3
        _block(8 * w, 16 * w, 3),
        nn.Conv2d(16 * w, 16 * w, 1),
    )

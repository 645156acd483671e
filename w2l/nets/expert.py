"""The sync expert of Wav2Lip: how well 5 half faces and 16 mel columns belong together; it teaches the generator."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.blocks import SMALLEST_GRID, ConvBlock, audio_encoder, residual_blocks


@dataclass(frozen=True)
class ExpertDimensions:
    """Everything needed to rebuild an expert; the defaults are the published one.

    Other sizes add or drop downsampling levels at the coarse end until the grid is at most 4 x 4.
    """

    size: int = 96
    """Rows and columns of a whole face, in pixels; the expert sees the lower half of the rows."""
    n_frames: int = 5
    """Frames seen at once."""
    width: int = 32
    """Channels of the first layers; all others scale with it."""
    signed: bool = False
    """Whether embeddings may be negative, so that the cosine is in [-1, 1]; published: no, [0, 1]."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_frames < 1:
            raise ValueError(f"width and n_frames must be at least 1, got {self.width} and {self.n_frames}")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}")

    @property
    def embedding(self) -> int:
        """Length of both embeddings."""
        return 16 * self.width


class Expert(nn.Module):
    """Two encoders into one space: cosine 1 is in sync."""

    def __init__(self, dimensions: ExpertDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or ExpertDimensions()
        self.face_encoder = _face_encoder(self.dimensions)
        self.audio_encoder = audio_encoder(self.dimensions.width, 2, signed=self.dimensions.signed)

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (audio, face) of matching batches; see `embed_audio` and `embed_faces`."""
        return self.embed_audio(mel), self.embed_faces(faces)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Mel windows (batch, 1, 80, 16) in [-4, 4] -> unit vectors (batch, embedding)."""
        return F.normalize(self.audio_encoder(mel).flatten(1), dim=1)

    def embed_faces(self, faces: Tensor) -> Tensor:
        """Half faces (batch, 3 * n_frames, size / 2, size) in [0, 1] -> unit vectors (batch, embedding)."""
        return F.normalize(self.face_encoder(faces).flatten(1), dim=1)


def _face_encoder(dims: ExpertDimensions) -> nn.Sequential:
    w = dims.width
    layers: list[nn.Module] = [
        ConvBlock(3 * dims.n_frames, w, 7, 1, 3),
        ConvBlock(w, 2 * w, 5, (1, 2), 1),
        *residual_blocks(2 * w, 2),
    ]
    # The 5 x 5 kernel has padding 1 in the published layout: 48 x 96 becomes 46 x 47.
    grid = [dims.size // 2 - 2, (dims.size - 3) // 2 + 1]
    n_in, level = 2 * w, 0
    while max(grid) > SMALLEST_GRID:
        grid = [-(-n // 2) for n in grid]
        n_out = min(2 * n_in, dims.embedding)
        n_residuals = 3 if level == 0 else 0 if max(grid) <= SMALLEST_GRID else 2
        layers += [ConvBlock(n_in, n_out, 3, 2, 1), *residual_blocks(n_out, n_residuals)]
        n_in, level = n_out, level + 1
    layers.append(ConvBlock(n_in, dims.embedding, (grid[0], grid[1])))
    layers.append(ConvBlock(dims.embedding, dims.embedding, 1, activation=not dims.signed))
    return nn.Sequential(*layers)

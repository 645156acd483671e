"""The sync expert: scores how well a few half faces and the mel columns of the same time match."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.blocks import (
    COLUMNS_OF_FIVE,
    N_BANDS,
    SMALLEST_GRID,
    ConvBlock,
    Norm,
    audio_encoder,
    residual_blocks,
    strided_encoder,
)

ExpertLayout = Literal["published", "strided"]
PUBLISHED_FRAMES = 5


@dataclass(frozen=True)
class ExpertDimensions:
    """Everything needed to rebuild an expert; the defaults are the published one.

    Other sizes add or drop downsampling levels at the coarse end until the grid is small enough.
    """

    size: int = 96
    """Rows and columns of a whole face, in pixels; the expert takes the lower half of the rows."""
    n_frames: int = PUBLISHED_FRAMES
    """Frames per window."""
    width: int = 32
    """Channels of the first layers; all others scale with it."""
    signed: bool = False
    """Whether embeddings may be negative, so that the cosine is in [-1, 1]; published: no, [0, 1]."""
    layout: ExpertLayout = "published"
    """`published`: Wav2Lip's, full resolution in the first layers; `strided` halves it immediately: much faster."""
    norm: Norm = "batch"
    """`batch`, as published, or `group`: the same in training and evaluation, whatever the batch."""
    embedding: int = 0
    """Length of both embeddings; 0: 16 times the width, as published."""

    def __post_init__(self) -> None:
        if min(self.width, self.n_frames) < 1 or self.embedding < 0:
            raise ValueError(f"width and n_frames must be at least 1, got {self.width} and {self.n_frames}")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}")
        for name, value, known in (
            ("layout", self.layout, get_args(ExpertLayout)),
            ("norm", self.norm, get_args(Norm)),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}")
        is_odd = self.embedding or self.norm != "batch" or self.n_frames != PUBLISHED_FRAMES
        if self.layout == "published" and is_odd:
            raise ValueError("other embeddings, norms and numbers of frames require layout=strided")

    @property
    def n_features(self) -> int:
        """Length of both embeddings."""
        return self.embedding or 16 * self.width

    @property
    def columns(self) -> int:
        """Mel columns for `n_frames` frames: 16 for five; see `w2l.features.windows.window_columns`."""
        return -(-self.n_frames * COLUMNS_OF_FIVE // PUBLISHED_FRAMES)


class Expert(nn.Module):
    """Two encoders into one space; a cosine of 1 means in sync.

    The published layout is that of Wav2Lip (Prajwal et al., ACM Multimedia 2020).
    """

    def __init__(self, dimensions: ExpertDimensions | None = None) -> None:
        super().__init__()
        dims = self.dimensions = dimensions or ExpertDimensions()
        if dims.layout == "published":
            self.face_encoder = _published_face_encoder(dims)
            self.audio_encoder = audio_encoder(dims.width, 2, signed=dims.signed)
        else:
            options = (dims.width, dims.n_features, dims.signed, dims.norm)
            self.face_encoder = strided_encoder(3 * dims.n_frames, (dims.size // 2, dims.size), *options)
            self.audio_encoder = strided_encoder(1, (N_BANDS, dims.columns), *options)

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (audio, face) of matching batches; see `embed_audio` and `embed_faces`."""
        return self.embed_audio(mel), self.embed_faces(faces)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Encode mel windows (batch, 1, 80, columns) in [-4, 4] as unit vectors (batch, embedding)."""
        return F.normalize(self.audio_encoder(mel).flatten(1), dim=1)

    def embed_faces(self, faces: Tensor) -> Tensor:
        """Encode half faces (batch, 3 * n_frames, size / 2, size) in [0, 1] as unit vectors (batch, embedding)."""
        return F.normalize(self.face_encoder(faces).flatten(1), dim=1)


def _published_face_encoder(dims: ExpertDimensions) -> nn.Sequential:
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
        n_out = min(2 * n_in, dims.n_features)
        n_residuals = 3 if level == 0 else 0 if max(grid) <= SMALLEST_GRID else 2
        layers += [ConvBlock(n_in, n_out, 3, 2, 1), *residual_blocks(n_out, n_residuals)]
        n_in, level = n_out, level + 1
    layers.append(ConvBlock(n_in, dims.n_features, (grid[0], grid[1])))
    layers.append(ConvBlock(dims.n_features, dims.n_features, 1, ending="linear" if dims.signed else "relu"))
    return nn.Sequential(*layers)

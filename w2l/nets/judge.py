"""The judge: SyncNet v2 (Chung and Zisserman, 2016), whose embedding distances define LSE-D and LSE-C."""

from dataclasses import dataclass

from torch import Tensor, nn

PUBLISHED_WIDTH = 96


@dataclass(frozen=True)
class JudgeDimensions:
    """Everything needed to rebuild a judge; the defaults are the published one."""

    size: int = 224
    """Rows and columns of the face crops, in pixels."""
    width: int = PUBLISHED_WIDTH
    """Channels of the first lip layer; all others scale with it."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if self.lip_grid < 1:
            raise ValueError(f"size must be at least 51, or nothing is left for the last lip layer; got {self.size}")

    def scaled(self, published: int) -> int:
        """Return the number of channels of a layer that has `published` channels in the published judge."""
        return max(1, round(published * self.width / PUBLISHED_WIDTH))

    @property
    def embedding(self) -> int:
        """Length of both embeddings."""
        return self.scaled(1024)

    @property
    def lip_grid(self) -> int:
        """Rows and columns of the input of the last lip convolution: 6 at 224 pixels."""
        n = (self.size - 7) // 2 + 1
        n = (n - 3) // 2 + 1
        n = (n + 2 - 5) // 2 + 1
        n = (n + 2 - 3) // 2 + 1
        return (n - 3) // 2 + 1


class Judge(nn.Module):
    """Two encoders into one space; a small Euclidean distance means in sync."""

    def __init__(self, dimensions: JudgeDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dimensions or JudgeDimensions()
        self.netcnnaud = _audio_convolutions(self.dimensions)
        self.netfcaud = _embedding_layers(self.dimensions)
        self.netfclip = _embedding_layers(self.dimensions)
        self.netcnnlip = _lip_convolutions(self.dimensions)

    def forward(self, mfcc: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (audio, lips) of matching batches; see `forward_aud` and `forward_lip`."""
        return self.forward_aud(mfcc), self.forward_lip(frames)

    def forward_aud(self, mfcc: Tensor) -> Tensor:
        """Encode MFCC windows (batch, 1, 13, 20), 100 columns per second, as (batch, embedding)."""
        embedding: Tensor = self.netfcaud(self.netcnnaud(mfcc).flatten(1))
        return embedding

    def forward_lip(self, frames: Tensor) -> Tensor:
        """Encode windows of faces (batch, 3, 5, size, size), BGR in 0..255, as (batch, embedding)."""
        embedding: Tensor = self.netfclip(self.forward_lipfeat(frames))
        return embedding

    def forward_lipfeat(self, frames: Tensor) -> Tensor:
        """Return the features before the last lip layers: (batch, 512 if published width), see `forward_lip`."""
        features: Tensor = self.netcnnlip(frames)
        return features.flatten(1)


def _audio_convolutions(dims: JudgeDimensions) -> nn.Sequential:
    widths = [dims.scaled(n) for n in (64, 192, 384, 256, 256, 512)]
    return nn.Sequential(
        *_audio_layer(1, widths[0], 3, 1),
        nn.Identity(),  # a 1 x 1 pool in the published layout: it only occupies an index
        *_audio_layer(widths[0], widths[1], 3, 1),
        nn.MaxPool2d(3, (1, 2)),
        *_audio_layer(widths[1], widths[2], 3, 1),
        *_audio_layer(widths[2], widths[3], 3, 1),
        *_audio_layer(widths[3], widths[4], 3, 1),
        nn.MaxPool2d(3, 2),
        *_audio_layer(widths[4], widths[5], (5, 4), 0),
    )


def _audio_layer(n_in: int, n_out: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, kernel, padding=padding), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]


def _lip_convolutions(dims: JudgeDimensions) -> nn.Sequential:
    widths = [dims.scaled(n) for n in (96, 256, 256, 256, 256, 512)]
    return nn.Sequential(
        *_lip_layer(3, widths[0], 7, n_frames=5, stride=2),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_lip_layer(widths[0], widths[1], 5, stride=2, padding=1),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        *_lip_layer(widths[1], widths[2], 3, padding=1),
        *_lip_layer(widths[2], widths[3], 3, padding=1),
        *_lip_layer(widths[3], widths[4], 3, padding=1),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_lip_layer(widths[4], widths[5], dims.lip_grid),
    )


def _lip_layer(
    n_in: int, n_out: int, kernel: int, *, n_frames: int = 1, stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    conv = nn.Conv3d(n_in, n_out, (n_frames, kernel, kernel), (1, stride, stride), (0, padding, padding))
    return [conv, nn.BatchNorm3d(n_out), nn.ReLU(inplace=True)]


def _embedding_layers(dims: JudgeDimensions) -> nn.Sequential:
    n_hidden = dims.scaled(512)
    return nn.Sequential(
        nn.Linear(n_hidden, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Linear(n_hidden, dims.embedding),
    )

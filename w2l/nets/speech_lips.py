"""Predictor of lip shape: how far the lips are open, and how wide the mouth is, from a mel spectrogram."""

from dataclasses import dataclass

from torch import Tensor, nn

N_SHAPES = 2
"""Opening and width, both relative to the person's range: 0 nearly closed or narrow, 1 nearly widest."""


@dataclass(frozen=True)
class SpeechLipsDimensions:
    """Everything needed to rebuild a `SpeechLips`."""

    mels: int = 80
    """Rows of a mel spectrogram."""
    columns: int = 28
    """Mel columns of its window, with the frame in the middle: 0.35 s."""
    channels: int = 64
    """Channels of the convolutions."""
    features: int = 48
    """Units of the layer before the last."""


class SpeechLips(nn.Module):
    """Predicts the shape of the lips in one frame from the audio around it."""

    def __init__(self, dimensions: SpeechLipsDimensions | None = None) -> None:
        super().__init__()
        self.dimensions = dims = dimensions or SpeechLipsDimensions()
        wide = dims.channels
        self.layers = nn.Sequential(
            *_block(dims.mels, wide, kernel=5, stride=1),
            *_block(wide, wide, kernel=5, stride=2),
            nn.Dropout(0.2),
            *_block(wide, wide, kernel=3, stride=2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(wide * -(-dims.columns // 4), dims.features),
            nn.ReLU(),
            nn.Linear(dims.features, N_SHAPES),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Map mel windows (batch, 80, columns) to opening and width (batch, 2)."""
        shapes: Tensor = self.layers(mel)
        return shapes


def _block(n_in: int, n_out: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv1d(n_in, n_out, kernel, stride=stride, padding=kernel // 2)
    return conv, nn.BatchNorm1d(n_out), nn.ReLU()

"""The generator of a public fork of Wav2Lip for faces of 288 px, rebuilt so that its weights can be used.

Facts of github.com/primepake/wav2lip_288x288 (models/wav2lipv2.py and its conv.py, conv2.py): two levels more than the
published generator, grids of 9, 5, 3 and 1 at the coarse end; blocks end in ReLU, or in PReLU with one slope each.
"""

from torch import Tensor, nn

from w2l.nets.blocks import IntPair
from w2l.nets.generator import Generator, GeneratorDimensions

ENCODER = (
    ((6, 16, 7, 1, 3), 0),
    ((16, 32, 5, 2, 2), 1),
    ((32, 32, 3, 2, 1), 2),
    ((32, 64, 3, 2, 1), 3),
    ((64, 128, 3, 2, 1), 2),
    ((128, 256, 3, 2, 1), 2),
    ((256, 512, 3, 2, 1), 1),
)
"""Per level of the face encoder: channels in and out, kernel, stride and padding; then its residual blocks."""
DECODER = (
    ((1024, 512, 3, 1, 0, 0), 1),
    ((1024, 512, 3, 2, 1, 0), 2),
    ((1024, 512, 3, 2, 1, 0), 2),
    ((768, 384, 3, 2, 1, 1), 2),
    ((512, 256, 3, 2, 1, 1), 2),
    ((320, 128, 3, 2, 1, 1), 2),
    ((160, 64, 3, 2, 1, 1), 2),
    ((96, 64, 3, 2, 1, 1), 2),
)
"""Per level of the decoder, coarsest first: the same, then the output padding; then its residual blocks."""
SOUND: tuple[tuple[int, IntPair, int], ...] = ((32, 1, 2), (64, (3, 1), 2), (128, 3, 2), (256, (3, 2), 1))
"""Per level of the audio encoder: channels out, stride, residual blocks."""
N_FEATURES = 512


class Fork288(Generator):
    """A generator of the layout `fork288` or `fork288-prelu`; for inference only, it cannot be trained."""

    def __init__(self, dimensions: GeneratorDimensions) -> None:
        nn.Module.__init__(self)
        self.dimensions = dimensions
        slopes = dimensions.layout == "fork288-prelu"
        sound: list[nn.Module] = []
        n_in = 1
        for n_out, stride, n_residuals in SOUND:
            sound += [_Block(nn.Conv2d(n_in, n_out, 3, stride, 1), slopes), *_residuals(n_out, n_residuals, slopes)]
            n_in = n_out
        last = [nn.Conv2d(n_in, N_FEATURES, 3), nn.Conv2d(N_FEATURES, N_FEATURES, 1)]
        self.audio_encoder = nn.Sequential(*sound, *(_Block(conv, slopes) for conv in last))
        levels = [
            nn.Sequential(_Block(nn.Conv2d(*shape), slopes), *_residuals(shape[1], n_residuals, slopes))
            for shape, n_residuals in ENCODER
        ]
        for _ in range(2):  # 5 x 5 to 3 x 3, and that to 1 x 1
            pair = [nn.Conv2d(N_FEATURES, N_FEATURES, kernel) for kernel in (3, 1)]
            levels.append(nn.Sequential(*(_Block(conv, slopes) for conv in pair)))
        self.face_encoder_blocks = nn.ModuleList(levels)
        bottom = nn.Sequential(_Block(nn.Conv2d(N_FEATURES, N_FEATURES, 1), slopes))
        rises = [
            nn.Sequential(_Block(nn.ConvTranspose2d(*shape), slopes), *_residuals(shape[1], n_residuals, slopes))
            for shape, n_residuals in DECODER
        ]
        self.face_decoder_blocks = nn.ModuleList([bottom, *rises])
        self.output_block = nn.Sequential(_Block(nn.Conv2d(80, 32, 3, 1, 1), slopes), nn.Conv2d(32, 3, 1), nn.Sigmoid())


class _Block(nn.Module):
    """Convolution, batch norm, the residual addition if any, then the activation."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, slopes: bool, residual: bool = False) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))
        self.act = nn.PReLU() if slopes else nn.ReLU()
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, rows, columns) to (batch, channels', rows', columns')."""
        out: Tensor = self.conv_block(x)
        activated: Tensor = self.act(out + x if self.residual else out)
        return activated


def _residuals(n_channels: int, n_blocks: int, slopes: bool) -> list[nn.Module]:
    return [_Block(nn.Conv2d(n_channels, n_channels, 3, 1, 1), slopes, residual=True) for _ in range(n_blocks)]

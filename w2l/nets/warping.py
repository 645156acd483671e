"""A generator that warps the references' pixels to the new mouth, and draws only what they do not show.

Pixels drawn from little training data are blurred and take on its colours; warped pixels stay sharp and keep the
person's appearance. Flow and mixture are as in Siarohin et al., "First Order Motion Model for Image Animation"
(2019), from audio and faces as in Wav2Lip (Prajwal et al., 2020). Upsampling repeats pixels before a convolution, and
the last step is initialised as such a repetition (Aitken et al., 2017), so that no checkerboard appears.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.nets.blocks import (
    COLUMNS_OF_FIVE,
    N_BANDS,
    ConvBlock,
    frame_by_frame,
    residual_blocks,
    strided_encoder,
)
from w2l.nets.fork288 import Fork288
from w2l.nets.generator import FORKS, Generator, GeneratorDimensions

COARSEST = 8
"""Faces are halved until their grid has at most this many rows and columns."""
WIDTHS = (12, 8, 4, 2)
"""Channels of the levels in units of ``width``, coarsest first; finer ones than these have 1."""
EMBEDDING = 16
"""Length of the audio embedding in units of ``width``, equal to that of an expert of the strided layout and this width,
so that its audio encoder can initialise the generator's."""
SOUND_LEVELS = 3
"""Number of levels, from the coarsest, that receive the audio embedding."""
REACH = 0.25
"""Largest displacement of a pixel, across and down, in sides of the face."""
UNSEEN = 1 / 512
"""Share of drawn colours that no 8-bit picture shows; where all are smaller, finer pictures are made without them."""
MARGIN = 1
"""Rows above the lower half that every decoder level computes, so that the half's first row has a neighbour."""


class WarpingGenerator(nn.Module):
    """Encoder over all faces, audio embedding joined at its coarsest levels, decoder over the lower half.

    Levels are named by their distance from the coarsest, so that weights for 96 pixels fit those of 192 except for the
    finest level.
    """

    def __init__(self, dimensions: GeneratorDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        n_levels = n_halvings(dimensions.size)
        widths = [level_width(dimensions.width, level) for level in range(n_levels)]
        self.encoder = nn.ModuleDict()
        n_in = 3 * (1 + dimensions.n_references)
        for level in reversed(range(n_levels)):
            first = level == n_levels - 1
            down = ConvBlock(n_in, widths[level], 5 if first else 3, 2, 2 if first else 1)
            self.encoder[str(level)] = nn.Sequential(down, *residual_blocks(widths[level], 1 if first else 2))
            n_in = widths[level]
        embedding = EMBEDDING * dimensions.width
        self.audio_encoder = strided_encoder(1, (N_BANDS, COLUMNS_OF_FIVE), dimensions.width, embedding, signed=True)
        self.sound = nn.ModuleList(
            ConvBlock(width + embedding, width, 1) for width in widths[: min(SOUND_LEVELS, n_levels)]
        )
        self.bottom = nn.Sequential(*residual_blocks(widths[0], 2))
        self.decoder = nn.ModuleDict()
        for level in range(1, n_levels):
            up = ConvBlock(widths[level - 1] + widths[level], widths[level], 3, 1, 1)
            self.decoder[str(level)] = nn.Sequential(up, *residual_blocks(widths[level], 2))
        finest, n_references = widths[-1], dimensions.n_references
        self.flow = nn.Conv2d(finest, 2 * n_references, 3, 1, 1)
        self.blur = FlowBlur(dimensions)
        self.to_pixels = nn.Conv2d(finest, 4 * dimensions.width, 3, 1, 1)
        self.finest = nn.Sequential(*residual_blocks(dimensions.width, 1))
        self.output = nn.Conv2d(dimensions.width, 3 + 1 + n_references, 3, 1, 1)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Initialise such that references are not moved and finer pixels repeat the coarse ones."""
        for tensor in self.flow.parameters():
            nn.init.zeros_(tensor)
        for tensor in self.to_pixels.parameters():
            tensor.copy_(tensor[::4].repeat_interleave(4, dim=0))

    def forward(self, mel: Tensor, faces: Tensor, with_parts: bool = False) -> Tensor:
        """Generate the lower half of faces whose lips match the mel windows.

        Parameters
        ----------
        mel : (batch, 1, 80, 16) or (batch, frames, 1, 80, 16)
            One mel window per frame, in [-4, 4].
        faces : (batch, 3 * (1 + n_references), size, size) or (batch, channels, frames, size, size)
            The masked face, then the references, in [0, 1].
        with_parts : bool
            Whether to append channels that describe how each pixel was made: its drawn share (not warped from a
            reference), and the displacement across and down of each reference, in sides of the face.

        Returns
        -------
        generated : (batch, 3, size / 2, size) or (batch, 3, frames, size / 2, size)
            In [0, 1].
        """
        return frame_by_frame(partial(self._generate, with_parts=with_parts), mel, faces)

    def _generate(self, mel: Tensor, faces: Tensor, with_parts: bool) -> Tensor:
        size = self.dimensions.size
        features, skips = faces, []
        for block in self.encoder.values():
            features = block(features)
            skips.append(features)
        heard = self.audio_encoder(mel)
        x = self.bottom(self._joined(0, skips.pop(), heard))
        x = lowest_rows(x, x.shape[-2] // 2 + MARGIN)
        for level, block in enumerate(self.decoder.values(), 1):
            skip = skips.pop()
            n_rows = skip.shape[-2] // 2 + MARGIN
            x = lowest_rows(F.interpolate(x, scale_factor=2.0, mode="nearest"), n_rows)
            x = block(torch.cat([x, lowest_rows(skip, n_rows)], dim=1))
            if level < len(self.sound):
                x = self._joined(level, x, heard)
        flow = F.interpolate(self.blur(self.flow(x).float()), scale_factor=2.0, mode="bilinear", align_corners=False)
        pixels = F.relu(F.pixel_shuffle(self.to_pixels(x), 2))
        drawn = self.output(self.finest(pixels)).float()
        drawn, flow = lowest_rows(drawn, size // 2), lowest_rows(flow, size // 2)
        picture = mixture(faces[:, 3:].float(), flow, drawn)
        return torch.cat([picture, shares_of(drawn)[:, :1], moves(flow)], dim=1) if with_parts else picture

    def _joined(self, level: int, x: Tensor, heard: Tensor) -> Tensor:
        out: Tensor = self.sound[level](torch.cat([x, heard.expand(-1, -1, *x.shape[-2:])], dim=1))
        return out


class FlowBlur(nn.Module):
    """Smooths a flow on its grid of half the face's pixels, so that neighbours move together and nothing tears.

    Lips and teeth that a reference shows then stay whole where the network asks for a wider mouth than it shows. The
    Gaussian is applied as two products with matrices, which took a twentieth of the time of two convolutions.
    """

    def __init__(self, dimensions: GeneratorDimensions) -> None:
        super().__init__()
        self.down: Tensor
        self.across: Tensor
        self.is_active = dimensions.flow_blur > 0
        n = dimensions.size // 2
        deviation = max(dimensions.flow_blur * n, 1e-6)
        self.register_buffer("down", averaging(n // 2 + MARGIN, deviation), persistent=False)
        self.register_buffer("across", averaging(n, deviation).T, persistent=False)

    def forward(self, flow: Tensor) -> Tensor:
        """Smooth a flow (batch, 2 * references, rows, columns), in its own precision."""
        if not self.is_active:
            return flow
        with torch.autocast(flow.device.type, enabled=False):
            return self.down.to(flow) @ flow @ self.across.to(flow)


def averaging(n: int, deviation: float) -> Tensor:
    """Return the matrix (n, n) that averages n neighbours by a Gaussian in pixels; each row has the sum 1.

    Computed without PyTorch, in memory whatever the default device: networks are built on the meta device before their
    weights are read, where such arithmetic would import PyTorch's compiler.
    """
    falls = [math.exp(-((away / deviation) ** 2) / 2) for away in range(n)]
    rows = [[falls[abs(row - column)] for column in range(n)] for row in range(n)]
    return torch.tensor([[value / sum(row) for value in row] for row in rows], device="cpu")


def make_generator(dimensions: GeneratorDimensions) -> Generator | WarpingGenerator:
    """Return a generator of any layout, with random weights."""
    if dimensions.layout in FORKS:
        return Fork288(dimensions)
    return WarpingGenerator(dimensions) if dimensions.layout == "warping" else Generator(dimensions)


def n_halvings(size: int) -> int:
    """Return how often a face of `size` pixels is halved: 4 times for 96 and 128, 5 for 192 and 256."""
    count = 0
    while size > COARSEST and size % 2 == 0:
        size, count = size // 2, count + 1
    return count


def level_width(width: int, level: int) -> int:
    """Return the channels of a level, 0 the coarsest."""
    return width * (WIDTHS[level] if level < len(WIDTHS) else 1)


def lowest_rows(x: Tensor, n_rows: int) -> Tensor:
    """Return the last `n_rows` rows."""
    return x[..., -n_rows:, :]


def places(size: int, device: torch.device | None = None) -> Tensor:
    """Return the positions of the lower half's pixels, across and down, from -1 to 1: (size / 2, size, 2)."""
    x = (torch.arange(size, device=device) * 2 + 1) / size - 1
    y = x[size // 2 :, None]
    return torch.stack([x[None, :].expand(len(y), -1), y.expand(-1, size)], dim=-1)


def shares_of(drawn: Tensor) -> Tensor:
    """Return (batch, 1 + references, rows, width): the drawn share of each pixel and the share of each reference."""
    return drawn[:, 3:].softmax(dim=1)


def moves(flow: Tensor) -> Tensor:
    """Return the displacement of pixels, in sides of the face, from a flow as `mixture` takes it."""
    return REACH * torch.tanh(flow)


def mixture(references: Tensor, flow: Tensor, drawn: Tensor) -> Tensor:
    """Return the lower half: references warped along a flow and drawn colours, weighted by their shares.

    Parameters
    ----------
    references : (batch, 3 * references, fine size, fine size)
        As large as the network's input face or a whole number of times finer: the warped pixels, interpolated
        cubically, are then as sharp as the references, and displacements, shares and drawn colours are interpolated.
    flow : (batch, 2 * references, size / 2, size)
        Source of each pixel, across and down; its tanh times `REACH`, in sides of the face.
    drawn : (batch, 4 + references, size / 2, size)
        Colours before the sigmoid, then the shares of the drawn colours and of each reference before the softmax.

    Returns
    -------
    picture : (batch, 3, fine size / 2, fine size)
    """
    size, n_references = references.shape[-1], flow.shape[1] // 2
    moved, shares, colours = 2 * moves(flow), shares_of(drawn), drawn[:, :3].sigmoid()
    is_finer = size != flow.shape[-1]
    if is_finer:
        moved, shares = _enlarged(moved, size), _without_unseen(shares)
        if n_references == 1 and flow.device.type == "cpu" and not shares[:, 0].any():
            return _warped(references, moved, "bicubic").clamp(0, 1)
        shares, colours = _enlarged(shares, size), _enlarged(colours, size)
    picture = shares[:, :1] * colours
    for number in range(n_references):
        reference, displacement = references[:, 3 * number : 3 * number + 3], moved[:, 2 * number : 2 * number + 2]
        warped = _warped(reference, displacement, "bicubic" if is_finer else "bilinear")
        picture = picture + shares[:, number + 1 : number + 2] * warped
    return picture.clamp(0, 1) if is_finer else picture


def _without_unseen(shares: Tensor) -> Tensor:
    """Return the shares (batch, 1 + references, rows, columns) without the drawn one of faces where none is seen."""
    is_seen = (shares[:, :1] >= UNSEEN).flatten(1).any(dim=1)[:, None, None, None]
    copied = torch.cat([torch.zeros_like(shares[:, :1]), shares[:, 1:] / shares[:, 1:].sum(dim=1, keepdim=True)], dim=1)
    return torch.where(is_seen, shares, copied)


def _enlarged(maps: Tensor, size: int) -> Tensor:
    """Interpolate maps (batch, channels, rows, columns) to the lower half of a face of `size`."""
    return F.interpolate(maps, (size // 2, size), mode="bilinear", align_corners=False)


def _warped(reference: Tensor, moved: Tensor, mode: str) -> Tensor:
    """Return the lower half of a face (batch, 3, size / 2, size) from its reference (batch, 3, size, size).

    `moved`, (batch, 2, size / 2, size), is where each pixel comes from, across and down, in half sides.
    """
    grid = places(reference.shape[-1], moved.device) + moved.permute(0, 2, 3, 1)
    return F.grid_sample(reference, grid, mode=mode, padding_mode="border", align_corners=False)

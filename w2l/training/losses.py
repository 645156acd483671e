"""Loss terms of a generator, and losses of an expert's cosine as a probability; pure on tensors."""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor


def bce_cosine(cosine: Tensor, in_sync: Tensor) -> Tensor:
    """Return the paper's loss: the cosine, clamped to [0, 1], as the probability of being in sync; both (batch,).

    Prajwal et al., "A Lip Sync Expert Is All You Need", 2020, section 3.1; the clamp prevents rounding from leaving the
    range in which binary cross entropy is defined. A NaN cosine gives a NaN loss, which the loop reports, where
    PyTorch's own function would raise.
    """
    probability = cosine.float().clamp(0, 1)
    with torch.autocast(cosine.device.type, enabled=False):
        loss = F.binary_cross_entropy(probability.nan_to_num(0.5), in_sync.float())
    return loss + 0.0 * probability.sum()


def calibrated_bce(cosine: Tensor, in_sync: Tensor, scale: float, bias: float) -> Tensor:
    """Return the cross entropy of the probability sigmoid(scale * cosine + bias); cosine and labels (batch,)."""
    return F.binary_cross_entropy_with_logits(scale * cosine.float() + bias, in_sync.float())


def adversarial(logits: Tensor, real: bool) -> Tensor:
    """Return the cross entropy of a discriminator's logits against all real or all generated."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, float(real), dtype=torch.float32))


def focused_l1(generated: Tensor, target: Tensor, focus: Tensor) -> Tensor:
    """Return the mean absolute error with a weight for each pixel.

    Images (batch, 3, frames, rows, width); `focus` (rows, width) or (batch, 1, 1, rows, width), of mean 1.
    """
    return ((generated - target).abs() * focus).mean()


def edge_l1(generated: Tensor, target: Tensor, focus: Tensor) -> Tensor:
    """Return `focused_l1` of the differences between neighbouring pixels, across and down.

    An image may be close in its colours and yet blurred; then it differs in these. Mathieu et al., "Deep multi-scale
    video prediction beyond mean square error", 2016 (gradient difference loss, with exponent 1).
    """
    error = generated - target
    across = (error[..., 1:] - error[..., :-1]).abs() * focus[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * focus[..., 1:, :]
    return across.mean() + down.mean()


def roughness(moves: Tensor) -> Tensor:
    """Return the mean absolute difference of moves between neighbouring pixels, in pixels per pixel, across and down.

    `moves` (batch, channels, frames, rows, width) in sides of the image. The total variation of a flow, as in Zach et
    al., "A duality based approach for realtime TV-L1 optical flow", 2007: a flow that is even except for a few edges is
    cheap.
    """
    across, down = moves[..., 1:] - moves[..., :-1], moves[..., 1:, :] - moves[..., :-1, :]
    return (across.abs().mean() + down.abs().mean()) * moves.shape[-1]


def scattered(shares: Tensor) -> Tensor:
    """Return the mean square root of shares in 0..1: many small ones cost more than a few whole ones of the same sum.

    The exponent 1/2 of the bridge penalties (Frank and Friedman, "A statistical view of some chemometrics regression
    tools", 1993), which prefer nothing or all to a little of each.
    """
    return (shares + 1e-6).sqrt().mean()


def mouth_hill(size: int, rows: int) -> Tensor:
    """Return how much each pixel of the bottom `rows` of an aligned crop belongs to the mouth, 0..1, (rows, width).

    The mouth is at the position in `w2l.features.crop.TEMPLATE`; the hill is a Gaussian as wide as an open mouth
    with the chin.
    """
    y = (torch.arange(size - rows, size) + 0.5) / size
    x = (torch.arange(size) + 0.5) / size
    return torch.exp(-(((x[None] - 0.5) / 0.18) ** 2) - ((y[:, None] - 0.72) / 0.16) ** 2)


def mouth_focus(size: int, rows: int, strength: float) -> Tensor:
    """Return weights (rows, width) for L1: 1 + `strength` at the mouth, scaled to mean 1."""
    weights = 1 + strength * mouth_hill(size, rows)
    return weights / weights.mean()


def around_mouth(size: int, rows: int) -> Tensor:
    """Return weights (rows, width) for L1 if the mouth must change: 0 there, 1 around it, scaled to mean 1."""
    weights = (1 - mouth_hill(size, rows)) ** 2
    return weights / weights.mean()


def ramp(step: int, start: int, length: int) -> float:
    """Return the share of a weight that applies: 0 before `start`, 1 from ``start + length`` on, linear between."""
    return 1.0 if step >= start + length else max(0.0, (step - start) / max(length, 1))


ObjectiveName = Literal["bce", "contrastive", "sigmoid"]


OBJECTIVES: tuple[str, ...] = get_args(ObjectiveName)


CHANCE = math.log(2)
"""Cross entropy at chance for two classes (ln 2)."""

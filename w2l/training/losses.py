"""The loss terms of a generator, and what an expert's cosine costs as a probability; pure on tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor


def bce_cosine(cosine: Tensor, in_sync: Tensor) -> Tensor:
    """The paper's loss: the cosine, clamped to [0, 1], as the probability of being in sync; both (batch,).

    Prajwal et al., "A Lip Sync Expert Is All You Need", 2020, section 3.1; the clamp keeps rounding from leaving the
    range in which binary cross entropy is defined.
    """
    with torch.autocast(cosine.device.type, enabled=False):
        return F.binary_cross_entropy(cosine.float().clamp(0, 1), in_sync.float())


def calibrated_bce(cosine: Tensor, in_sync: Tensor, scale: float, bias: float) -> Tensor:
    """Cross entropy of the calibrated probability sigmoid(scale * cosine + bias); cosine and labels (batch,)."""
    return F.binary_cross_entropy_with_logits(scale * cosine.float() + bias, in_sync.float())


def adversarial(logits: Tensor, real: bool) -> Tensor:
    """Cross entropy of a discriminator's logits against all real or all generated."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, float(real), dtype=torch.float32))


def focused_l1(generated: Tensor, target: Tensor, focus: Tensor) -> Tensor:
    """Mean absolute error with a weight for each pixel; pictures (..., rows, width), `focus` (rows, width), mean 1."""
    return ((generated - target).abs() * focus).mean()


def mouth_focus(size: int, rows: int, strength: float) -> Tensor:
    """Weights (rows, width) of the bottom `rows` of an aligned crop: 1 + `strength` at the mouth, scaled to mean 1.

    The mouth is where `w2l.faces.crop.TEMPLATE` puts it; the hill is a Gaussian as wide as an open mouth with the chin.
    """
    y = (torch.arange(size - rows, size) + 0.5) / size
    x = (torch.arange(size) + 0.5) / size
    hill = torch.exp(-(((x[None] - 0.5) / 0.18) ** 2) - ((y[:, None] - 0.72) / 0.16) ** 2)
    weights = 1 + strength * hill
    return weights / weights.mean()


def ramp(step: int, start: int, length: int) -> float:
    """0 before `start`, 1 from ``start + length`` on, linear between: how much of a weight applies."""
    return 1.0 if step >= start + length else max(0.0, (step - start) / max(length, 1))

"""The loss terms, pure on tensors."""

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


def contrastive(similarity: Tensor, temperature: Tensor, silent: Tensor) -> Tensor:
    """In-batch contrastive loss, both directions: each face finds its own sound among all, and each sound its face.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018. Two silent windows look
    and sound alike, so they are no negatives of each other.

    Parameters
    ----------
    similarity : (batch, batch)
        Row: sound, column: face; the diagonal is in sync.
    temperature : ()
        Learnt factor on the similarities.
    silent : (batch,)
        Which windows hold no speech.
    """
    alike = silent[:, None] & silent[None, :]
    alike.fill_diagonal_(False)
    logits = (similarity.float() * temperature).masked_fill(alike, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def adversarial(logits: Tensor, real: bool) -> Tensor:
    """Cross entropy of a discriminator's logits against all real or all generated."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, float(real), dtype=torch.float32))


def ramp(step: int, start: int, length: int) -> float:
    """0 before `start`, 1 from ``start + length`` on, linear between: how much of a weight applies."""
    return 1.0 if step >= start + length else max(0.0, (step - start) / max(length, 1))

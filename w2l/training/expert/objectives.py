"""Named training objectives of an expert on the similarities of a batch, with their own parameters.

All take the same table of similarities and log the same `pair`, the choice between a face's own audio and its
partner's, so that their curves are comparable: an untrained network is at ln 2 = 0.693 in each.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.training.losses import OBJECTIVES, ObjectiveName, bce_cosine

COSINE_SCALE = 10.0
"""Initial value of the learned factor on cosines; distances begin at 1."""
SIGMOID_BIAS = -10.0
"""Initial value of the learned bias of the pairwise sigmoid: nearly all pairs are off sync (Zhai et al., 2023)."""
MAX_SCALE = 100.0
"""Upper bound of the learned factor (Radford et al., CLIP, 2021)."""
CERTAIN = 1e-4
"""Distance from 0 and 1 to which a cosine used as a probability is clamped."""


class Objective(nn.Module):
    """A loss on the similarities of a joint batch; its parameters, if any, are trained with the network."""

    name: ObjectiveName
    signed: bool
    """Whether it requires signed embeddings, so that cosines are in [-1, 1]; otherwise they are in [0, 1]."""

    def log_odds(self, table: Tensor) -> Tensor:
        """Return similarities as log odds of being in sync, up to a constant; any shape."""
        raise NotImplementedError

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """Return only the loss; arguments as in `forward`, with float32 similarities."""
        raise NotImplementedError

    def forward(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> dict[str, Tensor]:
        """Return the loss, under the name of the objective, followed by diagnostics without gradient.

        Parameters
        ----------
        table : (batch, batch)
            Similarities; row: audio, column: face; the diagonal is in sync.
        partner : (batch,)
            For each window another one of the same clip, off sync.
        in_sync : (batch,)
            The paper's coin flip: a face is paired with its own audio, or with its partner's.
        silent : (batch,)
            Which windows contain no speech.

        Returns
        -------
        terms : dict
            The loss first; `pair`: cross entropy of the choice between own and partner's audio, chance ln 2.
        """
        with torch.autocast(table.device.type, enabled=False):
            similarity = table.float()
            loss = self.loss(similarity, partner, in_sync, silent)
            with torch.no_grad():
                own = torch.arange(len(table), device=table.device)
                odds = self.log_odds(torch.stack([similarity[own, own], similarity[partner, own]]))
                pair = F.softplus(odds[1] - odds[0]).mean()
        return {self.name: loss, "pair": pair}


class Bce(Objective):
    """The paper's objective: the cosine, clamped to [0, 1], is the probability that a face and audio are in sync.

    Prajwal et al., "A Lip Sync Expert Is All You Need", 2020, section 3.1. One pair per face: its own audio or its
    partner's. It has no parameters, and silent windows are pairs like all others, as published.
    """

    name: ObjectiveName = "bce"
    signed = False

    def log_odds(self, table: Tensor) -> Tensor:
        """Return the log odds; see `Objective`."""
        return torch.logit(table, CERTAIN)

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """Return the loss; see `Objective`."""
        own = torch.arange(len(table), device=table.device)
        return bce_cosine(table[torch.where(in_sync, own, partner), own], in_sync)


class Contrastive(Objective):
    """Each face is matched with its own audio among the whole batch, and vice versa; learned temperature.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; both directions and the
    upper bound of the temperature as in Radford et al., CLIP, 2021. Two silent windows look and sound alike, so they
    are not negatives of each other.
    """

    name: ObjectiveName = "contrastive"
    signed = True

    def __init__(self, scale: float = COSINE_SCALE) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def log_odds(self, table: Tensor) -> Tensor:
        """Return the log odds; see `Objective`."""
        return table * _scale(self.log_scale)

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """Return the loss; see `Objective`."""
        logits = self.log_odds(table).masked_fill(both_silent(silent), float("-inf"))
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class PairwiseSigmoid(Objective):
    """Each pair of the batch is classified on its own as in sync or not; learned scale and bias. For cosines.

    Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023: the sum over all pairs, divided by the windows.
    Pairs of two silent windows off the diagonal are left out, as they cannot be distinguished.
    """

    name: ObjectiveName = "sigmoid"
    signed = True

    def __init__(self, scale: float = COSINE_SCALE, bias: float = SIGMOID_BIAS) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.bias = nn.Parameter(torch.tensor(bias))

    def log_odds(self, table: Tensor) -> Tensor:
        """Return the log odds; see `Objective`."""
        return table * _scale(self.log_scale) + self.bias

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """Return the loss; see `Objective`."""
        sign = 2 * torch.eye(len(table), device=table.device) - 1
        costs = F.softplus(-sign * self.log_odds(table)).masked_fill(both_silent(silent), 0.0)
        return costs.sum() / len(table)


def make_objective(name: str, scale: float = COSINE_SCALE) -> Objective:
    """Return the objective `name`: "bce", "contrastive" or "sigmoid"; raise ConfigError for another name.

    `scale` is the initial value of the learned factor on similarities: 10 for cosines, 1 for (minus) distances.
    """
    if name == "bce":
        return Bce()
    if name == "contrastive":
        return Contrastive(scale)
    if name == "sigmoid":
        return PairwiseSigmoid(scale)
    raise ConfigError(f"loss {name!r} is unknown; choose {', '.join(OBJECTIVES[:-1])} or {OBJECTIVES[-1]}")


def both_silent(silent: Tensor) -> Tensor:
    """Return (batch, batch): pairs of two different silent windows, given which of them are silent, (batch,)."""
    alike = silent[:, None] & silent[None, :]
    return alike & ~torch.eye(len(silent), dtype=torch.bool, device=silent.device)


def _scale(log_scale: Tensor) -> Tensor:
    return log_scale.exp().clamp(max=MAX_SCALE)

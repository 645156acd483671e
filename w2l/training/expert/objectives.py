"""What an expert is trained for: named objectives on the similarities of a batch, with what they learn themselves.

All see the same table of similarities and log the same `pair`, the choice between a face's own sound and its partner's,
so that their curves compare: a network that tells nothing is at ln 2 = 0.693 in each.
"""


import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.training.losses import OBJECTIVES, ObjectiveName, bce_cosine

COSINE_SCALE = 10.0
"""Where the learnt factor on cosines begins; distances begin at 1."""
SIGMOID_BIAS = -10.0
"""Where the learnt bias of the pairwise sigmoid begins: nearly all pairs are off sync (Zhai et al., 2023)."""
MAX_SCALE = 100.0
"""Ceiling of the learnt factor (Radford et al., CLIP, 2021)."""
CERTAIN = 1e-4
"""A cosine that is read as a probability is taken to be at least so far from 0 and from 1."""


class Objective(nn.Module):
    """A loss on the similarities of a joint batch; its parameters, where it has some, are trained with the network."""

    name: ObjectiveName
    signed: bool
    """Whether it wants embeddings that may be negative, so that cosines are in [-1, 1]; else they are in [0, 1]."""

    def log_odds(self, table: Tensor) -> Tensor:
        """What it takes similarities for, as log odds of being in sync, up to a constant; any shape."""
        raise NotImplementedError

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """The loss alone; arguments as in `forward`, with float32 similarities."""
        raise NotImplementedError

    def forward(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> dict[str, Tensor]:
        """The loss, under the name of the objective, then diagnostics without gradient.

        Parameters
        ----------
        table : (batch, batch)
            Similarities; row: sound, column: face; the diagonal is in sync.
        partner : (batch,)
            For each window another one of the same clip, off sync.
        in_sync : (batch,)
            The paper's coin: a face goes with its own sound, or with its partner's.
        silent : (batch,)
            Which windows hold no speech.

        Returns
        -------
        terms : dict
            The loss first; `pair`: cross entropy of the choice between own and partner's sound, chance ln 2.
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
    """The paper's: the cosine, clamped to [0, 1], is the probability that a face and a sound are in sync.

    Prajwal et al., "A Lip Sync Expert Is All You Need", 2020, section 3.1. One pair a face: its own sound or its
    partner's. It learns nothing of its own, and silent windows are pairs like all others, as published.
    """

    name: ObjectiveName = "bce"
    signed = False

    def log_odds(self, table: Tensor) -> Tensor:
        """See `Objective`."""
        return torch.logit(table, CERTAIN)

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """See `Objective`."""
        own = torch.arange(len(table), device=table.device)
        return bce_cosine(table[torch.where(in_sync, own, partner), own], in_sync)


class Contrastive(Objective):
    """Each face finds its own sound among all of the batch, and each sound its face; learnt temperature.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; both directions and the
    ceiling of the temperature as in Radford et al., CLIP, 2021. Two silent windows look and sound alike, so they are
    no negatives of each other.
    """

    name: ObjectiveName = "contrastive"
    signed = True

    def __init__(self, scale: float = COSINE_SCALE) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def log_odds(self, table: Tensor) -> Tensor:
        """See `Objective`."""
        return table * _scale(self.log_scale)

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """See `Objective`."""
        logits = self.log_odds(table).masked_fill(both_silent(silent), float("-inf"))
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class PairwiseSigmoid(Objective):
    """Each of the batch's pairs by itself is in sync or not; learnt scale and bias. For cosines.

    Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023: the sum over all pairs, divided by the windows.
    Pairs of two silent windows off the diagonal are left out, as they cannot be told.
    """

    name: ObjectiveName = "sigmoid"
    signed = True

    def __init__(self, scale: float = COSINE_SCALE, bias: float = SIGMOID_BIAS) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.bias = nn.Parameter(torch.tensor(bias))

    def log_odds(self, table: Tensor) -> Tensor:
        """See `Objective`."""
        return table * _scale(self.log_scale) + self.bias

    def loss(self, table: Tensor, partner: Tensor, in_sync: Tensor, silent: Tensor) -> Tensor:
        """See `Objective`."""
        sign = 2 * torch.eye(len(table), device=table.device) - 1
        costs = F.softplus(-sign * self.log_odds(table)).masked_fill(both_silent(silent), 0.0)
        return costs.sum() / len(table)


def make_objective(name: str, scale: float = COSINE_SCALE) -> Objective:
    """The objective called `name`: "bce", "contrastive" or "sigmoid"; ConfigError for another name.

    `scale` is where the learnt factor on similarities begins: 10 for cosines, 1 for (minus) distances.
    """
    if name == "bce":
        return Bce()
    if name == "contrastive":
        return Contrastive(scale)
    if name == "sigmoid":
        return PairwiseSigmoid(scale)
    raise ConfigError(f"loss {name!r} is unknown; choose {', '.join(OBJECTIVES[:-1])} or {OBJECTIVES[-1]}")


def both_silent(silent: Tensor) -> Tensor:
    """(batch, batch): pairs of two different windows without speech, given which of them are silent, (batch,)."""
    alike = silent[:, None] & silent[None, :]
    return alike & ~torch.eye(len(silent), dtype=torch.bool, device=silent.device)


def _scale(log_scale: Tensor) -> Tensor:
    return log_scale.exp().clamp(max=MAX_SCALE)

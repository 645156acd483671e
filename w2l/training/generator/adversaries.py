"""Networks trained against the generator: their losses for the generator, and their own."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.models.checkpoint import Kind
from w2l.models.tensors import Precision, cast, channels_last
from w2l.nets.blocks import fold_time, stack_frames
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.generator import GeneratedRows
from w2l.nets.pairs import PairDimensions, Pairs, pair_distances
from w2l.nets.patches import PatchDimensions, Patches
from w2l.training.losses import adversarial

AdversaryKind = Literal["published", "patches", "pairs"]
KINDS: dict[AdversaryKind, Kind] = {"published": "discriminator", "patches": "patches", "pairs": "pairs"}
"""Kind of each in model cards."""
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
CHANCE, HALFWAY = math.log(2), 0.25
"""Chance level: cross entropy at a probability of one half, and squares halfway between their targets."""
MARGIN = 1.0
"""Distance from which a pair that is not in sync has no loss (LipGAN)."""


@dataclass(frozen=True)
class ShownFaces:
    """Inputs of an adversary for one batch."""

    real: Tensor
    """(batch, 3, frames, rows, width) in [0, 1]: the lower halves of the target faces."""
    generated: Tensor
    """The generator's output, of the same shape, with its graph."""
    mels: Tensor
    """(batch, frames, 80, 16): the audio that each frame was generated for."""
    own: Tensor
    """(batch,) bool: whether that audio belongs to the real faces."""


class Adversary(Protocol):
    """A network and its losses; its only state is that of the network, so a saved network resumes exactly."""

    @property
    def network(self) -> nn.Module:
        """The network that is trained and saved."""
        ...

    @property
    def kind(self) -> Kind:
        """Kind of the network in a model card."""
        ...

    @property
    def undecided(self) -> float:
        """Value of `disc_real`, and of the other own terms together, at chance."""
        ...

    def generator_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return the terms that the generator minimises, by name; they give no gradient to the network's weights."""
        ...

    def own_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return the terms whose sum the network minimises, `disc_...`; they give no gradient to the generator."""
        ...

    def settle(self) -> None:
        """Prepare an update of the network; called once per update, however many parts its batch has."""


class StackedAdversary:
    """The published discriminator: the probability that frames are real, one by one or a window stacked."""

    kind: Kind = "discriminator"
    undecided = CHANCE

    def __init__(self, network: Discriminator, precision: Precision = "fp32") -> None:
        self.network = network
        self._precision = precision

    def generator_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `adversarial`: cross entropy of the generated frames against real ones."""
        with _frozen(self.network):
            return {"adversarial": adversarial(self._logits(seen.generated), real=True)}

    def own_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `disc_real` and `disc_fake`: cross entropy of each kind of frames against what it is."""
        real, fake = self._logits(seen.real), self._logits(seen.generated.detach())
        return {"disc_real": adversarial(real, real=True), "disc_fake": adversarial(fake, real=False)}

    def settle(self) -> None:
        """Do nothing: it does not have a norm."""

    def _logits(self, frames: Tensor) -> Tensor:
        faces = _arranged(frames, self.network.dimensions.n_frames)
        with cast(frames.device, self._precision):
            return self.network.logits(faces)


class PatchAdversary:
    """Patches of stacked frames with a least-squares loss, which stays finite and of one sign at any confidence.

    Mao et al., "Least Squares Generative Adversarial Networks", 2017; features are matched as in Wang et al., 2018.
    """

    kind: Kind = "patches"
    undecided = HALFWAY

    def __init__(self, network: Patches, precision: Precision = "fp32", features: bool = True) -> None:
        self.network = network
        self._precision, self._match = precision, features

    def generator_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `adversarial`: squared distance of the logits from 1; `features`: see `feature_distance`."""
        with _frozen(self.network):
            logits, features = self._look(seen.generated)
            terms = {"adversarial": least_squares(logits, 1.0)}
            if self._match:
                terms["features"] = self._features(features, seen)
        return terms

    def _features(self, features: list[list[Tensor]], seen: ShownFaces) -> Tensor:
        """Return the distance from the features of the real faces, if the audio is theirs."""
        if not bool(seen.own.any()):
            return seen.generated.sum() * 0.0
        with torch.no_grad():
            wanted = self._look(seen.real[seen.own])[1]
        n_pictures = len(features[0][0]) // len(seen.own)  # per window: `fold_time` groups by frame
        own = seen.own.repeat(n_pictures)
        return feature_distance([[found[own] for found in scale] for scale in features], wanted)

    def own_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `disc_real` and `disc_fake`: squared distance of the logits from 1 and from 0."""
        real, fake = self._look(seen.real)[0], self._look(seen.generated.detach())[0]
        return {"disc_real": least_squares(real, 1.0), "disc_fake": least_squares(fake, 0.0)}

    def settle(self) -> None:
        """Move one power iteration towards the largest singular values of its weights."""
        self.network.steady()

    def _look(self, frames: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        faces = _arranged(frames, self.network.dimensions.n_frames)
        with cast(frames.device, self._precision):
            return self.network.look(faces)


class PairAdversary:
    """LipGAN's discriminator of single faces and their audio, with its contrastive loss.

    Off-sync audio comes from the next window of the batch, and training involves no random draw: LipGAN uses
    generated faces or off-sync audio at random, half of the steps each; here both have weight one half in each step.
    """

    kind: Kind = "pairs"
    undecided = HALFWAY

    def __init__(self, network: Pairs, precision: Precision = "fp32") -> None:
        self.network = network
        self._precision = precision

    def generator_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `contrast`: squared distance of the generated faces from the audio that they were generated for."""
        with _frozen(self.network):
            apart = pair_distances(self._sounds(seen.mels), self._faces(seen.generated))
        return {"contrast": contrastive(apart, in_sync=True).mean()}

    def own_terms(self, seen: ShownFaces) -> dict[str, Tensor]:
        """Return `disc_real` of real faces with their own audio; half of `disc_fake` and `disc_off`, out of sync.

        Generated faces count as out of sync, as do real ones with their neighbour's audio. If no real face has its own
        audio, `disc_real` is 0; if no neighbour has other audio, as in a batch of one, `disc_off` is 0.
        """
        sounds, faces = self._sounds(seen.mels), self._faces(seen.real)
        other = _neighbours(len(seen.mels), seen.mels.device)
        differ = (seen.mels[other] != seen.mels).flatten(1).any(dim=1)
        real = contrastive(pair_distances(sounds, faces), in_sync=True)
        fake = contrastive(pair_distances(sounds, self._faces(seen.generated.detach())), in_sync=False)
        off = contrastive(pair_distances(sounds[other], faces), in_sync=False)
        return {
            "disc_real": _mean_where(real, seen.own),
            "disc_fake": fake.mean() / 2,
            "disc_off": _mean_where(off, differ) / 2,
        }

    def settle(self) -> None:
        """Do nothing: its norms are stateless."""

    def _sounds(self, mels: Tensor) -> Tensor:
        """Return embeddings (batch, frames, features) of mels (batch, frames, 80, 16)."""
        with cast(mels.device, self._precision):
            embedded = self.network.embed_audio(mels.flatten(0, 1)[:, None])
        return embedded.reshape(*mels.shape[:2], -1)

    def _faces(self, frames: Tensor) -> Tensor:
        """Return embeddings (batch, frames, features) of (batch, 3, frames, rows, width)."""
        single = frames.transpose(1, 2)
        with cast(frames.device, self._precision):
            embedded = self.network.embed_faces(channels_last(single.flatten(0, 1)))
        return embedded.reshape(*single.shape[:2], -1)


@dataclass(frozen=True)
class AdversaryShape:
    """Kind of an adversary, and the dimensions of its network."""

    kind: AdversaryKind
    size: int
    """Side of the whole face, in pixels."""
    width: int
    """Channels of the first layer; 32 is as published, for each kind."""
    n_frames: int
    """Frames judged together: 1, or all of a window; `pairs` always judge single frames."""
    rows: GeneratedRows = "lower"
    """For `pairs`: whether `ShownFaces` contains lower halves or, as in LipGAN, whole faces."""


def make_adversary(
    shape: AdversaryShape, device: torch.device, precision: Precision = "fp32", features: bool = True
) -> Adversary:
    """Create an adversary with random weights, drawn from torch's global random state.

    Parameters
    ----------
    features : bool
        For `patches`: whether `generator_terms` includes `features`; they cost a pass of the real frames.

    Raises
    ------
    ConfigError
        For impossible dimensions or an unknown kind.
    """
    kind = shape.kind
    try:
        if kind == "published":
            stacked = Discriminator(DiscriminatorDimensions(shape.size, shape.width, shape.n_frames))
            return StackedAdversary(_placed(stacked, device), precision)
        if kind == "patches":
            patches = Patches(PatchDimensions(shape.size, shape.width, shape.n_frames))
            return PatchAdversary(_placed(patches, device), precision, features)
        if kind == "pairs":
            pairs = Pairs(PairDimensions(shape.size, shape.width, shape.rows))
            return PairAdversary(_placed(pairs, device), precision)
    except ValueError as error:
        raise ConfigError(f"a discriminator of kind {kind} cannot be built: {error}") from error
    raise ConfigError(f"discriminator must be one of {', '.join(get_args(AdversaryKind))}, got {kind!r}")


def least_squares(logits: list[Tensor], wanted: float) -> Tensor:
    """Return the mean squared distance of maps of logits from `wanted`, with equal weight for each map and scale."""
    return torch.stack([(found.float() - wanted).square().mean() for found in logits]).mean()


def feature_distance(features: list[list[Tensor]], wanted: list[list[Tensor]]) -> Tensor:
    """Return the mean absolute difference of features, with equal weight for each layer (Wang et al., 2018, eq. 4)."""
    pairs = [(mine, theirs) for scale, other in zip(features, wanted) for mine, theirs in zip(scale, other)]
    return torch.stack([F.l1_loss(mine.float(), theirs.float()) for mine, theirs in pairs]).mean()


def contrastive(apart: Tensor, in_sync: bool) -> Tensor:
    """Return squared distances in sync, else their squared shortfall to the margin (Hadsell et al., 2006)."""
    return apart.square() if in_sync else (MARGIN - apart).clamp_min(0).square()


def _arranged(frames: Tensor, n_frames: int) -> Tensor:
    """Arrange windows as a discriminator of `n_frames` takes them: single images, or all frames on the channels."""
    return channels_last(fold_time(frames) if n_frames == 1 else stack_frames(frames))


def _neighbours(n: int, device: torch.device) -> Tensor:
    """Return (n,): 1, 0, 3, 2, ...; the last of an odd number has the one before it.

    Neighbours are swapped in pairs, so that processes with an even share of a batch pair as one process would.
    """
    return torch.tensor([other if (other := i ^ 1) < n else max(i - 1, 0) for i in range(n)], device=device)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the values (batch, frames) of the chosen (batch,); 0 where none is."""
    return (values.mean(dim=1) * chosen).sum() / chosen.sum().clamp_min(1)


def _placed(network: AnyNetwork, device: torch.device) -> AnyNetwork:
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Keep the gradient of a pass out of the network's weights but not its input; saves a third of the cost."""
    moving = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)

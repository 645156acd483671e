"""Comparison of audio with faces by a network: its inputs, and the similarity of two embeddings."""

from typing import Protocol

import torch
from torch import Tensor, nn

from w2l.models.tensors import channels_last, in_order, pictures
from w2l.nets.blocks import stack_frames
from w2l.nets.expert import Expert
from w2l.nets.judge import Judge


class Pairing(Protocol):
    """The differences between the two architectures: inputs, and similarity of embeddings."""

    @property
    def network(self) -> nn.Module:
        """The network that embeds."""

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Embed uint8 windows (batch, frames, rows, columns, 3) and audio (batch, bands, columns) as (audio, face)."""

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Return the similarity of embeddings, (audio windows, face windows); higher is more similar."""


class CosinePairing:
    """The expert: half faces, mel, cosine."""

    def __init__(self, network: Expert) -> None:
        self.network = network

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Embed windows and audio; see `Pairing`."""
        audio, face = self.network(sounds[:, None], channels_last(stack_frames(pictures(faces))))
        return audio, face

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Return the cosines."""
        return audio.float() @ face.float().T


class DistancePairing:
    """The judge: whole crops, MFCC, Euclidean distance; its images are BGR in 0..255, as published."""

    def __init__(self, network: Judge) -> None:
        self.network = network

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Embed windows and audio; see `Pairing`."""
        frames = in_order(pictures(faces) * 255, "bgr")
        return self.network.forward_aud(sounds[:, None]), self.network.forward_lip(frames)

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Return the negative distances."""
        return -torch.cdist(audio.float(), face.float())


def pairing_of(network: nn.Module) -> Pairing:
    """Return how windows are compared with this network."""
    if isinstance(network, Expert):
        return CosinePairing(network)
    if isinstance(network, Judge):
        return DistancePairing(network)
    raise TypeError(f"{type(network).__name__} does not compare audio with faces")

"""The frozen expert as a loss: how improbable it rates generated frames to match the audio."""

import torch
import torch.nn.functional as F
from torch import Tensor

from w2l.core.errors import ConfigError
from w2l.core.timing import WINDOW_FRAMES
from w2l.features.crop import CropSpec
from w2l.models import registry
from w2l.models.checkpoint import MEL, Model
from w2l.models.tensors import Precision, cast, channels_last, in_order
from w2l.nets.expert import Expert
from w2l.training.losses import bce_cosine, calibrated_bce


class Teacher:
    """An expert in eval mode with frozen weights.

    The published code leaves the expert's batch norm in training mode meanwhile; here its statistics are fixed.
    """

    def __init__(self, expert: Model, crop: CropSpec, precision: Precision = "fp32") -> None:
        """Use `expert`; raise ConfigError if it was trained on another kind of crop or audio.

        Crops of another size are resized.
        """
        if not isinstance(expert.network, Expert):
            raise ConfigError(f"{expert.path} is not an expert; choose another model")
        if expert.card.crop.kind != crop.kind:
            raise ConfigError(
                f"expert {expert.path} was trained on {expert.card.crop.kind} crops, not {crop.kind} as in the cache; "
                "train an expert on this cache"
            )
        if expert.card.mel != MEL:
            raise ConfigError(
                f"expert {expert.path} takes mels {expert.card.mel}, not {MEL}; train an expert on this cache"
            )
        if expert.network.dimensions.n_frames != WINDOW_FRAMES:
            raise ConfigError(
                f"expert {expert.path} takes windows of {expert.network.dimensions.n_frames} frames, a generator makes "
                f"{WINDOW_FRAMES}; train an expert with n_frames={WINDOW_FRAMES}"
            )
        self.card, self.precision = expert.card, precision
        self.record = registry.as_teacher(expert)
        self.expert = expert.network.eval().requires_grad_(False)

    def sync_loss(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Return the cross entropy of the probability of being in sync, against 1.

        Parameters
        ----------
        mel : (batch, 1, 80, 16)
        faces : (batch, 15, size / 2, size)
            Five stacked lower halves, RGB in [0, 1].
        """
        window = channels_last(in_order(self._of_its_size(faces), self.card.colour))
        with cast(faces.device, self.precision):
            audio, face = self.expert(mel, window)
        cosine = F.cosine_similarity(audio.float(), face.float())
        ones = torch.ones_like(cosine)
        if not self.card.calibrated:
            return bce_cosine(cosine, ones)
        return calibrated_bce(cosine, ones, self.card.scale, self.card.bias)

    def _of_its_size(self, faces: Tensor) -> Tensor:
        size = self.expert.dimensions.size
        if faces.shape[-1] == size:
            return faces
        return F.interpolate(faces, (size // 2, size), mode="bilinear", align_corners=False, antialias=True)

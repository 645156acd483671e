"""The frozen expert as a loss: how improbable it finds that generated frames fit the sound."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec
from w2l.files import sha256
from w2l.nets.expert import Expert
from w2l.timing import WINDOW_FRAMES
from w2l.training.checkpoint import Model
from w2l.training.losses import bce_cosine, calibrated_bce
from w2l.training.tensors import channels_last, in_order


class Teacher:
    """An expert in eval mode, whose weights do not move.

    The published code leaves the expert's batch norm in training mode while it teaches; here its statistics stay put.
    """

    def __init__(self, expert: Model, crop: CropSpec, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        """Takes `expert`; ConfigError when it was trained on other crops than those it is to judge."""
        size = expert.card.dimensions.get("size")
        if size != crop.size or expert.card.crop.kind != crop.kind:
            raise ConfigError(
                f"expert {expert.path} was trained on {expert.card.crop.kind} crops of {size} px, the cache holds "
                f"{crop.kind} crops of {crop.size} px; train an expert on this cache"
            )
        if not isinstance(expert.network, Expert):
            raise ConfigError(f"{expert.path} is no expert")
        if expert.network.dimensions.n_frames != WINDOW_FRAMES:
            raise ConfigError(
                f"expert {expert.path} sees windows of {expert.network.dimensions.n_frames} frames, a generator makes "
                f"{WINDOW_FRAMES} at once; train an expert with n_frames={WINDOW_FRAMES}"
            )
        self.card, self.precision = expert.card, precision
        self.sha256 = sha256(expert.path) if expert.path.is_file() else ""
        self.expert = expert.network.eval().requires_grad_(False)

    def sync_loss(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Cross entropy of the probability of being in sync, against 1.

        Parameters
        ----------
        mel : (batch, 1, 80, 16)
        faces : (batch, 15, size / 2, size)
            Five stacked lower halves, RGB in [0, 1].
        """
        window = channels_last(in_order(faces, self.card.colour))
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            audio, face = self.expert(mel, window)
        cosine = F.cosine_similarity(audio.float(), face.float())
        ones = torch.ones_like(cosine)
        if not self.card.calibrated:
            return bce_cosine(cosine, ones)
        return calibrated_bce(cosine, ones, self.card.scale, self.card.bias)

"""The expert or judge that audits a cache, and the measurement of one track."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.cache.store import Cache, TrackRow
from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks, crop_spec
from w2l.features.crop import CropSpec
from w2l.features.windows import n_windows
from w2l.models import registry as weights
from w2l.models.checkpoint import Kind, Model, load_model
from w2l.models.soundness import check_returned
from w2l.training.audit.lag import neighbourhood
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement, measure
from w2l.training.expert.evaluate import embed_windows
from w2l.training.expert.pairing import Pairing, pairing_of

BLOCK = 512
"""Number of audio windows compared per block with the faces around them."""
SUREST = 0.98
"""Largest cosine of an uncalibrated expert that counts as a probability."""


@dataclass(frozen=True)
class Auditor:
    """An expert, and the cache with crops for it."""

    model: Model
    mark: str
    """Fingerprint of its file."""
    pairing: Pairing
    source: Cache
    crop: CropSpec
    device: torch.device

    @property
    def n_frames(self) -> int:
        """Frames of its windows."""
        return int(self.model.card.dimensions.get("n_frames", WINDOW_FRAMES))

    def odds(self, similarity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log odds of being in sync.

        Without a calibration the cosine is the probability, as in the paper, and a judge's distances count as log odds,
        counted from its usual threshold of 3.
        """
        card = self.model.card
        if card.calibrated:
            return card.scale * similarity + card.bias
        if card.kind == "judge":
            return similarity
        probability = np.clip(similarity, 1 - SUREST, SUREST)
        return np.asarray(np.log(probability / (1 - probability)))


class _Reversed:
    """An expert that was trained on BGR; see `Pairing`."""

    def __init__(self, pairing: Pairing) -> None:
        self.pairing, self.network = pairing, pairing.network

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Embed windows and audio; see `Pairing`."""
        return self.pairing.embed(faces.flip(-1), sounds)

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        """Return the similarity; see `Pairing`."""
        return self.pairing.similarity(audio, face)


def open_auditor(name: str, source: Cache, device: torch.device) -> Auditor:
    """Open the model `name`: an expert or, if `source` has crops for a judge, a judge; raise ConfigError otherwise."""
    crop = crop_spec(source)
    kind: Kind = "judge" if crop.kind == "judge" else "expert"
    given = Path(name).is_file()
    model = load_model(Path(name), None, device) if given else weights.load_by_name(name, kind, source, device)
    _check_fit(model, crop, source)
    pairing = pairing_of(model.network)
    if model.card.kind == "expert" and model.card.colour == "bgr":
        pairing = _Reversed(pairing)
    mark = hashlib.sha256(model.path.read_bytes()).hexdigest()[:16]
    return Auditor(model, mark, pairing, source, crop, device)


def _check_fit(model: Model, crop: CropSpec, source: Cache) -> None:
    """Raise ConfigError for a model that cannot use these crops."""
    card = model.card
    if card.kind not in ("expert", "judge"):
        raise ConfigError(f"{model.path} is a {card.kind}; an audit requires an expert or a judge")
    if (card.crop.kind, card.dimensions.get("size")) == (crop.kind, crop.size):
        return
    need = f"--set crop.kind={card.crop.kind} --set crop.size={card.dimensions.get('size')}"
    raise ConfigError(
        f"{model.path} was trained on {card.crop.kind} crops of {card.dimensions.get('size')} px, cache {source.root} "
        f"contains {crop.kind} crops of {crop.size} px; preprocess the same clips into another cache with {need}, "
        "then set --via to that cache, or choose another --expert"
    )


def measure_lag(auditor: Auditor, row: TrackRow, settings: AuditSettings) -> LagMeasurement:
    """Measure the lag of one track, embedding all of its windows once."""
    if n_windows(row.n_frames, row.n_columns, auditor.n_frames) < 2:
        return LagMeasurement(0)
    tracks = Tracks(auditor.source, [row], auditor.crop, auditor.n_frames)
    count = int(tracks.counts[0])
    audio, face = embed_windows(tracks, [(0, 0, count)], auditor.pairing, auditor.device)
    parts = []
    for first in range(0, count, BLOCK):
        low, high = max(0, first - settings.max_shift), min(count, first + BLOCK + settings.max_shift)
        table = auditor.pairing.similarity(audio[first : first + BLOCK], face[low:high]).double().cpu().numpy()
        check_returned(auditor.model.path, table)
        parts.append(neighbourhood(auditor.odds(table), low, count, first, settings.max_shift))
    odds: Floats = np.concatenate(parts)
    return measure(odds, ~tracks.silent(0), settings)

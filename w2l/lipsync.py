"""The engine of `sync`: a stream of frames, where the face is, and mel windows -> frames whose mouth fits the sound.

Nothing here grows with the length of the video but a row of numbers a frame: frames pass through in small batches.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from w2l.compose import Rows, blend, hard_weight, overwrite, rim_tint, soft_weight
from w2l.data.windows import mel_window
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec, Image, cut, padded_box, place
from w2l.faces.following import Face, Faces
from w2l.faces.scanning import DetectSettings
from w2l.media.video import Frame
from w2l.spectral import mel_spectrogram
from w2l.timing import (
    HOP_LENGTH,
    SAMPLE_RATE,
    frames_for,
    generator_window_start,
    mel_columns,
    reference_window_starts,
)
from w2l.training.checkpoint import Model
from w2l.weights import SHIPPED

Alignment = Literal["training", "reference"]
Blend = Literal["soft", "hard"]
Silence = Literal["close", "model"]

MEL_BLOCK = 4096
"""Mel columns computed at once: 51 s."""
MEL_MARGIN = 4
"""Columns by which blocks overlap on either side, so that their seams cannot be told from the rest."""
TINT_INERTIA = 0.85
"""Share of the last frame's colour correction in the next one's, against flicker."""
MIN_BOX = 16
"""Smallest side in pixels of a box given by hand."""


@dataclass(frozen=True)
class SyncSettings:
    """How a video is lip-synced."""

    model: str = SHIPPED
    """The generator: `w2l` (the shipped one), a run of the cache, or a file."""
    box: tuple[float, float, float, float] | None = None
    """The face's box x1, y1, x2, y2 in pixels, for the whole video; without it faces are detected."""
    alignment: Alignment = "training"
    """`training`: each frame hears what it heard in training; `reference`: the published inference loop."""
    blend: Blend = "soft"
    """`soft`: mouth and jaw fade into the picture; `hard`: all that is generated, as published."""
    silence: Silence = "close"
    """`close`: the mouth rests in pauses; `model`: the generator hears pauses as they are."""
    crf: int = 18
    """Quality of the output, x264's scale: 0 is lossless, 51 the worst."""
    batch: int = 16
    """Frames generated at once; changes speed and memory alone."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are found: detect.detector, detect.stride, detect.min_face."""

    def __post_init__(self) -> None:
        """Refuses unknown words and numbers out of range."""
        _check_word("alignment", self.alignment, get_args(Alignment))
        _check_word("blend", self.blend, get_args(Blend))
        _check_word("silence", self.silence, get_args(Silence))
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf {self.crf} must lie between 0 and 51")
        if self.batch < 1:
            raise ConfigError(f"batch {self.batch} must be at least 1")
        if self.box is not None and not _is_box(self.box):
            raise ConfigError(f"box {self.box} must be x1,y1,x2,y2 from 0 on, x2 and y2 at least {MIN_BOX} px larger")


def _check_word(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} {value!r} is unknown; choose {' or '.join(known)}")


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, tuple) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)
    return numbers and min(box) >= 0 and box[2] - box[0] >= MIN_BOX and box[3] - box[1] >= MIN_BOX


def speech_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """`mel_spectrogram` (80, columns) of a long sound, block by block: the same numbers in little memory."""
    n_columns = mel_columns(len(wave))
    mels = []
    for start in range(0, n_columns, MEL_BLOCK):
        stop = min(start + MEL_BLOCK, n_columns)
        before = min(MEL_MARGIN, start)
        mel = mel_spectrogram(wave[(start - before) * HOP_LENGTH : (stop + MEL_MARGIN) * HOP_LENGTH])
        mels.append(mel[:, before : before + stop - start])
    return np.concatenate(mels, axis=1)


def mel_starts(n_samples: int, n_columns: int, fps: float, alignment: Alignment) -> list[int]:
    """First mel column for every frame of the output, which their number follows from.

    `training`: as the generator was trained, for as many frames as the sound lasts. `reference`: the published loop.
    """
    if alignment == "reference":
        return reference_window_starts(n_columns, fps)
    return [generator_window_start(idx, fps) for idx in range(frames_for(n_samples / SAMPLE_RATE, fps))]


@dataclass(frozen=True)
class Cue:
    """What one frame of the output is made of."""

    image: Image
    """(height, width, 3)"""
    face: Face | None
    """None: the frame passes through untouched."""
    mel: NDArray[np.float32]
    """(80, 16)"""


class Cues:
    """The cues of an output as its frames come; can be gone through once, and counts the frames without a face."""

    def __init__(self, frames: Iterable[Frame], faces: Faces, mel: NDArray[np.float32], starts: Iterable[int]) -> None:
        self._frames = frames
        self._faces = faces
        self._mel = mel
        self._starts = starts
        self.n_without_face = 0

    def __iter__(self) -> Iterator[Cue]:
        for start, frame in zip(self._starts, self._frames):
            face = self._faces.at(frame.idx)
            self.n_without_face += face is None
            yield Cue(frame.image, face, mel_window(self._mel, start))


class Redrawer:
    """Redraws the mouths of a stream of frames with one generator.

    Parameters
    ----------
    model : Model
        A generator of any size; its card says how faces are cut and what it wants to see.
    spec : CropSpec
        How faces are cut; usually the card's.
    references : mapping of int to (size, size, 3 * references)
        The still reference of each track; see `still_references`. Not used by a model that wants the `same` frame.
    blend : str
        `soft`: mouth, jaw and chin fade into the picture. `hard`: all that was generated, as published.
    batch : int
        Frames generated at once; as many are held in memory.
    """

    def __init__(
        self, model: Model, spec: CropSpec, references: Mapping[int, Image], blend: Blend = "soft", batch: int = 16
    ) -> None:
        if spec.size != model.card.crop.size:
            raise ValueError(f"the model wants crops of {model.card.crop.size} px, not {spec.size}")
        self._network = model.network
        self._device = next(model.network.parameters()).device
        self._card = model.card
        self._spec = spec
        self._references = references
        self._n_references = int(model.card.dimensions.get("n_references", 1))
        self._rows: Rows = "lower" if model.card.dimensions.get("rows") == "lower" else "full"
        self._blend = blend
        self._weight = soft_weight(spec.size) if blend == "soft" else hard_weight(spec.size, self._rows)
        self._batch = batch
        self._tint: tuple[int, NDArray[np.float32]] | None = None

    def redraw(self, cues: Iterable[Cue]) -> Iterator[Image]:
        """One picture for each cue, in order."""
        stream = iter(cues)
        while batch := list(islice(stream, self._batch)):
            with_face = [cue for cue in batch if cue.face is not None]
            patches = iter(self._generate(with_face))
            for cue in batch:
                yield cue.image if cue.face is None else self._paste(cue.image, cue.face, next(patches))

    def _generate(self, cues: list[Cue]) -> NDArray[np.float32]:
        """Complete redrawn crops (cues, size, size, 3), RGB in 0..255."""
        if not cues:
            return np.zeros((0, self._spec.size, self._spec.size, 3), dtype=np.float32)
        crops = np.stack([cut(cue.image, face.box, face.points, self._spec) for cue in cues if (face := cue.face)])
        references = np.stack([self._reference(cue, crop) for cue, crop in zip(cues, crops)])
        half = self._spec.size // 2
        masked = crops.copy()
        masked[:, half:] = 0
        faces = np.concatenate([self._ordered(masked), self._ordered(references)], axis=-1)
        mels = np.stack([cue.mel for cue in cues])[:, None]
        with torch.inference_mode():
            seen = torch.from_numpy(faces).to(self._device).permute(0, 3, 1, 2).float() / 255
            generated = self._network(torch.from_numpy(mels).to(self._device), seen)
            patches = (generated * 255).permute(0, 2, 3, 1).float().cpu().numpy()
        patches = self._ordered(patches)
        if self._rows == "lower":
            patches = np.concatenate([crops[:, :half].astype(np.float32), patches], axis=1)
        return patches

    def _reference(self, cue: Cue, crop: Image) -> Image:
        if self._card.references == "same" or cue.face is None or cue.face.track not in self._references:
            return np.tile(crop, (1, 1, self._n_references))
        return self._references[cue.face.track]

    def _ordered(self, images: NDArray[Any]) -> NDArray[Any]:
        """RGB to the network's order of channels, or back; (..., 3 * images)."""
        if self._card.colour == "rgb":
            return images
        split = images.reshape(*images.shape[:-1], -1, 3)
        return np.ascontiguousarray(split[..., ::-1].reshape(images.shape))

    def _paste(self, image: Image, face: Face, patch: NDArray[np.float32]) -> Image:
        height, width = image.shape[:2]
        if self._blend == "hard" and self._spec.kind == "box" and self._rows == "full":
            box = padded_box(face.box, self._spec.pads, width, height)
            return overwrite(image, patch.astype(np.uint8), box)
        placement = place(patch, self._weight, face.box, face.points, self._spec, width, height)
        if placement is None:
            return image
        if self._blend == "hard":
            return blend(image, placement)
        tint = rim_tint(image, placement)
        if self._tint is not None and self._tint[0] == face.track:
            tint = TINT_INERTIA * self._tint[1] + (1 - TINT_INERTIA) * tint
        self._tint = (face.track, tint)
        return blend(image, placement, tint)

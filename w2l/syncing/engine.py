"""The engine of `sync`: a stream of pictures with their faces and mel windows -> pictures whose mouths fit the sound.

Nothing here grows with the length of the video: pictures pass through in small batches, and cutting, generating and
pasting overlap in threads that run ahead by a bounded number of pictures.
"""

from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas
from w2l.core.prefetch import ahead
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, coarser, cut_from
from w2l.features.masks import hidden
from w2l.models.checkpoint import ModelCard
from w2l.models.runtime import Runner
from w2l.syncing.compose import UNREAD, Compositor
from w2l.syncing.lips import LipPair, read_pairs
from w2l.syncing.reference_bank import References, light_between, relit

AHEAD_BYTES = 48 * 2**20
"""Memory for pictures that wait between two steps of the work."""
MAX_AHEAD = 32
"""Most pictures that wait between two steps."""
RGB_BYTES = 3
"""Bytes of a pixel, at most, as a picture waits."""


@dataclass(frozen=True)
class Cue:
    """What one picture of the output is made of."""

    canvas: Canvas
    faces: tuple[Face, ...]
    """Those to redraw; with none the picture passes through untouched."""
    mel: NDArray[np.float32]
    """(80, 16)"""
    frame_idx: int
    """Of the source."""
    picture: int
    """Which picture of the whole output it is, from 0."""
    mels: tuple[NDArray[np.float32], ...] = ()
    """(80, 16) for each face, where they do not all hear `mel`."""


@dataclass(frozen=True)
class _Batch:
    """Some pictures on their way, and the crops of all faces in them, in order."""

    cues: list[Cue]
    crops: NDArray[np.uint8]
    """(faces, size, size, 3)"""
    patches: NDArray[np.float32]
    """(faces, size, size, 3), RGB in 0..255; the crops until they are redrawn."""
    lips: list[LipPair] = field(default_factory=list)
    """(faces,) Of crops and patches; unknown until they are redrawn."""


class Redrawer:
    """Redraws the mouths of a stream of pictures with one generator.

    Parameters
    ----------
    runner : Runner
        Computes the generator.
    card : ModelCard
        Says what the generator wants to see.
    spec : CropSpec
        How faces are cut: as the card says, or a whole number of times finer for a generator that moves pixels.
    references : References
        What the generator copies looks from.
    compositor : Compositor
        Pastes; reset whenever `redraw` begins.
    batch : int
        Most pictures in one batch.
    """

    def __init__(
        self,
        runner: Runner,
        card: ModelCard,
        spec: CropSpec,
        references: References,
        compositor: Compositor,
        batch: int = 16,
    ) -> None:
        self._finer, left = divmod(spec.size, card.crop.size)
        if left or not self._finer or (self._finer > 1 and not runner.moves_pixels):
            raise ValueError(f"the model wants crops of {card.crop.size} px, not {spec.size}")
        self._runner = runner
        self._bgr = card.colour == "bgr"
        self._hidden = hidden(card.crop.size, card.mask)
        self.spec = spec
        self.references = references
        self._compositor = compositor
        self._batch = batch

    def redraw(self, cues: Iterable[Cue], n_ahead: int = 0) -> Generator[Canvas, None, None]:
        """One picture for each cue, in order.

        With `n_ahead` the steps overlap, each at most so many pictures ahead of the next; without, all is done in the
        calling thread.
        """
        self._compositor.reset()
        with ExitStack() as open_streams:

            def step(stream: Generator[Any, None, None], depth: int) -> Generator[Any, None, None]:
                running = ahead(stream, depth) if n_ahead else stream
                open_streams.callback(running.close)
                return running

            n_batches = max(1, n_ahead // self._batch)
            cut = step(self._cut(cues), n_batches)
            generated = step(self._generated(cut), n_batches)
            yield from step(self._pasted(generated), max(1, n_ahead))

    def _cut(self, cues: Iterable[Cue]) -> Generator[_Batch, None, None]:
        stream = iter(cues)
        size = self.spec.size
        while batch := list(islice(stream, self._batch)):
            crops = [cut_from(cue.canvas, face.box, face.points, self.spec) for cue in batch for face in cue.faces]
            stacked = np.stack(crops) if crops else np.zeros((0, size, size, 3), dtype=np.uint8)
            yield _Batch(batch, stacked, stacked.astype(np.float32))

    def _generated(self, batches: Iterable[_Batch]) -> Generator[_Batch, None, None]:
        for batch in batches:
            if len(batch.crops):
                users = [(cue, face) for cue in batch.cues for face in cue.faces]
                looks = [
                    self.references.at(cue.frame_idx, cue.picture, face, crop)
                    for (cue, face), crop in zip(users, batch.crops)
                ]
                lights = [light_between(crop, look) for crop, look in zip(batch.crops, looks)]
                small = [coarser(crop, self._finer) for crop in batch.crops]
                masked = np.stack([crop if light is None else relit(crop, light) for crop, light in zip(small, lights)])
                masked[:, self._hidden] = 0
                shown = self._ordered(np.stack(looks))
                known = np.stack([coarser(look, self._finer) for look in shown])
                seen = np.concatenate([self._ordered(masked), known], axis=-1)
                mels = np.stack([mel for cue in batch.cues for mel in cue.mels or (cue.mel,) * len(cue.faces)])
                rows = self._ordered(self._runner(mels, seen, shown if self._finer > 1 else None))
                for patch, row, light in zip(batch.patches, rows, lights):
                    patch[len(patch) - len(row) :] = row if light is None else np.clip(row / light, 0, 255)
                batch.lips.extend(self._lips(batch))
            yield batch

    def _pasted(self, batches: Iterable[_Batch]) -> Generator[Canvas, None, None]:
        for batch in batches:
            redrawn = zip(batch.patches, batch.crops, batch.lips)
            for cue in batch.cues:
                canvas = cue.canvas
                for face in cue.faces:
                    patch, crop, lips = next(redrawn)
                    canvas = self._compositor.paste(canvas, face, patch, crop, cue.frame_idx, lips)
                yield canvas

    def _lips(self, batch: _Batch) -> list[LipPair]:
        """Return the lips of all faces before and after, as far as the compositor looks at them."""
        if not self._compositor.needs_lips:
            return [UNREAD] * len(batch.crops)
        faces = [face for cue in batch.cues for face in cue.faces]
        sizes = [(cue.canvas.width, cue.canvas.height) for cue in batch.cues for _ in cue.faces]
        return read_pairs(batch.crops, batch.patches, faces, sizes, self.spec)

    def _ordered(self, images: NDArray[Any]) -> NDArray[Any]:
        """RGB to the network's order of channels, or back; (..., 3 * images)."""
        if not self._bgr:
            return images
        split = images.reshape(*images.shape[:-1], -1, 3)
        return np.ascontiguousarray(split[..., ::-1].reshape(images.shape))


def pictures_ahead(width: int, height: int) -> int:
    """How many pictures of that size may wait between two steps: all of them take about as much memory."""
    return int(np.clip(AHEAD_BYTES // (width * height * RGB_BYTES), 2, MAX_AHEAD))

"""The engine of `sync`: turn a stream of pictures with faces and mel windows into pictures with synced mouths.

Memory does not grow with the length of the video: pictures are processed in small batches, and cropping, generating and
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
from w2l.features.masks import hidden_pixels
from w2l.models.checkpoint import ModelCard
from w2l.models.runtime import Runner
from w2l.syncing.compose import UNREAD, Compositor
from w2l.syncing.lips import LipPair, read_pairs
from w2l.syncing.morph import morphed
from w2l.syncing.reference_bank import FadingReferences, References, light_between, relit

AHEAD_BYTES = 48 * 2**20
"""Bytes of memory for pictures queued between two steps."""
MAX_AHEAD = 32
"""Most pictures queued between two steps."""
RGB_BYTES = 3
"""Most bytes per pixel of a queued picture."""


@dataclass(frozen=True)
class Cue:
    """Inputs of one picture of the output."""

    canvas: Canvas
    faces: tuple[Face, ...]
    """Faces to redraw; without any, the picture passes through unchanged."""
    mel: NDArray[np.float32]
    """(80, 16)"""
    frame_idx: int
    """Index of the frame in the source."""
    picture: int
    """Index of the picture in the whole output."""
    mels: tuple[NDArray[np.float32], ...] = ()
    """(80, 16) for each face, if they do not all use `mel`."""


@dataclass(frozen=True)
class _Batch:
    """Pictures being processed, and the crops of all their faces, in order."""

    cues: list[Cue]
    crops: NDArray[np.uint8]
    """(faces, size, size, 3)"""
    patches: NDArray[np.float32]
    """(faces, size, size, 3), RGB in 0..255; the crops until they are redrawn."""
    lips: list[LipPair] = field(default_factory=list)
    """(faces,) lips of crops and patches; unknown until they are redrawn."""


@dataclass(frozen=True)
class _Shown:
    """A reference shown to the generator for one face."""

    face: int
    """Which of the batch."""
    mel: NDArray[np.float32]
    """(80, 16)"""
    look: NDArray[np.uint8]
    """(size, size, 3 * references)"""
    share: float | None = None
    """If another reference takes its place, the share of its lips in the shape of those that are pasted; else None."""


class Redrawer:
    """Redraws the mouths of a stream of pictures with one generator.

    Parameters
    ----------
    runner : Runner
        Runs the generator.
    card : ModelCard
        Describes the inputs of the generator.
    spec : CropSpec
        Crops of the faces: those of the card, or an integer multiple of their resolution for a generator that moves
        pixels.
    references : References
        Source of the reference images.
    compositor : Compositor
        Pastes the patches; reset at the start of `redraw`.
    batch : int
        Most pictures per batch.
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
            raise ValueError(f"the model requires crops of {card.crop.size} px, not {spec.size}")
        self._runner = runner
        self._bgr = card.colour == "bgr"
        self._hidden = hidden_pixels(card.crop.size, card.mask)
        self.spec = spec
        self.references = references
        self._compositor = compositor
        self._batch = batch

    def redraw(self, cues: Iterable[Cue], n_ahead: int = 0) -> Generator[Canvas, None, None]:
        """Yield one picture for each cue, in order.

        With `n_ahead` the steps overlap, each at most that many pictures ahead of the next; without it, all steps run
        in the calling thread.
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
                shown = self._shown(batch)
                half = self._mouths(batch, shown)
                self._place(batch, shown, half)
                batch.lips.extend(self._lips(batch))
            yield batch

    def _shown(self, batch: _Batch) -> list[_Shown]:
        """Return the references of all faces in the batch: one of each, two where one takes the other's place."""
        shown = []
        users = [
            (cue, face, mel)
            for cue in batch.cues
            for face, mel in zip(cue.faces, cue.mels or (cue.mel,) * len(cue.faces))
        ]
        for number, ((cue, face, mel), crop) in enumerate(zip(users, batch.crops)):
            given = (cue.frame_idx, cue.picture, face, crop)
            leaving = self.references.leaving(*given) if isinstance(self.references, FadingReferences) else None
            shown.append(_Shown(number, mel, self.references.at(*given)))
            if leaving:
                shown.append(_Shown(number, mel, *leaving))
        return shown

    def _mouths(self, batch: _Batch, shown: list[_Shown]) -> NDArray[np.float32]:
        """Generate the lowest rows (shown, rows, size, 3) of faces, RGB in 0..255 and in the light of the crops."""
        crops = [batch.crops[each.face] for each in shown]
        lights = [light_between(crop, each.look) for crop, each in zip(crops, shown)]
        small = [coarser(crop, self._finer) for crop in crops]
        masked = np.stack([crop if light is None else relit(crop, light) for crop, light in zip(small, lights)])
        masked[:, self._hidden] = 0
        looks = self._ordered(np.stack([each.look for each in shown]))
        known = np.stack([coarser(look, self._finer) for look in looks])
        seen = np.concatenate([self._ordered(masked), known], axis=-1)
        mels = np.stack([each.mel for each in shown])
        rows = self._ordered(self._runner(mels, seen, looks if self._finer > 1 else None))
        return np.stack([row if light is None else np.clip(row / light, 0, 255) for row, light in zip(rows, lights)])

    def _place(self, batch: _Batch, shown: list[_Shown], half: NDArray[np.float32]) -> None:
        """Place the generated rows in the patches; where a reference takes another's place, in a shape between both."""
        rows = slice(batch.patches.shape[1] - half.shape[1], None)
        leaving = [(each.face, each.share, mouth) for each, mouth in zip(shown, half) if each.share is not None]
        for each, mouth in zip(shown, half):
            if each.share is None:
                batch.patches[each.face, rows] = mouth
        if not leaving:
            return
        numbers = [number for number, _, _ in leaving]
        old, (faces, sizes) = batch.patches[numbers], self._faces(batch)
        old[:, rows] = np.stack([mouth for _, _, mouth in leaving])
        where = [faces[number] for number in numbers], [sizes[number] for number in numbers]
        for (number, share, _), lips in zip(leaving, read_pairs(old, batch.patches[numbers], *where, self.spec)):
            if lips.source is not None and lips.patch is not None:
                between = lips.patch + share * (lips.source - lips.patch)
                batch.patches[number, rows] = morphed(batch.patches[number], lips.patch, between)[rows]

    def _faces(self, batch: _Batch) -> tuple[list[Face], list[tuple[int, int]]]:
        """Return all faces of a batch, and the sizes of their frames."""
        faces = [face for cue in batch.cues for face in cue.faces]
        return faces, [(cue.canvas.width, cue.canvas.height) for cue in batch.cues for _ in cue.faces]

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
        """Return the lips of all faces before and after redrawing, if the compositor needs them."""
        if not self._compositor.needs_lips:
            return [UNREAD] * len(batch.crops)
        faces, sizes = self._faces(batch)
        return read_pairs(batch.crops, batch.patches, faces, sizes, self.spec)

    def _ordered(self, images: NDArray[Any]) -> NDArray[Any]:
        """Convert RGB to the network's order of channels, or back; (..., 3 * images)."""
        if not self._bgr:
            return images
        split = images.reshape(*images.shape[:-1], -1, 3)
        return np.ascontiguousarray(split[..., ::-1].reshape(images.shape))


def pictures_ahead(width: int, height: int) -> int:
    """Return how many pictures of that size may be queued between two steps, for about the same memory at any size."""
    return int(np.clip(AHEAD_BYTES // (width * height * RGB_BYTES), 2, MAX_AHEAD))

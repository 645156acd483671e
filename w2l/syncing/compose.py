"""Paste a redrawn face into its picture: mask, soft edge, and matching of colour, detail and grain."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Floats, Image
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, Footprint, footprint, padded_box
from w2l.nets.generator import GeneratedRows
from w2l.syncing.blend import Grain, multi_band, noise_level
from w2l.syncing.colours import brightness
from w2l.syncing.fitting import Fitter, TrackState
from w2l.syncing.jaw import JawFit
from w2l.syncing.lips import LipPair, lip_map, smooth_step
from w2l.syncing.own_mouth import OwnMouth, Shape
from w2l.syncing.settings import Blend

MASK_POWER = 2.5
"""Exponent of the mask: 2 is an ellipse, larger is closer to a rectangle."""
MASK_FEATHER = 0.3
"""Share of its radius, from the edge inwards, over which the mask fades in."""
MAX_TRACKS = 16
"""Most tracks whose colours and sharpness are remembered between pictures."""
ROWS_ABOVE = 2
"""Rows above the first visible one that filters also use."""
RIM_STEEPNESS = 4.0
"""Steepness relative to the mask with which the multi-band result, itself blended, fades to the source."""
NOISE_SIDE = 128
"""Side in pixels of the part of the picture in which noise is measured."""
OCTAVES = 4
"""Octaves of the multi-band pyramid."""
LEAST_GRAIN = 0.3
"""Standard deviation in grey levels below which no grain is added."""
UNREAD = LipPair()
"""Lips with unknown positions."""


@dataclass(frozen=True)
class Anatomy:
    """Positions of facial parts in a crop, as shares of its width and height."""

    centre: tuple[float, float]
    """Centre of the mask, between mouth and chin."""
    radii: tuple[float, float]
    """Half-axes of the mask: from under the nose to under the chin, from cheek to cheek."""
    mouth: tuple[float, float]
    """Centre of the mouth."""
    mouth_radii: tuple[float, float]
    """Half-axes of the mouth and the skin that moves with it."""
    moving: tuple[float, float]
    """Centre of mouth and chin together."""
    moving_radii: tuple[float, float]
    """Half-axes of mouth and chin together, the parts that move in speech."""


ANATOMY = {
    "aligned": Anatomy((0.5, 0.75), (0.40, 0.25), (0.5, 0.69), (0.21, 0.11), (0.5, 0.79), (0.28, 0.25)),
    "box": Anatomy((0.5, 0.79), (0.46, 0.21), (0.5, 0.79), (0.28, 0.11), (0.5, 0.89), (0.38, 0.25)),
}
"""Positions for each kind of crop that can be pasted. A detected box ends at the chin, an aligned crop below it."""


def soft_weight(size: int, kind: str = "aligned") -> Floats:
    """Return the mask of a redrawn crop, (size, size), 0..1: mouth, jaw and chin, all within its lower half."""
    return smooth_step((1 - _radius(size, ANATOMY[kind].centre, ANATOMY[kind].radii, MASK_POWER)) / MASK_FEATHER)


def mouth_map(size: int, kind: str = "aligned") -> Floats:
    """Return a map (size, size) that is 1 in the mouth and 0 on skin that only follows it."""
    return _bump(_radius(size, ANATOMY[kind].mouth, ANATOMY[kind].mouth_radii, 2.0))


def moving_map(size: int, kind: str = "aligned") -> Floats:
    """Return a map (size, size) that is 1 in the mouth and on the chin, 0 where a face hardly moves in speech."""
    return _bump(_radius(size, ANATOMY[kind].moving, ANATOMY[kind].moving_radii, 2.0))


def _bump(radius: NDArray[np.float64]) -> Floats:
    """Return a smooth step: 1 well inside radius 1, 0 well outside."""
    return smooth_step((1.25 - radius) / 0.5)


def hard_weight(size: int, rows: GeneratedRows) -> Floats:
    """Return the mask of all redrawn rows, with a hard edge: (size, size), 0 or 1."""
    weight = np.ones((size, size), dtype=np.float32)
    if rows == "lower":
        weight[: size // 2] = 0.0
    return weight


def _radius(size: int, centre: tuple[float, float], radii: tuple[float, float], power: float) -> NDArray[np.float64]:
    """Return the radius (size, size) in a superellipse: 0 at the centre, 1 on the edge."""
    places = (np.arange(size) + 0.5) / size
    x, y = (np.abs(places - middle) / half for middle, half in zip(centre, radii))
    radius: NDArray[np.float64] = (x[None, :] ** power + y[:, None] ** power) ** (1 / power)
    return radius


class Compositor:
    """Pastes redrawn crops into their pictures.

    Outside of the mask a picture is unchanged. Inside, a patch is fitted in this order: its jaw is moved to that of the
    picture, if `fit_jaw`; the difference in skin colour at the edge, interpolated inwards, is subtracted; skin colours
    outside of the source's range are moved into it, and this correction is extrapolated into the lips, which are not
    compared themselves; beside the chin, the source is shown where the patch shows something else; the strength of
    detail is matched to that of the source's mouth; where patch and source agree, the source's own detail is kept, and
    on skin as much of it as the patch lacks; elsewhere, grain is added where the patch has less than the source.

    Parameters
    ----------
    spec : CropSpec
        Specification of the crops.
    rows : str
        Redrawn rows of the crops: `full` or `lower`.
    blend : str
        `soft`; `laplacian` (multi-band blending); `hard` (all that was redrawn, as published).
    sharpen, grain : bool
        Whether to match detail and grain; not used by `hard`.
    still : bool
        Whether all pictures are the same still, whose own teeth are shown between the lips; see
        `w2l.syncing.own_mouth`.
    fit_jaw : bool
        Whether to move patches such that their jaw meets that of the picture, for generators that move pixels; not used
        by `hard`, nor for stills; see `w2l.syncing.jaw`.
    """

    def __init__(
        self, spec: CropSpec, rows: GeneratedRows = "full", blend: Blend = "soft", sharpen: bool = True,
        grain: bool = True, still: bool = False, fit_jaw: bool = False,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.blend = blend
        self.weight = hard_weight(spec.size, rows) if blend == "hard" else soft_weight(spec.size, spec.kind)
        first = int(np.flatnonzero(self.weight.any(axis=1))[0])
        self.first_row = max(first - ROWS_ABOVE, spec.size // 2 if rows == "lower" else 0)
        self._published = blend == "hard" and spec.kind == "box" and rows == "full"
        shows = slice(self.first_row, None)
        mouth, moving = (map_[shows] for map_ in (mouth_map(spec.size, spec.kind), moving_map(spec.size, spec.kind)))
        self._fitter = Fitter(self.weight[shows], mouth, moving, sharpen)
        self._jaw = JawFit(self.weight[shows], mouth) if fit_jaw and not still else None
        self._grain = Grain() if grain else None
        self._memory: dict[int, TrackState] = {}
        self._still = still
        self._own: dict[int, OwnMouth | None] = {}
        self._x = (np.arange(spec.size) + 0.5) / spec.size

    @property
    def needs_lips(self) -> bool:
        """Whether `paste` uses the positions of the lips."""
        return self.blend != "hard"

    def reset(self) -> None:
        """Forget the state of all tracks, for cuts and for frames that do not follow the previous one."""
        self._memory.clear()

    def paste(
        self, canvas: Canvas, face: Face, patch: Floats, crop: Image, frame_idx: int, lips: LipPair = UNREAD
    ) -> Canvas:
        """Return a copy of `canvas` with the patch blended in by `face.strength`.

        Parameters
        ----------
        patch : (size, size, 3) float
            RGB in 0..255; rows above `first_row` are not used.
        crop : (size, size, 3) uint8
            The crop of the same face from this picture.
        frame_idx : int
            Selects the grain.
        lips : LipPair
            The lips of crop and patch; if they were not found, the usual position of a mouth is assumed.
        """
        if self._published:
            return self._overwrite(canvas, face, patch)
        found = footprint(self.weight, face.box, face.points, self.spec, canvas.width, canvas.height)
        if found is None:
            return canvas
        weight = found.moved_weight(self.weight)
        if self.blend == "hard":
            placed = np.clip(found.moved(patch), 0, 255)
        else:
            source = canvas.rgb(found.rows, found.columns).astype(np.float32)
            placed = self._fitted(source, found, patch, crop, lips, face.track, frame_idx)
            if self.blend == "laplacian":
                placed = multi_band(source, placed, weight, OCTAVES)
                weight = np.minimum(RIM_STEEPNESS * weight, 1.0)
            np.clip(placed, 0, 255, out=placed)
        return canvas.painted(found.rows, found.columns, placed, (weight * face.strength).astype(np.float32))

    def _recall(self, track: int) -> TrackState:
        """Return the state of a track; only the most recent tracks are kept."""
        memory = self._memory.pop(track, None) or TrackState()
        self._memory[track] = memory
        if len(self._memory) > MAX_TRACKS:
            del self._memory[next(iter(self._memory))]
        return memory

    def _fitted(
        self, source: Floats, found: Footprint, patch: Floats, crop: Image, lips: LipPair, track: int, frame_idx: int
    ) -> Floats:
        """Return the patch in frame coordinates (region rows, columns, 3), fitted to `source`, the original region."""
        memory = self._recall(track)
        drawn = np.asarray(patch[self.first_row :], dtype=np.float32)
        shown = crop[self.first_row :].astype(np.float32)
        if self._jaw is not None:
            drawn, memory.jaw = self._jaw.fit(drawn, shown, lips, memory.jaw)
        own = self._own_mouth(shown, lips, track)
        if own is None or lips.patch is None:
            change, keep, bare = self._fitter.fit(drawn, shown, lips, memory)
        else:
            y = self._x[self.first_row :]
            mouth, around = Shape.of(lips.patch, self._x, y), lip_map(lips.patch, self._x, y)
            change, keep, bare = self._fitter.fit(own.coloured(drawn, around), shown, lips, memory)
            fitted = change + keep[..., None] * shown  # fitted to the skin, which may brighten the mouth, too
            change += own.coloured(own.shaded(fitted, mouth), around) - fitted
            teeth = own.shown(mouth)
            change, keep = (1 - teeth)[..., None] * change, keep + teeth * (1 - keep)
        kept = found.moved(keep, self.first_row)
        pasted = cv2.multiply(source, cv2.merge([kept, kept, kept]))
        cv2.add(pasted, found.moved(change, self.first_row), dst=pasted)
        if self._grain is not None:
            noise = memory.update_noise(noise_level(brightness(_middle(source, NOISE_SIDE))))
            if noise > LEAST_GRAIN:
                brought = noise_level(brightness(_middle(found.moved(drawn, self.first_row), NOISE_SIDE)))
                lack = noise**2 * (1 - kept * kept) - (brought * (1 - kept)) ** 2
                lack *= np.clip(found.moved(bare, self.first_row), 0, 1)
                grain = np.sqrt(np.maximum(lack, 0)) * self._grain.piece(kept.shape, frame_idx)
                cv2.add(pasted, cv2.merge([grain, grain, grain]), dst=pasted)
        return np.asarray(pasted, dtype=np.float32)

    def _own_mouth(self, crop: Floats, lips: LipPair, track: int) -> OwnMouth | None:
        """Return the mouth of a still picture, measured once per track; None for a video."""
        if not self._still or lips.source is None:
            return None
        if track not in self._own:
            self._own[track] = OwnMouth.of(crop, lips.source, self._x, self._x[self.first_row :])
        return self._own[track]

    def _overwrite(self, canvas: Canvas, face: Face, patch: Floats) -> Canvas:
        """Paste as published: integer grey levels, resized over the whole box."""
        x1, y1, x2, y2 = padded_box(face.box, self.spec.pads, canvas.width, canvas.height)
        resized = cv2.resize(np.clip(patch, 0, 255).astype(np.uint8), (x2 - x1, y2 - y1)).astype(np.float32)
        weight = np.full(resized.shape[:2], face.strength, dtype=np.float32)
        return canvas.painted(slice(y1, y2), slice(x1, x2), resized, weight)


def _middle(region: Floats, side: int) -> Floats:
    """Return at most `side` rows and columns from the middle of a region (rows, columns, 3)."""
    top, left = (max(0, (length - side) // 2) for length in region.shape[:2])
    return region[top : top + side, left : left + side]

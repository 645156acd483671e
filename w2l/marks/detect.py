"""The mark found again: what many pictures have in common, searched for the pilot at all scales and places.

Pictures are brought to 288 rows (or columns), what is not mark is subdued, and the rest is summed over time: the mark
stays where it is while the picture moves. The spectrum of the sum is read at the tile's waves, stretched by each scale
tried; the pilot gives scale and place, and the waves between it the bits.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.marks.code import Bits, best_agreements, likeliest, record_of
from w2l.marks.pattern import TILE, UNITS, carriers

REACH, RANGE = 4.5, 4.0
"""Standard deviations, units and grey levels, of the neighbours that a sample is compared with: those across an edge
are left out, so that edges do not count as detail."""
NEIGHBOURS = 7
"""Side of that neighbourhood at half the size. At the whole size it takes six times as long, and agreement at crf 33 is
14.3 instead of 15.1."""
SHADE = 8.0
"""Standard deviation, units, beyond which what is left counts as shading."""
SURROUND = 5.0
"""Standard deviation, units, of the surroundings in which contrast is measured."""
LIMIT = 1.0
"""Multiples of the local contrast at which a sample is cut off."""
FLOOR = 0.25
"""Grey levels of contrast that calm areas count as having."""
SCALES = np.exp(np.arange(np.log(0.55), np.log(2.5), 0.006))
"""Units of the analysis per unit of the mark that are tried: 1 is a whole picture, 1.25 one cropped by a tenth on each
side, 2.4 one of 120 rows."""
NEARBY = 1.0 + np.array([-0.003, -0.0015, 0.0, 0.0015, 0.003])
"""Refinements of a scale, along each axis."""
PAD = 4
"""Times by which the spectrum is finer than the picture's own."""
WHITENING = 0.5
"""Power of its own size that each wave is divided by: 0 leaves it as it is, 1 keeps its phase alone."""
GRID = 52
"""Side of the grid of places in a tile at which the pilot is looked for; more than twice the highest wave."""
FINE_GRID = 256
"""The same once the scale is known."""
APART = 3
"""Scales within which peaks are one."""
N_CANDIDATES = 6
"""Peaks of the pilot that are tried, the highest first."""
N_STRETCHES = 4
"""Refinements of each scale that are read."""
N_PLACES = 3
"""Places that are tried at each scale: two marks of one size begin at two places."""
N_WORDS, N_MORE_WORDS = 16, 64
"""Likeliest words whose check is tried, and where the agreement is that of a mark; with more, chance would fit a check
more often."""
PEAK = 8
"""Places on the fine grid around a peak that belong to it."""
LEAST_PILOT = 4.0
"""Agreement with the pilot below which bits are not read."""
LEAST_READ = 9.8
"""Agreement (see `Found.score`) from which scale and place are read again by all waves of the likeliest word."""
STEP, REACHED = 0.25, 1.5
"""Units between the places tried then, and how far they go."""
THRESHOLD = 11.0
"""Agreement (see `Found.score`) from which a mark counts as found."""


@dataclass(frozen=True)
class Found:
    """One mark in a stretch of video."""

    record: str
    """Its record id; empty where the check of the bits does not fit."""
    score: float
    """Agreement of all waves with those of the mark, in standard deviations of chance."""
    pilot: float
    """The same of the pilot alone."""
    scale: float
    """Units of the analysis per unit of the mark: 1 for a whole picture, less for one that was cropped."""


def analysed(luma: NDArray[Any], levels: float = 1.0) -> Floats:
    """Return what of a picture may be mark: (rows, columns), the shorter side 288, values within +-1.

    `levels` is the number of grey levels that make one of 8 bits.
    """
    height, width = luma.shape
    scale = UNITS / min(width, height)
    size = (max(UNITS, round(width * scale)), max(UNITS, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(luma, size, interpolation=way).astype(np.float32) / np.float32(levels)
    half = cv2.resize(small, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)
    detail = small - cv2.resize(cv2.bilateralFilter(half, NEIGHBOURS, RANGE, REACH / 2), size)
    detail -= cv2.GaussianBlur(detail, (0, 0), SHADE)
    contrast = cv2.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), SURROUND))
    return np.asarray(np.clip(detail / (contrast + FLOOR), -LIMIT, LIMIT), dtype=np.float32)


def search(total: Floats, scale: float | None = None) -> list[Found]:
    """Return the marks in a sum of analysed pictures, the surest first; at a known scale where one is given."""
    best: dict[str, Found] = {}
    for one in candidates(total, scale):
        sure = bool(one.record) and one.score >= THRESHOLD
        if sure and (one.record not in best or best[one.record].score < one.score):
            best[one.record] = one
    return sorted(best.values(), key=lambda one: -one.score)


def candidates(total: Floats, scale: float | None = None) -> list[Found]:
    """Return whatever was read where the pilot seems to be; most of it is chance where there is no mark."""
    spectrum = spectrum_of(total)
    if scale is not None:
        return refined(spectrum, scale)
    heights = pilot_surfaces(read_waves(spectrum, SCALES, SCALES), GRID).max(axis=(1, 2))
    return [one for tried in (1.0, *SCALES[peaks(heights)].tolist()) for one in refined(spectrum, tried)]


def peaks(heights: Floats) -> list[int]:
    """Return the places of the highest peaks among the heights (scales,), the highest first."""
    rest = heights.copy()
    highest = []
    for _ in range(N_CANDIDATES):
        at = int(rest.argmax())
        highest.append(at)
        rest[max(0, at - APART) : at + APART + 1] = -np.inf
    return highest


def refined(spectrum: NDArray[np.complex64], scale: float) -> list[Found]:
    """Return what is read at about that scale, of the likeliest stretches and places."""
    x, y = (scale * axis.ravel() for axis in np.meshgrid(NEARBY, NEARBY))
    seen = read_waves(spectrum, x, y)
    found = []
    for which in pilot_surfaces(seen, GRID).max(axis=(1, 2)).argsort()[: -N_STRETCHES - 1 : -1]:
        surface = pilot_surfaces(seen[which : which + 1], FINE_GRID)[0]
        for _ in range(N_PLACES):
            row, column = np.unravel_index(int(surface.argmax()), surface.shape)
            if surface[row, column] < LEAST_PILOT:
                break
            turned = seen * np.exp(2j * np.pi * (carriers().waves @ np.array([column, row])) / FINE_GRID)
            scales = np.sqrt(x * y)
            found.append(_read(turned, int(which), scales, float(surface[row, column])))
            surface[_around(row, FINE_GRID)[:, None], _around(column, FINE_GRID)] = -np.inf
    return found


def _read(turned: NDArray[np.complex128], which: int, scales: Floats, pilot: float) -> Found:
    """Return what is read of amplitudes (stretches, waves) whose tile begins at about 0.

    Of stretch `which` first; where its check does not fit, scale and place are refined by the likeliest word.
    """
    waves = turned[which]
    size = np.sqrt((np.abs(waves) ** 2).sum() / 2)
    in_pilot = (waves * carriers().pilot.conj()).real.sum()
    best = float((best_agreements(carriers().soft_bits(waves)).max() / np.sqrt(2) + in_pilot) / size)
    if best < LEAST_READ:
        return Found("", best, pilot, float(scales[which]))
    bits = _word(waves)
    if not record_of(bits):
        code = carriers().spectrum(bits).conj()
        agreements = ((turned * code) @ _nearby_turns()).real / np.sqrt((np.abs(turned) ** 2).sum(axis=1) / 2)[:, None]
        which, place = (int(one) for one in np.unravel_index(int(agreements.argmax()), agreements.shape))
        waves = turned[which] * _nearby_turns()[:, place]
        bits = _word(waves, N_MORE_WORDS if agreements.max() >= THRESHOLD else N_WORDS)
    agreement = (waves * carriers().spectrum(bits).conj()).real.sum() / np.sqrt((np.abs(waves) ** 2).sum() / 2)
    return Found(record_of(bits) or "", float(agreement), pilot, float(scales[which]))


def _word(waves: NDArray[np.complex128], count: int = N_WORDS) -> Bits:
    """Return the likeliest bits whose check fits, else the likeliest, of amplitudes (waves,) whose tile begins at 0."""
    words = likeliest(carriers().soft_bits(waves), count)
    return next((word for word in words if record_of(word)), words[0])


@cache
def _nearby_turns() -> NDArray[np.complex128]:
    """Return the factors (waves, places) that move a tile by a little to each of the places around it."""
    side = np.arange(-REACHED, REACHED + STEP, STEP)
    places = np.stack([axis.ravel() for axis in np.meshgrid(side, side)])
    return np.asarray(np.exp(2j * np.pi * (carriers().waves @ places) / TILE))


def _around(place: Any, side: int) -> NDArray[np.int64]:
    """Return the places around one on a circle of `side` places that belong to the same peak."""
    return np.arange(place - PEAK, place + PEAK + 1) % side


def spectrum_of(total: Floats) -> NDArray[np.complex64]:
    """Return the spectrum of a sum of analysed pictures, origin amid it, four times as fine as its own.

    (2 * rows + 1, 4 * columns), the upper half of the waves.
    """
    rows, columns = total.shape
    padded = np.zeros((PAD * rows, PAD * columns), dtype=np.float32)
    padded[:rows, :columns] = total
    centred = np.roll(padded, (-(rows // 2), -(columns // 2)), axis=(0, 1))
    return np.fft.rfft2(centred, axes=(1, 0)).astype(np.complex64)


def read_waves(spectrum: NDArray[np.complex64], x: Floats, y: Floats) -> NDArray[np.complex64]:
    """Return the amplitudes (scales, waves) of a tile stretched by the scales `x` and `y` (scales,), whitened."""
    waves = carriers().waves
    rows, columns = 2 * (spectrum.shape[0] - 1), spectrum.shape[1]
    column = np.rint(waves[:, 0] * columns / (TILE * x[:, None])).astype(np.int64)
    row = np.rint(waves[:, 1] * rows / (TILE * y[:, None])).astype(np.int64)
    seen = spectrum[row, column % columns]
    return np.asarray(seen / (np.abs(seen) + 1e-12) ** WHITENING, dtype=np.complex64)


def pilot_surfaces(seen: NDArray[np.complex64], side: int) -> Floats:
    """Return the agreement with the pilot at each place of a tile, (scales, side, side), in standard deviations."""
    waves, pilot = carriers().waves, carriers().pilot
    grid = np.zeros((len(seen), side, side), dtype=np.complex64)
    grid[:, waves[:, 1], waves[:, 0]] = (seen * pilot.conj()).conj()
    energy = (np.abs(seen[:, pilot != 0]) ** 2).sum(axis=1)[:, None, None]
    surfaces = np.fft.fft2(grid).real
    return np.asarray(surfaces / np.sqrt(energy / 2 + 1e-20), dtype=np.float32)

"""Similarity of the picture to the real video: PSNR, SSIM, LPIPS, sharpness, seam and flicker of one clip."""

from collections import Counter, defaultdict

import numpy as np

from w2l.core.arrays import Floats, Image
from w2l.nets.lpips import Lpips
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.flicker import Flicker
from w2l.scoring.metrics.lines import REACH, Lines
from w2l.scoring.metrics.parts import face_unit, parts_of
from w2l.scoring.metrics.perceptual import EVERY, SIZES, Perceptual
from w2l.scoring.metrics.sharpness import detail, detail_ratio
from w2l.scoring.metrics.ssim import MAX_PSNR, Singles, luma, ms_ssim, psnr, ssim
from w2l.scoring.metrics.view import Hearing, View

WHERE = {"face": "the face's box", "lower": "the lower half of the face's box", "mouth": "a rectangle around the mouth"}


def _compared(part: str) -> tuple[Column, ...]:
    """Return the columns of one part of the face that compare pixels."""
    where, minor = WHERE[part], part == "lower"
    return (
        Column(
            f"psnr_{part}", f"PSNR {part}", "quality", "higher",
            f"Peak signal-to-noise ratio to the real video over red, green and blue in {where}, in dB, mean over "
            f"frames (a frame gets {MAX_PSNR:g} at most). Counts pixels: a mouth that is right but late costs as much "
            "as a wrong one, and blur is cheap.", 2, minor,
        ),
        Column(
            f"ssim_{part}", f"SSIM {part}", "quality", "higher",
            f"Structural similarity to the real video (Wang et al. 2004: brightness, 11 x 11 Gaussian of 1.5 pixels) "
            f"in {where}, mean over frames; 1 is equal. Depends on the size of the face in pixels.", 3, minor,
        ),
        Column(
            f"msssim_{part}", f"MS-SSIM {part}", "quality", "higher",
            f"Multi-scale SSIM (Wang et al. 2003) in {where}, mean over frames; 1 is equal. Five scales where the part "
            "has 176 pixels each way, else as many as fit: compare only clips of like size.", 3, minor=True,
        ),
    )  # fmt: skip


QUALITY_COLUMNS = (
    *_compared("face"),
    *_compared("lower"),
    *_compared("mouth"),
    Column(
        "sharpness", "Sharpness", "quality", "one",
        "Fine detail around the mouth (two to six pixels, noise taken off) over that of the real video: 1 is as sharp, "
        "0.5 is a clear blur, above 1 is sharpened. Does not ask whether the detail is right.",
    ),
    Column(
        "seam", "Seam", "quality", "one",
        "The strongest lines in the face around the mouth that the real video has not: gradient over the real one's, "
        "on the worst 0.5 % of the pixels. 1 is none, soft pasting up to 1.4, a hard edge 1.4 to 4. Wrong jaws, strong "
        "compression (crf 35: 1.1 to 1.4) and a video that runs late draw lines too; a faint edge may hide among them.",
    ),
    Column(
        "flicker", "Flicker", "quality", "one",
        "Frame-to-frame jitter of the lower face over that of the real video, where neither moves: 1 is as steady, "
        "below 1 is too smooth (strong compression: 0.7 to 0.9). Grain hardly counts but on small faces; the moving "
        "lips are left out.",
    ),
)  # fmt: skip
LPIPS_COLUMNS = tuple(
    Column(
        f"lpips_{part}", f"LPIPS {part}", "quality", "lower",
        f"Perceptual distance to the real video (Zhang et al. 2018, AlexNet) of {WHERE[part]} brought to "
        f"{size[1]} x {size[0]} pixels, mean over one frame in {EVERY}; 0 is equal.", 3, part == "lower",
    )
    for part, size in SIZES.items()
)  # fmt: skip


class Quality:
    """Quality of one clip; a `w2l.scoring.metrics.view.Measure`. Returns nothing for a clip without a reference."""

    def __init__(self, lpips: Lpips | None = None) -> None:
        self._lpips = None if lpips is None else Perceptual(lpips)
        self._totals: defaultdict[str, float] = defaultdict(float)
        self._frames: Counter[str] = Counter()
        self._detail = np.zeros(2)
        self._lines = Lines()
        self._flicker = Flicker()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that `finish` may return; LPIPS only with its weights."""
        return QUALITY_COLUMNS + (LPIPS_COLUMNS if self._lpips is not None else ())

    def add(self, view: View) -> None:
        """Compare the next frame with the real one."""
        if view.reference is None:
            return
        rows, columns = _surroundings(view.box, view.points, view.output.shape[0], view.output.shape[1])
        corner = np.array([columns.start, rows.start], dtype=np.float64)
        points = view.points - corner
        images = view.output[rows, columns], view.reference[rows, columns]
        if not min(images[0].shape[:2]):
            return
        greys = luma(images[0]), luma(images[1])
        parts = parts_of(view.box - np.tile(corner, 2), points, *images[0].shape[:2])
        for name, part in parts.items():
            self._compare(name, (images[0][part], images[1][part]), (greys[0][part], greys[1][part]))
        if "mouth" in parts:
            self._detail += [detail(grey[parts["mouth"]]) for grey in greys]
        self._lines.add(*greys, points)
        self._flicker.add(*greys, points)
        if self._lpips is not None:
            self._lpips.add({name: (images[0][part], images[1][part]) for name, part in parts.items()})

    def finish(self, hearing: Hearing) -> dict[str, float]:
        """Return the numbers by column name; empty if no frame had a reference."""
        values = {name: total / self._frames[name.partition("_")[2]] for name, total in self._totals.items()}
        if self._frames["mouth"]:
            values["sharpness"] = detail_ratio(*self._detail / self._frames["mouth"])
        found = {"seam": self._lines.ratio(), "flicker": self._flicker.ratio()}
        values |= {name: value for name, value in found.items() if value is not None}
        if self._lpips is not None:
            values |= {f"lpips_{part}": value for part, value in self._lpips.means().items()}
        return values

    def _compare(self, part: str, images: tuple[Image, Image], greys: tuple[Singles, Singles]) -> None:
        self._totals[f"psnr_{part}"] += psnr(*images)
        self._totals[f"ssim_{part}"] += ssim(*greys)
        self._totals[f"msssim_{part}"] += ms_ssim(*greys)
        self._frames[part] += 1


def _surroundings(box: Floats, points: Floats, rows: int, columns: int) -> tuple[slice, slice]:
    """Return rows and columns that contain all that is compared: the box and its surroundings."""
    reach = REACH / 2 * face_unit(points)
    centre = points.mean(axis=0)
    low = np.minimum(box[:2], centre - reach)
    high = np.maximum(box[2:], centre + reach)
    x1, y1 = np.clip(np.floor(low).astype(int), 0, (columns, rows))
    x2, y2 = np.clip(np.ceil(high).astype(int) + 1, 0, (columns, rows))
    return slice(int(y1), int(y2)), slice(int(x1), int(x2))

"""Measure how visible the edge of the redrawn part is: gradients across it, after over before; see seam.py.

    python -m examples.research.measure_seam clips/ speech.flac --seconds 2

The first seconds of a video, or of those in a folder, are redrawn with the model and, for comparison, with crops that
were degraded on purpose: blurred, off in colour, or without their noise. Prints a Markdown table of means over frames
(and the largest); 1 equals the source, more is a visible edge, less is blur. Nothing is encoded.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.arrays import Canvas, Floats, Image
from w2l.core.errors import W2LError
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, footprint
from w2l.nets.generator import GeneratedRows
from w2l.scoring.metrics.seam import seam_ratio
from w2l.syncing.compose import Compositor
from w2l.syncing.engine import Redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.plan import plan_of
from w2l.syncing.references import references_for
from w2l.syncing.settings import Blend, SyncSettings
from w2l.syncing.tools import Tools

Patch = NDArray[np.float32]
PATCHES: dict[str, Callable[[Patch, Patch], Patch]] = {
    "model": lambda patch, crop: patch,
    "crop itself": lambda patch, crop: crop,
    "blurred": lambda patch, crop: np.asarray(cv2.GaussianBlur(crop, (0, 0), len(crop) / 48), dtype=np.float32),
    "10 levels off": lambda patch, crop: crop + np.array([10, -10, 10], dtype=np.float32),
    "no noise": lambda patch, crop: np.asarray(cv2.bilateralFilter(crop, 5, 20, 2), dtype=np.float32),
}
"""Name -> function that makes the pasted patch from the model's patch and the source's crop."""


@dataclass
class Measuring(Compositor):
    """Compositor that pastes and measures every kind of patch, and leaves the picture unchanged."""

    spec: CropSpec
    rows: GeneratedRows
    kind: Blend
    ratios: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        super().__init__(self.spec, self.rows, self.kind)
        self._each = {name: Compositor(self.spec, self.rows, self.kind) for name in PATCHES}

    def paste(self, canvas: Canvas, face: Face, patch: Floats, crop: Image, frame_idx: int) -> Canvas:
        """Return the canvas unchanged."""
        found = footprint(self.weight, face.box, face.points, self.spec, canvas.width, canvas.height)
        if found is not None:
            weight, before = found.moved_weight(self.weight), canvas.rgb(found.rows, found.columns)
            whole = replace(face, strength=1.0)
            for name, compositor in self._each.items():
                pasted = PATCHES[name](np.asarray(patch, np.float32), crop.astype(np.float32))
                made = compositor.paste(canvas, whole, pasted, crop, frame_idx)
                self.ratios[name].append(seam_ratio(before, made.rgb(found.rows, found.columns), weight))
        return canvas


def measure(video: Path, speech: Path, settings: SyncSettings, cache: Cache, seconds: float) -> dict[str, list[float]]:
    """Return the seam ratio of every redrawn frame, by kind of patch."""
    tools = Tools(settings, cache, "cpu")
    plan = plan_of(tools, Job(video, speech, video)).part(0.0, seconds)
    measuring = Measuring(plan.spec, tools.rows, settings.blend)
    card = tools.model.card
    looks = references_for(settings.reference, plan, card, tools.detector)
    for _ in Redrawer(tools.runner, card, plan.spec, looks, measuring, settings.batch).redraw(plan.cues(0, len(plan))):
        pass
    return measuring.ratios


@click.command()
@click.argument("videos", type=click.Path(path_type=Path, exists=True))
@click.argument("speech", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="w2l", show_default=True, help="Generator: a name or a file.")
@click.option("--blend", type=click.Choice(["soft", "laplacian", "hard"]), default="soft", show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Seconds of each clip to redraw.")
@click.option("--cache", type=click.Path(path_type=Path), help="Cache folder, for the boxes.")
def main(videos: Path, speech: Path, model: str, blend: Blend, seconds: float, cache: Path | None) -> None:
    """Print one row per video."""
    settings = SyncSettings(model=model, blend=blend)
    opened = Cache.open(cache, create=True)
    print("| clip |", " | ".join(PATCHES), "|")
    print("|---|" + "---|" * len(PATCHES))
    for video in sorted(path for path in videos.iterdir() if path.is_file()) if videos.is_dir() else [videos]:
        try:
            ratios = measure(video, speech, settings, opened, seconds)
        except W2LError as error:
            print(f"| {video.name} | {error} |")
            continue
        cells = (f"{np.mean(ratios[name]):.2f} ({max(ratios[name]):.2f})" if ratios[name] else "-" for name in PATCHES)
        print(f"| {video.name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

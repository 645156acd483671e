"""From a plan to a file: the drawing of an output, in parts where it is long, and how long that will take."""

import logging
import math
import resource
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from w2l.compose import Compositor, Rows
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec, side_in_frame
from w2l.faces.detector import Detector
from w2l.faces.following import Faces
from w2l.lipsync import Redrawer, pictures_ahead
from w2l.log import progress
from w2l.media.parts import Parts, part_edges
from w2l.media.picture import Picture
from w2l.media.soundtrack import inspect_speech
from w2l.running import Runner
from w2l.sync_looks import references_for
from w2l.sync_plan import Plan
from w2l.sync_settings import MAX_DETAIL, SyncSettings
from w2l.training.checkpoint import Model, ModelCard

logger = logging.getLogger(__name__)

PART_S = 20.0
"""Seconds of one part of a long output; a resumed job loses no more."""
LONG_S = 60.0
"""An output that lasts longer is made in parts."""
SPARE_DETAIL = 0.2
"""Faces that are larger than a crop by no more than this share of it are not cut any finer."""
LARGE = 0.9
"""Of all faces in all frames, the share that is smaller than a large one: finer than needed costs time alone."""
TRIAL_S = 2.0
"""Seconds of output that an estimate draws."""


class Watch:
    """Seconds by step of the work."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.steps: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """The step that ends now."""
        now = time.monotonic()
        self.steps[step] = round(now - self._last, 3)
        self._last = now

    def first(self) -> None:
        """Notes the first finished picture."""
        self.steps.setdefault("first_frame", round(time.monotonic() - self.began, 3))


@dataclass(frozen=True)
class Estimate:
    """What a `sync` would do."""

    video: Path
    frames: int
    duration_s: float
    fps: float
    faces: str
    frames_passed_through: dict[str, int]
    references: str
    crop: int
    """Side in pixels of the crops in which the face is redrawn."""
    model: Path
    frames_per_s: float
    """Measured on some seconds of the output, from the first frame that is redrawn."""
    expected_s: float
    """Time that drawing will take."""
    peak_mb: float
    """Most memory used by this process; it does not grow with the length."""

    def text(self) -> str:
        """The estimate for a person."""
        passed = ", ".join(f"{count} {reason}" for reason, count in sorted(self.frames_passed_through.items()))
        return "\n".join(
            (
                f"{self.video}: {self.frames} frames, {self.duration_s:.2f} s at {self.fps:.3f} fps",
                f"faces: {self.faces}, redrawn in crops of {self.crop} px",
                f"frames that stay as they are: {passed or 'none'}",
                f"references: {self.references}",
                f"model: {self.model}",
                f"expected: at most {self.expected_s:.0f} s of work ({self.frames_per_s:.1f} frames/s),"
                f" {self.peak_mb:.0f} MB of memory",
            )
        )


def finer_spec(spec: CropSpec, faces: Faces, card: ModelCard, detail: int = 0) -> CropSpec:
    """How faces are cut for a generator that moves pixels: like `spec`, but as fine as they are in the video.

    `detail` times as fine, where that is not 0. All faces of an output are cut alike: as fine as the large ones are.
    Every other generator gets `spec`.
    """
    if not moves_pixels(card):
        return spec
    sides = side_in_frame(faces.boxes, faces.points, spec)
    found = math.ceil(float(np.quantile(sides, LARGE)) / spec.size - SPARE_DETAIL) if len(sides) else 1
    return replace(spec, size=spec.size * (detail or min(max(found, 1), MAX_DETAIL)))


def check_detail(detail: int, card: ModelCard) -> None:
    """ConfigError where looks are to be moved more finely by a generator that draws all its pixels."""
    if detail > 1 and not moves_pixels(card):
        raise ConfigError(f"detail {detail} needs a generator that moves pixels; this one draws them: leave it out")


def moves_pixels(card: ModelCard) -> bool:
    """Whether a generator moves pixels of its references, which may then be as fine as one likes."""
    return card.dimensions.get("layout") == "warping"


def make_runner(settings: SyncSettings, model: Model) -> Runner:
    """The generator made ready, for as many outputs as are wanted: this takes longer than its file takes to load."""
    compositor = Compositor(model.card.crop, _rows(model), settings.blend)
    return Runner(model, compositor.first_row, settings.backend, settings.batch)


def make_redrawer(settings: SyncSettings, plan: Plan, model: Model, detector: Detector, runner: Runner) -> Redrawer:
    """All that draws one output, made ready; `runner` is `make_runner`'s for the same settings and model."""
    looks = references_for(settings.reference, plan, model.card, detector)
    finer = plan.spec.size // model.card.crop.size
    batch = min(max(1, settings.batch // finer), 2 * pictures_ahead(plan.info.width, plan.info.height))
    return Redrawer(runner, model.card, plan.spec, looks, Compositor(plan.spec, _rows(model), settings.blend), batch)


def _rows(model: Model) -> Rows:
    return "lower" if model.card.dimensions.get("rows") == "lower" else "full"


def make_parts(settings: SyncSettings, plan: Plan, output: Path, mark: str, resume: bool = False) -> Parts:
    """The output in the making, in parts where it is long; nothing is written yet."""
    info, timeline = plan.info, plan.timeline
    n_frames = len(timeline)
    origin_s = plan.speech_origin_s
    if plan.skipped_s:
        origin_s = inspect_speech(plan.speech, origin_s, None).zero_s + plan.skipped_s
    n_per_part = n_frames if timeline.end_s <= LONG_S else max(1, round(PART_S * timeline.fps))
    return Parts(
        output,
        info.width,
        info.height,
        timeline.fps,
        timeline.times,
        part_edges(n_frames, n_per_part),
        colour=info.colour,
        mark=mark,
        resume=resume,
        pixel_aspect=info.pixel_aspect,
        speech=plan.speech,
        speech_origin_s=origin_s,
        until_s=timeline.end_s,
        speech_until_s=plan.sound_s,
        encoding=settings.encoding,
        keep=info.path if settings.keep_streams else None,
        keep_origin_s=info.start_s + plan.skipped_s,
        variable=not timeline.constant,
    )


def draw(plan: Plan, redrawer: Redrawer, parts: Parts, watch: Watch) -> None:
    """Draws what is not there yet, part by part, and puts it together."""
    n_ahead = pictures_ahead(plan.info.width, plan.info.height)
    with parts, progress("sync", len(plan)) as advance:
        if n_kept := sum(map(parts.finished, range(parts.n_parts))):
            logger.info("%d of %d parts are there from before", n_kept, parts.n_parts)
        for number in range(parts.n_parts):
            frames = parts.pictures(number)
            if parts.finished(number):
                advance(len(frames))
                continue
            redrawn = redrawer.redraw(plan.cues(frames.start, frames.stop), n_ahead)
            with closing(redrawn), parts.writer(number) as writer:
                for picture in redrawn:
                    writer.write(cast(Picture, picture))  # what comes of a Picture is one
                    watch.first()
                    advance()
        parts.assemble()


def estimate(settings: SyncSettings, plan: Plan, redrawer: Redrawer, model: Model) -> Estimate:
    """What a plan comes to: some seconds of it are drawn and encoded, and thrown away."""
    first = next((idx for idx in range(len(plan)) if plan.is_redrawn(idx)), 0)
    trial = plan.part(float(plan.timeline.times[first]), TRIAL_S)
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        draw(trial, redrawer, make_parts(settings, trial, Path(folder) / "trial.mkv", "trial"), watch)
        watch.lap("draw")
    rate = len(trial) / max(watch.steps["draw"], 1e-6)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Estimate(
        video=plan.info.path,
        frames=len(plan),
        duration_s=round(plan.timeline.end_s, 3),
        fps=plan.timeline.fps,
        faces=plan.chosen,
        frames_passed_through=plan.passed_through(),
        references=str(redrawer.references),
        crop=plan.spec.size,
        model=model.path,
        frames_per_s=round(rate, 2),
        expected_s=round(len(plan) / rate, 1),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1),
    )

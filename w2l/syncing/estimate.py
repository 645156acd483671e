"""Estimate how long an output will take by drawing some seconds of it."""

import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from w2l.syncing.disclose import Finisher
from w2l.syncing.draw import Watch, draw, make_parts, make_redrawer
from w2l.syncing.engine import Redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.plan import Plan, plan_of
from w2l.syncing.remember import remember
from w2l.syncing.suited import suited
from w2l.syncing.tools import Tools

TRIAL_S = 2.0
"""Seconds of output that are drawn to measure the speed."""


@dataclass(frozen=True)
class DryRun:
    """Result of a dry run of `sync`."""

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
    """Estimated seconds of drawing."""
    peak_mb: float
    """Peak memory of this process in MB; it does not grow with the length."""

    def text(self) -> str:
        """Return the result as lines of text."""
        passed = ", ".join(f"{count} {reason}" for reason, count in sorted(self.frames_passed_through.items()))
        return "\n".join(
            (
                f"{self.video}: {self.frames} frames, {self.duration_s:.2f} s at {self.fps:.3f} fps",
                f"faces: {self.faces}, redrawn in crops of {self.crop} px",
                f"unchanged frames: {passed or 'none'}",
                f"references: {self.references}",
                f"model: {self.model}",
                f"expected: at most {self.expected_s:.0f} s of work ({self.frames_per_s:.1f} frames/s),"
                f" {self.peak_mb:.0f} MB of memory",
            )
        )


def dry_run(tools: Tools, job: Job) -> DryRun:
    """Return what `run` would do and how long it would take; write only faces and mouth samples to the cache."""
    plan = remember(tools, plan_of(tools, job))
    tools = suited(tools, plan)
    redrawer = make_redrawer(tools, plan)
    rate = measure_rate(tools, plan, redrawer, job.output)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return DryRun(
        video=plan.info.path,
        frames=len(plan),
        duration_s=round(plan.timeline.end_s, 3),
        fps=plan.timeline.fps,
        faces=plan.chosen,
        frames_passed_through=plan.passed_through(),
        references=str(redrawer.references),
        crop=plan.spec.size,
        model=tools.model.path,
        frames_per_s=round(rate, 2),
        expected_s=round(len(plan) / rate, 1),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1),
    )


def measure_rate(tools: Tools, plan: Plan, redrawer: Redrawer, output: Path) -> float:
    """Return the frames drawn and encoded per second, over `TRIAL_S` seconds from the first one redrawn."""
    first = next((idx for idx in range(len(plan)) if plan.is_redrawn(idx)), 0)
    trial = plan.part(float(plan.timeline.times[first]), TRIAL_S)
    watch, finisher = Watch(), Finisher(tools.settings.disclosure, "0" * 10, trial)
    with tempfile.TemporaryDirectory() as folder:
        parts = make_parts(tools.settings, trial, Path(folder) / output.name, "trial")
        draw(trial, redrawer, parts, watch, finisher)
        watch.lap("draw")
    return len(trial) / max(watch.steps["draw"], 1e-6)

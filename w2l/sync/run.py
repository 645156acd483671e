"""The making of one output of `sync`, with tools that serve many outputs."""

import logging
import time
from dataclasses import replace

from w2l.core.errors import ConfigError
from w2l.core.files import sha256
from w2l.media.video import probe
from w2l.sync.detail import check_detail, finer_spec
from w2l.sync.draw import Watch, draw, make_parts, make_redrawer
from w2l.sync.jobs import Job
from w2l.sync.plan import Plan, make_plan
from w2l.sync.record import Result, check_output, half_done_mark, keep, made_before, mark_of, record_in
from w2l.sync.tools import Tools

logger = logging.getLogger(__name__)
PREVIEW_S = 1.0
"""Seconds that `preview_s` makes."""


def make(
    tools: Tools, job: Job, overwrite: bool = False, resume: bool = False, preview_s: float | None = None
) -> Result:
    """Writes `job.output`: the job's video with a mouth that fits its speech.

    With `resume` a long job goes on behind its last finished part, and an output that is done is kept; with
    `preview_s` one second around that time is made. All that is cheap is checked first. Raises MediaError,
    NoFaceError, CheckpointError or ConfigError.
    """
    watch, settings, output = Watch(), tools.settings, job.output
    if resume and (done := _from_before(tools, job, preview_s)):
        return done
    check_output(job.video, job.speech, output, overwrite, settings)
    if preview_s is not None and not preview_s >= 0.0:
        raise ConfigError(f"preview {preview_s} s is no time of the result; name one from 0 on")
    plan = plan_of(tools, job)
    logger.info("%s: %s", output, plan.chosen)
    if preview_s is not None:
        plan = _around(plan, preview_s)
    mark = mark_of(settings, job.video, job.speech, tools.model_path, preview_s)
    parts = make_parts(settings, plan, output, half_done_mark(mark, tools.device), resume)
    watch.lap("look")
    redrawer = make_redrawer(settings, plan, tools.model, tools.detector, tools.runner)
    watch.lap("references")
    hashes = {"video": sha256(job.video), "speech": sha256(job.speech), "model": tools.model_sha256}
    watch.lap("hashes")  # now, so that nothing slow lies between an output and its record
    draw(plan, redrawer, parts, watch)
    watch.lap("draw")
    passed = plan.passed_through()
    if passed:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
        logger.info("%s: %d of %d frames stay as they are: %s", output, sum(passed.values()), len(plan), told)
    result = Result(
        output=output.resolve(),
        video=job.video.resolve(),
        speech=job.speech.resolve(),
        model=tools.model.path.resolve(),
        frames=len(plan),
        frames_passed_through=passed,
        faces=plan.chosen,
        looked=plan.scan_fresh,
        references=str(redrawer.references),
        crop=plan.spec.size,
        fps=plan.timeline.fps,
        variable_rate=not plan.timeline.constant,
        duration_s=round(plan.timeline.end_s, 6),
        took_s=round(time.monotonic() - watch.began, 2),
        timing=watch.steps,
        record=record_in(tools.cache, output),
        settings=settings,
        hashes=hashes,
        mark=mark,
    )
    keep(result, tools.model.card.step)
    return result


def _from_before(tools: Tools, job: Job, preview_s: float | None) -> Result | None:
    """The same output, where it was made before."""
    mark = mark_of(tools.settings, job.video, job.speech, tools.model_path, preview_s)
    done = made_before(job.output, mark, tools.settings)
    if done:
        logger.info("%s is there from before", job.output)
    return done


def plan_of(tools: Tools, job: Job) -> Plan:
    """What is decided before drawing."""
    settings, info = tools.settings, probe(job.video)
    if settings.box is not None and (settings.box[2] > info.width or settings.box[3] > info.height):
        raise ConfigError(f"box {settings.box} does not lie in the picture of {info.width} x {info.height} px")
    check_detail(settings.detail, tools.model.card)
    plan = make_plan(settings, info, job.speech, tools.model.card.crop, tools.cache, tools.detector)
    return replace(plan, spec=finer_spec(plan.spec, plan.faces, tools.model.card, settings.detail))


def _around(plan: Plan, preview_s: float) -> Plan:
    """The plan of the second around a time."""
    end_s = plan.timeline.end_s
    if preview_s > end_s:
        raise ConfigError(f"preview {preview_s:g} s lies behind the end of the result, {end_s:.2f} s")
    return plan.part(max(0.0, min(preview_s - PREVIEW_S / 2, end_s - PREVIEW_S)), PREVIEW_S)

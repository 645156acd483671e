"""Run `sync`: one video, one speech, one output."""

import logging
import time
from pathlib import Path
from typing import Any

from w2l.core.errors import ConfigError
from w2l.core.files import sha256
from w2l.core.reading import real_path
from w2l.marks.claims import tag_of
from w2l.marks.provenance import check_key
from w2l.media.picture_files import is_pictures_output
from w2l.media.sequence import hash_of
from w2l.syncing.covers import report_covered
from w2l.syncing.disclose import Finisher, claims_of, marked_in_words, record_id_of, sign_output
from w2l.syncing.draw import Watch, draw, make_parts, make_redrawer
from w2l.syncing.engine import Redrawer
from w2l.syncing.footage import check_footage
from w2l.syncing.jobs import Job
from w2l.syncing.near import preview_plan
from w2l.syncing.plan import Plan, plan_of
from w2l.syncing.record import SyncResult, check_output, half_done_mark, hold, keep, made_before, mark_of, record_in
from w2l.syncing.remember import remember
from w2l.syncing.suited import suited
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)


def run(tools: Tools, job: Job) -> SyncResult:
    """Write `job.output`: the job's video with a mouth that is in sync with its speech.

    Everything that is cheap to check is checked first. Raises MediaError, NoFaceError, CheckpointError or ConfigError.
    """
    watch = Watch()
    if job.resume and (done := find_done(tools, job)):
        return done
    check(tools, job)
    with hold(job):
        return _make(tools, job, watch)


def _make(tools: Tools, job: Job, watch: Watch) -> SyncResult:
    """Write the output and its records while the record is locked."""
    check(tools, job)  # again, as another process may have finished in the meantime
    preview_s = job.preview_s
    plan = remember(tools, plan_of(tools, job)) if preview_s is None else preview_plan(tools, job, preview_s)
    logger.info("%s: %s", job.output, plan.chosen)
    report_covered(plan)
    mark, settings = mark_of_job(tools, job), tools.settings
    watch.lap("look")
    suitable = suited(tools, plan)
    claims = claims_of(settings, plan, suitable.model.card, hash_inputs(suitable, job))
    watch.lap("hashes")
    record = record_id_of(claims)
    finisher = Finisher(settings.disclosure, record, plan)
    comment = "" if settings.disclosure.mark == "off" else tag_of(record)
    parts = make_parts(settings, plan, job.output, half_done_mark(mark, tools.device), job.resume, comment)
    if is_pictures_output(job.output):
        logger.info("%s: pictures carry no sound; it is in %s", job.output, job.speech_name or job.speech)
    redrawer = make_redrawer(suitable, plan)
    watch.lap("references")
    draw(plan, redrawer, parts, watch, finisher)
    watch.lap("draw")
    manifest = sign_output(settings.disclosure, job.output, job.video, record, claims["hashes"])
    watch.lap("manifest")
    said = claims | {
        "mark": mark,
        "record_id": record,
        "marked": marked_in_words(settings.disclosure, job.output),
        "manifest": manifest,
    }
    result = result_of(suitable, job, plan, redrawer, watch, said)
    keep(result, suitable.model.card.step)
    return result


def find_done(tools: Tools, job: Job) -> SyncResult | None:
    """Return the record of an identical output made before, if any."""
    done = made_before(job.output, mark_of_job(tools, job), tools.settings)
    if done:
        logger.info("%s is up to date; skipping", job.output)
    return done


def mark_of_job(tools: Tools, job: Job) -> str:
    """Return a hash that changes if the same job would make a different output."""
    return mark_of(tools.settings, job.video, job.speech, tools.model_path, job.preview_s)


def check(tools: Tools, job: Job) -> None:
    """Check the job before any work; raise the error that it would end in."""
    check_output(job, tools.cache, tools.settings)
    check_footage(tools.settings.mouths)
    if tools.settings.disclosure.mark == "full":
        check_key(job.output)
    if job.preview_s is not None and not job.preview_s >= 0.0:
        raise ConfigError(f"--preview must not be negative (got {job.preview_s:g} s)")


def hash_inputs(tools: Tools, job: Job) -> dict[str, str]:
    """Return the SHA-256 of the video, the speech, the driving audio, further mouths and the model."""
    drive = tools.settings.drive
    driven = {"drive": sha256(Path(drive))} if drive else {}
    driven |= {f"mouths {path}": hash_of(Path(path)) for path in tools.settings.mouths}
    driven |= {f"speech of {face}": sha256(Path(speech)) for face, speech in tools.settings.cast}
    return {"video": hash_of(job.video), "speech": sha256(job.speech), "model": tools.model_sha256} | driven


def result_of(tools: Tools, job: Job, plan: Plan, redrawer: Redrawer, watch: Watch, said: dict[str, Any]) -> SyncResult:
    """Return the result; log the frames that are unchanged."""
    passed = plan.passed_through()
    if passed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
        logger.info("%s: %d of %d frames are unchanged: %s", job.output, sum(passed.values()), len(plan), reasons)
    return SyncResult(
        output=real_path(job.output),
        video=real_path(job.video),
        speech=Path(job.speech_name) if job.speech_name else real_path(job.speech),
        model=real_path(tools.model.path),
        faces=plan.chosen,
        looked=plan.scan_fresh,
        references=str(redrawer.references),
        variable_rate=not plan.timeline.constant,
        took_s=round(time.monotonic() - watch.began, 2),
        timing=watch.steps,
        record=record_in(tools.cache, job.output),
        **said,
    )

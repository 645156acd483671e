"""Run `sync`: one video, one speech, one output."""

import logging

from w2l.core.errors import ConfigError
from w2l.marks.claims import tag_of
from w2l.marks.provenance import check_key
from w2l.media.picture_files import is_pictures_output
from w2l.syncing.covers import report_covered
from w2l.syncing.disclose import Finisher, claims_of, record_id_of
from w2l.syncing.draw import Watch, draw, make_parts, make_redrawer
from w2l.syncing.early import is_early, make_early
from w2l.syncing.footage import check_footage
from w2l.syncing.jobs import Job
from w2l.syncing.near import check_sections, preview_plan
from w2l.syncing.outcome import finish, hash_inputs, mark_of_job
from w2l.syncing.plan import plan_of
from w2l.syncing.record import SyncResult, check_output, half_done_mark, hold, made_before
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
    if is_early(tools.settings, job):
        return make_early(tools, job, watch)
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
    if preview_s is None:
        suitable.measure_backend(len(plan))
    redrawer = make_redrawer(suitable, plan)
    watch.lap("references")
    draw(plan, redrawer, parts, watch, finisher)
    watch.lap("draw")
    said = claims | {"mark": mark, "record_id": record}
    return finish(suitable, job, plan, str(redrawer.references), watch, said)


def find_done(tools: Tools, job: Job) -> SyncResult | None:
    """Return the record of an identical output made before, if any."""
    done = made_before(job.output, mark_of_job(tools, job), tools.settings)
    if done:
        logger.info("%s is up to date; skipping", job.output)
    return done


def check(tools: Tools, job: Job) -> None:
    """Check the job before any work; raise the error that it would end in."""
    check_output(job, tools.cache, tools.settings)
    check_footage(tools.settings.mouths)
    if tools.settings.disclosure.mark == "full":
        check_key(job.output)
    if is_early(tools.settings, job):
        check_sections(tools.settings)
    if job.preview_s is not None and not job.preview_s >= 0.0:
        raise ConfigError(f"--preview must not be negative (got {job.preview_s:g} s)")

"""The end of `sync`: signature, records and result, and the hashes in it."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2l.core.files import sha256
from w2l.core.reading import real_path
from w2l.media.sequence import hash_of
from w2l.syncing.disclose import marked_in_words, sign_output
from w2l.syncing.draw import Watch
from w2l.syncing.jobs import Job
from w2l.syncing.plan import Plan
from w2l.syncing.record import SyncResult, keep, mark_of, record_in
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)


def mark_of_job(tools: Tools, job: Job) -> str:
    """Return a hash that changes if the same job would make a different output."""
    return mark_of(tools.settings, job.video, job.speech, tools.model_path, job.preview_s)


def hash_inputs(tools: Tools, job: Job) -> dict[str, str]:
    """Return the SHA-256 of the video, the speech, the driving audio, further mouths and the model."""
    drive = tools.settings.drive
    driven = {"drive": sha256(Path(drive))} if drive else {}
    driven |= {f"mouths {path}": hash_of(Path(path)) for path in tools.settings.mouths}
    driven |= {f"speech of {face}": sha256(Path(speech)) for face, speech in tools.settings.cast}
    return {"video": hash_of(job.video), "speech": sha256(job.speech), "model": tools.model_sha256} | driven


def finish(tools: Tools, job: Job, plan: Plan, references: str, watch: Watch, said: dict[str, Any]) -> SyncResult:
    """Sign the output of a plan that is drawn, write its records and return its result.

    `said` are further fields of the result: what `claims_of` returns, the hash of the job and the record id.
    """
    disclosure = tools.settings.disclosure
    manifest = sign_output(disclosure, job.output, job.video, said["record_id"], said["hashes"])
    watch.lap("manifest")
    marked = {"marked": marked_in_words(disclosure, job.output), "manifest": manifest}
    _log_unchanged(job, said["frames_passed_through"], len(plan))
    result = _result_of(tools, job, plan, references, watch, said | marked)
    keep(result, tools.model.card.step)
    return result


def _result_of(tools: Tools, job: Job, plan: Plan, references: str, watch: Watch, said: dict[str, Any]) -> SyncResult:
    return SyncResult(
        output=real_path(job.output),
        video=real_path(job.video),
        speech=Path(job.speech_name) if job.speech_name else real_path(job.speech),
        model=real_path(tools.model.path),
        faces=plan.chosen,
        looked=plan.scan_fresh,
        references=references,
        variable_rate=not plan.timeline.constant,
        took_s=round(time.monotonic() - watch.began, 2),
        timing=watch.steps,
        record=record_in(tools.cache, job.output),
        **said,
    )


def _log_unchanged(job: Job, passed: Mapping[str, int], n_frames: int) -> None:
    """Log how many frames of the output are unchanged, and why, if any."""
    if passed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
        logger.info("%s: %d of %d frames are unchanged: %s", job.output, sum(passed.values()), n_frames, reasons)

"""Calls over HTTP: put a job in line, follow it, cancel it. Gradio gives each function an address of its name."""

from dataclasses import asdict
from typing import Any

import gradio as gr

from w2l.core.errors import W2LError
from w2l.queue import looking
from w2l.queue.request import JobRequest, ScoreJob
from w2l.queue.store import DAMAGED, QueuedJob
from w2l.ui import texts
from w2l.ui.desk import Desk


def add_calls(desk: Desk) -> None:
    """Add the calls to the page that is being made."""

    def sync(video: str, speech: str, settings: dict[str, Any], suffix: str = ".mp4") -> dict[str, Any]:
        with _Refusals():
            request = JobRequest(desk.path(None, video), desk.path(None, speech), desk.allowed(settings), suffix)
            _check_cast(desk, request)
            desk.looker.call(looking.check_request, desk.root, request)
            return _plain(desk, desk.jobs.add(request))

    def score(outputs: list[str], references: list[str], settings: dict[str, Any]) -> dict[str, Any]:
        with _Refusals():
            request = ScoreJob(desk.paths(outputs, ""), desk.paths(references, ""), desk.allowed(settings))
            desk.looker.call(looking.check_score, desk.root, request)
            return _plain(desk, desk.jobs.add(request))

    def jobs() -> list[dict[str, Any]]:
        return [_plain(desk, one) for one in desk.jobs]

    def job(id: str) -> dict[str, Any]:
        with _Refusals():
            return _plain(desk, desk.jobs.get(id))

    def cancel(id: str) -> dict[str, Any]:
        with _Refusals():
            found = desk.jobs.get(id)
            desk.line.cancel(found)
            return _plain(desk, found)

    for call in (sync, score, jobs, job, cancel):
        gr.api(call, api_name=call.__name__, api_description=texts.CALLS[call.__name__])


class _Refusals:
    """Turns errors of w2l into those that gradio hands to the caller."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, W2LError):
            raise gr.Error(str(error), print_exception=False) from error


def _check_cast(desk: Desk, request: JobRequest) -> None:
    """Raise ConfigError if a speech of a cast may not be named."""
    for _, speech in request.cast:
        desk.path(None, speech)


def _plain(desk: Desk, job: QueuedJob) -> dict[str, Any]:
    """Return a job as plain values."""
    outcome, is_readable = job.outcome, job.title != DAMAGED
    output = job.output if is_readable else job.folder
    return {
        "id": job.id,
        "kind": job.kind,
        "title": job.title,
        "state": job.state,
        "progress": asdict(job.progress),
        "error": outcome.error if outcome else "",
        "result": outcome.result if outcome else {},
        "files": [str(path) for path in sorted(job.folder.glob(f"{output.stem}.*"))] if job.state == "done" else [],
        "command": job.command(desk.jobs.cache) if is_readable else "",
    }

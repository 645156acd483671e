"""What the list of jobs shows of one that is done: a video beside its source, or a page of scores."""

from typing import Any, Protocol

import gradio as gr

from w2l.core.errors import W2LError
from w2l.queue import looking
from w2l.queue.request import JobRequest
from w2l.ui import markup, texts
from w2l.ui.assets import script
from w2l.ui.desk import Desk


class Result(Protocol):
    """The components that show what a job made."""

    kind: str
    """Kind of the jobs."""

    @property
    def components(self) -> list[Any]:
        """Return the components, which must be made within the page."""

    def show(self, name: str) -> tuple[Any, ...]:
        """Return their values for the job of that id; empty ones for none."""


class SyncResultParts:
    """The result beside the source, the files, and the verdict of `w2l verify`."""

    kind = "sync"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.components = [
            gr.HTML("", js_on_load=script("compare.js"), elem_id="w2l-result"),
            gr.HTML("", elem_id="w2l-links"),
            gr.HTML("", elem_id="w2l-verdict"),
        ]

    def show(self, name: str) -> tuple[Any, ...]:
        """Return the result beside the source, the links and the verdict."""
        if not name:
            return "", "", ""
        try:
            job = self._desk.jobs.get(name)
            request, output = job.request, str(job.output)
            if not isinstance(request, JobRequest):
                return "", "", ""
            before = self._desk.looker.call(looking.playable, self._desk.root, request.video)
            after = self._desk.looker.call(looking.playable, self._desk.root, output)
            verdict = self._desk.looker.call(looking.verify_text, output)
        except W2LError as error:
            return markup.message(str(error), is_error=True), "", ""
        links = [(job.output, texts.DOWNLOAD), (job.output.with_suffix(".w2l.json"), texts.RECORD)]
        return markup.compare(before, after), markup.downloads(links), markup.verdict(verdict)


class ScoreResult:
    """The page of scores in a frame, and the files."""

    kind = "score"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.components = [
            gr.HTML("", elem_id="w2l-score-result"),
            gr.HTML("", elem_id="w2l-score-links"),
        ]

    def show(self, name: str) -> tuple[Any, ...]:
        """Return the page and the links."""
        if not name:
            return "", ""
        try:
            output = self._desk.jobs.get(name).output
        except W2LError as error:
            return markup.message(str(error), is_error=True), ""
        links = [(output, texts.DOWNLOAD_PAGE), (output.with_suffix(".csv"), texts.DOWNLOAD_TABLE)]
        return markup.framed(f"/pages/score/{name}", texts.SCORE_PAGE), markup.downloads(links)

"""The list of jobs and the one that is chosen: state, command, result. It follows the files of the cache."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from w2l.core.errors import W2LError
from w2l.queue.store import DAMAGED, ENDED, QueuedJob
from w2l.ui import markup, texts
from w2l.ui.desk import Desk
from w2l.ui.results import Result

EVERY_S = 1.0
"""Seconds between two looks at the jobs."""
MOST_LISTED = 50
"""Most jobs that the list shows."""
Update = tuple[Any, ...]


class JobsPanel:
    """The components and handlers of the jobs of one kind."""

    def __init__(self, desk: Desk, make_result: Callable[[Desk], Result], prefix: str) -> None:
        """Show the panel; ids of its elements begin with `prefix`."""
        self._desk = desk
        gr.Markdown(f"## {texts.JOBS_HEAD}")
        self.message = gr.HTML("", elem_id=f"{prefix}-jobs-message")
        self.chosen = gr.Radio([], label=texts.JOB_LIST, elem_id=f"{prefix}-jobs", elem_classes="w2l-jobs")
        self._state = gr.HTML("", elem_id=f"{prefix}-state")
        with gr.Row():
            self._cancel = gr.Button(texts.CANCEL, visible=False, elem_id=f"{prefix}-cancel", min_width=120)
            self._continue = gr.Button(texts.CONTINUE, visible=False, elem_id=f"{prefix}-continue", min_width=120)
            self._remove = gr.Button(texts.REMOVE, visible=False, elem_id=f"{prefix}-remove", min_width=120)
        self._command = gr.Textbox(
            label=texts.COMMAND, visible=False, interactive=False, buttons=["copy"], lines=2,
            elem_id=f"{prefix}-command",
        )  # fmt: skip
        self._shown, self._added = gr.State(""), gr.State("")
        self._result = make_result(desk)

    def after_run(self, button: Any, add: Any, values: list[Any], message: Any) -> None:
        """Let a button add a job and choose it: list and choice change together, as the list refuses other values."""
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        added = button.click(add, values, [message, self._added], **quiet)
        added.then(self._look_added, [self._added, self.chosen, self._shown], self._seen, **quiet)

    @property
    def _seen(self) -> list[Any]:
        """Return the components that `_look` fills."""
        return [self.chosen, self._state, self._cancel, self._continue, self._remove, self._command, self._shown]

    def connect(self, blocks: Any) -> Any:
        """Follow the jobs: when the page opens, whose event is returned, every second, and at every click."""
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        seen, given = self._seen, [self.chosen, self._shown]
        opened = blocks.load(self._open, None, seen, **quiet)
        gr.Timer(EVERY_S).tick(self._look, given, seen, **quiet)
        self.chosen.change(self._look, given, seen, **quiet)
        self._shown.change(self._result.show, self._shown, self._result.components, **quiet)
        for button, act in (
            (self._cancel, self._desk.line.cancel),
            (self._continue, self._desk.line.go_on),
            (self._remove, self._remove_job),
        ):
            button.click(self._act(act), self.chosen, self.message, **quiet).then(self._look, given, seen, **quiet)
        return opened

    def _remove_job(self, job: QueuedJob) -> None:
        self._desk.jobs.remove(job)

    def _act(self, act: Any) -> Any:
        """Return a handler that does something with the chosen job and returns a message."""

        def handler(name: str | None) -> str:
            try:
                act(self._desk.jobs.get(name or ""))
            except W2LError as error:
                return markup.message(str(error), is_error=True)
            return ""

        return handler

    def _open(self) -> Update:
        """Return the panel of a page that was just opened: the running job, else the newest one."""
        jobs = [job for job in self._desk.jobs if job.kind == self._result.kind]
        running = [job for job in jobs if job.state == "running"]
        first = next(iter(running or jobs[-1:]), None)
        return self._look(first.id if first else None, "")

    def _look_added(self, added: str, name: str | None, shown: str) -> Update:
        """Return the panel with the job that was just added, else with the one that was chosen before."""
        return self._look(added or name, shown)

    def _look(self, name: str | None, shown: str) -> Update:
        """Return the list and the state of the chosen job; the result is shown when `shown` changes."""
        every = list(self._desk.jobs)
        states = {job.id: job.state for job in every}
        jobs = [job for job in reversed(every) if job.kind == self._result.kind][:MOST_LISTED]
        choices = [(f"{job.title} · {_time(job)} · {texts.STATES[states[job.id]]}", job.id) for job in jobs]
        job = next((job for job in jobs if job.id == name), jobs[0] if jobs else None)
        if job is None:
            hidden = gr.update(visible=False)
            return gr.update(choices=[], value=None), texts.NO_JOBS, hidden, hidden, hidden, hidden, ""
        state = states[job.id]
        line = [one.id for one in every if states[one.id] == "waiting"]
        return (
            gr.update(choices=choices, value=job.id),
            markup.state(job, line.index(job.id) + 1 if job.id in line else None),
            gr.update(visible=state not in ENDED),
            gr.update(visible=state in ("failed", "cancelled")),
            gr.update(visible=state in ENDED),
            gr.update(value="" if job.title == DAMAGED else job.command(self._desk.jobs.cache), visible=True),
            job.id if state == "done" else "",
        )


def _time(job: QueuedJob) -> str:
    """Return when a job was made, in UTC."""
    day, time, _ = job.id.split("-")
    return f"{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}"

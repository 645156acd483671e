"""The Score tab: from videos, and the real ones that they were made from, to a job that measures them."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from w2l.core.errors import W2LError
from w2l.core.settings_reference import Setting
from w2l.queue import looking
from w2l.queue.request import MEASURES, ScoreJob
from w2l.ui import markup, texts
from w2l.ui.desk import Desk
from w2l.ui.form import settings_form

DEFAULT_MEASURES = ("lse",)
"""Measures that are ticked at first, the default of `w2l score`."""


class ScoreTab:
    """The tab's components and handlers."""

    def __init__(self, desk: Desk, fields: Sequence[Setting]) -> None:
        self._desk = desk
        gr.Markdown(texts.SCORE_INTRO)
        with gr.Row():
            self._outputs = _files(texts.OUTPUTS, "outputs", desk.is_local)
            self._references = _files(texts.REFERENCES, "references", desk.is_local)
        self._measures = gr.CheckboxGroup(
            [(words, name) for name, words in texts.MEASURES.items()],
            value=list(DEFAULT_MEASURES),
            label=texts.MEASURES_LABEL,
            elem_id="w2l-measures",
        )
        self._form = settings_form(fields)
        self.message = gr.HTML("", elem_id="w2l-score-message")
        self.run = gr.Button(texts.SCORE_RUN, variant="primary", elem_id="w2l-score-run")

    @property
    def values(self) -> list[Any]:
        """Return the components whose values `add_job` takes."""
        return [*self._outputs, *self._references, self._measures, *self._form.components]

    def add_job(self, *values: Any) -> tuple[str, str]:
        """Put a job in line; return a message and its id, empty if it cannot be made."""
        outputs, output_paths, references, reference_paths, measures, *form = values
        try:
            settings = self._desk.allowed(self._form.named(form))
            if tuple(measures) != DEFAULT_MEASURES:
                settings[MEASURES] = list(measures)
            request = ScoreJob(
                self._desk.paths(outputs, output_paths), self._desk.paths(references, reference_paths), settings
            )
            self._desk.looker.call(looking.check_score, self._desk.root, request)
            job = self._desk.jobs.add(request)
        except W2LError as error:
            return markup.message(str(error), is_error=True), ""
        return markup.message(texts.ADDED.format(name=request.output_name)), job.id


def _files(label: str, name: str, is_local: bool) -> tuple[Any, Any]:
    """Show the fields for several files: uploads, and paths where the page is this machine's alone."""
    with gr.Column(min_width=280):
        uploads = gr.File(label=label, file_count="multiple", elem_id=f"w2l-{name}", height=140)
        paths = gr.Textbox(label=texts.PATHS, lines=2, visible=is_local, elem_id=f"w2l-{name}-paths")
    return uploads, paths

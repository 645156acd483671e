"""The Train tab: the runs of the cache with live curves, sheets and findings; it only reads."""

import time
from typing import Any

import gradio as gr

from w2l.core.errors import W2LError
from w2l.queue import runs
from w2l.queue.runs import SeenRun
from w2l.ui import markup, texts
from w2l.ui.desk import Desk

EVERY_S = 4.0
"""Seconds between two looks at the runs."""


class TrainTab:
    """The tab's components and handlers."""

    def __init__(self, desk: Desk, tab: Any) -> None:
        self._desk = desk
        gr.Markdown(texts.TRAIN_INTRO)
        self._chosen = gr.Radio([], label=texts.RUN_LIST, elem_id="w2l-runs", elem_classes="w2l-jobs")
        self._shown = gr.State("")
        self._view = gr.HTML("", elem_id="w2l-run-view")
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        given, seen = [self._chosen, self._shown], [self._chosen, self._shown, self._view]
        timer = gr.Timer(EVERY_S, active=False)
        tab.select(lambda: gr.Timer(active=True), None, timer, **quiet).then(self._look, given, seen, **quiet)
        timer.tick(self._look, given, seen, **quiet)
        self._chosen.input(self._look, given, seen, **quiet)

    def _look(self, name: str | None, shown: str) -> tuple[Any, ...]:
        """Return the list, and the chosen run if it has changed since it was `shown`."""
        found = runs.list_runs(self._desk.jobs.cache)
        if not found:
            return gr.update(choices=[], value=None), "", markup.message(texts.NO_RUNS)
        run = next((run for run in found if run.name == name), found[0])
        choices = [(_words(one), one.name) for one in found]
        if run.mark == shown:
            return gr.update(choices=choices, value=run.name), gr.skip(), gr.skip()
        try:
            view = markup.run(run.name, self._desk.looker.call(runs.run_figures, self._desk.root, run.name))
        except W2LError as error:
            view = markup.message(str(error), is_error=True)
        return gr.update(choices=choices, value=run.name), run.mark, view


def _words(run: SeenRun) -> str:
    """Return name, step and the time since the last change."""
    about = texts.RUN_CHANGED.format(ago=markup.clock(max(0.0, time.time() - run.changed_s)))
    return f"{run.name} · {texts.RUN_STEP.format(step=run.step)} · {texts.RUN_TRAINING if run.is_training else about}"

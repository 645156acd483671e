"""The page: its tabs, its look, and the application that serves it."""

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fastapi
import gradio as gr
import uvicorn

from w2l.core.settings_reference import Setting
from w2l.ui import texts
from w2l.ui.assets import STYLE
from w2l.ui.calls import add_calls
from w2l.ui.desk import Desk
from w2l.ui.jobs_panel import JobsPanel
from w2l.ui.models_tab import ModelsTab
from w2l.ui.pages import add_pages
from w2l.ui.results import ScoreResult, SyncResultParts
from w2l.ui.score_tab import ScoreTab
from w2l.ui.sync_tab import SyncTab
from w2l.ui.train_tab import TrainTab

SYSTEM_FONTS = ("system-ui", "sans-serif")
MONO_FONTS = ("ui-monospace", "monospace")
"""Fonts of the reader's system: nothing is fetched."""
GRACE_S = 3
"""Seconds that open connections have when the server ends."""


@dataclass(frozen=True)
class Fields:
    """Settings of the commands that the page runs."""

    sync: Sequence[Setting]
    score: Sequence[Setting]


def make_page(desk: Desk, fields: Fields) -> Any:
    """Return the page with all tabs."""
    with gr.Blocks(analytics_enabled=False, title=texts.TITLE) as page:
        gr.Markdown(texts.INTRO)
        with gr.Tabs():
            with gr.Tab(texts.SYNC, id="sync"):
                sync = SyncTab(desk, fields.sync)
                synced = JobsPanel(desk, SyncResultParts, "w2l")
            with gr.Tab(texts.SCORE, id="score"):
                score = ScoreTab(desk, fields.score)
                scored = JobsPanel(desk, ScoreResult, "w2l-score")
            with gr.Tab(texts.MODELS, id="models") as models:
                ModelsTab(desk, models)
            with gr.Tab(texts.TRAIN, id="train") as train:
                TrainTab(desk, train)
        add_calls(desk)
        scored.connect(page)
        synced.connect(page).then(desk.warm_up, None, None, show_progress="hidden", api_visibility="private")
        synced.after_run(sync.run, sync.add_job, sync.values, sync.run_message)
        scored.after_run(score.run, score.add_job, score.values, score.message)
    return page


def make_app(desk: Desk, fields: Fields, upload_gb: float) -> Any:
    """Return the application with the page, which gives files of the folder of jobs alone."""
    theme = gr.themes.Default(font=SYSTEM_FONTS, font_mono=MONO_FONTS).set(
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_pages(app, desk)
    return gr.mount_gradio_app(
        app,
        make_page(desk, fields),
        path="/",
        allowed_paths=[str(desk.jobs.root)],
        max_file_size=round(upload_gb * 1e9),
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=["api"],
        theme=theme,
        css=STYLE.read_text(encoding="utf-8"),
    )


def run_app(app: Callable[..., Awaitable[None]], listener: socket.socket) -> None:
    """Serve an application on a socket until SIGINT or SIGTERM, the ordinary end of a server."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has ended
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):  # type: ignore[misc]  # untyped where the extra is missing
    """A server that cuts the connections of open pages when it ends, and does not report that as errors."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections; those that are still open after the grace period are cut."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        await super().shutdown(sockets)

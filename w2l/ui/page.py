"""The page: its tabs, its look, and the application that serves it."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import fastapi
import gradio as gr
import uvicorn

from w2l.core.settings_reference import Setting
from w2l.ui import texts
from w2l.ui.assets import STYLE
from w2l.ui.desk import Desk
from w2l.ui.jobs_panel import JobsPanel
from w2l.ui.sync_tab import SyncTab

SYSTEM_FONTS = ("system-ui", "sans-serif")
MONO_FONTS = ("ui-monospace", "monospace")
"""Fonts of the reader's system: nothing is fetched."""
GRACE_S = 3
"""Seconds that open connections have when the server ends."""


def make_page(desk: Desk, fields: Sequence[Setting]) -> Any:
    """Return the page with all tabs."""
    with gr.Blocks(analytics_enabled=False, title=texts.TITLE) as page:
        gr.Markdown(texts.INTRO)
        with gr.Tabs(), gr.Tab(texts.SYNC):
            sync = SyncTab(desk, fields)
            panel = JobsPanel(desk)
        panel.connect(page)
        panel.after_run(sync.run, sync.add_job, sync.values, sync.run_message)
    return page


def make_app(desk: Desk, fields: Sequence[Setting], upload_gb: float) -> Any:
    """Return the application with the page, which gives files of the folder of jobs alone."""
    theme = gr.themes.Default(font=SYSTEM_FONTS, font_mono=MONO_FONTS)
    return gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
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
    """Serve an application on a socket until SIGINT or SIGTERM."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
    uvicorn.Server(config).run(sockets=[listener])

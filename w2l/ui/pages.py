"""Pages that the server shows besides its own: scores, and training runs. They run no script and load nothing."""

from typing import Any

import fastapi
from fastapi.responses import HTMLResponse

from w2l.core.errors import W2LError
from w2l.core.reading import Unreadable, read_text
from w2l.queue import runs
from w2l.ui import markup, texts
from w2l.ui.desk import Desk

POLICY = (
    "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "frame-ancestors 'self'"
)
"""What a shown page may do: nothing but draw itself, whatever a file's name put into it."""
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def add_pages(app: Any, desk: Desk) -> None:
    """Add the addresses of the pages to an application."""

    def score_page(job: str) -> Any:
        try:
            output = desk.jobs.get(job).output
            return HTMLResponse(read_text(output), headers=HEADERS)
        except (W2LError, Unreadable):
            return HTMLResponse(texts.NO_PAGE, status_code=404, headers=HEADERS)

    def run_page(name: str) -> Any:
        try:
            return HTMLResponse(desk.looker.call(runs.run_page, desk.root, name), headers=HEADERS)
        except W2LError as error:
            return HTMLResponse(markup.said(error), status_code=404, headers=HEADERS)

    router = fastapi.APIRouter()
    router.add_api_route("/pages/score/{job}", score_page, methods=["GET"])
    router.add_api_route("/pages/run/{name}", run_page, methods=["GET"])
    app.include_router(router)

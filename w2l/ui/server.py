"""The server of the page: who may reach it, which files it gives, and its end."""

import gc
import hmac
import inspect
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.queue.helper import Helper
from w2l.queue.line import Line
from w2l.queue.looking import clear_old, score_fields, sync_fields
from w2l.queue.store import Jobs
from w2l.ui.desk import Desk

logger = logging.getLogger(__name__)
LOCAL, ANYWHERE = "127.0.0.1", "0.0.0.0"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine that a browser may use; others would let a foreign site's name point here."""
COOKIE = "w2l-token"
DEFAULT_PORT = 7860
DEFAULT_UPLOAD_GB = 8.0
NO_TELEMETRY = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_RUN_HISTORY": "False"}
"""Environment in which gradio calls nobody."""
QUICK = {"MPLBACKEND": "agg"}
"""Environment in which gradio learns the backend of matplotlib, at its first call, without loading pyplot."""
STUBS_OF = "gradio.component_meta"
"""Module that writes a stub for each component when this is imported."""
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class PageSettings:
    """How the page is served."""

    port: int = DEFAULT_PORT
    """Port; 0 takes a free one."""
    network: bool = False
    """Whether other machines reach the page, with the token in its address."""
    upload_gb: float = DEFAULT_UPLOAD_GB
    """Largest file that a page may upload, in GB."""

    def __post_init__(self) -> None:
        """Reject numbers out of range."""
        if not 0 <= self.port < 65536:
            raise ConfigError(f"--port {self.port} must lie between 0 (a free one) and 65535")
        if not self.upload_gb > 0:
            raise ConfigError(f"--upload-limit {self.upload_gb:g} must be positive, in GB")


class Guard:
    """Lets only requests pass that come from this machine's own page, or that have the token."""

    def __init__(self, app: Asgi, token: str, ready: Callable[[], object]) -> None:
        self._app = app
        self._token = token
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the start and the end of the server; no other connections are taken."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._announcing(send))
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if reason := self._refusal(headers, query) or _fetching(str(scope.get("path", ""))):
            await _refuse(send, reason)
            return
        given = query.get("token", [""])[0]
        await self._app(scope, receive, self._with_cookie(send) if self._token and given else send)

    def _refusal(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """Return why a request is refused; empty if it may pass."""
        host = headers.get("host", "")
        origin = headers.get("origin", "")
        if origin and urlsplit(origin).netloc != host:
            return "requests of other sites are refused"
        if not self._token:
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            return "" if name in LOCAL_NAMES else f"open the page as http://{LOCAL}, not as {name!r}"
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        for given in (query.get("token", [""])[0], cookie.value if cookie else "", bearer):
            if hmac.compare_digest(given.encode(), self._token.encode()):
                return ""
        return "the token is missing; open the address that w2l ui printed"

    def _announcing(self, send: Send) -> Send:
        """Return a `send` that says when the application has started."""

        async def wrapped(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready()

        return wrapped

    def _with_cookie(self, send: Send) -> Send:
        """Return a `send` that keeps the token in the browser, so that later requests have it."""

        async def wrapped(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
            await send(message)

        return wrapped


def _fetching(path: str) -> str:
    """Return why a path is refused that would make the server fetch from elsewhere; empty for others."""
    return "this server fetches nothing" if "/proxy=" in path or "file=http" in path.lower() else ""


async def _refuse(send: Send, reason: str) -> None:
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(settings: PageSettings, cache: Cache, ready: Callable[[str], object]) -> None:
    """Serve the page until interrupted; `ready` is called with its address as soon as it answers."""
    jobs = Jobs(cache)
    jobs.uploads.mkdir(parents=True, exist_ok=True)
    os.environ.update(NO_TELEMETRY | QUICK | {"GRADIO_TEMP_DIR": str(jobs.uploads)})
    desk = Desk(jobs, Line(jobs), Helper(), Helper(), is_local=not settings.network)
    listener = _listen(settings)
    token = secrets.token_urlsafe(24) if settings.network else ""
    try:
        with without_stubs(), without_collection():
            from w2l.ui.page import Fields, make_app, run_app

            app = make_app(desk, Fields(sync_fields(), score_fields()), settings.upload_gb)
        desk.line.start()
        clear_old(jobs)
        run_app(Guard(app, token, lambda: ready(_address(listener, token))), listener)
    finally:
        desk.line.stop()
        desk.looker.stop()
        desk.loader.stop()


def _listen(settings: PageSettings) -> socket.socket:
    """Return the socket of the page; raise ConfigError if its port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ANYWHERE if settings.network else LOCAL, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {settings.port} cannot be used ({error.strerror}); choose another --port") from error
    listener.listen(128)
    return listener


def _address(listener: socket.socket, token: str) -> str:
    """Return the address to open; of this machine in the network if there is a token."""
    port = listener.getsockname()[1]
    return f"http://{socket.gethostname()}:{port}/?token={token}" if token else f"http://{LOCAL}:{port}"


@contextmanager
def without_stubs() -> Iterator[None]:
    """Keep gradio from parsing its sources to write stubs for editors, which takes half of its import."""
    find = inspect.getfile

    def hidden(of: Any) -> str:
        if sys._getframe(1).f_globals.get("__name__") == STUBS_OF:
            raise OSError("stubs are not wanted")
        return find(of)

    inspect.getfile = hidden  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = find


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python from searching for garbage while so many modules are loaded that stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def is_installed() -> bool:
    """Return whether the extra is installed."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("gradio", "fastapi", "uvicorn"))

"""Who may reach the page: this machine alone, or whoever has the token."""

import asyncio
from typing import Any

import pytest

from w2l.core.errors import ConfigError
from w2l.ui.server import COOKIE, Guard, PageSettings

TOKEN = "the-token"
HERE = {"host": "127.0.0.1:7860"}
AWAY = {"host": "desk.example:7860"}


def ask(token: str, headers: dict[str, str], query: str = "", path: str = "/") -> tuple[int, str]:
    """Return the status of a request behind the guard, and the cookie that it sets."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(app, token, lambda: None)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"set-cookie", b"").decode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer the-toke"},
        {"cookie": f"{COOKIE}=wrong"},
        {"cookie": f"other={TOKEN}"},
        {"authorization": f"Bearer {TOKEN}", "origin": "http://elsewhere.example"},
    ],
)
def test_without_the_token_the_network_is_refused(headers: dict[str, str]) -> None:
    assert ask(TOKEN, {**AWAY, **headers}) == (403, "")
    assert ask(TOKEN, {**HERE, **headers}, "token=wrong") == (403, "")


def test_the_token_of_the_address_is_kept_as_a_cookie() -> None:
    status, cookie = ask(TOKEN, AWAY, f"token={TOKEN}")
    assert (status, cookie.split(";")[0]) == (200, f"{COOKIE}={TOKEN}")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(TOKEN, {**AWAY, "cookie": f"{COOKIE}={TOKEN}"}) == (200, "")
    assert ask(TOKEN, {**AWAY, "authorization": f"Bearer {TOKEN}"}) == (200, "")


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        (HERE, "/", 200),
        ({"host": "localhost"}, "/", 200),
        ({"host": "[::1]:7860"}, "/", 200),
        ({**HERE, "origin": "http://127.0.0.1:7860"}, "/", 200),
        ({**HERE, "origin": "http://127.0.0.1:9999"}, "/", 403),
        ({"host": "rebound.example:7860"}, "/", 403),
        ({}, "/", 403),
        (HERE, "/gradio_api/proxy=http://elsewhere.example/x", 403),
        (HERE, "/gradio_api/file=HTTP://elsewhere.example/x", 403),
    ],
)
def test_a_local_page_answers_this_machine_and_fetches_nothing(headers: dict[str, str], path: str, status: int) -> None:
    assert ask("", headers, path=path) == (status, "")


@pytest.mark.parametrize(
    ("given", "named"), [({"port": 70000}, "--port 70000"), ({"upload_gb": 0}, "--upload-limit 0")]
)
def test_numbers_out_of_range_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        PageSettings(**given)

"""The page under stress: two tabs, a large upload, an end with a page open."""

import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server
from tests.ui.test_browser import give

pytestmark = pytest.mark.slow
RUNNING = '#w2l-state [data-state="running"]'
GIGABYTE = 10**9
MOST_MEGABYTES = 100.0
"""Memory by which a server may grow during an upload of a gigabyte."""


def test_two_tabs_show_the_same_jobs(page: Any, serve: Callable[[], Server], inputs: Path) -> None:
    server = serve()
    give(page, server.address, inputs)
    other = page.context.browser.new_page()
    other.goto(server.address)
    other.wait_for_selector("#w2l-run")
    page.click("#w2l-run")
    other.wait_for_selector(RUNNING)
    other.click("#w2l-cancel")
    page.wait_for_selector('#w2l-state [data-state="cancelled"]')


def memory_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def test_a_gigabyte_is_uploaded_in_bounded_memory(serve: Callable[[], Server], tmp_path: Path) -> None:
    server = serve()
    with urllib.request.urlopen(server.address) as response:
        response.read()
    before = memory_mb(server.process.pid)
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(GIGABYTE)
    upload = ["curl", "-sf", "-F", f"files=@{tmp_path}/large.mp4", f"{server.address}/gradio_api/upload"]
    done = subprocess.run(upload, capture_output=True, text=True, check=True)
    grown = memory_mb(server.process.pid) - before
    received = Path(done.stdout.strip('[]"\n'))
    assert received.stat().st_size == GIGABYTE
    assert tmp_path / "cache" / "jobs" / "uploads" in received.parents
    assert grown < MOST_MEGABYTES, f"memory grew by {grown:.0f} MB"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_with_a_page_open(page: Any, serve: Callable[[], Server], number: int, tmp_path: Path) -> None:
    server = serve()
    page.goto(server.address)
    page.wait_for_selector("#w2l-run")
    page.wait_for_timeout(2500)
    began = time.monotonic()
    server.end(number)
    assert time.monotonic() - began < 20
    log = (tmp_path / "server.log").read_text()
    assert (server.process.returncode, "Traceback" in log, "error:" in log) == (0, False, False)

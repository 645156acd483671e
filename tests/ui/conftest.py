"""`w2l ui` in a process of its own, a real browser, and media for both."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from w2l.data.puppets import babble, talk
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
"""The last two give a page a microphone that beeps, without asking."""
PATIENCE_MS = 240_000


class Server:
    """`w2l ui` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "w2l", "ui", "--port", "0", "--cache", str(folder / "cache")]
        with (folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def end(self, number: int) -> None:
        """End it by a signal."""
        self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn face that talks, and another speech, long enough that a job can be watched."""
    folder = tmp_path_factory.mktemp("inputs")
    own, other = babble(4.0, seed=1), babble(20.0, seed=2)
    write_wav(folder / "own.wav", own)
    write_wav(folder / "speech.wav", other)
    with VideoWriter(Output(folder / "face.mp4", 320, 240, 25.0, speech=folder / "own.wav")) as writer:
        for image in talk(own):
            writer.write(image)
    return folder


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a real browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Starts a server of the cache in `tmp_path`; all of them are ended."""
    pytest.importorskip("gradio", reason="the extra [ui] is not installed")
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(tmp_path))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)

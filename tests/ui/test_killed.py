"""A job whose server and process are killed in the middle continues after its last finished part."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server
from tests.ui.test_browser import give
from w2l.data.puppets import babble
from w2l.media.audio import write_wav
from w2l.media.video import probe

pytestmark = pytest.mark.slow
RUNNING, DONE = '#w2l-state [data-state="running"]', '#w2l-state [data-state="done"]'


def test_a_long_job_continues_after_server_and_process_were_killed(
    page: Any, serve: Callable[[], Server], inputs: Path, tmp_path: Path
) -> None:
    write_wav(tmp_path / "long.wav", babble(62.0, seed=5))
    server = serve()
    give(page, server.address, inputs)
    page.fill("#w2l-speech-path textarea, #w2l-speech-path input", str(tmp_path / "long.wav"))
    page.click("#w2l-run")
    page.wait_for_selector(RUNNING)
    page.wait_for_function("document.querySelector('#w2l-state progress')?.value > 40")
    (folder,) = (tmp_path / "cache" / "jobs").glob("2*")
    server.end(signal.SIGKILL)
    worker = int(subprocess.run(["pgrep", "-f", f"w2l.queue.worker .*{folder.name}"], capture_output=True, text=True,
                                check=True).stdout.split()[0])  # fmt: skip
    os.kill(worker, signal.SIGKILL)
    page.goto(serve().address)
    page.wait_for_selector(RUNNING)
    page.wait_for_selector(DONE, timeout=240_000)
    assert probe(next(folder.glob("*.mp4"))).n_frames == 1550
    assert "1 of 3 parts are" in (folder / "log.txt").read_text()

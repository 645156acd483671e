"""The page in a real browser: a job's state and result are shown, whatever is reloaded or killed on the way."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ui.conftest import Server
from w2l.data.puppets import babble, talk
from w2l.media.output import Output
from w2l.media.video import probe
from w2l.media.writer import VideoWriter

pytestmark = pytest.mark.slow
RESULT = "#w2l-result video.w2l-after"
SIDES = "before", "after"


def give(page: Any, address: str, inputs: Path) -> None:
    """Open the page and name video and speech."""
    page.goto(address)
    page.wait_for_selector("#w2l-run")
    for field, name in (("video", "face.mp4"), ("speech", "speech.wav")):
        place = f"#w2l-{field}-path textarea, #w2l-{field}-path input"
        page.fill(place, str(inputs / name))
        page.keyboard.press("Enter")
    page.wait_for_selector("#w2l-picture button")


def test_a_job_is_shown_through_reload_and_killed_server_and_equals_its_command(
    page: Any, serve: Callable[[], Server], inputs: Path, tmp_path: Path
) -> None:
    server = serve()
    give(page, server.address, inputs)
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="running"]')
    page.reload()
    page.wait_for_selector('#w2l-state [data-state="running"], #w2l-state [data-state="done"]')
    server.end(signal.SIGKILL)
    page.goto(serve().address)
    page.wait_for_selector('#w2l-state [data-state="done"]')
    page.wait_for_selector(RESULT)
    length = page.wait_for_function(f"document.querySelector('{RESULT}').duration").json_value()
    assert length == pytest.approx(20.0, abs=0.1)
    words = shlex.split(page.input_value("#w2l-command textarea"))
    subprocess.run([sys.executable, "-m", *words], check=True, cwd=tmp_path, env=os.environ, capture_output=True)
    (made,) = (tmp_path / "cache" / "jobs").glob("2*/*.mp4")
    again = tmp_path / words[words.index("-o") + 1]
    assert probe(made).n_frames == 500
    assert made.read_bytes() == again.read_bytes()
    with page.expect_download() as download:
        page.click("#w2l-links a >> nth=0")
    assert (download.value.suggested_filename, Path(download.value.path()).read_bytes()) == (
        again.name,
        again.read_bytes(),
    )


def test_the_result_appears_without_a_reload(page: Any, serve: Callable[[], Server], inputs: Path) -> None:
    give(page, serve().address, inputs)
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="done"]')
    page.wait_for_selector(RESULT)
    assert page.inner_text("#w2l-verdict pre").startswith("face-synced.mp4: marked")
    page.click("#w2l-result .w2l-play")
    page.wait_for_function(f"document.querySelector('{RESULT}').currentTime > 1")
    before, after = (page.evaluate(f"document.querySelector('#w2l-result .w2l-{one}').currentTime") for one in SIDES)
    assert before == pytest.approx(after, abs=0.4)


def test_a_cancelled_job_can_be_continued(page: Any, serve: Callable[[], Server], inputs: Path) -> None:
    give(page, serve().address, inputs)
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="running"]')
    page.click("#w2l-cancel")
    page.wait_for_selector('#w2l-state [data-state="cancelled"]')
    page.click("#w2l-continue")
    page.wait_for_selector('#w2l-state [data-state="done"]')


def test_several_faces_are_chosen_by_click_and_each_gets_a_speech(
    page: Any, serve: Callable[[], Server], inputs: Path, tmp_path: Path
) -> None:
    video = tmp_path / "two.mp4"
    with VideoWriter(Output(video, 640, 240, 25.0)) as writer:
        for left, right in zip(talk(babble(2.0, seed=3)), talk(babble(2.0, seed=4))):
            writer.write(np.hstack([left, right]))
    page.goto(serve().address)
    page.wait_for_selector("#w2l-run")
    page.fill("#w2l-video-path textarea, #w2l-video-path input", str(video))
    page.keyboard.press("Enter")
    page.wait_for_selector("#w2l-picture button[data-face='1']")
    for face in ("0", "1"):
        page.click(f"#w2l-picture button[data-face='{face}']")
        page.wait_for_selector(f"#w2l-picture button[data-face='{face}'][aria-pressed='true']")
    second = page.locator("input[type=file]").nth(2)
    second.set_input_files(str(inputs / "own.wav"))
    page.fill("#w2l-speech-path textarea, #w2l-speech-path input", str(inputs / "own.wav"))
    page.wait_for_timeout(1500)
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="done"]')
    words = shlex.split(page.input_value("#w2l-command textarea"))
    assert [words[idx + 1] for idx, word in enumerate(words) if word == "--face"] == ["0", "1"]


def test_wrong_inputs_give_the_sentence_of_the_command_line(
    page: Any, serve: Callable[[], Server], tmp_path: Path
) -> None:
    (tmp_path / "noise.mp4").write_bytes(os.urandom(4000))
    page.goto(serve().address)
    page.wait_for_selector("#w2l-run")
    page.click("#w2l-run")
    assert "choose a video" in page.inner_text("#w2l-run-message [role=alert]").lower()
    page.fill("#w2l-video-path textarea, #w2l-video-path input", str(tmp_path / "noise.mp4"))
    page.keyboard.press("Enter")
    assert "not a readable video" in page.inner_text("#w2l-faces-message [role=alert]")

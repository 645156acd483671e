"""A speech that is recorded in the browser, whose microphone beeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server
from w2l.media.video import probe
from w2l.ui import texts

pytestmark = pytest.mark.slow


def test_a_recording_is_a_speech(page: Any, serve: Callable[[], Server], inputs: Path, tmp_path: Path) -> None:
    page.goto(serve().address)
    page.wait_for_selector("#w2l-run")
    page.fill("#w2l-video-path textarea, #w2l-video-path input", str(inputs / "face.mp4"))
    page.keyboard.press("Enter")
    page.wait_for_selector("#w2l-picture button")
    page.get_by_text(texts.MICROPHONE).click()
    page.click("#w2l-microphone button.record")
    page.wait_for_timeout(2500)
    page.click("#w2l-microphone button.stop-button")
    page.wait_for_selector("#w2l-microphone #waveform")
    page.wait_for_timeout(1500)
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="done"]')
    (made,) = (tmp_path / "cache" / "jobs").glob("2*/*.mp4")
    assert probe(made).n_frames > 25

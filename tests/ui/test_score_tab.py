"""The Score tab in a real browser."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server

pytestmark = pytest.mark.slow
DONE = '#w2l-score-state [data-state="done"]'


def test_videos_are_scored_and_the_page_is_shown_after_a_reload(
    page: Any, serve: Callable[[], Server], inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    shutil.copy(inputs / "face.mp4", tmp_path / "real")
    page.goto(serve().address)
    page.get_by_role("tab", name="Score").click()
    page.click("#w2l-score-run")
    assert "choose videos to score" in page.inner_text("#w2l-score-message [role=alert]")
    with page.expect_file_chooser() as chooser:
        page.locator("#w2l-outputs button").first.click()
    chooser.value.set_files([str(inputs / "face.mp4")])
    page.wait_for_selector("#w2l-outputs .file-preview")
    page.fill("#w2l-references-paths textarea", str(tmp_path / "real"))
    page.click("#w2l-score-run")
    page.wait_for_selector(DONE)
    page.reload()
    page.get_by_role("tab", name="Score").click()
    page.wait_for_selector(DONE)
    shown = page.frame_locator("#w2l-score-result iframe")
    shown.locator("#offsets svg").first.wait_for()
    assert shown.locator("tr", has_text="real").count()
    command = page.input_value("#w2l-score-command textarea")
    assert f"--reference {tmp_path}/real" in command
    (made,) = (tmp_path / "cache" / "jobs").glob("2*/*.html")
    with page.expect_download() as download:
        page.click("#w2l-score-links a >> nth=0")
    assert Path(download.value.path()).read_bytes() == made.read_bytes()
    assert page.request.get(page.url.rstrip("/") + "/pages/score/..%2f..%2fcache").status == 404

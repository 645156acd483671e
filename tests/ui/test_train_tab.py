"""The Train tab in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server
from w2l.cache.store import Cache

pytestmark = pytest.mark.slow


def log(folder: Path, first: int, last: int) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.writelines(json.dumps({"step": step, "l1": 1 / step}) + "\n" for step in range(first, last))


def test_a_run_is_followed_as_it_trains(page: Any, serve: Callable[[], Server], tmp_path: Path) -> None:
    folder = Cache.open(tmp_path / "cache", create=True).run_folder("mine & <yours>")
    server = serve()
    page.goto(server.address)
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#w2l-run-view >> text=No runs yet")
    folder.mkdir(parents=True)
    log(folder, 1, 30)
    page.wait_for_selector("#w2l-run-view >> text=step 29")
    page.wait_for_selector("#w2l-run-view figure svg .curve")
    log(folder, 30, 60)
    page.wait_for_selector("#w2l-run-view >> text=step 59")
    with page.expect_popup() as popup:
        page.click("#w2l-run-view a.w2l-link")
    assert popup.value.locator("h1").inner_text() == "mine & <yours>"
    assert sorted(path.name for path in folder.iterdir()) == ["log.jsonl"]

"""The page for everyone: names for screen readers, the keyboard, contrast, and the width of a phone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Server
from tests.ui.test_browser import give
from w2l.cache.store import Cache
from w2l.ui import texts

pytestmark = pytest.mark.slow
TABS = texts.SYNC, texts.SCORE, texts.MODELS, texts.TRAIN
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
NAMED = {"textbox", "button", "slider", "checkbox", "radio", "combobox", "spinbutton", "tab", "link", "radiogroup"}
"""Roles of what one types in, chooses or presses."""
PHONE = 380


def each_tab(page: Any, address: str) -> Iterator[str]:
    """Open the page and one tab after the other, with all settings shown."""
    page.goto(address)
    page.wait_for_selector("#w2l-run")
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(1000)
        for closed in page.get_by_text(texts.ALL_SETTINGS).all():
            if closed.is_visible():
                closed.click()
                page.wait_for_timeout(500)
        if tab == texts.TRAIN:
            page.wait_for_selector("#w2l-run-view svg")
        yield tab


@pytest.fixture
def address(serve: Callable[[], Server], tmp_path: Path) -> str:
    """A page with a run in its cache."""
    folder = Cache.open(tmp_path / "cache", create=True).run_folder("mine")
    folder.mkdir(parents=True)
    lines = (json.dumps({"step": step, "l1": 1 / step, "sync": 1 / step}) for step in range(1, 30))
    (folder / "log.jsonl").write_text("\n".join(lines))
    return serve().address


def test_every_field_has_a_name_and_the_page_a_language(page: Any, address: str) -> None:
    session = page.context.new_cdp_session(page)
    seen, unnamed = set(), []
    for tab in each_tab(page, address):
        for node in session.send("Accessibility.getFullAXTree")["nodes"]:
            role, name = (node.get(key, {}).get("value", "") for key in ("role", "name"))
            if not node["ignored"] and role in NAMED:
                seen.add(role)
                unnamed += [(tab, role, node["nodeId"])] * (not name.strip())
    assert seen >= {"textbox", "button", "slider", "checkbox", "combobox", "tab", "radio"}
    assert unnamed == []
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_every_tab_fits_a_phone(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    faint = {tab: page.evaluate(CONTRAST) for tab in each_tab(page, address)}
    assert faint == {tab: [] for tab in TABS}
    page.set_viewport_size({"width": PHONE, "height": 800})
    widths = {tab: page.evaluate("document.documentElement.scrollWidth") for tab in each_tab(page, address)}
    assert widths == dict.fromkeys(TABS, PHONE)


def test_a_job_is_made_with_the_keyboard_alone(page: Any, serve: Callable[[], Server], inputs: Path) -> None:
    give(page, serve().address, inputs)
    page.focus("#w2l-find")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(at) => document.activeElement.matches(at)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#w2l-picture button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#w2l-picture button[aria-pressed='true']")
    page.focus("#w2l-find")
    tab_to("#w2l-run")
    page.keyboard.press("Space")
    page.wait_for_selector('#w2l-state [data-state="running"], #w2l-state [data-state="done"]')

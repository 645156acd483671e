"""Take pictures of the page of `w2l ui`: each tab, light and dark, wide and as narrow as a phone.

python examples/research/page_pictures.py VIDEO SPEECH FOLDER

It starts `w2l ui` with an empty cache, chooses a face of VIDEO, previews a second, runs a job, scores its result, and
writes `sync-light-wide.png` and so on, and to `docs/` in FOLDER the parts that `docs/ui.md` shows. Requires the extra
[ui], Playwright (pip install playwright) and Chromium.
"""

import io
import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from w2l.cache.store import Cache

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 300_000
WIDTHS = {"wide": 1200, "phone": 380}
TABS = ("Sync", "Score", "Models", "Train")
PARTS = {
    "faces": ("Sync", "light", 900, ".tabs", "#w2l-faces"),
    "preview": ("Sync", "light", 900, "#w2l-preview-time", "#w2l-preview-shown"),
    "result": ("Sync", "dark", 900, "#w2l-jobs", "#w2l-verdict"),
    "score": ("Score", "light", 900, "#w2l-score-jobs", "#w2l-score-links"),
    "models": ("Models", "dark", 380, ".tabs", "#w2l-import"),
    "train": ("Train", "light", 900, ".tabs", "#w2l-run-view"),
}
"""Name -> tab, scheme, width in pixels, first and last element of a part that the documentation shows."""
N_COLOURS = 255
SHOW = """() => {
  document.querySelectorAll(".w2l-compare video").forEach((video) => {
    video.currentTime = Math.min(1.4, video.duration / 2);
  });
  document.querySelectorAll(".w2l-wipe").forEach((wipe) => {
    wipe.value = 33;
    wipe.dispatchEvent(new Event("input", {bubbles: true}));
  });
}"""
"""Shows a moment in which the speaker talks, with the divider in the left third, where the face is."""
N_STEPS = 400


def main(video: Path, speech: Path, folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, sync_playwright() as driver:
        _make_run(Path(work) / "w2l-cache")
        command = [sys.executable, "-m", "w2l", "ui", "--port", "0", "--cache", "w2l-cache"]
        with subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            try:
                page = browser.new_page(viewport={"width": WIDTHS["wide"], "height": 900})
                page.set_default_timeout(PATIENCE_MS)
                page.goto(address)
                _sync(page, video, speech)
                _score(page, video, Path(work) / "w2l-cache")
                _take(page, folder, f"{work}/")
                _take_parts(page, folder / "docs", f"{work}/")
            finally:
                browser.close()
                server.send_signal(signal.SIGTERM)


def _make_run(cache: Path) -> None:
    """Write the log of a training run, so that the tab has curves to show."""
    run = Cache.open(cache, create=True).run_folder("w2l")
    run.mkdir(parents=True)
    with (run / "log.jsonl").open("w", encoding="utf-8") as log:
        for step in range(10, N_STEPS, 10):
            losses = {"l1": 0.04 + 0.2 * math.exp(-step / 90), "sync": 0.2 + 0.5 * math.exp(-step / 140)}
            log.write(json.dumps({"step": step, **losses}) + "\n")


def _give(page: Any, field: str, file: Path) -> None:
    """Upload a file to a field."""
    with page.expect_file_chooser() as chooser:
        page.locator(f"{field} button").first.click()
    chooser.value.set_files(str(file))
    page.wait_for_selector(f"{field} .file-preview")


def _sync(page: Any, video: Path, speech: Path) -> None:
    """Choose files and faces, preview, and run to the end."""
    page.wait_for_selector("#w2l-run")
    _give(page, "#w2l-video", video)
    page.wait_for_selector("#w2l-picture button")
    _give(page, "#w2l-speech", speech)
    page.click("#w2l-picture button[data-face='0']")
    page.wait_for_selector("#w2l-picture button[aria-pressed='true']")
    page.click("#w2l-preview")
    page.wait_for_selector("#w2l-preview-shown video.w2l-after")
    page.click("#w2l-run")
    page.wait_for_selector('#w2l-state [data-state="done"]')
    page.wait_for_selector("#w2l-result video.w2l-after")
    page.wait_for_timeout(2000)


def _score(page: Any, video: Path, cache: Path) -> None:
    """Score the result beside the real video."""
    (made,) = (cache / "jobs").glob("2*/*-synced.m*")
    page.get_by_role("tab", name="Score").click()
    _give(page, "#w2l-outputs", made)
    _give(page, "#w2l-references", video)
    page.click("#w2l-score-run")
    page.wait_for_selector('#w2l-score-state [data-state="done"]')
    page.wait_for_timeout(2000)


def _take(page: Any, folder: Path, work: str) -> None:
    """Write a picture of each tab, scheme and width."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width, pixels in WIDTHS.items():
            page.set_viewport_size({"width": pixels, "height": 900})
            for tab in TABS:
                _open(page, tab, work)
                page.screenshot(path=folder / f"{tab.lower()}-{scheme}-{width}.png", full_page=True)


def _take_parts(page: Any, folder: Path, work: str) -> None:
    """Write the parts of the page that the documentation shows, in few colours."""
    folder.mkdir(exist_ok=True)
    for name, (tab, scheme, width, first, last) in PARTS.items():
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 1000})
        _open(page, tab, work)
        page.evaluate(SHOW)
        page.locator(first).first.evaluate("(e) => e.scrollIntoView()")
        page.wait_for_timeout(1500)
        top, bottom = page.locator(first).first.bounding_box(), page.locator(last).first.bounding_box()
        height = min(1000.0 - top["y"], bottom["y"] + bottom["height"] + 8 - top["y"])
        taken = page.screenshot(clip={"x": 0, "y": top["y"], "width": width, "height": height})
        Image.open(io.BytesIO(taken)).convert("RGB").quantize(N_COLOURS).save(folder / f"{name}.png", optimize=True)


def _open(page: Any, tab: str, work: str) -> None:
    """Show a tab; paths are shown relative to the folder of the server."""
    page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(6000 if tab == "Train" else 2500)
    shorten = "(work) => document.querySelectorAll('textarea').forEach(e => e.value = e.value.replaceAll(work, ''))"
    page.evaluate(shorten, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

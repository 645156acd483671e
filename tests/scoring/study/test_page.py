"""The page: words put in safely, and a browser in which a rater judges, goes away, comes back and saves."""

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from w2l.scoring.study.page import ASPECTS, CLIP_FOLDER, PageContent, render_study
from w2l.scoring.study.plan import pair_rounds, rating_rounds
from w2l.scoring.study.results import as_text, read_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SYSTEMS, CLIPS = ("ours", "theirs", "real"), ("c1", "c2", "c3", "c4", "c5")
BLIND = {(system, clip): f"{SYSTEMS.index(system)}f{clip}" for system in SYSTEMS for clip in CLIPS}
N_RATINGS, N_PAIRS, N_REPEATS = 6, 6, 2
BUDGET_MS = 30_000
"""Of the browser's own time, which runs as fast as the machine can."""
RATER = """<script>
// A rater who finds what lies in `order` first better, gives 5, 4, 3 to videos, and reloads the page on the way.
const pause = () => new Promise((done) => setTimeout(done, 5));
const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const byId = (id) => document.getElementById(id);
const system = (clip) => Number(clip[0]);
HTMLMediaElement.prototype.play = async function () { played.push(this.getAttribute("src")); };
HTMLMediaElement.prototype.load = function () {};
const played = [], saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "blob:none"; };
HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
async function judge(until) {
  while (state.at < until) {
    const trial = state.trials[state.at], at = state.at;
    press("1"), press("Enter");
    if (state.at !== at || Object.keys(trial.answers).length) throw Error("answered before it was watched");
    for (const video of document.querySelectorAll("video")) {
      press("Enter");
      video.onended();
    }
    press("Enter");
    if (state.at !== at) throw Error("went on without an answer");
    const best = trial.kind === "pair" && system(trial.clips[0]) < system(trial.clips[1]) ? "1" : "3";
    for (const key of trial.kind === "pair" ? [best, "2", best] : ["5", "4", "3"]) press(key);
    if (at === 3 && !window.went) { window.went = true; press("Backspace"); press("Enter"); }
    press("Enter");
    await pause();
  }
}
(async () => {
  const note = document.createElement("pre");
  try {
    if (!byId("continue")) {
      byId("name").value = "Ann <b>";
      byId("start").click();
      press(" ");
      if (played.length !== 1) throw Error("the space bar does not play");
      await judge(5);
      location.reload();
      return;
    }
    byId("continue").click();
    if (state.at !== 5) throw Error("progress was lost");
    await judge(state.trials.length);
    byId("save").click();
    note.textContent = await saved[0].text() + "#" + saved[1];
  } catch (error) {
    note.textContent = "failed: " + error.message + " at " + (state && state.at);
  }
  note.id = "told";
  document.body.append(note);
})();
</script>"""


def content(**changes: Any) -> PageContent:
    usual: dict[str, Any] = {
        "id": "s1",
        "title": "A study",
        "send_to": "",
        "ratings": rating_rounds(BLIND, SYSTEMS, CLIPS, 0),
        "pairs": pair_rounds(BLIND, SYSTEMS, CLIPS, 0),
        "n_ratings": N_RATINGS,
        "n_pairs": N_PAIRS,
        "n_repeats": N_REPEATS,
    }
    return PageContent(**usual | changes)


def test_words_of_the_settings_cannot_break_the_page() -> None:
    title = 'it\'s </script><script>alert("no")</script> <!-- {{study}} \\ ü'
    page = render_study(content(title=title))
    text = page.split('<script id="study" type="application/json">')[1].split("</script>")[0]
    assert json.loads(text)["title"] == title
    assert page.count("<script") == render_study(content()).count("<script")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render_study(content())
    assert not re.search(r"https?://|@import|<link|src=[\"']?[a-z]*:?//", page)
    assert "{{" not in page
    facts = json.loads(page.split('application/json">')[1].split("</script>")[0])
    assert facts["folder"] == CLIP_FOLDER
    assert [aspect["name"] for aspect in facts["aspects"]] == [aspect.name for aspect in ASPECTS]


def browse(folder: Path, url: str) -> str:
    """The page's text when it has come to rest."""
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'profile'}",
        f"--virtual-time-budget={BUDGET_MS}", "--dump-dom",
    )  # fmt: skip
    assert CHROMIUM is not None
    return subprocess.run([CHROMIUM, *flags, url], capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium to open the page in")
def test_a_rater_judges_goes_away_comes_back_and_saves(tmp_path: Path) -> None:
    page = tmp_path / "study.html"
    page.write_text(render_study(content()).replace("</body>", f"{RATER}</body>"))
    clips = {blind: {"system": system, "clip": clip} for (system, clip), blind in BLIND.items()}
    key = {"format": "w2l study key 1", "study": "s1", "systems": SYSTEMS, "clips": clips}
    (tmp_path / "study-key.json").write_text(json.dumps(key))

    found = re.search(r'<pre id="told">(.*?)</pre>', browse(tmp_path, f"{page.as_uri()}?seed=7"), re.S)
    assert found is not None
    text, _, name = html.unescape(found[1]).partition("#")
    assert not text.startswith("failed"), text
    assert re.fullmatch(r"w2l-answers-s1-Ann-b-[0-9a-f]{8}\.json", name)
    saved = json.loads(text)
    assert (saved["name"], saved["seed"], saved["complete"]) == ("Ann <b>", 7, True)
    assert not [system for system in SYSTEMS if system in text]

    kinds = [(answer["kind"], answer["repeat"]) for answer in saved["answers"]]
    assert kinds == [("rating", False)] * N_RATINGS + [("pair", False)] * N_PAIRS + [("pair", True)] * N_REPEATS
    shown = Counter(answer["clips"][0][0] for answer in saved["answers"][:N_RATINGS])
    assert sorted(shown.values()) == [N_RATINGS // len(SYSTEMS)] * len(SYSTEMS), "all systems equally often"
    first = [answer["clips"] for answer in saved["answers"][N_RATINGS : N_RATINGS + N_PAIRS]]
    assert all(answer["clips"][::-1] in first for answer in saved["answers"][N_RATINGS + N_PAIRS :]), "sides swapped"
    (tmp_path / name).write_text(text)
    report = read_results([tmp_path / name])
    assert {found.first_is_better.mean for found in report.preferences if found.aspect == "sync"} == {1.0}
    assert {found.no_difference for found in report.preferences if found.aspect == "picture"} == {1.0}
    assert {found.mean.mean for found in report.opinions if found.aspect == "picture"} == {4.0}
    assert report.raters[0].agreed == report.raters[0].repeats == len(ASPECTS) * N_REPEATS
    assert "6 of 6 answers were the same" in as_text(report)

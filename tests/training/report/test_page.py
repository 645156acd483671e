"""The page of a run: it holds what the folder holds, needs nothing else, and can be written at any moment."""

import base64
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

from tests.helpers.tiny_cache import talking_cache
from w2l.core.errors import TrainingError
from w2l.data.batches.tracks import crop_spec, open_splits
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, save_model
from w2l.models.lineage import TaughtBy
from w2l.training.report.figures import MOST_SHEETS, MOST_VIDEO, choose_sheets
from w2l.training.report.page import PAGE_NAME, PageFacts, describe_tracks, write_run_page

pytestmark = pytest.mark.usefixtures("drawn_curves")

VOID = {"meta", "img", "br"}
WARNED = "the mouth stands still: raise sync"


class Outline(HTMLParser):
    """What a page consists of; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open[-1] in ("tr", "td", "th", "li", "dt", "dd") and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(" ".join(self.words).split())


def log_line(folder: Path, step: int, **numbers: object) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **numbers}) + "\n")


def add_sheet(folder: Path, step: int, width: int = 96) -> None:
    (folder / "samples").mkdir(exist_ok=True)
    image = np.random.default_rng(step).integers(0, 256, (48, width, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "samples" / f"step{step:09d}.png"), image)


def make_run(folder: Path, n_steps: int = 200) -> Path:
    """A run of a generator in the middle of its way, as it lies on disk."""
    folder.mkdir(parents=True)
    for step in range(10, n_steps + 1, 10):
        log_line(folder, step, l1=1 / step, sync=0.5, disc_real=0.6, disc_fake=0.7, grad_norm=1.0)
        if step % 50 == 0:
            log_line(folder, step, **{"val/l1": 1 / step, "val/sync": 0.4, "val/articulation": 0.9})
            add_sheet(folder, step)
    log_line(folder, 100, warning=WARNED)
    (folder / "config.yaml").write_text("train:\n  sync: 0.03\n  loop:\n    steps: 400\n")
    card = ModelCard(
        "generator", {"size": 96, "width": 4}, CropSpec("aligned", 96), step=150, data="GRID", licence="CC BY 4.0",
        scores={"l1": 1 / 150}, schedule={"l1": 0.97, "sync": 0.0312},
        teachers=(TaughtBy("mine/expert-best", "ab" * 32),),
    )  # fmt: skip
    save_model(folder / "generator-best.safetensors", nn.Linear(2, 2), card)
    return folder


def read(folder: Path, facts: PageFacts | None = None) -> Outline:
    path = write_run_page(folder, facts) if facts else write_run_page(folder)
    assert path == folder / PAGE_NAME
    return Outline(path.read_text(encoding="utf-8"))


def test_the_page_holds_what_the_folder_holds(tmp_path: Path) -> None:
    page = read(make_run(tmp_path / "myrun"))
    assert page.headings == [
        "Warnings", "Scores", "Loss terms", "Adversary", "Validation", "The run itself", "Schedule", "Samples",
        "Models", "Settings",
    ]  # fmt: skip
    settings = ("mine/expert-best", "0.0312", "steps: 400")
    for words in ("myrun", "step 200 of 400, 4 validations", WARNED, "GRID", "CC BY 4.0", *settings):
        assert words in page.text
    for name in ("l1", "sync", "disc real", "disc fake", "grad norm", "articulation"):
        assert name in page.text
    assert "best model (step 150)" in page.text
    assert "0.02 0.00667 0.005" in page.text  # l1 of the first validation, of the best model, of the last one


def test_settings_keep_their_lines_and_names_are_one_line(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    log_line(folder, 200, **{"odd\nname": 1.0})
    read(folder)
    text = (folder / PAGE_NAME).read_text()
    assert "<pre>train:\n  sync: 0.03\n  loop:\n" in text
    assert "odd\\nname" in text


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "samples" / "step000000200.mp4").write_bytes(b"a film")
    page = read(folder)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object"})
    assert all(source.startswith(("#", "data:")) for source in page.sources)
    text = (folder / PAGE_NAME).read_text()
    assert "url(" not in text
    assert "http" not in re.sub('base64,[^"]*', "", text)
    assert "prefers-color-scheme:dark" in text


def test_facts_of_the_caller_are_told(tmp_path: Path) -> None:
    def weights(step: int) -> Mapping[str, float]:
        return {"l1": 1.0} if step < 100 else {"l1": 1.0, "sync": 0.0123}

    facts = PageFacts(
        "trained with x", {"training": "12 tracks"}, ["odd: <b>"], weights, lambda step: {"generator": 1e-4},
        {"disc_real": 0.693},
    )  # fmt: skip
    page = read(make_run(tmp_path / "run"), facts)
    for words in ("trained with x", "12 tracks", "odd: <b>", "0.0123", "1.00e-04", "chance: 0.693"):
        assert words in page.text
    assert "0.0312" not in page.text, "the plan says more than the card"


def test_a_run_of_an_expert(tmp_path: Path) -> None:
    tmp_path = tmp_path / "expert"
    tmp_path.mkdir()
    for step in (25, 50):
        log_line(tmp_path, step, sigmoid=5.0, pair=0.6, grad_norm=2.0)
    log_line(tmp_path, 50, **{"val/accuracy": 0.9, "val/gap_1": 0.6, "val/gap_5": 0.8, "val/bce": 0.4})
    page = read(tmp_path)
    assert page.headings == ["Scores", "Loss terms", "Validation", "The run itself"]
    assert "accuracy by gap in frames" in page.text


def test_a_killed_run_is_readable(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 210, "l1')
    (folder / "generator-latest.safetensors").write_bytes(b"half of a mod")
    (folder / "samples" / "step000000210.png").write_bytes(b"half of a pict")
    (folder / "config.yaml").write_text("train: {loop: [")
    page = read(folder)
    assert "step 200, 4 validations" in page.text
    assert "generator-best" in page.text
    assert "generator-latest" not in page.text


def test_a_run_that_has_hardly_begun(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    assert read(tmp_path).headings == []
    log_line(tmp_path, 1, l1=0.3)
    assert read(tmp_path).headings == ["Loss terms"]


def test_without_a_log_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"log\.jsonl"):
        write_run_page(tmp_path)
    assert not (tmp_path / PAGE_NAME).exists()


def test_words_are_no_markup(tmp_path: Path) -> None:
    folder = tmp_path / "<i>&run"
    folder.mkdir()
    log_line(folder, 1, **{"<script>": 1.0, "val/<b>": 2.0, "warning": "<u>now</u>"})
    (folder / "config.yaml").write_text("train: '</pre><script>'\n")
    page = read(folder)
    assert page.tags.isdisjoint({"script", "u"})
    assert "<u>now</u>" in page.text
    assert "</pre><script>" in page.text


@pytest.mark.parametrize("count", [1, 2, 4, 5, 40])
def test_sheets_are_few_and_begin_with_the_newest(count: int) -> None:
    paths = [Path(f"step{number:09d}.png") for number in range(count)]
    chosen = choose_sheets(paths)
    assert len(chosen) == min(count, MOST_SHEETS)
    assert chosen[0] == paths[-1]
    assert chosen[-1] == paths[0]
    assert chosen == sorted(set(chosen), reverse=True)


def test_pictures_on_the_page_are_bounded(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for step in (210, 220):
        add_sheet(folder, step, width=2500)
    page = read(folder)
    shown = [base64.b64decode(source.partition(",")[2]) for source in page.sources if source.startswith("data:image")]
    assert len(shown) == MOST_SHEETS
    widths = [cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR).shape[1] for coded in shown]  # type: ignore[union-attr]
    assert widths[0] == 2400
    assert widths[-1] == 96


def test_the_newest_video_is_on_the_page_unless_it_is_large(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "samples" / "step000000100.mp4").write_bytes(b"old")
    (folder / "samples" / "step000000200.mp4").write_bytes(b"new")
    films = [source for source in read(folder).sources if source.startswith("data:video")]
    assert [base64.b64decode(film.partition(",")[2]) for film in films] == [b"new"]
    (folder / "samples" / "step000000200.mp4").write_bytes(bytes(MOST_VIDEO + 1))
    page = read(folder)
    assert not [source for source in page.sources if source.startswith("data:video")]
    assert "step000000200.mp4 in samples is too large" in page.text


def test_tracks_are_described(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", n_clips=6, n_frames=50)
    train, val = open_splits(cache, crop_spec(cache))
    told = describe_tracks(train, val)
    counts = [re.match(r"(\d+) tracks of (\d+) clips, (\d\.\d) minutes$", text) for text in told.values()]
    assert list(told) == ["training", "validation"]
    assert all(counts)
    assert sum(int(count[1]) for count in counts if count) == 6
    pieces = train.part([(0, 0, 50)] * 60), train.part([(0, 40, 50)] * 60)
    assert [text.split(", ")[-1] for text in describe_tracks(*pieces).values()] == ["2.0 minutes", "0.4 minutes"]

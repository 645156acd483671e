"""The page of scores: it stands alone, is well formed whatever the names are, and shows what it should."""

import base64
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.made_scores import COLUMNS, CURVE, N_CLIPS, NOTE, OURS, THEIRS, against, clip, report
from w2l.core.arrays import Image
from w2l.core.errors import CacheError
from w2l.report.page import FRAME_HEIGHT
from w2l.scoring.report.cards import (
    MOST_FRAMES,
    MOST_MORE,
    MOST_WORST,
    RealClips,
    across,
    curve_limits,
    ranked,
    ranking,
    worst_of,
)
from w2l.scoring.report.page import write_score_page
from w2l.scoring.report.wording import DOUBT
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, JudgeCheck, ScoreReport

LONE = {"meta", "br", "img"}
"""Elements that are never closed."""


class Reader(HTMLParser):
    """Checks that every element is closed by its own tag; gathers text, sections and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what was opened."""
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.classes |= set(found.get("class", "").split())
        if tag not in LONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed at once."""
        self.classes |= set((dict(attrs).get("class") or "").split())

    def handle_endtag(self, tag: str) -> None:
        """Must be the one that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Gathers text, without the style sheet."""
        self.text += data if self.open and self.open[-1] != "style" else ""


def page_of(
    folder: Path, found: ScoreReport, frames: Callable[[ClipScore], list[Image]] | None = None
) -> tuple[str, Reader]:
    """The page as written, and as read."""
    write_score_page(folder / "page.html", found, COLUMNS, {"judge": "w2l <ours>", "max_shift": 15}, frames)
    page = (folder / "page.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return page, reader


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page, reader = page_of(tmp_path, report(), lambda _: [np.zeros((20, 30, 3), np.uint8)])
    assert not re.search(r"<script|<link|@import|url\(", page)
    assert not re.search(r"https?://", page)
    assert set(re.findall(r'src="([a-z]+:[a-z/]+);', page)) == {"data:image/jpeg"}
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    assert len(reader.links) == len(set(reader.ids)) > 7


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    one = clip(THEIRS, 1)
    odd = replace(one, sample=replace(one.sample, name="<script>x\n{{body}}", speaker="\udcff<i>"), notes=("a & <b>",))
    page, reader = page_of(tmp_path, report([clip(OURS, 0), odd]))
    assert "<script" not in page
    for text in (THEIRS, "<script>x\\n{{body}}", "a & <b>", "LSE with a judge <of ours>", "w2l <ours>"):
        assert text in reader.text
    assert reader.text.count("Settings") == 2  # the body was put in once


def test_quotes_stay_within_their_attribute(tmp_path: Path) -> None:
    said = "\"x\" onclick='y' &"
    columns = [replace(COLUMNS[0], meaning=said), *COLUMNS[1:]]
    write_score_page(tmp_path / "page.html", report(), columns, {}, None)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    titles: list[str | None] = []
    reader = Reader()
    reader.handle_starttag = lambda _, attrs: titles.extend(value for name, value in attrs if name == "title")  # type: ignore[method-assign]
    reader.handle_endtag = lambda _: None  # type: ignore[method-assign]
    reader.feed(page)
    assert said in titles


def test_every_column_with_numbers_is_explained(tmp_path: Path) -> None:
    _, reader = page_of(tmp_path, report())
    explained = reader.text[reader.text.index("Columns", reader.text.index("Not scored", 200)) :]
    for column in COLUMNS:
        assert (column.meaning in explained) == (column.name != "identity")


def test_counts_reasons_and_notes_are_told(tmp_path: Path) -> None:
    _, reader = page_of(tmp_path, report([*report().clips, clip(OURS, 0)]))
    assert "no face; try another" in reader.text
    assert "1 × no face" in reader.text
    assert NOTE in reader.text
    assert "a note on everything" in reader.text


def test_colours_that_are_used_are_defined(tmp_path: Path) -> None:
    page, reader = page_of(tmp_path, report())
    style = page[: page.index("</style>")]
    colours = {name for name in reader.classes if re.fullmatch(r"c\d|real|shuffled", name)}
    assert colours == {"c0", "c1", "real", "shuffled"}
    assert all(f".{name}{{--tone:" in style for name in colours)
    assert "prefers-color-scheme:dark" in style


def test_comparisons_name_the_winner(tmp_path: Path) -> None:
    pairs = (against(OURS, THEIRS, "lse_c", 1.5, 0.001), against(OURS, THEIRS, "lse_d", -1.5, 0.5))
    page, reader = page_of(tmp_path, report(comparisons=pairs))
    assert f'<span class="best">{OURS}</span>' in page
    assert "+1.500[+1.300, +1.700]75%30.001ours" in reader.text
    assert "-1.500[-1.700, -1.300]75%30.500-" in reader.text


@pytest.mark.parametrize(
    "clips",
    [[], [clip(OURS, 0, "damaged")], [clip(OURS, 0)], [clip(REAL, 0)],
     [replace(clip(OURS, 0), values={}, curve=(), over_time=())],
     [clip(OURS, 0, lse_c=float("nan")), replace(clip(OURS, 1), curve=(float("nan"),) * 31)]],
    ids=["none", "dropped", "one", "real alone", "nothing measured", "not finite"],
)  # fmt: skip
def test_little_makes_a_page_too(tmp_path: Path, clips: list[ClipScore]) -> None:
    found = report(clips) if clips else ScoreReport("nothing", (), ())
    page, _ = page_of(tmp_path, found)
    assert not re.search(r'["= ,]-?(nan|inf)["<, ]', page)


def test_frames_are_drawn_for_the_worst_clips_alone(tmp_path: Path) -> None:
    """Forty clips: a dozen has frames, the two systems have equal shares, and the asked clips are the worst."""
    asked: list[ClipScore] = []

    def frames(one: ClipScore) -> list[Image]:
        asked.append(one)
        return [np.full((40, 60, 3), (200, 40, 40), np.uint8)] * (MOST_FRAMES + 1)

    clips = [clip(system, number) for system in (OURS, THEIRS, REAL) for number in range(20)]
    page, reader = page_of(tmp_path, report(clips), frames)
    assert [one.sample.system for one in asked] == [OURS] * 6 + [THEIRS] * 6
    assert [one.sample.name for one in asked[:6]] == [f"clip{number}" for number in range(6)]
    coded = re.findall(r"base64,([^\"]+)", page)
    assert len(coded) == MOST_WORST * MOST_FRAMES
    image = cv2.imdecode(np.frombuffer(base64.b64decode(coded[0]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (FRAME_HEIGHT, round(60 * FRAME_HEIGHT / 40), 3)
    assert np.abs(image.reshape(-1, 3).mean(axis=0) - (40, 40, 200)).max() < 8  # blue, green, red
    assert f"{MOST_MORE} more clips" in reader.text


def test_a_video_that_gives_no_frames_is_shown_without(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, report(), lambda _: [])
    assert "<img" not in page
    assert f"{OURS}/clip1" in page


def test_clips_shown_besides_reach_from_the_worst_to_the_best() -> None:
    found = report([clip(OURS, number) for number in range(60)])
    by = ranking(found, COLUMNS)
    assert by is not None
    assert by.name == "lse_c"
    by_rank = ranked(found, by)
    worst = worst_of(by_rank)
    more = across(by_rank, worst)
    assert [int(one.sample.name[4:]) for one in worst] == list(range(MOST_WORST))
    places = [int(one.sample.name[4:]) for one in more]
    assert len(more) == MOST_MORE
    assert (places[0], places[-1]) == (MOST_WORST, 59)
    assert max(np.diff(places)) <= 3
    assert not across(by_rank, by_rank[OURS])


def test_without_lse_clips_are_ranked_by_what_there_is() -> None:
    found = report([replace(clip(OURS, number), values={"sharpness": 0.2 * number}) for number in range(3)])
    by = ranking(found, COLUMNS)
    assert by is not None
    assert by.name == "sharpness"
    assert [one.sample.name for one in ranked(found, by)[OURS]] == ["clip0", "clip1", "clip2"]
    assert ranking(ScoreReport("nothing", (), ()), COLUMNS) is None


def test_the_real_clip_behind_an_output() -> None:
    """By the reference where it is known: several outputs may have one real video, under names of their own."""
    real, other = clip(REAL, 0), clip(REAL, 1)
    dub = clip(OURS, 1)
    dub = replace(dub, sample=replace(dub.sample, reference=real.sample.path))
    unknown = replace(dub, sample=replace(dub.sample, reference=None))
    lost = replace(dub, sample=replace(dub.sample, reference=Path("/elsewhere.mp4")))
    reals = RealClips(report([dub, real, other]))
    assert reals.of(dub) is real
    assert reals.of(unknown) is other
    assert reals.of(lost) is None
    assert reals.of(real) is None


def test_curves_of_all_systems_have_one_scale() -> None:
    low, high = min(CURVE), max(CURVE)
    clips: Sequence[ClipScore] = [
        clip(OURS, 0),
        replace(clip(SHUFFLED, 0), curve=(high + 3,) * 31),
        clip(THEIRS, 0, "bad"),
    ]
    assert curve_limits(clips) == (low, high + 3)
    assert curve_limits([]) is None


def test_a_page_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        write_score_page(tmp_path / "file" / "page.html", report(), COLUMNS, {}, None)


def test_the_page_begins_with_what_the_judge_can_tell(tmp_path: Path) -> None:
    cannot = JudgeCheck(False, 0.7, 9, True, "shuffled")
    clips = [clip(OURS, number, offset=math.nan) for number in range(N_CLIPS)]
    page, reader = page_of(tmp_path, replace(report(clips), judge_check=cannot))
    text = " ".join(reader.text.split())
    assert text.index("The judge cannot tell lip sync on these clips") < text.rindex("LSE with a judge")
    assert f"none{DOUBT}" in text
    assert f"7.650{DOUBT}" in text
    assert f"{N_CLIPS} without an offset" in text
    assert f"LSE-C ↑ 7.500{DOUBT}" in text[: text.index("clips with all numbers")]
    assert "nan" not in page.replace("finance", "")
    able, _ = page_of(tmp_path, replace(report(), judge_check=replace(cannot, can_tell=True)))
    assert "The judge can tell lip sync on these clips" in able
    assert f'<span class="bad">{DOUBT}</span>' not in able

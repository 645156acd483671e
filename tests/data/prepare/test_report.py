"""The report: counts that add up, whatever wrote the records, and a page that stands alone."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2l.cache.store import Cache
from w2l.data.prepare import tally
from w2l.data.prepare.gates import GATES, GateSettings
from w2l.data.prepare.report import collect, report_summary, table, write_report
from w2l.report.histogram import bins_of, histogram

HOUR_FRAMES = 90000


def add(cache: Cache, clip: str, preprocess: Any, audit: Any = None, **facts: Any) -> None:
    folder = cache.root / "clips" / clip
    folder.mkdir(parents=True)
    stages = {name: stage for name, stage in (("preprocess", preprocess), ("audit", audit)) if stage is not None}
    (folder / "clip.json").write_text(json.dumps({"id": clip, "stages": stages, **facts}))


def kept(n_frames: int = HOUR_FRAMES, **quality: float) -> dict[str, Any]:
    return {"n_frames": n_frames, "n_columns": 1, "first_frame": 0, "start_s": 0.0, "quality": quality}


def refused(gate: str, start_s: float = 0.0, **quality: float) -> dict[str, Any]:
    span = {"start_s": start_s, "end_s": start_s + 1800.0}
    return {**span, "gate": gate, "reason": f"it is {quality}", "quality": quality}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Two kept clips of one speaker, one of another; refused tracks; clips set aside; an audit."""
    cache = Cache.open(tmp_path / "ca<b>che", create=True)
    done = {"fingerprint": "f", "outcome": "done"}
    audit = {"of": "f", "tracks": [
        {"verdict": "shifted", "offset": -3, "confidence": 5.0},
        {"verdict": "set aside", "offset": 9, "confidence": 0.1, "reason": "no offset stands out"},
    ]}  # fmt: skip
    add(cache, "ann/1", {**done, "tracks": [kept(face_px=99.0, n_faces=1), kept(face_px=60.0, n_faces=2)],
        "rejected": [refused("small face", face_px=30.0), refused("small face", 9.0, face_px=20.0)]},
        audit, split="train", speaker="ann")  # fmt: skip
    add(cache, "ann/2", {**done, "tracks": [kept(blur=0.3)]}, split="val", speaker="ann")
    add(cache, "bob/1", {**done, "tracks": [kept(2 * HOUR_FRAMES)]}, {"of": "older", "tracks": [
        {"verdict": "set aside", "offset": 9, "confidence": 0.1}]}, split="train", speaker="bob")  # fmt: skip
    add(cache, "bob/2", {"outcome": "set aside", "gate": "blurred", "reason": "blurred", "rejected": [
        refused("blurred", blur=0.01)]})  # fmt: skip
    add(cache, "bad", {"outcome": "set aside", "gate": "unreadable", "reason": "a 'q\"<i>\n\udcff.mp4 is cut off"},
        frames=HOUR_FRAMES, fps=25)  # fmt: skip
    return cache


def test_counts_add_up(cache: Cache) -> None:
    report = collect(cache)
    assert report.n_clips == 5
    assert report.kept == tally.Group("kept", 3, 3, 4 * 3600.0)
    assert report.splits == (tally.Group("train", 2, 2, 3 * 3600.0), tally.Group("val", 1, 1, 3600.0))
    assert report.speakers == (tally.Group("ann", 2, 2, 7200.0), tally.Group("bob", 1, 1, 7200.0))
    losses = {loss.name: (loss.clips, loss.tracks, loss.seconds) for loss in report.losses}
    assert losses == {
        "small face": (0, 2, 3600.0), "out of sync": (0, 1, 3600.0), "blurred": (1, 1, 1800.0),
        "unreadable": (1, 0, 3600.0),
    }  # fmt: skip
    assert report.n_clips == report.kept.clips + sum(loss.clips for loss in report.losses)
    assert len(report.names) == report.kept.tracks + sum(loss.tracks for loss in report.losses)
    assert list(report.gates).count("") == report.kept.tracks


def test_values_stand_beside_the_track_they_are_of(cache: Cache) -> None:
    report = collect(cache, GateSettings(min_face_px=50))
    faces = dict(zip(report.names, report.values["face_px"]))
    assert faces["ann/1 #0"] == 99
    assert [faces[name] for name, gate in zip(report.names, report.gates) if gate == "small face"] == [30, 20]
    assert np.isnan(faces["bob/1 #0"])
    assert report.limits["face_px"] == 50
    assert "n_faces" not in report.limits, "that gate is open"
    worst = next(loss for loss in report.losses if loss.name == "small face").examples
    assert [text for _, text in worst] == ["it is {'face_px': 20.0}", "it is {'face_px': 30.0}"]


def test_an_audit_of_tracks_that_were_cut_anew_does_not_count(cache: Cache) -> None:
    audit = collect(cache).audit
    assert audit is not None
    assert audit.verdicts == {"shifted": 1, "set aside": 1}
    assert list(audit.offsets) == [-3]


@pytest.mark.parametrize("measure", tally.MEASURES, ids=lambda measure: measure.key)
def test_measures_are_those_of_the_gates(measure: tally.TrackMeasure) -> None:
    assert measure.gate in GATES
    assert hasattr(GateSettings(), measure.limit)


def test_every_gate_has_its_measure() -> None:
    assert {measure.gate for measure in tally.MEASURES} == set(GATES)


RECORDS: list[Any] = [
    {}, {"outcome": "done"}, {"outcome": "set aside", "reason": "old"}, {"tracks": [{"n_frames": 75, "n_columns": 9}]},
    {"tracks": [{}], "rejected": [{}]}, {"tracks": 7, "rejected": "x"}, {"rejected": [{"quality": {"face_px": "big"}}]},
    {"tracks": [{"n_frames": None, "quality": {"new": 1.5, "blur": float("nan")}}, 3]}, [], "odd",
]  # fmt: skip
"""What another version, or a damaged disk, may leave as the record of a clip's preprocess."""


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_records_of_any_version(cache: Cache, record: Any) -> None:
    add(cache, "old/1", record, frames="many", fps=0, split=None)
    (cache.root / "clips" / "bad" / "clip.json").write_text("{")
    report = collect(cache)
    assert report.n_clips == 6
    assert report.n_clips == report.kept.clips + sum(loss.clips for loss in report.losses)
    assert table(report)


def test_a_page_of_records_of_any_version(cache: Cache, tmp_path: Path) -> None:
    for number, record in enumerate(RECORDS):
        add(cache, f"old/{number}", record, frames="many", fps=0, split=None)
    report = collect(cache)
    assert report.n_clips == 5 + len(RECORDS)
    write_report(report, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 1000


def test_the_table(cache: Cache) -> None:
    shown = table(collect(cache, GateSettings()))
    assert shown.startswith("5 clips in ")
    rows = {line.split("  ")[1].strip() if line.startswith(" ") else line.split("  ")[0]: line.split()[-3:]
            for line in shown.splitlines() if line}  # fmt: skip
    assert rows["kept"] == ["3", "3", "4.00"]
    assert rows["blurred"] == ["1", "1", "0.50"]
    assert "at least 48" in shown
    assert "sync audit of 2 tracks: 1 shifted, 1 set aside" in shown
    assert max(map(len, shown.splitlines()[1:])) <= 100


def test_the_summary_is_json(cache: Cache) -> None:
    found = json.loads(json.dumps(report_summary(collect(cache, GateSettings())), allow_nan=False))
    assert found["kept"] == {"name": "kept", "clips": 3, "tracks": 3, "seconds": 4 * 3600.0}
    assert found["kept_5_50_95"]["face_px"] == [99, 99, 99]
    assert found["limits"]["face_px"] == 48
    assert found["audit"] == {"verdicts": {"shifted": 1, "set aside": 1}, "offsets": {"-3": 1}}
    assert "names" not in found


def test_an_empty_cache(tmp_path: Path) -> None:
    report = collect(Cache.open(tmp_path / "cache", create=True))
    assert table(report).startswith("0 clips")
    write_report(report, tmp_path / "page.html")
    assert "There is no rest" in (tmp_path / "page.html").read_text()


class Reader(HTMLParser):
    """Checks that every element is closed by its own tag, and gathers the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_shows_names_as_they_are(cache: Cache, tmp_path: Path) -> None:
    write_report(collect(cache, GateSettings()), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "src=" not in page
    assert "url(" not in page.replace("url(#", "")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert "<i>" not in page
    assert "a 'q\"<i>\\n\\udcff.mp4 is cut off" in reader.text
    assert "ca<b>che" in reader.text
    assert "limit 48" in reader.text
    assert "refused for this measure" in reader.text


class TestHistogram:
    VALUES = np.random.default_rng(0).gamma(5, 20, 5000)

    @pytest.mark.parametrize("limit", [None, 48.0, 1e4])
    def test_every_value_is_in_a_bar(self, limit: float | None) -> None:
        bins = bins_of({"#111111": self.VALUES, "#222222": np.array([np.nan, 1e9])}, limit)
        assert [int(counts.sum()) for counts in bins.counts.values()] == [5000, 1]

    def test_no_bar_lies_on_both_sides_of_the_limit(self) -> None:
        bins = bins_of({"#111111": self.VALUES}, 48.0)
        assert np.abs(bins.edges - 48.0).min() < 1e-9
        assert bins.edges[0] < 48.0 < bins.edges[-1]

    def test_the_limit_of_whole_numbers_stands_after_the_last_one_allowed(self) -> None:
        bins = bins_of({"#111111": np.array([1.0, 1.0, 2.0])}, 1.0, whole=True)
        assert (bins.limit, bins.edges[:3].tolist()) == (1.5, [0.5, 1.5, 2.5])
        assert bins.counts["#111111"][:2].tolist() == [2, 1]

    @pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [-7.0, 5.0], [np.nan], [1e-9, 2e-9], [1e12]], ids=str)
    @pytest.mark.parametrize("whole", [False, True])
    def test_few_or_odd_values_are_counted(self, values: list[float], whole: bool) -> None:
        assert bins_of({"#111111": np.array(values)}, whole=whole).counts["#111111"].sum() == np.isfinite(values).sum()

    @pytest.mark.parametrize(("values", "unit"), [([], "<&> $x$"), ([1e12], "px"), ([-3.0, 4.0, 4.0], "frames")])
    def test_the_drawing_is_one_element_that_is_always_the_same(self, values: list[float], unit: str) -> None:
        parts = {"#2a8c82": np.array(values), "#d1495b": np.array([4.0])}
        drawn = histogram(parts, unit, 3.0, whole=True)
        assert ET.fromstring(drawn).tag.endswith("svg")
        assert "limit 3" in drawn
        assert unit.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in drawn
        assert ("#2a8c82" in drawn) == bool(values)
        assert histogram(parts, unit, 3.0, whole=True) == drawn

"""Systems from clips: order, counts, means, and who is compared with whom."""

import math
from pathlib import Path

import pytest

from w2l.scoring.metrics.columns import Column
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, Sample
from w2l.scoring.sets import summarise

LSE = Column("lse_d", "LSE-D", "lse", "lower", "a distance")
PSNR = Column("psnr", "PSNR", "quality", "higher", "decibels")
COUNT = Column("windows", "windows", "lse", "", "a count")
COLUMNS = (LSE, PSNR, COUNT)


def clip(system: str, name: str, lse: float | None = None, reason: str = "", **values: float) -> ClipScore:
    reference = None if system in (REAL, SHUFFLED) else Path(f"real/{name[0]}.mp4")
    path = Path(f"real/{name[0]}.mp4") if system == REAL else Path(system) / f"{name}.mp4"
    told = values if lse is None else {"lse_d": lse, **values}
    return ClipScore(Sample(path, system, name, reference), told, reason=reason)


def test_outputs_come_in_order_then_real_then_chance() -> None:
    clips = [clip(SHUFFLED, "a", 9.0), clip(REAL, "a", 6.0), clip("two", "a", 7.0), clip("one", "a", 8.0)]
    assert [system.system for system in summarise(clips, COLUMNS).systems] == ["two", "one", REAL, SHUFFLED]


def test_what_was_dropped_is_counted_and_not_averaged() -> None:
    clips = [clip("one", "a", 6.0), clip("one", "b", 8.0), clip("one", "c", 100.0, reason="no face")]
    system = summarise(clips, COLUMNS, {"one": {"fid": 4.5}}).systems[0]
    assert (system.scored, system.dropped) == (2, 1)
    assert (system.means["lse_d"].mean, system.means["lse_d"].clips) == (7.0, 2)
    assert set(system.means) == {"lse_d"}
    assert system.whole == {"fid": 4.5}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_left_out_aloud(bad: float) -> None:
    clips = [clip("one", "a", 6.0, psnr=bad), clip("one", "b", 8.0, psnr=30.0)]
    summary = summarise(clips, COLUMNS)
    assert (summary.systems[0].means["psnr"].mean, summary.systems[0].means["psnr"].clips) == (30.0, 1)
    assert any("psnr: no finite number for 1 clip: a" in note for note in summary.notes)


def test_each_two_systems_are_compared_on_shared_clips_and_with_the_real_videos() -> None:
    clips = [clip("one", name, 6.0, psnr=30.0) for name in "abc"] + [
        clip("two", name, 7.0, psnr=29.0) for name in "abd"
    ]
    clips += [clip(REAL, name, 6.5) for name in "abcd"]
    clips += [clip("two", "c", reason="no face"), clip(SHUFFLED, "a", 9.0)]
    summary = summarise(clips, COLUMNS)
    found = {(one.column, one.first, one.second): one for one in summary.comparisons}
    assert set(found) == {
        ("lse_d", "one", "two"), ("psnr", "one", "two"), ("lse_d", "one", REAL), ("lse_d", "two", REAL)
    }  # fmt: skip
    assert found["lse_d", "one", "two"].difference.clips == 2
    assert found["lse_d", "one", "two"].difference.mean == -1.0
    assert found["lse_d", "two", REAL].wins == 0.0
    assert found["psnr", "one", "two"].wins == 1.0
    assert any("not over the same clips" in note and "1 of one, 1 of two" in note for note in summary.notes)


def test_a_clip_of_several_face_tracks_is_compared_by_their_mean() -> None:
    """What is measured of whole pictures stands with the first track alone."""
    clips = [clip("one", "a", 6.0, psnr=30.0), clip("one", "a", 8.0), clip("two", "a", 7.5, psnr=29.0)]
    summary = summarise(clips, COLUMNS)
    found = {one.column: one.difference.mean for one in summary.comparisons}
    assert found == {"lse_d": -0.5, "psnr": 1.0}
    assert summary.systems[0].scored == 2


def test_outputs_of_one_real_video_are_each_compared_with_it() -> None:
    clips = [clip("one", "a hello", 6.0), clip("one", "a world", 7.0), clip(REAL, "a", 6.5)]
    comparison = summarise(clips, COLUMNS).comparisons[0]
    assert (comparison.second, comparison.difference.clips, comparison.wins) == (REAL, 2, 0.5)


def test_systems_on_the_same_clips_need_no_note() -> None:
    clips = [clip(system, name, 6.0) for system in ("one", "two") for name in "ab"]
    assert not summarise(clips, COLUMNS).notes


def test_nothing_scored_is_no_crash() -> None:
    summary = summarise([clip("one", "a", reason="no face"), clip(REAL, "a", reason="no sound")], COLUMNS)
    assert [(one.scored, one.dropped, one.means) for one in summary.systems] == [(0, 1, {}), (0, 1, {})]
    assert not summary.comparisons
    assert not summarise([], COLUMNS).systems

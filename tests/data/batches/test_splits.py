"""Who validates: the dataset's own split, else whole speakers, the same ones in every run."""

from collections.abc import Iterable
from statistics import fmean

import pytest

from w2l.data.batches.splits import FEWEST_SPEAKERS, LARGEST_SPEAKER, divide, hash_place, plan_splits

Clips = list[tuple[str, str]]
GOLDEN = 0.0008389070185614855
"""Of "speaker s1"."""


def clips_of(speakers: Iterable[str], per_speaker: int = 5) -> Clips:
    return [(f"{speaker}/{n}", speaker) for speaker in speakers for n in range(per_speaker)]


def people(count: int) -> list[str]:
    return [f"s{n}" for n in range(count)]


class TestDivide:
    @pytest.mark.parametrize("count", [10, 11, 30, 300])
    def test_no_speaker_is_on_both_sides(self, count: int) -> None:
        clips = clips_of(people(count))
        division = divide(clips, test=0.1)
        assert (division.by, division.notes) == ("speaker", ())
        assert set(division.splits) == {clip for clip, _ in clips}
        sides = {speaker: {division.splits[clip] for clip, own in clips if own == speaker} for speaker in people(count)}
        assert all(len(side) == 1 for side in sides.values())
        assert set.union(*sides.values()) == {"train", "val", "test"}

    def test_the_shares_are_about_what_was_asked_for(self) -> None:
        division = divide(clips_of(people(5000), 1), val=0.1, test=0.2)
        assert len(division.members("val")) == pytest.approx(500, rel=0.15)
        assert len(division.members("test")) == pytest.approx(1000, rel=0.15)

    def test_the_order_and_what_else_there_is_do_not_matter(self) -> None:
        clips = clips_of(people(200))
        before = divide(clips).splits
        assert divide(reversed(clips)).splits == before
        after = divide([*clips_of(f"new{n}" for n in range(300)), *clips, *((f"s7/more{n}", "s7") for n in range(9))])
        assert {clip: after.splits[clip] for clip, _ in clips} == before
        assert divide(clips, test=0.3).members("val") == divide(clips).members("val")

    def test_fewer_speakers_are_divided_by_clip_and_this_is_said(self) -> None:
        division = divide(clips_of(people(FEWEST_SPEAKERS - 1), 50))
        assert division.by == "clip"
        assert "only 9 speakers, fewer than 10" in division.notes[0]
        assert len({clip.partition("/")[0] for clip in division.members("val")}) > 3
        assert not divide(clips_of(people(FEWEST_SPEAKERS), 50)).notes

    def test_unknown_speakers_are_divided_by_clip_and_this_is_said(self) -> None:
        division = divide([(f"c{n}", "") for n in range(300)])
        assert division.by == "clip"
        assert "speakers are unknown" in division.notes[0]
        assert 10 < len(division.members("val")) < 50

    @pytest.mark.parametrize("count", [2, 3, 4, 7, 20])
    @pytest.mark.parametrize("name", ["c", "clip", "x", "y"])
    def test_somebody_trains_and_somebody_validates(self, count: int, name: str) -> None:
        division = divide([(f"{name}{n}", "") for n in range(count)])
        assert division.members("train")
        assert division.members("val")

    def test_one_clip_trains(self) -> None:
        assert divide([("a", "ann")]).splits == {"a": "train"}
        assert divide([]).splits == {}

    def test_a_speaker_with_most_of_the_clips_trains(self) -> None:
        first = min(people(20), key=lambda speaker: hash_place(f"speaker {speaker}"))
        assert divide(clips_of(people(20))).splits[f"{first}/0"] == "val"
        crowded = [*clips_of(people(20)), *((f"{first}/more{n}", first) for n in range(100))]
        division = divide(crowded)
        assert division.splits[f"{first}/0"] == "train"
        assert 0 < len(division.members("val")) <= LARGEST_SPEAKER * len(crowded)

    def test_the_hash_never_changes(self) -> None:
        """Golden: with another hash every cache would be divided anew, and old scores would be of training clips."""
        assert hash_place("speaker s1") == pytest.approx(GOLDEN)
        assert fmean(hash_place(str(n)) for n in range(2000)) == pytest.approx(0.5, abs=0.03)


class TestPlanSplits:
    def rows(self, **splits: int) -> list[tuple[str, str, str]]:
        return [(f"{split}{n}", "" if split == "loose" else split, f"{split}{n}")
                for split, count in splits.items() for n in range(count)]  # fmt: skip

    def test_lists_are_kept_and_what_tests_is_never_used(self) -> None:
        plan = plan_splits(self.rows(train=3, pretrain=2, val=2, test=4, unseen=1, loose=5))
        assert plan.by == "lists"
        assert plan.members("train") == {"train0", "train1", "train2", "pretrain0", "pretrain1"}
        assert plan.members("val") == {"val0", "val1"}
        assert set(plan.splits.values()) == {"train", "val"}
        assert plan.notes == ("5 clips are not in any list and are not used",)

    def test_with_a_val_list_alone_the_rest_trains(self) -> None:
        plan = plan_splits(self.rows(val=2, loose=3, test=1))
        assert (plan.members("val"), plan.members("train")) == ({"val0", "val1"}, {"loose0", "loose1", "loose2"})

    @pytest.mark.parametrize(
        "splits", [{"train": 40}, {"train": 30, "pretrain": 9, "loose": 9}, {"loose": 40}, {"val": 40}]
    )
    def test_otherwise_speakers_are_divided(self, splits: dict[str, int]) -> None:
        plan = plan_splits(self.rows(**splits, test=9, unseen=9))
        assert plan.by == "speaker"
        assert plan.members("val")
        assert len(plan.splits) == sum(splits.values())

    def test_a_clip_of_several_tracks_counts_once(self) -> None:
        rows = self.rows(loose=30)
        assert plan_splits([*rows, *rows[:7]]) == plan_splits(rows)

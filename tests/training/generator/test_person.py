"""A person's seconds: what trains, what is held out, and that neither sees or hears anything of the other."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_cache import ALIGNED, numbered_cache
from w2l.core.errors import ConfigError, MediaError
from w2l.core.timing import FPS, WINDOW_FRAMES, mel_columns
from w2l.data.batches.tracks import Tracks
from w2l.features.windows import expert_mel, generator_mels
from w2l.training.generator.person import (
    GAP_FRAMES,
    HELD_OUT,
    HELD_OUT_FRAMES,
    LEAST_FRAMES,
    Span,
    divide_clips,
    hold_out,
    open_person,
)

LENGTHS = [
    pytest.param([100], id="four seconds"),
    pytest.param([200], id="eight seconds"),
    pytest.param([7503], id="five minutes"),
    pytest.param([333, 47, 801, 62], id="cuts"),
    pytest.param([25] * 8, id="short cuts"),
    pytest.param([500, 3], id="a scrap at the end"),
    pytest.param([3, 500], id="a scrap at the beginning"),
]


def places(spans: list[Span], lengths: list[int]) -> set[int]:
    """The frames of the spans, counted through all tracks."""
    begins = np.concatenate([[0], np.cumsum(lengths)])
    return {int(begins[track]) + frame for track, first, last in spans for frame in range(first, last)}


class TestHoldingOut:
    @pytest.mark.parametrize("lengths", LENGTHS)
    def test_what_trains_comes_first_and_a_second_before(self, lengths: list[int]) -> None:
        train, val = (places(spans, lengths) for spans in hold_out(lengths))
        assert train
        assert val
        assert max(train) + GAP_FRAMES < min(val)

    @pytest.mark.parametrize("lengths", LENGTHS)
    def test_enough_is_held_out_and_not_too_much(self, lengths: list[int]) -> None:
        _, val = hold_out(lengths)
        asked = max(HELD_OUT_FRAMES, round(HELD_OUT * sum(lengths)))
        scraps = sum(length for length in lengths if length < LEAST_FRAMES)
        assert asked - scraps <= len(places(val, lengths)) < asked + WINDOW_FRAMES

    @pytest.mark.parametrize("lengths", LENGTHS)
    def test_stretches_can_be_cut(self, lengths: list[int]) -> None:
        for spans in hold_out(lengths):
            assert all(0 <= first < last <= lengths[track] for track, first, last in spans)
            assert all(first % WINDOW_FRAMES == 0 and last - first >= LEAST_FRAMES for _, first, last in spans)

    def test_in_numbers(self) -> None:
        assert hold_out([200]) == ([(0, 0, 125)], [(0, 150, 200)])
        assert hold_out([400, 604]) == ([(0, 0, 400), (1, 0, 425)], [(1, 450, 604)])


class TestClips:
    def test_each_long_one_gives_its_end(self) -> None:
        """Of a, 500 frames in two tracks, the last 75 of its second; of c the last 150; b is too short to give any."""
        train, val = divide_clips([("a", 400), ("b", 90), ("a", 100), ("c", 1000)])
        assert val == [(2, 25, 100), (3, 850, 1000)]
        assert train == [(0, 0, 400), (1, 0, 90), (3, 0, 825)]

    def test_short_ones_count_as_one(self) -> None:
        assert divide_clips([("a", 100), ("b", 100)]) == hold_out([100, 100])

    def test_no_frame_is_on_both_sides(self) -> None:
        lengths = [("a", 400), ("b", 90), ("a", 100), ("c", 1000), ("d", 250)]
        train, val = (places(spans, [n for _, n in lengths]) for spans in divide_clips(lengths))
        assert not train & val


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    """Frames and mel columns that say which they are."""
    cache = numbered_cache(tmp_path_factory.mktemp("person") / "cache", (60, 45))
    return Tracks(cache, cache.tracks(), ALIGNED)


class TestParts:
    SPANS = ((0, 10, 40), (1, 20, 45))

    def test_frames_are_those_of_the_stretch(self, whole: Tracks) -> None:
        part = whole.part(self.SPANS)
        for own, (track, first, last) in enumerate(self.SPANS):
            frames = np.asarray(part.frames(own)[:])
            assert frames[:, 0, 0, 0].tolist() == list(range(first, last))
            assert set(frames[:, 0, 0, 1].tolist()) == {track}
            assert len(part.frames(own)) == part.frames(own).shape[0] == part.lengths[own] == last - first
            np.testing.assert_array_equal(part.frames(own)[-3:], whole.frames(track)[last - 3 : last])
            np.testing.assert_array_equal(part.frames(own)[4:1], whole.frames(track)[4:1])
        assert part.begins.tolist() == [10, 20]
        assert part.names == ["clip000", "clip001"]

    def test_nothing_of_another_stretch_is_heard(self, whole: Tracks) -> None:
        part = whole.part(self.SPANS)
        for own, (_, first, last) in enumerate(self.SPANS):
            heard = part.mel(own)[0] * 100
            assert heard[0] == pytest.approx(first * 3.2)
            assert len(heard) <= mel_columns((last - first) * 640)

    def test_windows_hear_what_they_heard_in_the_whole(self, whole: Tracks) -> None:
        part = whole.part(self.SPANS)
        for own, (track, first, last) in enumerate(self.SPANS):
            assert part.counts[own] == last - first - WINDOW_FRAMES + 1
            for start in range(part.counts[own]):
                np.testing.assert_array_equal(part.heard(own, start), whole.heard(track, first + start))
                np.testing.assert_array_equal(part.window(own, start), whole.window(track, first + start))
            own_mels = generator_mels(part.mel(own), 2)
            np.testing.assert_array_equal(own_mels, generator_mels(whole.mel(track), first + 2))
            np.testing.assert_array_equal(expert_mel(part.mel(own), 0), expert_mel(whole.mel(track), first))

    def test_all_of_it_is_the_whole(self, whole: Tracks) -> None:
        part = whole.part([(0, 0, 60), (1, 0, 45)])
        assert part.counts.tolist() == whole.counts.tolist()
        np.testing.assert_array_equal(part.mel(1), whole.mel(1))

    @pytest.mark.parametrize("first", [3, -5])
    def test_stretches_begin_where_a_mel_column_does(self, first: int, whole: Tracks) -> None:
        with pytest.raises(ValueError, match="multiples of 5"):
            whole.part([(0, first, 40)])

    def test_a_part_is_not_cut_again(self, whole: Tracks) -> None:
        with pytest.raises(ValueError, match="whole tracks"):
            whole.part(self.SPANS).part([(0, 0, 20)])


def test_seconds_are_what_they_are_called() -> None:
    assert HELD_OUT_FRAMES == 2 * FPS
    assert GAP_FRAMES == FPS


def test_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--person"):
        open_person([], tmp_path, ALIGNED)


def test_a_clip_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4 of the person does not exist"):
        open_person([tmp_path / "gone.mp4"], tmp_path / "cache", ALIGNED)
    with pytest.raises(MediaError, match="of the person is not a file"):
        open_person([tmp_path], tmp_path / "cache", ALIGNED)

"""What is looked at and kept: bounded, spread, spanning."""

import numpy as np
import pytest

from w2l.syncing.memory.sampling import RUN, shares, spanning, stretches


@pytest.mark.parametrize("n_frames", [1, 31, 100, 750, 751, 5000, 1_000_000])
def test_a_long_video_is_looked_at_in_stretches(n_frames: int) -> None:
    frames = stretches(n_frames, 750, 32)
    assert len(frames) <= 750
    assert len(frames) == n_frames or len(frames) > 650
    assert (np.diff(frames) > 0).all()
    assert (frames[0], frames[-1]) == (0, n_frames - 1)


def test_tracks_share_by_length_but_short_ones_get_enough() -> None:
    assert shares([1000, 500, 10], 300, 24) == [198, 99, 10]
    assert shares([], 300, 24) == []


def test_kept_looks_span_what_there_is_and_keep_their_neighbours() -> None:
    """Of a long talk at ease with one turn of the head and one shout, both are kept, with the frames around them."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.3, (4000, 3))
    features[1000:1020, 0] += 8.0
    features[3000:3005, 1] += 9.0
    kept = spanning(features, np.arange(4000), 200)
    assert 200 - RUN <= len(kept) <= 200
    assert set(range(1000, 1020)) & set(kept)
    assert set(range(3000, 3005)) <= set(kept)
    followed = np.isin(kept + 1, kept)
    assert followed.mean() > 0.7


def test_few_looks_are_all_kept() -> None:
    assert spanning(np.zeros((5, 2)), np.arange(5), 10).tolist() == [0, 1, 2, 3, 4]
    assert spanning(np.zeros((0, 2)), np.arange(0), 10).tolist() == []

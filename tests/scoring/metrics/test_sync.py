"""Sync scores: the published curve, and what it must say about clips of known offset."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.golden import golden_seeds, golden_vectors
from w2l.core.timing import MAX_SHIFT
from w2l.scoring.metrics.sync import SyncScore, embedding_distances, median_filter, score_curve

Golden = dict[str, NDArray[Any]]


@pytest.fixture(scope="module", params=golden_seeds("lse"), ids="seed{}".format)
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def golden(seed: int) -> Golden:
    return golden_vectors(f"lse_seed{seed}")


def random_features(n_windows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_windows, 64)).astype(np.float32)


def check_against(score: SyncScore, golden: Golden, prefix: str) -> None:
    assert score.offset == golden[f"{prefix}offset"]
    np.testing.assert_allclose(score.mean_distances, golden[f"{prefix}mdist"], atol=2e-3, rtol=0)
    np.testing.assert_allclose(score.confidence, golden[f"{prefix}conf"], atol=2e-3, rtol=0)
    np.testing.assert_allclose(score.min_distance, golden[f"{prefix}minval"], atol=2e-3, rtol=0)


@pytest.mark.parametrize("shift", [3, -5, 0])
def test_golden_curve(golden_rule: ModuleType, golden: Golden, seed: int, shift: int) -> None:
    lip, audio = golden_rule.shifted_features(seed, shift=shift)
    score = score_curve(embedding_distances(lip, audio))
    check_against(score, golden, f"pdist_shift{shift}_")
    assert score.offset == -shift


def test_golden_distances_of_a_smaller_shift(golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    lip, audio = golden_rule.shifted_features(seed, shift=2)
    rows = embedding_distances(lip, audio, 10)[:6]
    np.testing.assert_allclose(rows, golden["pdist_shift2_vshift10_dists"], atol=2e-3, rtol=0)


def test_golden_scores_of_given_distances(golden: Golden) -> None:
    """The published distances give the published scores, framewise confidence included."""
    score = score_curve(golden["dists"])
    check_against(score, golden, "")
    np.testing.assert_allclose(score.framewise_confidence, golden["framewise_conf"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("lead", [3, 0, -5])
def test_a_shift_scores_what_it_is(lead: int) -> None:
    """Sound that runs `lead` frames ahead of the picture has that offset: audio[i - lead] belongs to video[i]."""
    video = random_features(100)
    score = score_curve(embedding_distances(video, np.roll(video, -lead, axis=0)))
    assert score.offset == lead
    assert score.confidence > 5


def test_perfect_agreement_has_no_distance() -> None:
    video = random_features(40)
    score = score_curve(embedding_distances(video, video))
    assert score.offset == 0
    np.testing.assert_allclose(score.min_distance, 1e-6 * np.sqrt(video.shape[1]), rtol=0.1)


def test_unrelated_sound_has_little_confidence() -> None:
    related = score_curve(embedding_distances(random_features(200), random_features(200)))
    unrelated = score_curve(embedding_distances(random_features(200), random_features(200, seed=1)))
    assert unrelated.confidence < related.confidence / 10


def test_distances_by_hand() -> None:
    """Two windows of two features, one frame of shift; zeros beyond the ends."""
    video = np.array([[3, 4], [0, 1]], np.float32)
    audio = np.array([[0, 0], [3, 1]], np.float32)
    expected = [[5, 5, 3], [1, 3, 1]]
    np.testing.assert_allclose(embedding_distances(video, audio, 1), expected, atol=1e-5)


def test_score_by_hand() -> None:
    score = score_curve(np.array([[4, 1, 5], [6, 3, 7]], np.float32))
    assert (score.offset, score.min_distance, score.confidence) == (0, 2, 3)
    np.testing.assert_array_equal(score.mean_distances, [5, 2, 6])
    np.testing.assert_array_equal(score.framewise_confidence, [0, 0])  # two values among seven zeros


def test_offset_counts_from_the_middle() -> None:
    curve = np.full((1, 2 * MAX_SHIFT + 1), 9.0)
    curve[0, 0] = 1
    assert score_curve(curve).offset == MAX_SHIFT


def test_framewise_confidence_shows_where_sync_is_lost() -> None:
    video = random_features(120)
    audio = video.copy()
    audio[60:] = random_features(60, seed=2)
    framewise = score_curve(embedding_distances(video, audio)).framewise_confidence
    assert framewise[10:50].min() > framewise[70:110].max() + 5


def test_median_filter() -> None:
    np.testing.assert_array_equal(median_filter(np.array([1, 9, 2, 3, 8]), 3), [1, 2, 3, 3, 3])
    np.testing.assert_array_equal(median_filter(np.array([5.0, 7.0]), 1), [5, 7])
    np.testing.assert_array_equal(median_filter(np.full(12, 4.0), 9)[[0, 4, 7, 11]], [4, 4, 4, 4])
    with pytest.raises(ValueError, match="odd"):
        median_filter(np.zeros(5), 4)


@pytest.mark.parametrize(("video", "audio"), [((5, 8), (6, 8)), ((5,), (5,))], ids=["lengths", "axes"])
def test_unfit_embeddings_are_refused(video: tuple[int, ...], audio: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="windows, features"):
        embedding_distances(np.zeros(video, np.float32), np.zeros(audio, np.float32))


@pytest.mark.parametrize("shape", [(0, 31), (4, 30)], ids=["no window", "even"])
def test_unfit_distances_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="odd number of shifts"):
        score_curve(np.zeros(shape, np.float32))

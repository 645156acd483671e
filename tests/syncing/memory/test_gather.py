"""Looks that are gathered: what covers a face in part of a shot is in none; bounded, sharp, lit, not turned away."""

from functools import cache

import cv2
import numpy as np
import pytest
import torch

from tests.syncing.memory.made_looks import OVERLAYS, covered, faces_at, reader, talking
from w2l.features.crop import CropSpec, cut
from w2l.models.checkpoint import Model, ModelCard
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.syncing.memory.embed import SyncExpert, windows_around
from w2l.syncing.memory.gather import MOST_KEPT, gather_looks
from w2l.syncing.memory.looks import Looks
from w2l.syncing.memory.measure import MOST_SEEN

SPEC = CropSpec("aligned", 96)
N_FRAMES = 60


@cache
def small_expert() -> SyncExpert:
    """An expert with random weights."""
    torch.manual_seed(0)
    return SyncExpert(Model(Expert(ExpertDimensions(width=2)).eval(), ModelCard("expert", {}), __file__))


def gathered(images: list[np.ndarray], faces, spec: CropSpec = SPEC) -> Looks:
    """The looks of the one face."""
    return gather_looks(reader(images), faces, np.arange(faces.n_frames) / 25, spec, small_expert())[0]


@pytest.mark.parametrize("kind", OVERLAYS)
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_what_covers_the_face_in_part_of_a_shot_is_never_copied(kind: str, share: float) -> None:
    images, faces = talking(N_FRAMES)
    hidden = range(12, 12 + round(share * N_FRAMES))
    for idx in hidden:
        images[idx] = covered(images[idx], kind)
    kept = set(gathered(images, faces).measures.frame_idx.tolist())
    assert not kept & set(hidden)
    assert len(kept) > 0.8 * (N_FRAMES - len(hidden))


def test_all_of_a_plain_talk_is_kept_with_what_was_measured() -> None:
    images, faces = talking(N_FRAMES)
    looks = gathered(images, faces)
    assert len(looks) == len(looks.measures) == len(looks.sync) > 0.9 * N_FRAMES
    assert np.allclose(np.linalg.norm(looks.sync, axis=1), 1, atol=1e-5)
    assert looks.crop(0).shape == (96, 96, 3)
    first = int(looks.measures.frame_idx[3])
    exact = cut(images[first], faces.boxes[first], faces.points[first], SPEC)
    assert np.abs(looks.crop(3).astype(int) - exact).mean() < 2


def test_blurred_dark_and_half_turned_frames_are_left_out() -> None:
    images, faces = talking(N_FRAMES)
    points = faces.points.copy()
    for idx in range(8, 13):
        images[idx] = cv2.GaussianBlur(images[idx], (0, 0), 4)
        images[idx + 20] = images[idx + 20] // 12
        points[idx + 40, 2, 0] += 26
    kept = set(gathered(images, faces_at(points)).measures.frame_idx.tolist())
    assert not kept & {*range(8, 13), *range(28, 33), *range(48, 53)}
    assert len(kept) > 0.8 * (N_FRAMES - 15)


def test_a_long_video_gives_no_more_looks_than_a_short_one() -> None:
    images, _ = talking(50)
    _, short = talking(50)
    long = faces_at(np.tile(short.points, (60, 1, 1)))
    asked: list[int] = []
    looks = gather_looks(reader(images, asked), long, np.arange(3000) / 25, SPEC, small_expert())[0]
    assert len(asked) <= MOST_SEEN
    assert asked == sorted(set(asked))
    assert len(looks) <= MOST_KEPT
    assert looks.seen.frame_idx.max() - looks.seen.frame_idx.min() > 2500


def test_windows_are_of_25_frames_a_second_whatever_the_video() -> None:
    assert windows_around(np.arange(20) / 25, np.array([0, 10])).tolist() == [[0, 0, 0, 1, 2], [8, 9, 10, 11, 12]]
    assert windows_around(np.arange(40) / 50, np.array([20])).tolist() == [[16, 18, 20, 22, 24]]
    assert windows_around(np.zeros(1), np.array([0])).tolist() == [[0] * 5]

"""Cuts of made videos: what PySceneDetect finds, what the search for faces finds, and what both together make of it."""

import cv2
import numpy as np
import pytest

from w2l.core.arrays import Image
from w2l.data.prepare.shots import join_cuts, scene_cuts
from w2l.faces.cuts import SMALL_WIDTH, CutFinder

FPS = 25.0


def place(seed: int, n_frames: int) -> list[Image]:
    """A shot: coloured patches with a little noise, and something that moves through them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 225, (6, 8, 3), np.uint8)
    still = cv2.GaussianBlur(cv2.resize(coarse, (192, 144), interpolation=cv2.INTER_NEAREST), (0, 0), 1.5)
    frames = []
    for idx in range(n_frames):
        image = np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8)
        cv2.circle(image, (20 + 2 * idx % 150, 70), 14, (200, 180, 170), -1)
        frames.append(image)
    return frames


def faded(frames: list[Image], towards: float) -> list[Image]:
    """The shot with its brightness falling (towards 0) or rising (from 0) evenly."""
    gains = np.linspace(1, 0, len(frames)) if towards == 0 else np.linspace(0, 1, len(frames))
    return [(frame * gain).astype(np.uint8) for frame, gain in zip(frames, gains)]


def found_by_search(frames: list[Image]) -> list[int]:
    finder = CutFinder()
    for frame in frames:
        height = round(frame.shape[0] * SMALL_WIDTH / frame.shape[1])
        finder.push(np.asarray(cv2.resize(frame, (SMALL_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8))
    return [int(cut) for cut in finder.finish()]


def test_both_find_hard_cuts_on_the_same_frame() -> None:
    frames = place(1, 40) + place(2, 35) + place(3, 50)
    assert scene_cuts(frames, FPS).tolist() == [40, 75]
    assert found_by_search(frames) == [40, 75]


def test_a_fade_through_black_is_found_by_scenedetect_alone() -> None:
    one, two = place(1, 50), place(2, 50)
    frames = one[:30] + faded(one[30:], 0) + faded(two[:20], 1) + two[20:]
    assert found_by_search(frames) == []
    (cut,) = scene_cuts(frames, FPS).tolist()
    assert 44 <= cut <= 56


def test_two_quick_cuts_are_found_by_the_search_alone() -> None:
    frames = place(1, 40) + place(2, 7) + place(3, 40)
    assert found_by_search(frames) == [40, 47]
    assert scene_cuts(frames, FPS).tolist() == [40]


def test_neither_finds_a_cut_in_a_flash_or_a_dissolve() -> None:
    flash = place(1, 80)
    flash[40] = np.full_like(flash[40], 250)
    assert found_by_search(flash) == []
    one, two = place(1, 60), place(2, 60)
    mixed = [cv2.addWeighted(a, 1 - k / 25, b, k / 25, 0) for k, (a, b) in enumerate(zip(one[35:], two[:25]))]
    dissolve = one[:35] + [np.asarray(image, np.uint8) for image in mixed] + two[25:]
    assert found_by_search(dissolve) == []
    assert scene_cuts(dissolve, FPS).tolist() == []


@pytest.mark.parametrize("frames", [[], place(1, 1), place(1, 30)], ids=["nothing", "one frame", "one shot"])
def test_nothing_to_cut(frames: list[Image]) -> None:
    assert scene_cuts(frames, FPS).tolist() == []


def test_cuts_near_a_known_one_are_that_one() -> None:
    known, more = np.array([40, 90]), np.array([41, 60, 93, 95])
    assert join_cuts(known, more, FPS).tolist() == [40, 60, 90, 95]
    assert join_cuts(np.array([], np.int64), more, FPS).tolist() == more.tolist()
    assert join_cuts(known, np.array([], np.int64), FPS).tolist() == known.tolist()

"""Cuts: found where a picture changes for good, not where it flashes, shakes, fades or moves."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from w2l.core.arrays import Image
from w2l.faces.cuts import REACH, SMALL_WIDTH, CutFinder, change

HEIGHT = 54


def room(seed: int, margin: int = 0) -> Image:
    """A made scene: large shapes on a wall."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT + 2 * margin, SMALL_WIDTH + 2 * margin, 3), rng.integers(40, 216, 3), dtype=np.uint8)
    for _ in range(12):
        corner = rng.integers(0, image.shape[1], 2)
        size = rng.integers(8, 30, 2)
        colour = tuple(int(part) for part in rng.integers(0, 256, 3))
        cv2.rectangle(image, corner.tolist(), (corner + size).tolist(), colour, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), dtype=np.uint8)


def noisy(image: Image, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def shot(seed: int, n_frames: int) -> list[Image]:
    return [noisy(room(seed), 1000 * seed + idx) for idx in range(n_frames)]


def cuts_of(pictures: Sequence[Image]) -> list[int]:
    finder = CutFinder()
    for picture in pictures:
        finder.push(picture)
    return [int(cut) for cut in finder.finish()]


@pytest.mark.parametrize("length", [5, 12, 25])
def test_every_cut_is_found_where_it_is(length: int) -> None:
    pictures = [picture for seed in range(6) for picture in shot(seed, length)]
    assert cuts_of(pictures) == [length * k for k in range(1, 6)]


@pytest.mark.parametrize("n_flash", [1, 2, 3])
def test_a_flash_is_no_cut(n_flash: int) -> None:
    pictures = shot(1, 40)
    for idx in range(15, 15 + n_flash):
        pictures[idx] = np.clip(pictures[idx].astype(int) + 130, 0, 255).astype(np.uint8)
    assert cuts_of(pictures) == []


def test_a_shaken_camera_is_no_cut() -> None:
    wide, rng = room(3, margin=12), np.random.default_rng(0)
    corners = np.clip(rng.normal(12, 3, (60, 2)).round().astype(int), 2, 22)
    assert cuts_of([noisy(wide[y : y + HEIGHT, x : x + SMALL_WIDTH], idx) for idx, (x, y) in enumerate(corners)]) == []


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_flickering_lamp_is_no_cut(repeats: int) -> None:
    scene, levels = room(6).astype(float), np.random.default_rng(1).uniform(0.2, 1.0, 60)
    found = cuts_of([(level * scene).astype(np.uint8) for level in np.repeat(levels, repeats)])
    assert [cut for cut in found if cut < 60 * repeats - REACH] == []  # how the end goes on cannot be known


def test_fades_and_dissolves_are_no_cuts() -> None:
    first, second = room(4).astype(float), room(5).astype(float)
    shares = np.clip((np.arange(60) - 20) / 20, 0, 1)
    assert cuts_of([noisy(((1 - share) * first + share * second).astype(np.uint8), 7) for share in shares]) == []
    assert cuts_of([(share * first).astype(np.uint8) for share in shares]) == []


@pytest.mark.parametrize("n_frames", [0, 1, 2, REACH, REACH + 2])
def test_short_videos_have_no_cut(n_frames: int) -> None:
    assert cuts_of(shot(0, n_frames)) == []


@pytest.mark.parametrize("n_last", [1, 2, 4])
def test_a_shot_at_the_very_end_counts(n_last: int) -> None:
    assert cuts_of(shot(0, 20) + shot(1, n_last)) == [20]


def test_a_new_shot_is_suspected_at_once() -> None:
    finder = CutFinder()
    suspected = [finder.push(picture) for picture in shot(0, 10) + shot(1, 10)]
    assert np.flatnonzero(suspected).tolist() == [0, 10]


def test_change_is_nought_for_equal_pictures_and_grows_with_difference() -> None:
    image = room(0)
    assert change(image, image) == 0
    moved = np.roll(image, 2, axis=1)
    assert change(image, moved) < 0.5 * change(image, room(1))
    assert change(image[:6, :6], room(1)[:6, :6]) > 0  # too small to look for shifts

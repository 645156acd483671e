"""One face that turns into another in the same place, at a dissolve or a wipe."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.faces.test_select import ANNA, BERT, LEFT, look, scan_of
from tests.faces.test_shots import mixed, shot
from w2l.core.arrays import Floats, Image
from w2l.faces.tracker import Scan, link_tracks
from w2l.faces.turning import RenewalFinder, is_mixture, turns


def renewed(pictures: Sequence[Image], fps: float = 25.0) -> Floats:
    finder = RenewalFinder()
    for idx, picture in enumerate(pictures):
        finder.push(idx / fps, picture)
    return finder.at(np.arange(len(pictures)) / fps)


def blended(n_mixed: int, other: int, n_frames: int = 100) -> list[NDArray[np.uint8]]:
    """Looks of Anna that become those of `other` around the middle."""
    shares = np.clip((np.arange(n_frames) - (n_frames - n_mixed) / 2) / max(n_mixed, 1), 0, 1)
    return [
        np.asarray(cv2.addWeighted(look(ANNA, idx), 1 - share, look(other, 500 + idx), share, 0))
        for idx, share in enumerate(shares)
    ]


@pytest.mark.parametrize("n_mixed", [12, 25, 50])
def test_a_dissolve_is_found_where_it_is(n_mixed: int) -> None:
    pictures = shot(4, 60) + mixed(shot(4, n_mixed), shot(5, n_mixed)) + shot(5, 60)
    found = np.flatnonzero(renewed(pictures))
    assert 60 <= found.mean() <= 60 + n_mixed
    assert found.min() > 30
    assert found.max() < 90 + n_mixed


@pytest.mark.parametrize("fps", [12.5, 50.0])
def test_a_shot_in_which_something_moves_is_not_renewed(fps: float) -> None:
    pictures = shot(1, 120)
    for idx, picture in enumerate(pictures):
        cv2.rectangle(picture, (idx % 60, 5), (idx % 60 + 35, 50), (20, 30, 60), -1)
    assert not renewed(pictures, fps).any()


def test_a_mixture_is_told_from_a_cut_and_from_a_third_picture() -> None:
    first, last, other = (shot(seed, 1)[0] for seed in (1, 2, 3))
    half = np.asarray(cv2.addWeighted(first, 0.5, last, 0.5, 0), np.uint8)
    assert is_mixture(half, first, last)
    assert not any(is_mixture(picture, first, last) for picture in (first, last, other))


@pytest.mark.parametrize("n_mixed", [0, 12, 50])
def test_a_face_that_becomes_another_is_two_tracks(n_mixed: int) -> None:
    scan = scan_of((range(100), LEFT, ANNA))
    given = np.where(np.abs(np.arange(100) - 50) <= 12, 80.0 - np.abs(np.arange(100) - 50), 0.0)
    both = Scan(**(vars(scan) | {"looks": np.stack(blended(n_mixed, BERT)), "renewed": given}))
    assert [(track.start, track.stop) for track in sorted(link_tracks(both), key=lambda track: track.start)] == [
        (0, 50), (50, 100)
    ]  # fmt: skip
    same = Scan(**(vars(scan) | {"renewed": given}))
    assert len(link_tracks(same)) == 1


def test_a_face_changes_once_at_a_dissolve_and_not_without_one() -> None:
    times, looks = np.arange(100) / 25, np.stack(blended(25, BERT))
    given = np.where(np.abs(np.arange(100) - 50) <= 20, 60.0 - np.abs(np.arange(100) - 50), 0.0)
    assert turns(looks, times, given) == [50]
    assert turns(looks, times, np.zeros(100)) == []
    assert turns(looks[:1], times[:1], given[:1]) == []


@pytest.mark.parametrize("way", ["wipe", "grains"])
def test_a_slow_change_of_the_picture_is_found_too(way: str) -> None:
    n_mixed = 75
    before = np.stack(shot(4, 1) * n_mixed)
    after = 255 - before  # as different as can be
    rows, columns = before.shape[1:3]
    order = np.tile(np.arange(columns) / columns, (rows, 1))
    if way == "grains":
        order = np.random.default_rng(1).random((rows, columns))
    shares = np.arange(n_mixed) / n_mixed
    slow = np.where((order < shares[:, None, None])[..., None], after, before)
    found = np.flatnonzero(renewed([*before[:1].repeat(60, 0), *slow, *after[:1].repeat(60, 0)]))
    assert 60 <= found.mean() <= 60 + n_mixed


def test_a_face_that_comes_back_hides_neither_change_into_another() -> None:
    """One speaker, another, and the first again."""
    looks = np.stack([look(BERT if 50 <= idx < 100 else ANNA, idx) for idx in range(150)])
    given = np.zeros(150)
    for at, most in ((50, 85.0), (100, 84.0)):
        given[at - 14 : at + 15] = most - 3
        given[at + 8 : at + 12] = most  # the largest change is not in the middle
    found = turns(looks, np.arange(150) / 25, given)
    assert max(abs(turn - at) for turn, at in zip(found, (50, 100), strict=True)) <= 2


def test_a_face_that_fades_from_black_stays_itself() -> None:
    shares = np.clip((np.arange(100) - 20) / 10, 0.15, 1)
    face = look(ANNA) // 2 + np.array([110, 40, 0])  # of a warm colour
    looks = np.stack([np.clip(share * (face + look(idx) / 10), 0, 255) for idx, share in enumerate(shares)])
    given = np.where(np.abs(np.arange(100) - 26) <= 12, 60.0 - np.abs(np.arange(100) - 26), 0.0)
    assert turns(looks.astype(np.uint8), np.arange(100) / 25, given) == []


def test_what_is_seen_only_while_two_pictures_mix_is_no_face_of_its_own() -> None:
    looks = np.stack([look(ANNA if idx < 13 else BERT, idx) for idx in range(80)])
    given = np.where(np.abs(np.arange(80) - 13) <= 12, 60.0 - np.abs(np.arange(80) - 13), 0.0)
    assert turns(looks, np.arange(80) / 25, given) == []

"""The mark in pictures: faint, without flicker, found after what happens to videos, and not where it is not."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.marks.detect import THRESHOLD, analysed, search
from w2l.marks.embed import Marker
from w2l.marks.pattern import TILE, carriers, render

RECORD, OTHER = "0123456789", "fedcba9876"
SIZE = (384, 288)
Plane = NDArray[Any]


def scene(width: int, height: int, count: int = 2) -> list[Plane]:
    """Pictures of blobs and stripes with grain, that move a little: luma (height, width)."""
    random = np.random.default_rng(3)
    places = random.uniform(0, 1, (40, 4))
    made = []
    for shift in range(count):
        luma = np.tile(np.linspace(60, 180, width, dtype=np.float32), (height, 1))
        for x, y, radius, level in places:
            centre = (round(x * width) + 3 * shift, round(y * height))
            cv2.circle(luma, centre, round(5 + 0.12 * radius * height), 30 + 190 * level, -1, cv2.LINE_AA)
        luma = cv2.GaussianBlur(luma, (0, 0), 1.2) + random.normal(0, 1.5, luma.shape)
        made.append(np.clip(luma, 0, 255).round().astype(np.uint8))
    return made


def found(pictures: list[Plane], levels: float = 1.0) -> list[str]:
    return [one.record for one in search(sum(analysed(luma, levels) for luma in pictures))]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def marked() -> list[Plane]:
    marker = Marker(RECORD, *SIZE)
    return [marker.marked(luma) for luma in scene(*SIZE)]


def test_the_mark_is_faint(marked: list[Plane]) -> None:
    changes = [made.astype(int) - luma for made, luma in zip(marked, scene(*SIZE))]
    for change in changes:
        assert 20 * np.log10(255 / np.sqrt((change**2).mean())) >= 46.0
        assert abs(change).max() <= 8
        assert abs(cv2.blur(change.astype(np.float32), (32, 32))).max() < 0.6  # no part grows lighter or darker


@pytest.mark.parametrize("size", [SIZE, (1280, 720)])
def test_no_picture_has_less_than_46_db(size: tuple[int, int]) -> None:
    """Where all is busy, the mark is at its strongest; away from black and white, where samples are cut off."""
    busy = cv2.resize(np.random.default_rng(0).integers(60, 190, (144, 192), dtype=np.uint8), size)
    change = Marker(RECORD, *size).marked(busy).astype(int) - busy
    assert 46.0 <= 20 * np.log10(255 / np.sqrt((change**2).mean())) < 49.0


def test_plain_areas_do_not_flicker_and_have_less_of_it() -> None:
    """Left a wall with grain, right detail that changes from picture to picture."""
    random = np.random.default_rng(0)
    marker, half = Marker(RECORD, *SIZE), SIZE[0] // 2
    changes = []
    for _ in range(3):
        luma = np.full(SIZE[::-1], 120, np.uint8)
        luma[:, half:] = random.integers(80, 180, (SIZE[1], SIZE[0] - half))
        luma[:, :half] += random.integers(0, 2, (SIZE[1], half), dtype=np.uint8)
        changes.append(marker.marked(luma).astype(int) - luma)
    wall = slice(0, half - 20)
    assert all(np.array_equal(change[:, wall], changes[0][:, wall]) for change in changes)
    plain, busy = (np.sqrt((changes[0][:, part] ** 2).mean()) for part in (wall, slice(half, None)))
    assert 0.2 < plain < 0.5 < 0.9 < busy


@pytest.mark.parametrize("seed", [340, 448, 496])
def test_black_below_bright_detail_stays_as_it_is(seed: int) -> None:
    """Running sums over it end a little below zero, whose root would blacken all of the picture."""
    luma = np.zeros(SIZE[::-1], np.uint8)
    luma[:60] = np.random.default_rng(seed).integers(0, 256, (60, SIZE[0]))
    change = Marker(RECORD, *SIZE).marked(luma).astype(int) - luma
    assert abs(change).max() <= 8


def test_walls_beside_busy_areas_are_plain() -> None:
    """Up to a few pixels from hair, a wall has no more of the mark than elsewhere."""
    luma, half = np.full(SIZE[::-1], 120, np.uint8), SIZE[0] // 2
    luma[:, half:] = np.random.default_rng(0).integers(60, 190, (SIZE[1], SIZE[0] - half))
    luma[:, :half] += np.random.default_rng(1).integers(0, 2, (SIZE[1], half), dtype=np.uint8)
    change = Marker(RECORD, *SIZE).marked(luma).astype(int) - luma
    beside, inside = (
        np.sqrt((change[:, part] ** 2).mean()) for part in (slice(half - 40, half - 8), slice(half, None))
    )
    assert beside < 0.5 < 0.9 < inside


def test_flat_areas_are_marked_only_where_they_are_most_of_the_picture() -> None:
    """A caption of one colour is left as it is; a drawn picture would have no mark otherwise."""
    caption = scene(*SIZE)[0]
    caption[200:] = 30
    flat = slice(220, None)
    changed = Marker(RECORD, *SIZE).marked(caption)
    assert np.array_equal(changed[flat], caption[flat])
    assert not np.array_equal(changed[:180], caption[:180])
    drawn = np.full(SIZE[::-1], 120, np.uint8)
    drawn[100:140, 100:200] = 200
    assert found([Marker(RECORD, *SIZE).marked(drawn)]) == [RECORD]


def test_marks_of_two_records_are_unlike(marked: list[Plane]) -> None:
    same, other = render(RECORD, *SIZE), render(OTHER, *SIZE)
    assert (same * same).mean() == pytest.approx(1.0, abs=1e-3)
    assert abs((same * other).mean()) < 0.1


CHANGES: dict[str, Callable[[Plane], Plane]] = {
    "nothing": lambda luma: luma,
    "half": lambda luma: cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda luma: cv2.resize(luma, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR),
    "cropped": lambda luma: np.ascontiguousarray(luma[29:-29, 38:-38]),
    "cropped and scaled": lambda luma: cv2.resize(luma[11:-40, 50:-3], None, fx=1.3, fy=1.3),
    "brighter": lambda luma: np.clip(luma * 1.15 + 10, 0, 255).astype(np.uint8),
    "darker": lambda luma: np.clip(luma * 0.85 - 10, 0, 255).astype(np.uint8),
    "noisy": lambda luma: np.clip(luma + np.random.default_rng(1).normal(0, 4, luma.shape), 0, 255).astype(np.uint8),
    "bars": lambda luma: cv2.copyMakeBorder(luma, 0, 0, 60, 60, cv2.BORDER_CONSTANT, value=16),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_found_after(change: str, marked: list[Plane]) -> None:
    assert found([CHANGES[change](luma) for luma in marked]) == [RECORD]


def test_it_is_not_found_where_it_is_not() -> None:
    assert found(scene(*SIZE)) == []
    assert found([np.full((288, 384), 128, np.uint8)]) == []
    assert found([np.random.default_rng(4).integers(0, 256, (288, 384), dtype=np.uint8)]) == []
    tiles = np.tile(np.random.default_rng(5).integers(0, 256, (TILE, TILE), dtype=np.uint8), (3, 3))
    assert found([tiles]) == []  # it repeats as the mark does, and is none


def test_two_marks_in_one_picture_are_both_found(marked: list[Plane]) -> None:
    again = Marker(OTHER, *SIZE)
    assert set(found([again.marked(luma) for luma in marked])) == {RECORD, OTHER}


def test_ten_bits() -> None:
    marker = Marker(RECORD, *SIZE, depth=10)
    pictures = [marker.marked(luma.astype(np.uint16) << 2) for luma in scene(*SIZE)]
    assert pictures[0].dtype == np.uint16
    assert found(pictures, levels=4.0) == [RECORD]
    assert marker.marked(np.full(SIZE[::-1], 1023, np.uint16)).max() == 1023


def test_small_pictures_carry_it_too() -> None:
    marker = Marker(RECORD, 320, 240)
    assert found([marker.marked(luma) for luma in scene(320, 240)]) == [RECORD]


def test_the_score_of_a_found_mark_is_above_the_threshold(marked: list[Plane]) -> None:
    (one,) = search(analysed(marked[0]))
    assert one.score > 2 * THRESHOLD
    assert one.scale == pytest.approx(1.0, abs=0.005)


def test_waves_carry_pilot_or_bits_never_both() -> None:
    kept = carriers()
    assert not np.any(kept.pilot[kept.carried])
    assert np.count_nonzero(kept.pilot) + len(kept.carried) == len(kept.waves)
    counts = np.bincount(kept.coded.ravel())
    assert counts.max() - counts.min() <= 1  # all coded bits are as strong

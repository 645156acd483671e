"""Canvases: what is not painted stays, a region is what the whole has there, colours are what they were."""

import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Image
from w2l.media.chroma import CENTRE_SITED, doubled, halved, refitted
from w2l.media.display import TURNS, upright
from w2l.media.picture import Colour, Matrix, Picture, RgbPicture

MIRROR = np.array([[-1, 0], [0, 1]], dtype=np.int32)
COLOURS = [
    pytest.param(Colour(), id="hd"),
    pytest.param(Colour("bt601"), id="sd"),
    pytest.param(Colour("bt601", full_range=True, siting=CENTRE_SITED), id="jpeg"),
    pytest.param(Colour("bt2020", depth=10, primaries=9, transfer=16, space=9, siting=(0.0, 0.0)), id="hdr"),
    pytest.param(Colour("bt709", full_range=True, depth=10, siting=(1.0, 1.0)), id="turned"),
    pytest.param(Colour("bt709", depth=10, chroma="4:2:2"), id="4:2:2"),
    pytest.param(Colour("bt601", chroma="4:4:4", has_alpha=True), id="4:4:4-alpha"),
]
SIZES = [pytest.param(size, id=f"{size[1]}x{size[0]}") for size in ((48, 64), (47, 63), (2, 2), (1, 1), (33, 200))]


def soft_image(size: tuple[int, int], seed: int = 0) -> Image:
    """A picture (height, width, 3) of soft colours, as chroma of half the size can hold it."""
    small = np.random.default_rng(seed).uniform(60, 200, (-(-size[0] // 16) + 1, -(-size[1] // 16) + 1, 3))
    return cv2.resize(small.astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def noise_picture(size: tuple[int, int], colour: Colour, seed: int = 0) -> Picture:
    """Samples at random, all of them possible, as no camera sees them."""
    rng = np.random.default_rng(seed)
    height, width = size
    kind, top = (np.uint8, 256) if colour.depth == 8 else (np.uint16, 1024)
    small = (-(-height // colour.steps[0]), -(-width // colour.steps[1]))
    planes = [rng.integers(0, top, shape).astype(kind) for shape in (size, small, small, size)]
    return Picture(planes[0], planes[1], planes[2], colour, planes[3] if colour.has_alpha else None)


def rgb_canvas(image: Image) -> Canvas:
    return RgbPicture(image.copy())


CANVASES = [
    pytest.param(rgb_canvas, id="rgb"),
    pytest.param(Picture.from_rgb, id="sd"),
    pytest.param(lambda image: Picture.from_rgb(image, Colour("bt2020", depth=10)), id="10-bit"),
    pytest.param(lambda image: Picture.from_rgb(image, Colour("bt601", True, siting=CENTRE_SITED)), id="jpeg"),
    pytest.param(lambda image: Picture.from_rgb(image, Colour("bt709", chroma="4:2:2")), id="4:2:2"),
    pytest.param(lambda image: Picture.from_rgb(image, Colour("bt709", chroma="4:4:4")), id="4:4:4"),
]
Make = Callable[[Image], Canvas]


def weights(rows: int, columns: int, seed: int = 1) -> NDArray[np.float32]:
    """A soft weight (rows, columns) with a hole and whole rows of nothing."""
    weight = cv2.GaussianBlur(np.random.default_rng(seed).random((rows, columns)).astype(np.float32), (0, 0), 2)
    weight[: rows // 4] = 0
    weight[rows // 2 : rows // 2 + 3, columns // 3 : columns // 2] = 0
    return np.asarray(weight, dtype=np.float32)


@pytest.mark.parametrize("size", [size for size in SIZES if size.id != "2x2"])
@pytest.mark.parametrize("make", CANVASES)
def test_colours_survive(make: Make, size: tuple[int, int]) -> None:
    image = soft_image(size)
    canvas = make(image)
    assert (canvas.height, canvas.width) == size
    difference = np.abs(canvas.rgb().astype(int) - image)
    assert difference.max() <= 6
    assert difference.mean() <= 1.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", CANVASES)
def test_a_region_is_what_the_whole_has_there(make: Make, size: tuple[int, int]) -> None:
    canvas = make(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    whole = canvas.rgb()
    rng = np.random.default_rng(1)
    for _ in range(20):
        top, left = (int(rng.integers(0, length)) for length in size)
        bottom, right = (int(rng.integers(start, length)) + 1 for start, length in zip((top, left), size))
        rows, columns = slice(top, bottom), slice(left, right)
        difference = np.abs(canvas.rgb(rows, columns).astype(int) - whole[rows, columns])
        # A value halfway between two may be rounded either way, where a row's end is calculated one by one.
        assert difference.max() <= 1
        assert np.count_nonzero(difference) <= 1e-3 * difference.size + 1
    assert canvas.rgb(slice(0, 0)).shape == (0, size[1], 3)


@pytest.mark.parametrize("make", CANVASES)
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        pytest.param(slice(13, 44), slice(21, 70), id="odd-places"),
        pytest.param(slice(12, 44), slice(20, 70), id="even-places"),
        pytest.param(slice(0, 40), slice(0, 40), id="corner"),
        pytest.param(slice(30, 81), slice(60, 101), id="other-corner"),
        pytest.param(slice(0, 81), slice(0, 101), id="all"),
    ],
)
def test_pixels_without_weight_stay_as_they_are(make: Make, rows: slice, columns: slice) -> None:
    image = np.random.default_rng(0).integers(0, 256, (81, 101, 3), dtype=np.uint8)
    canvas = make(image)
    before = canvas.rgb()
    weight = weights(rows.stop - rows.start, columns.stop - columns.start)
    patch = np.random.default_rng(2).uniform(-20, 275, (*weight.shape, 3)).astype(np.float32)
    painted = canvas.painted(rows, columns, patch, weight)
    shows = np.zeros((81, 101), dtype=bool)
    shows[rows, columns] = weight > 0
    after = painted.rgb()
    np.testing.assert_array_equal(after[~shows], before[~shows])
    assert (after[shows] != before[shows]).any()
    np.testing.assert_array_equal(canvas.rgb(), before)


@pytest.mark.parametrize("make", CANVASES)
def test_painted_is_mixed_by_weight(make: Make) -> None:
    image, patch = soft_image((80, 100)), soft_image((40, 50), seed=5).astype(np.float32)
    rows, columns = slice(21, 61), slice(31, 81)
    for share in (0.25, 1.0):
        weight = np.full((40, 50), share, dtype=np.float32)
        seen = make(image).painted(rows, columns, patch, weight).rgb(rows, columns).astype(float)
        wanted = (1 - share) * image[rows, columns] + share * patch
        # At its rim the chroma of what lies outside shows through.
        assert np.abs(seen - wanted)[3:-3, 3:-3].max() <= 6
        assert np.abs(seen - wanted)[3:-3, 3:-3].mean() <= 1.0


@pytest.mark.parametrize("make", CANVASES)
def test_painting_what_is_there_changes_nothing(make: Make) -> None:
    canvas = make(soft_image((81, 101)))
    rows, columns = slice(13, 75), slice(17, 101)
    before = canvas.rgb(rows, columns)
    weight = np.ones(before.shape[:2], dtype=np.float32)
    for most, mean in ((2, 0.05), (3, 0.08), (4, 0.1)):
        canvas = canvas.painted(rows, columns, canvas.rgb(rows, columns).astype(np.float32), weight)
        difference = np.abs(canvas.rgb(rows, columns).astype(int) - before)
        assert difference.max() <= most
        assert difference.mean() <= mean


def test_plain_images_round_half_to_even() -> None:
    canvas = RgbPicture(np.full((2, 2, 3), 10, np.uint8))
    painted = canvas.painted(
        slice(0, 1), slice(0, 2), np.full((1, 2, 3), 11, np.float32), np.full((1, 2), 0.5, np.float32)
    )
    assert painted.image[0].tolist() == [[10] * 3] * 2
    painted = canvas.painted(slice(0, 1), slice(0, 1), np.full((1, 1, 3), 999, np.float32), np.ones((1, 1), np.float32))
    assert painted.image[0, 0].tolist() == [255] * 3
    assert canvas.image.max() == 10


@pytest.mark.parametrize("colour", COLOURS)
def test_samples_that_no_weight_reaches_are_identical(colour: Colour) -> None:
    picture = noise_picture((60, 80), colour)
    weight = np.zeros((30, 40), dtype=np.float32)
    assert picture.painted(slice(10, 40), slice(20, 60), np.zeros((30, 40, 3), np.float32), weight) is picture
    weight[10:20, 10:20] = 1.0
    painted = picture.painted(slice(10, 40), slice(20, 60), np.full((30, 40, 3), 99, np.float32), weight)
    changed = [
        np.argwhere(a != b) for a, b in zip((painted.y, painted.u, painted.v), (picture.y, picture.u, picture.v))
    ]
    assert changed[0].min(axis=0).tolist() == [20, 30]
    assert changed[0].max(axis=0).tolist() == [29, 39]
    down, across = colour.steps
    for chroma in changed[1:]:
        assert (chroma.min(axis=0) >= [20 // down, 30 // across]).all()
        assert (chroma.max(axis=0) <= [29 // down, 39 // across]).all()
        assert len(chroma) >= 36 / (down * across)
    assert painted.colour == colour
    assert painted.alpha is picture.alpha


@pytest.mark.parametrize("siting", [(x, y) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0)])
def test_halving_undoes_doubling(siting: tuple[float, float]) -> None:
    chroma = np.random.default_rng(0).integers(0, 256, (12, 20)).astype(np.uint8)
    for width in (40, 39):
        whole = doubled(chroma, (0, 24, 0, width), siting)
        np.testing.assert_allclose(halved(whole, siting)[:, :18], chroma[:, :18], atol=1e-3)
        wide = doubled(chroma, (0, 12, 0, width), siting, (1, 2))
        np.testing.assert_allclose(wide, doubled(chroma, (0, 24, 0, width), (siting[0], 0.0))[::2])
        back = refitted(wide, (12, width), siting, (1, 1), (1, 2))
        np.testing.assert_allclose(back[:, :18], chroma[:, :18], atol=1e-3)


@pytest.mark.parametrize(("matrix", "red"), [("bt601", 0.299), ("bt709", 0.2126), ("bt2020", 0.2627)])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full_range", [False, True])
def test_numbers_are_those_of_the_standards(matrix: Matrix, red: float, depth: int, full_range: bool) -> None:
    image = np.zeros((4, 12, 3), np.uint8)
    image[:, 4:8] = 255
    image[:, 8:] = (255, 0, 0)
    picture = Picture.from_rgb(image, Colour(matrix, full_range, depth))
    unit = 2 ** (depth - 8)
    black, white = (0, 2**depth - 1) if full_range else (16 * unit, 235 * unit)
    assert picture.y[0, [0, 4, 9]].tolist() == [black, white, pytest.approx(black + red * (white - black), abs=0.51)]
    assert picture.v[0, 5] == (2**depth - 1 if full_range else 240 * unit)
    assert picture.u[0, 0] == 128 * unit


def test_a_picture_must_fit_together() -> None:
    y, u = np.zeros((5, 7), np.uint8), np.zeros((3, 4), np.uint8)
    Picture(y, u, u, Colour())
    with pytest.raises(ValueError, match="chroma"):
        Picture(y, u[:2], u, Colour())
    for wrong in (Colour(chroma="4:2:2"), Colour(chroma="4:4:4"), Colour(has_alpha=True)):
        with pytest.raises(ValueError, match=r"chroma|alpha"):
            Picture(y, u, u, wrong)
    with pytest.raises(ValueError, match="depth"):
        Colour(depth=12)
    with pytest.raises(ValueError, match="siting"):
        Colour(siting=(0.0, 0.3))


@pytest.mark.parametrize("matrix", [*TURNS, MIRROR, *(MIRROR @ turn for turn in TURNS[1:])])
@pytest.mark.parametrize("colour", COLOURS)
def test_turning_moves_samples_and_keeps_colours_in_place(matrix: NDArray[np.int32], colour: Colour) -> None:
    picture = noise_picture((48, 64), colour)
    if colour.chroma == "4:2:2" and matrix[0, 0] == 0:  # it would have full columns and half the rows
        with pytest.raises(ValueError, match="chroma"):
            picture.turned(matrix)
        return
    turned = picture.turned(matrix)
    if picture.alpha is not None:
        whole = upright(np.repeat(picture.alpha[..., None], 3, 2), matrix)[..., 0]
        np.testing.assert_array_equal(turned.alpha, whole)
    np.testing.assert_array_equal(turned.y, upright(np.repeat(picture.y[..., None], 3, 2), matrix)[..., 0])
    np.testing.assert_array_equal(turned.rgb(), upright(picture.rgb(), matrix))


def test_small_pictures_look_like_the_large_one() -> None:
    for colour in (Colour(), Colour("bt2020", True, 10)):
        image = soft_image((240, 320))
        small = Picture.from_rgb(image, colour).small_bgr(64)
        assert small.shape == (48, 64, 3)
        wanted = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA)[..., ::-1]
        assert np.abs(small.astype(int) - wanted).max() <= 14
        assert np.abs(small.astype(int) - wanted).mean() <= 2


def test_regions_cost_less_than_pictures() -> None:
    """Far above what was measured (0.5 ms, 2.9 ms, 1.2 ms), for machines that are busy."""
    picture = noise_picture((720, 1280), Colour())
    rows, columns = slice(101, 401), slice(303, 603)
    patch, weight = np.zeros((300, 300, 3), np.float32), np.ones((300, 300), np.float32)
    for act, limit_s in (
        (lambda: picture.rgb(rows, columns), 0.008),
        (picture.rgb, 0.04),
        (lambda: picture.painted(rows, columns, patch, weight), 0.01),
    ):
        took = []
        for _ in range(20):
            start = time.perf_counter()
            act()
            took.append(time.perf_counter() - start)
        assert min(took) < limit_s


def test_colours_know_their_levels() -> None:
    assert Colour().levels == (16, 219, 128, 224)
    assert replace(Colour(), depth=10).levels == (64, 876, 512, 896)
    assert Colour(full_range=True, depth=10).levels == (0, 1023, 512, 1023)

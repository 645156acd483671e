"""Foreign colours, interiors, teeth: drawn faces with known patches, and mouths painted grey or without teeth."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.data.puppets import POINTS, draw_face
from w2l.models.lip_reader import Mouths
from w2l.scoring.metrics import appearance, interior, palette
from w2l.scoring.metrics.appearance import APPEARANCE_COLUMNS, Appearance
from w2l.scoring.metrics.interior import Interiors
from w2l.scoring.metrics.view import Hearing, View

HALF_WIDTH = 58.0
BOX = np.array([102.0, 45.0, 218.0, 195.0])
PLACES = np.array([160.0, 120.0]) + POINTS * HALF_WIDTH
SOUND = np.zeros(16000)
OPENINGS = 0.5 + 0.5 * np.sin(np.arange(40) / 3)
Change = Callable[[Image], Image]


def face(opening: float, rng: np.random.Generator) -> Image:
    """A face with a mouth so far open, and the grain of a camera."""
    image = np.full((240, 320, 3), (90, 120, 140), np.uint8)
    draw_face(image, 160, 120, HALF_WIDTH, float(opening))
    return np.clip(image + rng.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8)


def faces(openings: NDArray[np.float64] = OPENINGS, seed: int = 0) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [face(opening, rng) for opening in openings]


def measured(output: list[Image], real: list[Image] | None, is_real: bool = False) -> dict[str, float | str]:
    measure = Appearance()
    for number, image in enumerate(output):
        measure.add(View(image, None if real is None else real[number], BOX, PLACES, number / 25))
    return dict(measure.finish(Hearing(SOUND, 25.0, is_real=is_real)))


@pytest.fixture(scope="module")
def real() -> list[Image]:
    return faces()


def covered_by(chance: float) -> Callable[..., Mouths]:
    """Stands in for the lip reader: every second face has its lips covered with that probability."""

    def read(crops: Image) -> Mouths:
        count = len(crops)
        covered = np.where(np.arange(count) % 2, chance, 0.0 if chance < 1 else chance)
        return Mouths(np.full(count, 0.2), np.zeros((count, 6, 2)), np.ones(count), np.zeros(count), covered)

    return read


def test_a_patch_on_the_chin_is_as_foreign_as_it_is_large() -> None:
    rng = np.random.default_rng(1)
    crops = np.clip(rng.normal((190, 150, 130), 2, (20, 96, 96, 3)), 0, 255).astype(np.uint8)
    known = palette.Palette(crops)
    assert known.foreign_shares(crops).max() == 0
    painted = crops.copy()
    painted[:, 78:90, 42:54] = (200, 40, 40)
    assert known.foreign_shares(painted) == pytest.approx(144 / palette.REDRAWN.sum())
    painted[:, :40] = (200, 40, 40)  # not redrawn: above the nose
    assert known.foreign_shares(painted) == pytest.approx(144 / palette.REDRAWN.sum())


@pytest.mark.parametrize(("shift", "share"), [(5.0, 0.0), (7.0, 1.0)])
def test_colours_are_foreign_from_the_distance_on(shift: float, share: float) -> None:
    """Grey of lightness 50, and lighter by `shift`."""
    import cv2

    lights = np.array([[[50.0, 0, 0], [50.0 + shift, 0, 0]]], np.float32)
    old, new = np.rint(255 * cv2.cvtColor(lights, cv2.COLOR_LAB2RGB))[0].astype(np.uint8)
    known = palette.Palette(np.broadcast_to(old, (1, 96, 96, 3)).copy())
    assert known.foreign_shares(np.broadcast_to(new, (2, 96, 96, 3)).copy()) == pytest.approx(share)


def test_a_colour_is_foreign_in_a_cell_that_never_shows_it() -> None:
    crops = np.full((3, 96, 96, 3), 128, np.uint8)
    crops[:, 60:66, 48:51] = (180, 60, 60)  # lips in one half of their cell
    moved = np.full((1, 96, 96, 3), 128, np.uint8)
    moved[:, 66:72, 48:51] = (180, 60, 60)
    assert palette.Palette(crops).foreign_shares(moved) == pytest.approx(18 / palette.REDRAWN.sum())


def test_a_palette_does_not_grow_with_repetition_and_needs_a_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = np.random.default_rng(2).integers(100, 140, (4, 96, 96, 3)).astype(np.uint8)
    once, often = palette.Palette(crops), palette.Palette(np.tile(crops, (40, 1, 1, 1)))
    assert len(once) == len(often) <= crops[0, ..., 0].size * 4
    other = 255 - crops
    whole = once.foreign_shares(other)
    monkeypatch.setattr(palette, "MOST_PAIRS", 1000)
    assert (once.foreign_shares(other) == whole).all()
    with pytest.raises(ValueError, match="at least one"):
        palette.Palette(crops[:0])


def test_the_real_video_beside_itself_and_a_red_chin(real: list[Image]) -> None:
    same = measured(faces(seed=5), real)
    assert set(same) == {column.name for column in APPEARANCE_COLUMNS}
    assert same["foreign"] == pytest.approx(0, abs=0.1)
    assert 0.5 < float(same["interior_ratio"]) < 1.5
    red = [image.copy() for image in real]
    for image in red[::2]:
        image[178:186, 150:170] = (220, 30, 30)
    found = measured(red, real)
    unit = (96 * 0.34 / (0.8 * HALF_WIDTH)) ** 2  # pixels of the crop to one of the picture
    whole = 100 * 160 * unit / palette.REDRAWN.sum()
    assert found["foreign_worst"] == pytest.approx(whole, rel=0.15)
    assert found["foreign"] == pytest.approx(whole / 2, rel=0.15)


def test_the_halves_of_the_real_video_are_the_anchor(real: list[Image]) -> None:
    anchor = measured(real, None, is_real=True)
    assert float(anchor["foreign"]) < 0.2
    assert anchor["foreign_worst"] >= anchor["foreign"]
    assert float(anchor["interior"]) < 4
    assert "interior_ratio" not in anchor
    assert measured(real, None, is_real=True) == anchor


def test_a_grey_interior_is_further_from_the_real_one(real: list[Image]) -> None:
    grey = []
    for image in real:
        painted = image.copy()
        region = painted[140:185, 135:185].astype(int)
        dark = region.sum(axis=-1) < 200  # the inside of a drawn mouth
        painted[140:185, 135:185][dark] = (140, 135, 140)
        grey.append(painted)
    same, found = measured(real, real), measured(grey, real)
    assert float(found["interior"]) > 3 * float(same["interior"])
    assert float(found["interior_ratio"]) > 2


def test_colours_shifted_by_a_vector_are_as_far_apart_as_it_is_long() -> None:
    colours = np.random.default_rng(3).normal(50, 5, (2000, 3))
    for shift in ((10.0, 0, 0), (0, -6.0, 8.0)):
        assert interior.wasserstein(colours, colours + shift) == pytest.approx(10, rel=0.05)
    assert interior.wasserstein(colours, colours) == 0
    assert interior.wasserstein(colours, colours[::3]) < 1


def test_only_mouths_that_are_open_as_far_are_compared() -> None:
    """Dark when wide, red when narrow: a mouth that is always wide and dark is no further off for that."""
    gaps = np.tile([0.05, 0.2], 20)
    dark, red = np.full((60, 3), 10.0, np.float32), np.full((60, 3), 60.0, np.float32)
    real = Interiors(gaps, np.zeros(40), tuple(dark if gap > 0.1 else red for gap in gaps))
    wide = Interiors(np.full(10, 0.2), np.zeros(10), (dark,) * 10)
    edges = interior.opening_edges(gaps)
    assert interior.colour_distance(wide, real, edges) == 0
    assert interior.colour_distance(wide, real.only(gaps < 0.1), edges) is None
    wrong = Interiors(np.full(10, 0.2), np.zeros(10), (red,) * 10)
    assert interior.colour_distance(wrong, real, edges) == pytest.approx(50 * np.sqrt(3), rel=0.05)


def test_teeth_are_counted_against_real_mouths_that_are_open_as_far() -> None:
    gaps = np.linspace(0.05, 0.3, 40)
    shown = (gaps > 0.2).astype(np.float64)
    real = Interiors(gaps, shown, (np.zeros((0, 3), np.float32),) * 40)
    edges = interior.opening_edges(gaps)
    assert interior.teeth_counts(real, real, edges) == pytest.approx((shown.sum(), shown.sum()))
    narrow = real.only(gaps < 0.15)
    assert interior.teeth_counts(narrow, real, edges) == (0, pytest.approx(0, abs=0.5))
    hidden = Interiors(gaps, np.zeros(40), real.colours)
    assert interior.teeth_counts(hidden, real, edges)[0] == 0


def test_hiding_teeth_lowers_the_ratio(real: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """The lip reader is replaced by one that takes white in a marked corner for teeth."""
    true_read = appearance.read_mouths

    def read(crops: Image) -> Mouths:
        found = true_read(crops)
        teeth = (crops[:, 95, 48].min(axis=-1) > 200).astype(np.float64)
        return Mouths(found.gaps, found.points, found.widths, teeth, found.covered)

    monkeypatch.setattr(appearance, "read_mouths", read)
    smiling, half = [image.copy() for image in real], [image.copy() for image in real]
    for image in smiling:
        image[190:220, 140:180] = 255
    for image in half[::2]:
        image[190:220, 140:180] = 255
    assert measured(smiling, smiling)["teeth"] == pytest.approx(1)
    assert measured(half, smiling)["teeth"] == pytest.approx(0.5, abs=0.15)
    assert measured(real, smiling)["teeth"] == 0
    assert measured(smiling, real)["teeth"] == appearance.NO_TEETH


def blank(found: dict[str, float | str], *names: str) -> set[str]:
    """The reasons in place of the numbers called so, or of all."""
    values = [found[name] for name in names or [column.name for column in APPEARANCE_COLUMNS]]
    return {value for value in values if isinstance(value, str)}


def test_without_a_real_video_every_cell_is_blank_with_the_reason(real: list[Image]) -> None:
    assert blank(measured(real, None)) == {appearance.NO_REAL}
    assert blank(dict(Appearance().finish(Hearing(SOUND, 25.0)))) == {appearance.NO_REAL}


def test_a_still_and_a_shut_mouth(real: list[Image]) -> None:
    shut = faces(np.zeros(20))
    found = measured(real[:20], shut)  # as with a still as the source
    assert float(found["foreign"]) > 0.5
    assert blank(found, "interior", "interior_ratio", "teeth") == {appearance.REAL_SHUT}
    assert blank(measured(shut, real[:20]), "interior", "interior_ratio", "teeth") == {appearance.SHUT}


def test_a_smiling_still_gives_a_distance_and_no_ratio(real: list[Image]) -> None:
    smile = [real[int(np.argmax([float(np.std(image[140:185, 135:185])) for image in real]))]] * len(real)
    found = measured(real, smile)
    assert float(found["interior"]) > 0
    assert blank(found, "interior_ratio") == {appearance.NO_MOTION}


def test_one_frame_is_compared_and_cannot_be_halved(real: list[Image]) -> None:
    assert measured(real[:1], real[:1])["foreign"] == 0
    alone = measured(real[:1], None, is_real=True)
    assert blank(alone, "foreign", "foreign_worst") == {appearance.TOO_SHORT}
    assert blank(alone, "interior", "teeth") == {appearance.REAL_SHUT}


def test_grey_videos_are_measured(real: list[Image]) -> None:
    grey = [np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8) for image in real]
    assert measured(grey, grey)["foreign"] == 0
    assert float(measured(real, grey)["foreign"]) > 20


def test_frames_with_covered_lips_do_not_count(real: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "read_mouths", covered_by(0.9))
    red = [image.copy() for image in real]
    for image in red[1::2]:
        image[178:186, 150:170] = (220, 30, 30)
    assert measured(red, real)["foreign"] == 0
    assert measured(real, red)["foreign"] == 0
    monkeypatch.setattr(appearance, "read_mouths", covered_by(1.0))
    assert blank(measured(real, real)) == {appearance.COVERED_THROUGHOUT}


def test_more_of_the_person_after_the_end_of_the_output_is_known(real: list[Image]) -> None:
    """A mouth that opens wide beside the first, shut frames of a real video in which it opens later."""
    measure, shut = Appearance(), faces(np.zeros(12), seed=4)
    for image, beside in zip(real, shut):
        measure.add(View(image, beside, BOX, PLACES, 0.0))
    alone = measured(real[:12], shut)
    for image in real:
        measure.add_rest(View(image, image, BOX, PLACES, 1.0))
    found = dict(measure.finish(Hearing(SOUND, 25.0)))
    assert float(found["foreign"]) < 0.1 < float(alone["foreign"])
    assert not isinstance(found["interior"], str)
    assert alone["interior"] == appearance.REAL_SHUT


def test_long_clips_are_thinned_out_alike(real: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "MOST_FRAMES", 20)
    found = measured(real, real)
    assert found["foreign"] == 0
    assert not blank(found)

"""A still picture's own mouth: its teeth show between redrawn lips, and lips keep its colours."""

import numpy as np
import pytest

from tests.syncing.test_compose import face as placed
from w2l.core.arrays import Floats
from w2l.features.crop import CropSpec
from w2l.media.picture import RgbPicture
from w2l.syncing.colours import LUMA
from w2l.syncing.compose import Compositor
from w2l.syncing.lips import LipPair, lip_map
from w2l.syncing.own_mouth import OwnMouth, Shape

SIZE = 96
PLACES = (np.arange(SIZE) + 0.5) / SIZE
SKIN, LIPS, TEETH, DARK, OLIVE = (200, 150, 125), (170, 95, 95), (225, 218, 205), (45, 25, 25), (70, 84, 66)


def mouth(gap: float) -> Floats:
    """Six points of a mouth in the middle of the lower half, `gap` sides open."""
    points = [(0.36, 0.7), (0.64, 0.7), (0.5, 0.66 - gap / 2), (0.5, 0.7 - gap / 2), (0.5, 0.7 + gap / 2)]
    return np.array([*points, (0.5, 0.74 + gap / 2)])


def face(gap: float, lips: tuple[int, int, int], inside: tuple[int, int, int]) -> Floats:
    """A crop of skin with lips and what is between them."""
    image = np.full((SIZE, SIZE, 3), SKIN, np.float32)
    points = mouth(gap)
    image[lip_map(points, PLACES, PLACES) > 0.99] = lips
    image[Shape.of(points, PLACES, PLACES).inside > 0.5] = inside
    return image


def own(gap: float = 0.08, inside: tuple[int, int, int] = TEETH) -> OwnMouth:
    found = OwnMouth.of(face(gap, LIPS, inside), mouth(gap), PLACES, PLACES)
    assert found is not None
    return found


def test_teeth_are_found_where_they_are_and_nowhere_else() -> None:
    inside = Shape.of(mouth(0.08), PLACES, PLACES).inside
    found = own().teeth
    assert found[inside > 0.9].mean() > 0.8
    assert found[inside == 0].max() < 0.3
    assert own(inside=DARK).teeth.max() < 0.05
    assert own(0.0, LIPS).teeth.max() < 0.05


@pytest.mark.parametrize(("gap", "least", "most"), [(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.06, 0.7, 1.0)])
def test_teeth_show_between_open_lips_alone(gap: float, least: float, most: float) -> None:
    assert least <= own().shown(Shape.of(mouth(gap), PLACES, PLACES)).max() <= most


def test_lips_and_mouth_keep_the_colours_that_the_picture_has() -> None:
    lips = lip_map(mouth(0.05), PLACES, PLACES)
    magenta = own().coloured(face(0.05, (200, 60, 130), OLIVE), lips)
    middle = magenta[lips == 1]
    luma = middle @ LUMA
    red, blue, green = (middle[:, idx] - luma for idx in (0, 2, 1))
    assert red.max() <= LIPS[0] - LUMA @ LIPS + 3
    assert blue[red > 30].max() <= LIPS[2] - LUMA @ LIPS + 3
    assert green.max() < 3, "nothing in a mouth is green"
    np.testing.assert_allclose(luma, face(0.05, (200, 60, 130), OLIVE)[lips == 1] @ LUMA, atol=0.01)
    np.testing.assert_array_equal(magenta[lips == 0], face(0.05, (200, 60, 130), OLIVE)[lips == 0])


def test_a_picture_s_own_colours_stay_and_a_grey_one_stays_grey() -> None:
    before = face(0.05, LIPS, DARK)
    np.testing.assert_allclose(own().coloured(before, np.ones((SIZE, SIZE), np.float32))[60:75], before[60:75], atol=25)
    grey = np.repeat((before @ LUMA)[..., None], 3, axis=-1)
    found = OwnMouth.of(grey, mouth(0.05), PLACES, PLACES)
    assert found is not None
    bent = found.coloured(grey, np.ones((SIZE, SIZE), np.float32))
    assert np.abs(bent - grey).max() < 5


BAND = (150, 140, 118)
"""An even band, as networks draw between the lips of a person whose teeth they never saw."""


@pytest.mark.parametrize("gap", [0.03, 0.06])
def test_a_band_between_lips_is_shaded_like_a_mouth_where_the_picture_has_no_teeth(gap: float) -> None:
    drawn, points = face(gap, LIPS, BAND), mouth(gap)
    shape = Shape.of(points, PLACES, PLACES)
    shaded = own(0.0, LIPS).shaded(drawn, shape)
    ratio = (shaded @ LUMA) / (drawn @ LUMA)
    rows = np.flatnonzero(shape.inside[:, SIZE // 2] > 0.9)
    middle = ratio[rows, SIZE // 2]
    assert (np.diff(middle) <= 1e-6).all(), "darker towards the lower lip"
    assert middle[0] > 0.85
    assert middle[-1] < middle[0] - 0.2
    corner = shape.inside * (np.abs(PLACES - 0.5) > 0.11)[None, :] > 0.5
    assert not corner.any() or ratio[corner].max() < 0.75
    np.testing.assert_array_equal(shaded[shape.inside == 0], drawn[shape.inside == 0])
    assert (own().shaded(drawn, shape) == drawn).all(), "teeth of the picture's own are shown instead"


def test_teeth_are_as_warm_as_the_light() -> None:
    """In a red light the skin is red, and so are teeth: a grey band would look green there."""
    lips, redness = lip_map(mouth(0.05), PLACES, PLACES), []
    for light in ((1.0, 1.0, 1.0), (1.15, 0.9, 0.85)):
        picture = np.clip(face(0.0, LIPS, LIPS) * np.array(light, np.float32), 0, 255)
        found = OwnMouth.of(picture, mouth(0.0), PLACES, PLACES)
        assert found is not None
        inside = found.coloured(face(0.05, LIPS, (120, 122, 118)), lips)[67, 48]
        redness.append(float((inside[0] - inside @ LUMA) / (inside @ LUMA)))
    assert redness[1] > redness[0] + 0.08


def test_lips_of_a_few_pixels_say_nothing() -> None:
    assert OwnMouth.of(face(0.0, LIPS, LIPS), np.tile([0.5, 0.7], (6, 1)), PLACES, PLACES) is None


def test_a_still_picture_shows_its_own_teeth_in_place_of_drawn_ones() -> None:
    source, patch = face(0.08, LIPS, TEETH), face(0.07, LIPS, OLIVE)
    image = np.full((240, 320, 3), SKIN, np.uint8)
    image[62:158, 112:208] = source
    lips, where = LipPair(mouth(0.08), mouth(0.07)), placed(96.0)
    inside = Shape.of(mouth(0.07), PLACES, PLACES).inside > 0.9
    bright = []
    for still in (True, False):
        compositor = Compositor(CropSpec("aligned", SIZE), "lower", still=still)
        made = compositor.paste(RgbPicture(image), where, patch, source.astype(np.uint8), 0, lips).rgb()
        bright.append(float((made[62:158, 112:208][inside] @ LUMA).mean()))
    assert bright[0] > 180 > 130 > bright[1]

"""The jaw of a patch on that of the picture: one line, lips where they were, and nothing odd without a face."""

import cv2
import numpy as np
import pytest

from w2l.core.arrays import Floats, Image
from w2l.faces.follow import Face
from w2l.features.crop import TEMPLATE, CropSpec, cut
from w2l.media.picture import RgbPicture
from w2l.syncing.compose import Compositor, mouth_map, soft_weight
from w2l.syncing.jaw import NODES, REACH, SIDE, JawFit
from w2l.syncing.lips import LipPair

FIRST = 46
"""First row that is compared, of 96."""


def lips_at(y: float, opened: float = 0.0) -> Floats:
    """Return six points of lips around height `y`, `opened` in sides."""
    down = [-0.03, -opened / 2, opened / 2, 0.03]
    return np.array([[0.38, y], [0.62, y], *([0.5, y + each] for each in down)])


def crop(chin: float, opened: float = 0.0, size: int = 96, aside: float = 0.0) -> Image:
    """Return a crop (size, size, 3): skin down to `chin`, with its shadow on a darker neck, lips, and a collar."""
    image = np.full((4 * size, 4 * size, 3), (95, 70, 60), np.uint8)

    def ellipse(x: float, y: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (round(4 * size * x), round(4 * size * y)), (round(4 * size * a), round(4 * size * b))
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1)

    ellipse(0.5 + aside, 0.4, 0.36, chin - 0.4, (200, 160, 140))
    ellipse(0.5, 0.69, 0.12, 0.03 + opened / 2, (170, 90, 90))
    if opened:
        ellipse(0.5, 0.69, 0.09, opened / 2, (60, 25, 25))
    return np.asarray(cv2.resize(cv2.GaussianBlur(image, (0, 0), 3.0), (size, size), interpolation=cv2.INTER_AREA))


def fit(patch: Image, source: Image, opened: float = 0.0, before: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the lower rows of the patch, moved, and the displacement of the nodes."""
    size = len(patch)
    first = FIRST * size // 96
    at_work = JawFit(soft_weight(size)[first:], mouth_map(size)[first:])
    lips = LipPair(lips_at(0.69, opened), lips_at(0.69))
    return at_work.fit(patch[first:].astype(np.float32), source[first:].astype(np.float32), lips, before)


def differs(patch: Floats, source: Image) -> float:
    """Return the mean difference on the rim of the mask, below the mouth, in grey levels."""
    first = FIRST * len(source) // 96
    weight = soft_weight(len(source))[first:]
    rim = (4 * weight * (1 - weight))[len(weight) // 2 :]
    away = np.abs(patch - source[first:]).mean(axis=-1)[len(weight) // 2 :]
    return float((away * rim).sum() / rim.sum())


@pytest.mark.parametrize("size", [96, 192])
@pytest.mark.parametrize(("chin", "aside"), [(0.9, 0.0), (1.0, 0.0), (0.97, 0.04)], ids=["higher", "lower", "aside"])
def test_the_jaw_of_the_patch_meets_that_of_the_picture(chin: float, aside: float, size: int) -> None:
    source, patch = crop(0.96, 0.08, size), crop(chin, 0.0, size, aside)
    made, _ = fit(patch, source, 0.08)
    assert differs(made, source) < 0.45 * differs(patch[FIRST * size // 96 :].astype(np.float32), source)


def test_the_lips_of_the_patch_stay_where_they_are() -> None:
    patch = crop(0.87)
    made, nodes = fit(patch, crop(0.93, 0.08), 0.08)
    assert np.abs(nodes).max() > 1
    rows, columns = slice(62, 71), slice(36, 60)
    moved = made[rows.start - FIRST : rows.stop - FIRST, columns]
    assert np.abs(moved - patch[rows, columns]).max() < 12


def test_a_patch_that_fits_is_unchanged() -> None:
    patch = crop(0.92)
    made, nodes = fit(patch, patch)
    np.testing.assert_allclose(made, patch[FIRST:], atol=0.5)
    assert np.abs(nodes).max() < 0.05


def test_other_light_is_no_displacement() -> None:
    patch = crop(0.92)
    _, nodes = fit(np.clip(patch.astype(int) + 20, 0, 255).astype(np.uint8), patch)
    assert np.abs(nodes).max() < 0.3


def test_the_displacement_follows_the_last_one() -> None:
    source, patch = crop(0.93, 0.08), crop(0.89)
    _, first = fit(patch, source, 0.08)
    _, second = fit(patch, source, 0.08, first)
    _, other = fit(patch, source, 0.08, np.zeros_like(first))
    assert np.abs(second - first).mean() < 0.5 * np.abs(first).mean()
    assert np.abs(other).sum() < np.abs(first).sum()


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_without_a_face_nothing_moves_far(colour: int) -> None:
    flat = np.full((96, 96, 3), colour, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    np.testing.assert_allclose(fit(flat, flat)[0], flat[FIRST:], atol=0.01)
    for patch, source in ((flat, noise), (noise, flat), (noise, noise[::-1])):
        made, nodes = fit(patch, source)
        assert np.isfinite(made).all()
        assert nodes.shape == (2, NODES[0] * NODES[1])
        assert np.abs(nodes).max() <= REACH * SIDE


@pytest.mark.parametrize("found", [True, False])
def test_one_jaw_line_is_pasted(found: bool) -> None:
    """A closed mouth in a picture whose mouth is open, and whose chin is lower."""
    source, patch = crop(0.97, 0.08, 192), crop(0.9, 0.0, 192)
    spec = CropSpec("aligned", 192)
    face = Face(0, np.array([0.0, 0.0, 192.0, 192.0]), FIVE * 192, 1.0)
    shown, drawn = (cut(image, face.box, face.points, spec) for image in (source, patch))
    lips = LipPair(lips_at(0.69, 0.08), lips_at(0.69)) if found else LipPair()

    def jaw_of(fit_jaw: bool) -> Floats:
        """Return the difference between the pasted picture and the source along the chin."""
        compositor = Compositor(spec, "lower", fit_jaw=fit_jaw)
        made = compositor.paste(RgbPicture(source), face, drawn.astype(np.float32), shown, 0, lips).rgb()
        return np.asarray(np.abs(made[170:191, 70:122].astype(float) - source[170:191, 70:122]).mean(axis=-1))

    assert jaw_of(True).mean() < 0.6 * jaw_of(False).mean()


FIVE = np.concatenate([TEMPLATE[:3], TEMPLATE[3] + np.array([[-0.14, 0.0], [0.14, 0.0]])])
"""Five points of a face whose aligned crop is the picture itself, in sides."""

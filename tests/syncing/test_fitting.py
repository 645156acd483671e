"""Mouths unlike the source's: no halo of the old lips, no foreign colours, teeth and lips as they were drawn."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.data.puppets import Puppet, draw_face
from w2l.faces.follow import Face
from w2l.features.crop import CropSpec, cut, footprint
from w2l.media.picture import RgbPicture
from w2l.scoring.metrics.seam import seam_ratio
from w2l.syncing.compose import Compositor
from w2l.syncing.lips import LipPair, read_pairs
from w2l.syncing.settings import Blend

Kind = Literal["aligned", "box"]
WIDTH, HEIGHT, HALF, X, Y = 320, 280, 70.0, 160.0, 120.0
RED = (190, 45, 60)
FAIR = Puppet(skin=(210, 168, 145), lips=RED)
DARK = Puppet(skin=(112, 76, 60), hair=(20, 16, 14), lips=(150, 45, 55))
WARM, COOL = (1.1, 1.0, 0.75), (0.85, 1.0, 1.15)
WHITE = (215, 210, 205)


@dataclass(frozen=True)
class Look:
    """How a person is drawn."""

    mouth: float = 0.0
    """How far the mouth is open."""
    puppet: Puppet = FAIR
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    teeth: bool = False
    tongue: bool = False
    """Hangs over the chin."""
    beard: bool = False
    """A red one."""

    def drawn(self) -> Image:
        """Return the picture."""
        image = np.full((HEIGHT, WIDTH, 3), (70, 110, 140), np.uint8)
        draw_face(image, X, Y, HALF, self.mouth, self.puppet)
        if self.beard:
            shape = np.zeros(image.shape[:2], np.float32)
            cv2.ellipse(shape, (int(X), int(Y + 0.95 * HALF)), (int(0.6 * HALF), int(0.35 * HALF)), 0, 0, 360, 1.0, -1)
            shape[: int(Y + 0.8 * HALF)] = 0
            soft = cv2.GaussianBlur(shape, (0, 0), 2.0)[..., None]
            image = np.rint(image + soft * (np.array([150.0, 70.0, 40.0]) - image)).astype(np.uint8)
        if self.teeth:
            cv2.ellipse(image, (int(X), int(Y + 0.64 * HALF)), (14, 6), 0, 0, 360, WHITE, -1, cv2.LINE_AA)
        if self.tongue:
            cv2.ellipse(image, (int(X), int(Y + 0.85 * HALF)), (12, 14), 0, 0, 360, RED, -1, cv2.LINE_AA)
        lit = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) * np.array(self.light)
        return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


FACE = Face(0, np.array([X - HALF, Y - 1.2 * HALF, X + HALF, Y + 1.3 * HALF]),
            draw_face(np.zeros((HEIGHT, WIDTH, 3), np.uint8), X, Y, HALF), 1.0)  # fmt: skip


def pasted(
    source: Look, patch: Look, kind: Kind = "aligned", blend: Blend = "soft", size: int = 96,
    before: Look | None = None, offset: Floats | float = 0.0, unread: bool = False,
) -> Image:  # fmt: skip
    """Return the picture of `source` with the mouth of `patch`, after a frame of `before` (or of the same)."""
    spec = CropSpec(kind, size)
    compositor = Compositor(spec, "lower", blend)
    drawn = (cut(patch.drawn(), FACE.box, FACE.points, spec) + offset).astype(np.float32)
    for look in (before or source, source):
        image = look.drawn()
        crop = cut(image, FACE.box, FACE.points, spec)
        lips = read_pairs(crop[None], drawn[None], [FACE], [(WIDTH, HEIGHT)], spec)[0]
        made = compositor.paste(RgbPicture(image), FACE, drawn, crop, 0, LipPair() if unread else lips)
    return made.rgb()


def redness(image: Image) -> NDArray[np.float32]:
    """Return CIELAB a* (rows, columns)."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 1])


def around(mouth: float, wider: float = 0.0) -> NDArray[np.bool_]:
    """Return the lower face without lips that are so far open and their soft rim, (rows, columns)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    across, away = (x - X) / HALF, (y - Y) / HALF
    lips = np.hypot(across / (0.36 - 0.06 * mouth + 0.1), (away - 0.62 - 0.08 * mouth) / (0.2 + 0.16 * mouth + wider))
    return (lips > 1) & (np.abs(across) < 0.6) & (away > 0.4) & (away < 1.0)


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), WARM, COOL], ids=["neutral", "warm", "cool"])
@pytest.mark.parametrize("who", [FAIR, DARK], ids=["fair", "dark"])
@pytest.mark.parametrize(("kind", "blend", "size"), [
    ("aligned", "soft", 96), ("box", "laplacian", 96), ("aligned", "soft", 192),
])  # fmt: skip
def test_a_mouth_that_shuts_leaves_no_halo(
    kind: Kind, blend: Blend, size: int, who: Puppet, light: tuple[float, float, float]
) -> None:
    made = pasted(Look(0.9, who, light), Look(0.0, who, light), kind, blend, size)
    real = Look(0.0, who, light).drawn()
    skin = around(0.0)
    assert redness(made)[skin].max() < redness(real)[skin].max() + 4
    assert np.abs(made.astype(int) - real)[skin].mean() < 3


@pytest.mark.parametrize("who", [FAIR, DARK], ids=["fair", "dark"])
@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.05, 1.0, 0.88), (0.93, 1.0, 1.06)],
                         ids=["neutral", "warm", "cool"])  # fmt: skip
def test_teeth_of_a_mouth_that_opens_stay_as_they_were_drawn(who: Puppet, light: tuple[float, float, float]) -> None:
    wanted = Look(0.8, who, light, teeth=True)
    made = pasted(Look(0.0, who, light), wanted)
    teeth = (slice(int(Y + 0.6 * HALF), int(Y + 0.68 * HALF)), slice(int(X) - 8, int(X) + 8))
    colour, real = (image[teeth].reshape(-1, 3).mean(axis=0) for image in (made, wanted.drawn()))
    np.testing.assert_allclose(colour, real, atol=8)
    chroma = [values - values.mean() for values in (colour, real)]
    np.testing.assert_allclose(chroma[0], chroma[1], atol=4)


@pytest.mark.parametrize(("source", "patch"), [(0.0, 0.8), (0.8, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("gain", [(1.08, 0.97, 0.93), (0.94, 0.98, 1.06), (0.92, 0.92, 0.92)], ids=str)
def test_a_look_in_another_light_shows_no_seam_and_no_other_skin(
    source: float, patch: float, gain: tuple[float, float, float]
) -> None:
    made, same = pasted(Look(source), Look(patch, light=gain)), pasted(Look(source), Look(patch))
    spec = CropSpec("aligned", 96)
    found = footprint(Compositor(spec).weight, FACE.box, FACE.points, spec, WIDTH, HEIGHT)
    assert found is not None
    where, weight = (found.rows, found.columns), found.moved_weight(Compositor(spec).weight)
    before = Look(source).drawn()[where]
    assert seam_ratio(before, made[where], weight) < 1.05 * max(1.0, seam_ratio(before, same[where], weight))
    skin = around(max(source, patch), 0.1)
    assert np.abs(made.astype(float) - Look(patch).drawn())[skin].mean() < 5


def test_the_dark_of_an_open_mouth_is_not_lifted_by_light() -> None:
    dim = Look(1.0, light=(0.8, 0.8, 0.8))
    made = pasted(Look(0.0), dim)
    inside = (slice(int(Y + 0.65 * HALF), int(Y + 0.75 * HALF)), slice(int(X) - 6, int(X) + 6))
    assert made[inside].mean() < Look(1.0).drawn()[inside].mean() + 6


def test_lips_are_as_red_as_in_the_look_though_the_frame_shows_pale_ones() -> None:
    pale = replace(FAIR, lips=(190, 140, 125))
    made, real = pasted(Look(0.0, pale), Look(0.3)), Look(0.3).drawn()
    lips = redness(real) > 0.8 * redness(real).max()
    assert redness(made)[lips].mean() > 0.9 * redness(real)[lips].mean()


def test_a_red_beard_stays_red_and_below_a_mouth_that_shuts_there_is_beard() -> None:
    made, real = pasted(Look(0.9, beard=True), Look(0.0, beard=True)), Look(0.0, beard=True).drawn()
    beard = around(0.0) & (np.mgrid[:HEIGHT, :WIDTH][0] > Y + 0.85 * HALF)
    assert np.abs(redness(made) - redness(real))[beard].mean() < 3


def test_a_tongue_over_the_chin_leaves_no_halo() -> None:
    made, real = pasted(Look(0.5, tongue=True), Look(0.0), before=Look(0.2)), Look(0.0).drawn()
    skin = around(0.0)
    assert redness(made)[skin].max() < redness(real)[skin].max() + 4


@pytest.mark.parametrize("size", [96, 192])
def test_hair_beside_the_face_stays_where_the_patch_shows_skin(size: int) -> None:
    """As where the head was turned less in the frame that a mouth comes from; the mouth is still that one."""
    spec = CropSpec("aligned", size)
    image, wanted = Look(0.0).drawn(), Look(0.8).drawn()
    hair = (slice(int(Y + 0.4 * HALF), int(Y + 0.66 * HALF)), slice(int(X - 0.78 * HALF), int(X - 0.58 * HALF)))
    image[hair] = (35, 25, 20)
    crop, drawn = (cut(each, FACE.box, FACE.points, spec) for each in (image, wanted))
    lips = read_pairs(crop[None], drawn[None], [FACE], [(WIDTH, HEIGHT)], spec)[0]
    made = Compositor(spec, "lower").paste(RgbPicture(image), FACE, drawn.astype(np.float32), crop, 0, lips).rgb()
    assert np.abs(made[hair].astype(int) - image[hair]).mean() < 2
    mouth = (slice(int(Y + 0.62 * HALF), int(Y + 0.72 * HALF)), slice(int(X) - 6, int(X) + 6))
    assert np.abs(made[mouth].astype(int) - wanted[mouth]).mean() < 20


def test_what_is_shown_beside_the_chin_does_not_alternate() -> None:
    """Of a strip that is about as unlike skin as it must be, what was shown in the last picture is shown again."""
    spec = CropSpec("aligned", 96)
    strip = (slice(int(Y + 0.4 * HALF), int(Y + 0.66 * HALF)), slice(int(X - 0.78 * HALF), int(X - 0.58 * HALF)))
    plain = Look(0.0).drawn()
    drawn = cut(plain, FACE.box, FACE.points, spec).astype(np.float32)

    def pasted_after(*darker: float) -> float:
        """Return how far the strip of the last picture is from what it shows, after pictures with darker ones."""
        compositor = Compositor(spec, "lower")
        for each in darker:
            image = plain.copy()
            image[strip] = np.rint(plain[strip] * (1 - each))
            crop = cut(image, FACE.box, FACE.points, spec)
            lips = read_pairs(crop[None], drawn[None], [FACE], [(WIDTH, HEIGHT)], spec)[0]
            made = compositor.paste(RgbPicture(image), FACE, drawn, crop, 0, lips).rgb()
        return float(np.abs(made[strip].astype(int) - image[strip]).mean())

    assert pasted_after(0.0, 0.14) > 4
    assert pasted_after(0.7, 0.14) < 2


def test_where_no_lips_are_read_a_mouth_is_taken_to_be_where_it_usually_is() -> None:
    made, real = pasted(Look(0.6), Look(0.0), unread=True), Look(0.0).drawn()
    skin = around(0.0)
    assert redness(made)[skin].max() < redness(real)[skin].max() + 6


@pytest.mark.parametrize("where", ["source", "patch", "both"])
def test_a_reading_that_leaves_no_skin_ends_well(where: str) -> None:
    all_of_it = np.array([[0.0, 0.7], [1.0, 0.7], [0.5, -3.0], [0.5, 0.7], [0.5, 0.7], [0.5, 4.0]])
    spec = CropSpec("aligned", 96)
    image = Look(0.3).drawn()
    crop = cut(image, FACE.box, FACE.points, spec)
    lips = LipPair(*(all_of_it if where in (name, "both") else None for name in ("source", "patch")))
    made = Compositor(spec).paste(RgbPicture(image), FACE, crop.astype(np.float32), crop, 0, lips).rgb()
    assert np.abs(made.astype(int) - image).max() <= 12


def test_red_smears_beside_the_new_lips_are_taken_off() -> None:
    spec = CropSpec("aligned", 96)
    smear = np.zeros((96, 96, 3), np.float32)
    smear[78:86, 40:56] = (35.0, -20.0, -15.0)
    made = pasted(Look(0.0), Look(0.0), offset=cv2.GaussianBlur(smear, (0, 0), 1.5))
    crop, real = (cut(image, FACE.box, FACE.points, spec) for image in (made, Look(0.0).drawn()))
    chin = (slice(78, 86), slice(40, 56))
    assert redness(crop)[chin].max() < redness(real)[chin].max() + 6

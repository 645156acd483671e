"""Paste-back: what shows, what stays as it was, that pasting undoes cutting, and that a patch fits its surroundings."""

from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.faces.follow import Face
from w2l.features.crop import TEMPLATE, CropSpec, FineCrop, cut, footprint
from w2l.media.picture import Picture, RgbPicture
from w2l.nets.generator import GeneratedRows
from w2l.scoring.metrics.seam import seam_ratio
from w2l.syncing.compose import Compositor, hard_weight, mouth_map, moving_map, soft_weight

Kind = Literal["aligned", "box"]

SIZE = 96
WIDTH, HEIGHT = 320, 240
NOISE = 4.0


def waves(height: int = HEIGHT, width: int = WIDTH) -> Image:
    """(height, width, 3): slow waves, so that resampling loses next to nothing."""
    y, x = np.mgrid[0:height, 0:width]
    made = [127 + 60 * np.sin(x / (40 + 9 * c)) * np.cos(y / (50 - 7 * c)) for c in range(3)]
    return np.stack(made, axis=-1).round().astype(np.uint8)


def skin(noise: float = 0.0, seed: int = 0) -> Image:
    """Warm, softly shaded, with blobs a few pixels wide, and grain (standard deviation in grey levels)."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)), (0, 0), 2.5) * 40
    base = np.array([170.0, 130.0, 110.0]) + (waves() - 127.0) * 0.3 + blobs[..., None]
    grainy = base + noise * rng.standard_normal((HEIGHT, WIDTH, 1))
    return np.clip(np.rint(grainy), 0, 255).astype(np.uint8)


def face(scale: float = 120.0, turn: float = 0.0, x: float = 160.0, y: float = 110.0, strength: float = 1.0) -> Face:
    """A face whose aligned crop is `scale` pixels wide, turned by `turn`, centred on (x, y)."""
    mouth = TEMPLATE[3] + np.array([[-0.14, 0.0], [0.14, 0.0]])
    template = np.concatenate([TEMPLATE[:3], mouth]) - 0.5
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    half = np.array([0.38, 0.5]) * scale
    box = np.concatenate([[x, y] - half, [x, y] + half])  # noqa: RUF005
    return Face(0, box, template @ rotation.T * scale + np.array([x, y]), strength)


def crop_of(image: Image, where: Face, spec: CropSpec) -> Image:
    """The face as the network sees it."""
    return cut(image, where.box, where.points, spec)


def paste(compositor: Compositor, image: Image, where: Face, patch: Floats, frame_idx: int = 0) -> Image:
    """The picture with the patch in it."""
    crop = crop_of(image, where, compositor.spec)
    made = compositor.paste(RgbPicture(image), where, np.asarray(patch, dtype=np.float32), crop, frame_idx)
    return made.rgb()


def shown(compositor: Compositor, where: Face) -> NDArray[np.float32]:
    """(height, width): how much of the patch shows."""
    weight = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    found = footprint(compositor.weight, where.box, where.points, compositor.spec, WIDTH, HEIGHT)
    if found is not None:
        weight[found.rows, found.columns] = found.moved_weight(compositor.weight)
    return weight


class TestWeights:
    def test_the_soft_one_shows_the_mouth_and_nothing_of_the_upper_half(self) -> None:
        weight = soft_weight(SIZE)
        mouth_y = round(TEMPLATE[3, 1] * SIZE)
        assert (weight[: SIZE // 2] == 0).all()
        assert (weight[mouth_y - 8 : mouth_y + 14, 30:66] > 0.99).all()
        assert weight.min() == 0
        assert weight.max() == 1

    @pytest.mark.parametrize("kind", ["aligned", "box"])
    def test_it_fades_at_every_edge_and_is_symmetric(self, kind: Kind) -> None:
        weight = soft_weight(SIZE, kind)
        for edge in (weight[SIZE // 2], weight[-1], weight[:, 0], weight[:, -1]):
            assert edge.max() < 0.02
        np.testing.assert_allclose(weight, weight[:, ::-1], atol=1e-6)
        assert np.abs(np.diff(weight, axis=0)).max() < 0.3

    @pytest.mark.parametrize("kind", ["aligned", "box"])
    def test_the_mouth_moves_and_shows(self, kind: Kind) -> None:
        mouth, moving, weight = mouth_map(SIZE, kind), moving_map(SIZE, kind), soft_weight(SIZE, kind)
        assert (moving[mouth == 1] > 0.9).all()
        assert (weight[mouth == 1] > 0.9).all()
        assert moving.mean() > 2 * mouth.mean() > 0.05

    @pytest.mark.parametrize("rows", ["full", "lower"])
    def test_the_hard_one_is_what_was_generated(self, rows: GeneratedRows) -> None:
        weight = hard_weight(SIZE, rows)
        assert weight[SIZE // 2 :].min() == 1
        assert weight[: SIZE // 2].max() == (1 if rows == "full" else 0)


@pytest.mark.parametrize("kind", ["aligned", "box"])
@pytest.mark.parametrize("blend", ["soft", "laplacian", "hard"])
class TestGeometry:
    @pytest.mark.parametrize("where", [
        face(), face(turn=0.4), face(turn=-2.0), face(60), face(40, 1.0), face(200, 0.1), face(190, x=300.0),
        face(150, 0.3, x=10.0, y=230.0), face(700, 0.2, y=-40.0),
    ], ids=lambda f: str(f.box.round().tolist()))  # fmt: skip
    def test_pasting_an_unchanged_crop_changes_next_to_nothing(self, kind: Kind, blend: str, where: Face) -> None:
        image = waves()
        compositor = Compositor(CropSpec(kind, SIZE), "full", blend)  # type: ignore[arg-type]
        made = paste(compositor, image, where, crop_of(image, where, compositor.spec)).astype(int)
        assert np.abs(made - image).max() <= (12 if blend == "hard" else 3)
        assert np.abs(made - image).mean() < (1.2 if blend == "hard" else 0.2)

    def test_outside_of_what_shows_every_pixel_stays(self, kind: Kind, blend: str) -> None:
        image = skin(NOISE)
        where = face(110, 0.5)
        compositor = Compositor(CropSpec(kind, SIZE), "lower", blend)  # type: ignore[arg-type]
        made = paste(compositor, image, where, np.random.default_rng(1).uniform(0, 255, (SIZE, SIZE, 3)))
        support = shown(compositor, where) > 0
        np.testing.assert_array_equal(made[~support], image[~support])
        assert (made[support] != image[support]).mean() > 0.5  # beside the chin, what is unlike the source stays

    def test_a_face_outside_the_picture_changes_nothing(self, kind: Kind, blend: str) -> None:
        if kind == "box":
            pytest.skip("boxes are moved into the picture")
        image = waves()
        compositor = Compositor(CropSpec(kind, SIZE), "lower", blend)  # type: ignore[arg-type]
        np.testing.assert_array_equal(paste(compositor, image, face(x=900), np.zeros((SIZE, SIZE, 3))), image)

    def test_strength_scales_what_changes(self, kind: Kind, blend: str) -> None:
        image = skin()
        patch = np.random.default_rng(1).uniform(0, 255, (SIZE, SIZE, 3))
        changes = []
        for strength in (0.0, 0.5, 1.0):
            compositor = Compositor(CropSpec(kind, SIZE), "lower", blend)  # type: ignore[arg-type]
            changes.append(paste(compositor, image, face(strength=strength), patch).astype(int) - image)
        assert not changes[0].any()
        np.testing.assert_allclose(changes[1], changes[2] / 2, atol=1)


def test_published_paste_replaces_the_box_exactly() -> None:
    image = waves()
    patch = np.random.default_rng(0).uniform(0, 255, (SIZE, SIZE, 3))
    where = Face(0, np.array([25.0, 37.0, 113.0, 141.0]), face().points, 1.0)
    made = paste(Compositor(CropSpec("box", SIZE), "full", "hard"), image, where, patch)
    expected = image.copy()
    expected[37:141, 25:113] = cv2.resize(patch.astype(np.uint8), (88, 104))
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("rows", ["full", "lower"])
def test_rows_above_the_first_one_are_not_looked_at(rows: GeneratedRows) -> None:
    image = skin()
    compositor = Compositor(CropSpec("aligned", SIZE), rows)
    patch = np.full((SIZE, SIZE, 3), 120.0)
    made = paste(compositor, image, face(), patch)
    compositor.reset()
    patch[: compositor.first_row] = np.nan
    np.testing.assert_array_equal(paste(compositor, image, face(), patch), made)
    assert compositor.first_row >= SIZE // 2 - 4


class TestFitting:
    """What is wrong with patches in practice does not show."""

    @pytest.mark.parametrize("kind", ["aligned", "box"])
    @pytest.mark.parametrize("blend", ["soft", "laplacian"])
    @pytest.mark.parametrize("flaw", ["colour", "blur", "clean", "tilt"])
    def test_no_seam(self, kind: Kind, blend: str, flaw: str) -> None:
        image, where = skin(NOISE), face(180, 0.2)
        compositor = Compositor(CropSpec(kind, SIZE), "lower", blend)  # type: ignore[arg-type]
        crop = crop_of(image, where, compositor.spec).astype(np.float32)
        flawed = {
            "colour": crop + np.array([10, -10, 10]),
            "blur": cv2.GaussianBlur(crop, (0, 0), 2.0),
            "clean": cv2.medianBlur(crop.astype(np.uint8), 5),
            "tilt": crop + np.linspace(-15, 15, SIZE)[:, None],
        }[flaw]
        made = paste(compositor, image, where, flawed)
        ratio = seam_ratio(image, made, shown(compositor, where))
        assert 0.85 < ratio < 1.05
        assert np.abs(cv2.blur(made, (15, 15)).astype(int) - cv2.blur(image, (15, 15))).max() <= 3

    def test_a_patch_of_foreign_colour_on_a_cheek_is_bent_back_and_a_mouth_is_not(self) -> None:
        image, where = skin(), face(180)
        compositor = Compositor(CropSpec("aligned", SIZE), "lower")
        patch = crop_of(image, where, compositor.spec).astype(np.float32)
        mouth, cheek = mouth_map(SIZE) > 0.9, (slice(60, 76), slice(16, 26))
        patch[cheek] += np.array([-20, 30, -20])
        patch[mouth] -= 70
        moved = crop_of(paste(compositor, image, where, patch), where, compositor.spec).astype(int)
        change = moved - crop_of(image, where, compositor.spec)
        assert np.abs(change[cheek]).mean() < 6
        assert change[mouth].mean() < -45

    def test_a_grey_picture_stays_grey(self) -> None:
        image = skin()[..., :1].repeat(3, axis=2)
        spec = CropSpec("aligned", SIZE)
        patch = crop_of(image, face(), spec).astype(np.float32) + np.array([25.0, -5.0, -10.0], np.float32)
        patch += np.random.default_rng(0).normal(0, 6, patch.shape)
        made = paste(Compositor(spec, "lower"), image, face(), patch).astype(int)
        assert np.ptp(made, axis=-1).max() <= 6
        assert np.ptp(made, axis=-1)[shown(Compositor(spec, "lower"), face()) > 0.5].mean() < 2

    def test_a_soft_mouth_is_lifted_within_limits(self) -> None:
        image, where = skin(), face(100)
        spec = CropSpec("aligned", SIZE)
        soft = cv2.GaussianBlur(crop_of(image, where, spec).astype(np.float32), (0, 0), 1.5)
        lips = (slice(62, 70), slice(38, 58))
        contrast = {}
        for sharpen in (False, True):
            made = paste(Compositor(spec, "lower", sharpen=sharpen), image, where, soft)
            contrast[sharpen] = float(cv2.Laplacian(crop_of(made, where, spec)[lips].astype(np.float32), -1).std())
        assert 1.08 < contrast[True] / contrast[False] < 2.6

    def test_a_change_of_colour_from_frame_to_frame_is_steadied_and_a_sudden_one_followed(self) -> None:
        image, where = skin(), face(120)
        middle = (slice(118, 122), slice(158, 162))

        def jump(levels: float, forget: bool) -> float:
            compositor = Compositor(CropSpec("aligned", SIZE), "lower", grain=False)
            crop = crop_of(image, where, compositor.spec).astype(np.float32)
            paste(compositor, image, where, crop)
            if forget:
                compositor.reset()
            made = paste(compositor, image, where, crop + levels)
            return float((made[middle].astype(float) - image[middle]).mean()) / levels

        assert jump(4.0, forget=False) > 0.5
        assert abs(jump(25.0, forget=False)) < 0.15
        assert abs(jump(4.0, forget=True)) < 0.2


class TestGrain:
    @staticmethod
    def residual(image: Image, where: tuple[slice, slice]) -> float:
        """Standard deviation of what is finer than two pixels."""
        luma = image.astype(np.float32).mean(axis=-1)
        return float((luma - cv2.GaussianBlur(luma, (0, 0), 1.0))[where].std())

    def test_it_is_as_strong_as_around(self) -> None:
        image, where = skin(NOISE), face(200)
        spec = CropSpec("aligned", SIZE)
        smooth = crop_of(skin(), where, spec).astype(np.float32)
        lips = (slice(140, 156), slice(140, 180))
        kept, bare = (
            self.residual(paste(Compositor(spec, "lower", grain=grain), image, where, smooth), lips)
            for grain in (True, False)
        )
        assert bare < 0.5 * self.residual(image, lips)
        assert kept == pytest.approx(self.residual(image, lips), rel=0.35)

    def test_a_patch_with_grain_of_its_own_gets_less(self) -> None:
        """Pixels from another frame bring theirs, of which resampling has left the coarser part."""
        image, where = skin(NOISE), face(200)
        spec = FineCrop("aligned", 2 * SIZE)
        lips = (slice(140, 156), slice(140, 180))

        def added(patch: Image) -> float:
            """Return the standard deviation of what is added on the lips."""
            with_it, without = (
                paste(Compositor(spec, "lower", grain=grain), image, where, patch.astype(np.float32)).astype(float)
                for grain in (True, False)
            )
            return float((with_it - without)[lips].std())

        grainy, smooth = (crop_of(skin(noise, seed=1), where, spec) for noise in (NOISE, 0.0))
        assert 0.5 * added(smooth) < added(grainy) < 0.98 * added(smooth)

    def test_none_is_added_to_a_clean_picture(self) -> None:
        image, where = skin(), face(200)
        patch = crop_of(image, where, CropSpec("aligned", SIZE)).astype(np.float32)
        kept, bare = (
            paste(Compositor(CropSpec("aligned", SIZE), "lower", grain=grain), image, where, patch)
            for grain in (True, False)
        )
        np.testing.assert_array_equal(kept, bare)

    def test_it_moves_from_frame_to_frame_and_repeats_from_run_to_run(self) -> None:
        image, where = skin(NOISE), face(200)
        smooth = crop_of(skin(), where, CropSpec("aligned", SIZE)).astype(np.float32)

        def run() -> list[Image]:
            compositor = Compositor(CropSpec("aligned", SIZE), "lower")
            return [paste(compositor, image, where, smooth, frame_idx) for frame_idx in (7, 8)]

        first, second = run(), run()
        np.testing.assert_array_equal(first, second)
        assert (first[0] != first[1]).mean() > 0.02


def test_video_pictures_stay_as_they_are_outside() -> None:
    image, where = skin(NOISE), face(110, 0.5)
    compositor = Compositor(CropSpec("aligned", SIZE), "lower")
    source = Picture.from_rgb(image)
    crop = crop_of(source.rgb(), where, compositor.spec)
    made = compositor.paste(source, where, np.full((SIZE, SIZE, 3), 90, np.float32), crop, 0)
    support = shown(compositor, where) > 0
    np.testing.assert_array_equal(made.rgb()[~support], source.rgb()[~support])
    assert (made.rgb()[support] != source.rgb()[support]).mean() > 0.5


def test_only_the_tracks_seen_last_are_remembered() -> None:
    image, compositor = waves(), Compositor(CropSpec("aligned", SIZE), "lower")
    for track in range(40):
        where = Face(track, face().box, face().points, 1.0)
        paste(compositor, image, where, crop_of(image, where, compositor.spec))
    assert len(compositor._memory) <= 16


def test_a_smooth_chin_gets_the_texture_of_the_picture() -> None:
    """Of a frame that was blurred by motion, say; shifted in brightness, so that nothing is kept as equal."""
    image, where = skin(NOISE), face(200)
    spec = FineCrop("aligned", 2 * SIZE)
    blurred = cv2.GaussianBlur(crop_of(image, where, spec).astype(np.float32), (0, 0), 6.0)
    blurred[160:, 70:120] += 25  # a chin that moved
    made = paste(Compositor(spec, "lower", grain=False), image, where, blurred)
    chin = (slice(185, 200), slice(140, 180))

    def detail(picture: Image) -> float:
        luma = picture.astype(np.float32).mean(axis=-1)
        return float((luma - cv2.GaussianBlur(luma, (0, 0), 2.5))[chin].std())

    assert detail(made) == pytest.approx(detail(image), rel=0.15)

"""The engine: published pixels, untouched frames, batches and threads that do not show, constant memory."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.golden import golden_seeds, golden_vectors, published_state
from w2l.data.puppets import draw_face
from w2l.faces.follow import Face, fixed_face
from w2l.features.crop import CropSpec, coarser, cut
from w2l.features.masks import MASKS, hidden_pixels
from w2l.features.mel import mel_spectrogram
from w2l.features.speech import reference_starts
from w2l.features.windows import mel_window
from w2l.media.picture import RgbPicture
from w2l.models.checkpoint import Model, ModelCard
from w2l.models.runtime import Runner
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator
from w2l.syncing.compose import Compositor, soft_weight
from w2l.syncing.engine import Cue, Redrawer, pictures_ahead
from w2l.syncing.lips import read_pairs
from w2l.syncing.reference_bank import GivenLooks, OwnFrame, References

BOX = (40.0, 20.0, 104.0, 100.0)


def clip(count: int = 10, height: int = 120, width: int = 144) -> list[np.ndarray]:
    """Images (height, width, 3) with slow waves that move."""
    y, x = np.mgrid[0:height, 0:width]
    images = [
        np.stack([127 + 80 * np.sin(x / (9 + c) + k / 3) * np.cos(y / 11 + k / 5) for c in range(3)], -1)
        for k in range(count)
    ]
    return [image.round().astype(np.uint8) for image in images]


def model(kind: str = "aligned", rows: str = "lower", n_references: int = 1, **card: Any) -> Model:
    """A generator with two channels and random weights."""
    torch.manual_seed(0)
    dims = GeneratorDimensions(width=2, rows=rows, n_references=n_references)  # type: ignore[arg-type]
    spec = CropSpec(kind, 96)  # type: ignore[arg-type]
    network = Generator(dims).eval()
    return Model(network, ModelCard("generator", asdict(dims), spec, **card), Path("made"))


def still_model() -> Model:
    """A generator that moves pixels, and leaves all of them where they are."""
    dims = GeneratorDimensions(width=2, rows="lower", layout="warping")
    network = WarpingGenerator(dims).eval()
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -30.0, 0.0]))
    return Model(network, ModelCard("generator", asdict(dims), CropSpec("aligned", 96)), Path("still"))


def some_mel(columns: int = 80) -> np.ndarray:
    """(80, columns) in -4..4."""
    return np.random.default_rng(3).uniform(-4, 4, (80, columns)).astype(np.float32)


def cues(images: list[np.ndarray], faces: tuple[Face, ...], has_face: list[bool] | None = None) -> Iterator[Cue]:
    """The same faces in every image."""
    for idx, image in enumerate(images):
        there = faces if has_face is None or has_face[idx] else ()
        yield Cue(RgbPicture(image), there, mel_window(some_mel(), 3 * idx), idx, idx)


class Fading:
    """One look, and another that leaves."""

    def __init__(self, look: np.ndarray, left: tuple[np.ndarray, float] | None) -> None:
        self.look, self.left = look, left

    def at(self, frame_idx: int, picture: int, face: Face, crop: np.ndarray) -> np.ndarray:
        return self.look

    def leaving(self, frame_idx: int, picture: int, face: Face, crop: np.ndarray) -> tuple[np.ndarray, float] | None:
        return self.left

    def __str__(self) -> str:
        return "fading"


def redrawer(made: Model, blend: str = "soft", batch: int = 4, references: References | None = None) -> Redrawer:
    """A redrawer with own frames as references."""
    lower = made.card.dimensions["rows"] == "lower"
    compositor = Compositor(made.card.crop, "lower" if lower else "full", blend)  # type: ignore[arg-type]
    runner = Runner(made, compositor.first_row, "torch", batch)
    looks = references or OwnFrame(int(made.card.dimensions["n_references"]))
    return Redrawer(runner, made.card, made.card.crop, looks, compositor, batch)


def redraw(made: Model, given: Iterator[Cue], n_ahead: int = 0, **how: Any) -> list[np.ndarray]:
    """All images of the output."""
    return [canvas.rgb() for canvas in redrawer(made, **how).redraw(given, n_ahead)]


FACES = fixed_face(BOX).at(0)


@pytest.fixture(scope="module", params=golden_seeds("infer"))
def case(request: pytest.FixtureRequest, golden_rule: ModuleType) -> tuple[Any, ...]:
    """Network, frames, mel and golden arrays of one seed."""
    seed = request.param
    network = Generator()
    network.load_state_dict(published_state("wav2lip", seed))
    card = ModelCard("generator", asdict(GeneratorDimensions()), CropSpec("box", 96), "bgr", references="same")
    stored = golden_rule.clip_frames(seed + 50, count=12, height=160, width=144)
    frames = [image[..., ::-1].copy() for image in stored]
    mel = mel_spectrogram(golden_rule.waveform_f32(seed, 0.9))
    golden = golden_vectors(f"infer_seed{seed}")
    return Model(network.eval(), card, Path("rule")), frames, mel, golden


class TestPublishedLoop:
    """The reference's inference, pixel by pixel before encoding: fixed box, hard paste, public dimensions."""

    @staticmethod
    def render(case: tuple[Any, ...], frames: list[np.ndarray], fps: float, batch: int) -> np.ndarray:
        """All output frames (frames, height, width, 3), channels in the stored order."""
        made, _, mel, golden = case
        y1, y2, x1, x2 = golden["box_y1y2x1x2"].tolist()
        faces = fixed_face((x1, y1, x2, y2)).at(0)
        count = golden["video_frame_count"] if len(frames) > 1 else golden["static_frame_count"]
        starts = reference_starts(np.arange(int(count)) / fps, mel.shape[1], fps)
        given = (
            Cue(RgbPicture(frames[idx % len(frames)]), faces, mel_window(mel, start), idx, idx)
            for idx, start in enumerate(starts)
        )
        return np.stack(redraw(made, given, blend="hard", batch=batch))[..., ::-1]

    def test_video_shorter_than_its_sound(self, case: tuple[Any, ...]) -> None:
        _, frames, _, golden = case
        made = self.render(case, frames, 25, batch=5)
        y1, y2, x1, x2 = golden["box_y1y2x1x2"]
        seen = made[golden["video_roi_index"], y1:y2:2, x1:x2:2].astype(int)
        assert np.abs(seen - golden["video_roi"]).max() <= 1
        np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), golden["video_frame_means"], atol=0.01)
        outside = np.ones(made.shape[1:3], dtype=bool)
        outside[y1:y2, x1:x2] = False
        for idx, image in enumerate(made):
            np.testing.assert_array_equal(image[outside], frames[idx % len(frames)][..., ::-1][outside])

    def test_still_picture(self, case: tuple[Any, ...]) -> None:
        _, frames, _, golden = case
        made = self.render(case, frames[:1], float(golden["static_fps"]), batch=128)
        y1, y2, x1, x2 = golden["box_y1y2x1x2"]
        assert np.abs(made[-1, y1:y2:2, x1:x2:2].astype(int) - golden["static_roi_last"]).max() <= 1
        np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), golden["static_frame_means"], atol=0.01)


class TestRedrawer:
    @pytest.mark.parametrize(("kind", "rows", "blend"), [
        ("aligned", "lower", "soft"), ("aligned", "lower", "hard"), ("aligned", "full", "soft"),
        ("aligned", "lower", "laplacian"), ("box", "lower", "soft"), ("box", "lower", "hard"), ("box", "full", "soft"),
    ])  # fmt: skip
    def test_only_the_lower_half_of_the_face_changes(self, kind: str, rows: str, blend: str) -> None:
        images = clip(3)
        made = redraw(model(kind, rows), cues(images, FACES), blend=blend)
        for before, after in zip(images, made, strict=True):
            changed = (before != after).any(axis=-1)
            ys, xs = np.nonzero(changed)
            assert ys.min() >= 56
            assert changed[80:92, 60:84].mean() > 0.6
            assert xs.min() >= 20
            assert xs.max() < 124

    @pytest.mark.parametrize(("batch", "n_ahead"), [(1, 0), (3, 0), (16, 0), (3, 1), (2, 8), (16, 32)])
    def test_batches_and_threads_do_not_show(self, batch: int, n_ahead: int) -> None:
        made, images = model(), clip(7)
        expected = redraw(made, cues(images, FACES), batch=7)
        for image, other in zip(redraw(made, cues(images, FACES), n_ahead, batch=batch), expected, strict=True):
            assert np.abs(image.astype(int) - other).max() <= 1

    def test_frames_without_a_face_pass_through_in_their_place(self) -> None:
        images = clip(6)
        has_face = [True, False, True, False, False, True]
        made = redraw(model(), cues(images, FACES, has_face))
        assert [bool((after == before).all()) for before, after in zip(images, made, strict=True)] == [
            not there for there in has_face
        ]

    @pytest.mark.parametrize("kind", ["aligned", "box"])
    def test_the_compositor_knows_the_lips_of_source_and_patch(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image, seen = np.full((240, 320, 3), 90, np.uint8), []
        points = [draw_face(image, x, 110, 50, mouth) for x, mouth in ((90, 0.0), (230, 1.0))]
        boxes = [np.array([x - 50.0, 50.0, x + 50.0, 180.0]) for x in (90, 230)]
        faces = tuple(Face(idx, box, there) for idx, (box, there) in enumerate(zip(boxes, points)))
        paste = Compositor.paste

        def watched(self: Compositor, *given: Any) -> Any:
            seen.append(given[-1])
            return paste(self, *given)

        monkeypatch.setattr(Compositor, "paste", watched)
        redraw(model(kind), cues([image] * 3, faces, [True, False, True]))
        assert len(seen) == 4
        gaps = [lips.source[4, 1] - lips.source[3, 1] for lips in seen]
        assert gaps[0] == pytest.approx(gaps[2])
        assert gaps[1] > gaps[0] + 0.05

    def test_all_faces_of_a_picture_are_redrawn(self) -> None:
        image = clip(1, 120, 300)[0]
        other = fixed_face((180.0, 20.0, 244.0, 100.0)).at(0)[0]
        both = (FACES[0], Face(1, other.box, other.points))
        made = redraw(model(), cues([image], both))[0]
        changed = (made != image).any(axis=-1)
        assert changed[:, :150].any()
        assert changed[:, 150:].any()
        for side, face in ((slice(0, 150), FACES[0]), (slice(150, 300), both[1])):
            alone = redraw(model(), cues([image], (face,)))[0]
            np.testing.assert_array_equal(made[:, side], alone[:, side])

    def test_a_faint_face_is_between_the_source_and_the_redrawn(self) -> None:
        image = clip(1)[0]
        full = redraw(model(), cues([image], FACES))[0].astype(int)
        half = redraw(model(), cues([image], (Face(0, FACES[0].box, FACES[0].points, 0.5),)))[0].astype(int)
        assert np.abs(half - (full + image) / 2).max() <= 2

    def test_colour_order_of_the_network_is_undone(self) -> None:
        rgb, bgr = model("box", "full"), model("box", "full", colour="bgr")
        images = clip(2)
        flipped = [image[..., ::-1].copy() for image in images]
        straight = redraw(rgb, cues(images, FACES), blend="hard")
        turned = redraw(bgr, cues(flipped, FACES), blend="hard")
        np.testing.assert_array_equal(np.stack(straight), np.stack(turned)[..., ::-1])

    @pytest.mark.parametrize("mask", MASKS)
    def test_the_generator_sees_what_its_card_leaves(self, mask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hidden are the pixels that training hides, and no other, whatever lies there."""
        made = model(mask=mask)
        at_work = redrawer(made)
        seen: list[np.ndarray] = []

        def watched(mels: np.ndarray, faces: np.ndarray, references: np.ndarray | None) -> np.ndarray:
            seen.append(faces)
            assert references is None
            return np.zeros((len(faces), 48, 96, 3), dtype=np.float32)

        monkeypatch.setattr(at_work, "_runner", watched)
        images = clip(3)
        list(at_work.redraw(cues(images, FACES)))
        inside = hidden_pixels(96, mask)
        for face, image in zip(np.concatenate(seen), images, strict=True):
            crop = cut(image, FACES[0].box, FACES[0].points, made.card.crop)
            assert not face[inside, :3].any()
            np.testing.assert_array_equal(face[~inside, :3], crop[~inside])
            np.testing.assert_array_equal(face[..., 3:], crop)

    @pytest.mark.parametrize("times", [2, 3])
    def test_finer_looks_reach_the_picture_and_the_generator_sees_what_it_knows(self, times: int) -> None:
        """A generator that leaves its reference where it is gives back the finer detail of its own frame."""
        made = still_model()
        images = [np.repeat(np.repeat(image, 3, axis=0), 3, axis=1) for image in clip(2)]
        rng = np.random.default_rng(0)
        images = [np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8) for image in images]
        faces = fixed_face(tuple(3 * side for side in BOX)).at(0)  # type: ignore[arg-type]
        spec = replace(made.card.crop, size=96 * times)
        errors, seen = {}, []
        for size in (96, spec.size):
            cut_as = replace(spec, size=size)
            compositor = Compositor(cut_as, "lower", "hard")
            runner = Runner(made, 48, "torch")

            def watched(mels: Any, faces: Any, references: Any = None, runner: Runner = runner) -> Any:
                seen.append((faces, references))
                return runner(mels, faces, references)

            at_work = Redrawer(runner, made.card, cut_as, OwnFrame(), compositor)
            at_work._runner = watched  # type: ignore[assignment]
            drawn = at_work.redraw(cues(images, faces))
            inside = np.asarray(images[0][150:280, 140:290], float)
            errors[size] = float(np.abs(next(drawn).rgb()[150:280, 140:290] - inside).mean())
        assert errors[spec.size] < 0.8 * errors[96]
        (whole, none), (coarse, fine) = seen
        assert none is None
        for number in range(len(images)):
            assert not coarse[number, 48:, :, :3].any()
            np.testing.assert_array_equal(fine[number], cut(images[number], faces[0].box, faces[0].points, spec))
            np.testing.assert_array_equal(coarse[number, ..., 3:], coarser(fine[number], times))
        assert np.abs(coarse.astype(int) - whole).mean() < 12

    def test_crops_that_fit_no_generator_are_refused(self) -> None:
        made, moving = model(), still_model()
        for who, size in ((made, 192), (moving, 144), (moving, 48)):
            spec = replace(who.card.crop, size=size)
            with pytest.raises(ValueError, match=f"96 px, not {size}"):
                Redrawer(Runner(who, 48), who.card, spec, OwnFrame(), Compositor(spec, "lower"))

    def test_a_dark_frame_gets_a_dark_mouth(self) -> None:
        """The light of the looks is not pasted into a fade."""
        lit = clip(1)[0]
        dark = np.rint(lit * 0.25).astype(np.uint8)
        looks = GivenLooks({0: cut(lit, FACES[0].box, FACES[0].points, CropSpec())})
        bright, dim = (
            redraw(model(), cues([image], FACES), references=looks, blend="hard")[0].astype(float)
            for image in (lit, dark)
        )
        changed = (bright != lit).any(axis=-1) & (dim != dark).any(axis=-1)
        assert np.abs(dim[changed] - 0.25 * bright[changed]).mean() < 2

    @pytest.mark.parametrize("n_ahead", [0, 4])
    def test_it_asks_for_pictures_as_they_are_needed(self, n_ahead: int) -> None:
        asked: list[int] = []

        def counted() -> Iterator[Cue]:
            for cue in cues(clip(60), FACES):
                asked.append(cue.frame_idx)
                yield cue

        stream = redrawer(model(), batch=3).redraw(counted(), n_ahead)
        next(stream)
        stream.close()
        assert len(asked) <= 3 + 5 * n_ahead

    def test_a_face_beyond_the_border_is_left_alone(self) -> None:
        image = clip(1)[0]
        away = fixed_face((500.0, 500.0, 560.0, 560.0)).at(0)
        np.testing.assert_array_equal(redraw(model(), cues([image], away))[0], image)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_a_reference_that_leaves_gives_the_shape_of_its_lips_alone(self, batch: int) -> None:
        """What is pasted are pixels of the reference that comes, with lips between those of both."""
        box, spec = (20.0, 0.0, 124.0, 120.0), CropSpec("aligned", 96)
        shut, wide = (np.full((130, 144, 3), (70, 110, 140), np.uint8) for _ in range(2))
        faces = (Face(0, np.array(box), draw_face(shut, 72.0, 55.0, 36.0, 0.0), 1.0),)
        draw_face(wide, 72.0, 55.0, 36.0, 1.0)
        looks = [cut(image, faces[0].box, faces[0].points, spec) for image in (shut, wide)]
        looks[0][70:76, 20:26] = (0, 255, 0)  # on the cheek of the one that leaves

        def drawn(share: float | None) -> tuple[np.ndarray, float]:
            """Return the first patch and the gap between its lips."""
            given = Fading(looks[1], None if share is None else (looks[0], share))
            at_work = redrawer(still_model(), batch=batch, references=given)
            made = at_work._generated(at_work._cut(cues([shut] * 3, faces)))
            patches = np.concatenate([some.patches for some in made])
            np.testing.assert_array_equal(patches[0], patches[-1])
            (lips,) = read_pairs(patches[0][None], patches[0][None], faces, [(144, 130)], spec)
            assert lips.patch is not None
            return patches[0], float(lips.patch[4, 1] - lips.patch[3, 1])

        (alone, most), (mixed, half), (nearly, least) = drawn(None), drawn(0.5), drawn(0.9)
        assert most > 0.04
        assert 0.3 * most < half < 0.75 * most
        assert least < 0.75 * half
        for patch in (mixed, nearly):
            assert np.abs(patch[68:78, 18:28] - alone[68:78, 18:28]).max() < 15

    def test_of_two_references_without_lips_the_one_that_comes_is_shown(self) -> None:
        first, last = (np.full((96, 96, 3), 120, np.uint8) for _ in range(2))
        first[48:], last[48:] = 90, 150  # the upper halves are in the same light
        images = [np.full((120, 144, 3), 120, np.uint8)] * 4
        at_work = redrawer(still_model(), references=Fading(last, (first, 0.5)))
        patches = np.concatenate([each.patches for each in at_work._generated(at_work._cut(cues(images, FACES)))])
        np.testing.assert_allclose(patches[:, 60:], 150, atol=1)

    def test_an_error_in_a_thread_reaches_the_caller(self) -> None:
        def broken() -> Iterator[Cue]:
            yield from cues(clip(3), FACES)
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            redraw(model(), broken(), 4)


def test_large_pictures_wait_in_small_numbers() -> None:
    assert pictures_ahead(320, 240) == 32
    assert pictures_ahead(1280, 720) * 1280 * 720 * 3 <= 48 * 2**20
    assert pictures_ahead(7680, 4320) == 2


@pytest.mark.parametrize("size", [96, 128, 192])
def test_what_is_pasted_was_hidden(size: int) -> None:
    """All of it by the lower half; by the jaw all but a faint rim at the sides, where the generator copies."""
    weight = soft_weight(size)
    assert not weight[~hidden_pixels(size, "lower-half")].any()
    outside = np.where(hidden_pixels(size, "jaw"), 0.0, weight)
    assert outside.sum() < 0.004 * weight.sum()
    assert outside.max() < 0.2

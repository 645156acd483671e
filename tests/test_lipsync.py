"""The engine: published pixels, untouched frames, references that tell nothing, constant memory."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from w2l.data.windows import mel_window
from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec
from w2l.faces.following import Face, Faces, fixed_face, follow, still_references
from w2l.faces.tracker import Scan
from w2l.lipsync import Cue, Cues, Redrawer, SyncSettings, mel_starts, speech_mel
from w2l.media.playback import output_rate, play, play_at
from w2l.media.video import Frame
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.spectral import mel_spectrogram
from w2l.training.checkpoint import Model, ModelCard

BOX = (40.0, 20.0, 104.0, 100.0)


def clip(count: int = 10, height: int = 120, width: int = 144) -> list[Frame]:
    """Frames with slow waves that move."""
    y, x = np.mgrid[0:height, 0:width]
    images = [
        np.stack([127 + 80 * np.sin(x / (9 + c) + k / 3) * np.cos(y / 11 + k / 5) for c in range(3)], -1)
        for k in range(count)
    ]
    return [Frame(idx, idx / 25, image.round().astype(np.uint8)) for idx, image in enumerate(images)]


def model(kind: str = "aligned", rows: str = "lower", n_references: int = 1, **card: Any) -> Model:
    """A generator with two channels and random weights."""
    torch.manual_seed(0)
    dims = GeneratorDimensions(width=2, rows=rows, n_references=n_references)  # type: ignore[arg-type]
    spec = CropSpec(kind, 96)  # type: ignore[arg-type]
    network = Generator(dims).eval()
    return Model(network, ModelCard("generator", asdict(dims), spec, **card), Path("made"))


def some_mel(columns: int = 80) -> np.ndarray:
    """(80, columns) in -4..4."""
    return np.random.default_rng(3).uniform(-4, 4, (80, columns)).astype(np.float32)


def redraw(made: Model, frames: list[Frame], faces: Faces, blend: str = "soft", batch: int = 4) -> list[np.ndarray]:
    """All frames, redrawn with the first ones as reference."""
    references = still_references(frames, faces, made.card.crop, 25, int(made.card.dimensions["n_references"]))
    redrawer = Redrawer(made, made.card.crop, references, blend, batch)  # type: ignore[arg-type]
    return list(redrawer.redraw(Cues(frames, faces, some_mel(), [3 * idx for idx in range(len(frames))])))


@pytest.fixture(scope="module", params=[0, 1])
def case(request: pytest.FixtureRequest, shared: Path, golden_rule: ModuleType) -> tuple[Any, ...]:
    """Network, frames, mel and golden arrays of one seed."""
    seed = request.param
    keys = json.loads((shared / "reference" / "checkpoints" / "wav2lip.json").read_text())
    spec = keys if isinstance(keys, list) else next(value for value in keys.values() if isinstance(value, list))
    state = {k: torch.from_numpy(np.array(v)) for k, v in golden_rule.state_dict_for("wav2lip", seed, spec).items()}
    network = Generator()
    network.load_state_dict(state)
    card = ModelCard("generator", asdict(GeneratorDimensions()), CropSpec("box", 96), "bgr", references="same")
    stored = golden_rule.clip_frames(seed + 50, count=12, height=160, width=144)
    frames = [Frame(idx, idx / 25, image[..., ::-1].copy()) for idx, image in enumerate(stored)]
    mel = mel_spectrogram(golden_rule.waveform_f32(seed, 0.9))
    golden = np.load(shared / "reference" / "golden" / f"infer_seed{seed}.npz")
    return Model(network.eval(), card, Path("rule")), frames, mel, golden


class TestPublishedLoop:
    """The reference's inference, pixel by pixel before encoding: fixed box, hard paste, public dimensions."""

    @staticmethod
    def render(case: tuple[Any, ...], frames: list[Frame], fps: float, batch: int) -> np.ndarray:
        """All output frames (frames, height, width, 3), channels in the stored order."""
        made, _, mel, golden = case
        y1, y2, x1, x2 = golden["box_y1y2x1x2"].tolist()
        starts = mel_starts(round(0.9 * 16000), mel.shape[1], fps, "reference")
        cues = Cues(play_at(lambda: frames, 25), fixed_face((x1, y1, x2, y2)), mel, starts)
        redrawer = Redrawer(made, made.card.crop, {}, "hard", batch)
        return np.stack(list(redrawer.redraw(cues)))[..., ::-1]

    def test_video_shorter_than_its_sound(self, case: tuple[Any, ...]) -> None:
        _, frames, _, golden = case
        made = self.render(case, frames, 25, batch=5)
        y1, y2, x1, x2 = golden["box_y1y2x1x2"]
        assert len(made) == golden["video_frame_count"]
        seen = made[golden["video_roi_index"], y1:y2:2, x1:x2:2].astype(int)
        assert np.abs(seen - golden["video_roi"]).max() <= 1
        np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), golden["video_frame_means"], atol=0.01)
        outside = np.ones(made.shape[1:3], dtype=bool)
        outside[y1:y2, x1:x2] = False
        for idx, image in enumerate(made):
            np.testing.assert_array_equal(image[outside], frames[idx % len(frames)].image[..., ::-1][outside])

    def test_still_picture(self, case: tuple[Any, ...]) -> None:
        _, frames, _, golden = case
        made = self.render(case, frames[:1], float(golden["static_fps"]), batch=128)
        y1, y2, x1, x2 = golden["box_y1y2x1x2"]
        assert len(made) == golden["static_frame_count"]
        assert np.abs(made[-1, y1:y2:2, x1:x2:2].astype(int) - golden["static_roi_last"]).max() <= 1
        np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), golden["static_frame_means"], atol=0.01)


class TestRedrawer:
    @pytest.mark.parametrize(("kind", "rows", "blend"), [
        ("aligned", "lower", "soft"), ("aligned", "lower", "hard"), ("aligned", "full", "soft"),
        ("box", "lower", "soft"), ("box", "lower", "hard"), ("box", "full", "soft"),
    ])  # fmt: skip
    def test_only_the_lower_half_of_the_face_changes(self, kind: str, rows: str, blend: str) -> None:
        frames = clip(3)
        made = redraw(model(kind, rows), frames, fixed_face(BOX), blend)
        for frame, image in zip(frames, made):
            changed = (image != frame.image).any(axis=-1)
            ys, xs = np.nonzero(changed)
            assert ys.min() >= 56
            assert changed[80:92, 60:84].mean() > 0.9
            assert xs.min() >= 20
            assert xs.max() < 124

    @pytest.mark.parametrize("batch", [1, 3, 16])
    def test_batches_do_not_show(self, batch: int) -> None:
        made, frames = model(), clip(7)
        expected = redraw(made, frames, fixed_face(BOX), batch=7)
        for image, other in zip(redraw(made, frames, fixed_face(BOX), batch=batch), expected, strict=True):
            assert np.abs(image.astype(int) - other).max() <= 1

    def test_frames_without_a_face_pass_through_in_their_place(self) -> None:
        frames = clip(6)
        one = fixed_face(BOX)
        faces = Faces(np.array([0, -1, 0, -1, -1, 0]), np.repeat(one.boxes, 6, 0), np.repeat(one.points, 6, 0))
        made = redraw(model(), frames, faces)
        untouched = [bool((image == frame.image).all()) for image, frame in zip(made, frames, strict=True)]
        assert untouched == [False, True, False, True, True, False]

    def test_colour_order_of_the_network_is_undone(self) -> None:
        rgb, bgr = model("box", "full"), model("box", "full", colour="bgr")
        frames = clip(2)
        flipped = [Frame(f.idx, f.time_s, f.image[..., ::-1].copy()) for f in frames]
        for straight, turned in zip(redraw(rgb, frames, fixed_face(BOX)), redraw(bgr, flipped, fixed_face(BOX))):
            np.testing.assert_array_equal(straight, turned[..., ::-1])

    @pytest.mark.parametrize("n_references", [1, 2])
    def test_a_still_reference_does_not_tell_how_the_mouth_moved(self, n_references: int) -> None:
        """Beyond the frames that the reference is chosen from, the hidden half has no way into the output."""
        made, frames, faces = model(n_references=n_references), clip(70), fixed_face(BOX)
        altered = [Frame(f.idx, f.time_s, f.image.copy()) for f in frames]
        for frame in altered[50:]:
            frame.image[74:] = 255 - frame.image[74:]  # row 48 of the crop lies at 70
        spec = made.card.crop
        references = [still_references(video, faces, spec, 25, n_references) for video in (frames, altered)]
        np.testing.assert_array_equal(references[0][0], references[1][0])
        cues = [Cue(video[60].image, faces.at(60), some_mel()[:, :16]) for video in (frames, altered)]
        patches = [Redrawer(made, spec, references[0])._generate([cue])[0, 48:] for cue in cues]
        np.testing.assert_array_equal(*patches)

    def test_it_asks_for_frames_a_batch_at_a_time(self) -> None:
        asked: list[int] = []

        def counted() -> Iterator[Cue]:
            for frame in clip(9):
                asked.append(frame.idx)
                yield Cue(frame.image, fixed_face(BOX).at(0), mel_window(some_mel(), frame.idx))

        made = model("aligned", references="same")
        stream = Redrawer(made, made.card.crop, {}, batch=3).redraw(counted())
        next(stream)
        assert len(asked) == 3

    def test_a_face_beyond_the_border_is_left_alone(self) -> None:
        frame = clip(1)[0]
        away = fixed_face((500.0, 500.0, 560.0, 560.0))
        made = redraw(model(), [frame], away)
        np.testing.assert_array_equal(made[0], frame.image)


class TestFaces:
    def scan(self, rows: list[tuple[int, float, float]], n_frames: int = 50) -> Scan:
        """One detection a row: frame, x of its left edge, side."""
        box = np.array([[x, 10, x + side, 10 + side] for _, x, side in rows], dtype=np.float64)
        points = np.repeat(box[:, None, :2], 5, axis=1)
        times = np.arange(n_frames) / 25
        frame = np.array([row[0] for row in rows], dtype=np.int64)
        return Scan(n_frames, 25.0, 640, 360, times, frame, box, np.ones(len(rows)), points, "test", 5)

    def test_the_main_face_is_followed_without_jumping_to_another(self) -> None:
        rows = [row for f in range(0, 50, 5) for row in ((f, 100.0, 80.0), (f, 400.0, 90.0 if f == 20 else 60.0))]
        faces = follow(self.scan(rows), 0.12)
        assert (faces.track == 0).all()
        np.testing.assert_allclose(faces.boxes[:, 0], 100)

    def test_another_face_is_taken_where_the_main_one_is_absent(self) -> None:
        rows = [(f, 100.0, 80.0) for f in range(0, 30, 5)] + [(f, 400.0, 60.0) for f in range(30, 50, 5)]
        faces = follow(self.scan(sorted(rows)), 0.0)
        assert faces.at(0) is not None
        assert sorted(set(faces.track.tolist())) in ([0, 1], [-1, 0, 1])
        assert faces.boxes[45, 0] == 400

    def test_a_flicker_of_a_detection_is_no_face(self) -> None:
        assert (follow(self.scan([(20, 100.0, 80.0)]), 0.12).track == -1).all()

    def test_a_single_picture_needs_no_duration(self) -> None:
        assert follow(self.scan([(0, 100.0, 80.0)], n_frames=1), 0.12).at(0) is not None

    def test_a_box_by_hand_holds_for_ever_and_gets_points_of_a_face(self) -> None:
        face = fixed_face(BOX).at(10**6)
        assert isinstance(face, Face)
        assert face.box.tolist() == list(BOX)
        assert (face.points >= [40, 20]).all()
        assert (face.points <= [104, 100]).all()
        assert face.points[0, 0] < face.points[1, 0]

    def test_the_reference_is_the_usual_look(self) -> None:
        usual = np.full((120, 144, 3), 90, dtype=np.uint8)
        odd = np.full((120, 144, 3), 200, dtype=np.uint8)
        frames = [Frame(idx, idx / 25, odd if idx in (0, 3) else usual) for idx in range(8)]
        reference = still_references(frames, fixed_face(BOX), CropSpec("aligned", 96), 25)[0]
        assert (reference == 90).all()

    def test_references_are_looked_for_no_longer_than_needed(self) -> None:
        seen: list[int] = []

        def frames() -> Iterator[Frame]:
            for frame in clip(80, 60, 72):
                seen.append(frame.idx)
                yield frame

        still_references(frames(), fixed_face(BOX), CropSpec("box", 96), 25)
        assert len(seen) <= 51


class TestPlayback:
    def test_it_starts_again_after_the_last_frame(self) -> None:
        frames = clip(4, 32, 32)
        played = play(lambda: frames, np.array([0, 1, 1, 3]))
        assert [next(played).idx for _ in range(7)] == [0, 1, 1, 3, 0, 1, 1]

    @pytest.mark.parametrize("how", ["play", "play_at"])
    def test_a_still_picture_is_read_once(self, how: str) -> None:
        opened: list[int] = []

        def read() -> list[Frame]:
            opened.append(1)
            return clip(1, 32, 32)

        played = play(read, np.array([0])) if how == "play" else play_at(read, 25)
        assert [next(played).idx for _ in range(5)] == [0] * 5
        assert len(opened) == 1

    def test_the_last_frame_stands_in_for_missing_ones(self) -> None:
        played = play(lambda: clip(3, 32, 32), np.array([0, 2, 5]))
        assert [next(played).time_s for _ in range(3)] == [0.0, 2 / 25, 2 / 25]

    @pytest.mark.parametrize(("stated", "measured", "expected"), [
        (25.0, 25.01, 25.0), (30000 / 1001, 29.98, 30000 / 1001), (30.0, 22.5, 22.5), (25.0, None, 25.0),
    ])  # fmt: skip
    def test_output_rate(self, stated: float, measured: float | None, expected: float) -> None:
        assert output_rate(stated, measured) == pytest.approx(expected, rel=1e-12)


class TestSound:
    @pytest.mark.parametrize("n_samples", [3200, 819_000, 819_200, 819_400, 900_001])
    def test_mel_in_blocks_equals_the_mel_at_once(self, n_samples: int) -> None:
        wave = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32) * 0.1
        np.testing.assert_array_equal(speech_mel(wave), mel_spectrogram(wave))

    def test_frames_cover_the_sound_and_start_one_frame_early(self) -> None:
        starts = mel_starts(16000 * 2, 161, 25.0, "training")
        assert len(starts) == 50
        assert starts[:3] == [-4, 0, 3]

    def test_reference_alignment_is_the_published_loop(self) -> None:
        starts = mel_starts(16000 * 10, 801, 25.0, "reference")
        assert len(starts) == 247
        assert starts[:3] == [0, 3, 6]


@pytest.mark.parametrize("values", [
    {"alignment": "late"}, {"blend": "none"}, {"silence": "loud"}, {"crf": 52}, {"crf": -1}, {"batch": 0},
    {"box": (1, 2, 3)}, {"box": (50, 50, 40, 90)}, {"box": (-5, 0, 40, 90)}, {"box": ("a", "b", "c", "d")},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SyncSettings(**values)

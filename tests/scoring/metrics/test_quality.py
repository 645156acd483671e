"""Every measure of the picture moves the way its text promises, on drawn faces with grain, spoilt on purpose."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from w2l.core.arrays import Floats, Image
from w2l.data.puppets import draw_face
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter
from w2l.nets.lpips import Lpips
from w2l.scoring.metrics.parts import PARTS, parts_of
from w2l.scoring.metrics.quality import LPIPS_COLUMNS, QUALITY_COLUMNS, Quality
from w2l.scoring.metrics.view import Hearing, View

HEARING = Hearing(np.zeros(16000), 25.0)
N_FRAMES = 16


class Clip:
    """A talking face before a wall, all with fixed texture and fresh grain in every frame."""

    def __init__(self, seed: int = 0, half_width: float = 40.0) -> None:
        rng = np.random.default_rng(seed)
        size = (round(4.4 * half_width), round(4.8 * half_width))
        texture = cv2.GaussianBlur(rng.normal(0, 20, (*size, 1)), (0, 0), 1.2)[..., None]
        self.frames: list[Image] = []
        self.points: list[Floats] = []
        for number in range(N_FRAMES):
            image = np.full((*size, 3), (70, 110, 140), np.uint8)
            mouth = 0.5 + 0.5 * np.sin(number / 2)
            x = size[1] / 2 + 1.5 * np.sin(number / 5)
            self.points.append(draw_face(image, x, size[0] * 0.45, half_width, mouth))
            grain = rng.normal(0, 1.5, size)[..., None]
            self.frames.append(np.clip(np.rint(image + texture + grain), 0, 255).astype(np.uint8))
        self.boxes = [
            np.concatenate(
                [five.mean(axis=0) - half_width * 0.9, five.mean(axis=0) + half_width * np.array([0.9, 1.2])]
            )
            for five in self.points
        ]

    def parts(self, idx: int) -> dict[str, tuple[slice, slice]]:
        return dict(parts_of(self.boxes[idx], self.points[idx], *self.frames[idx].shape[:2]))

    def spoilt(self, part: str, spoil: Callable[[Image, int], Floats], softness: float = 0.0) -> list[Image]:
        """The frames with one part replaced by what `spoil` (frame, index) makes of it, its rim hard or soft."""
        spoilt = []
        for idx, frame in enumerate(self.frames):
            weight = np.zeros(frame.shape[:2])
            weight[self.parts(idx)[part]] = 1
            weight = cv2.GaussianBlur(weight, (0, 0), softness) if softness else weight
            mixed = frame + weight[..., None] * (spoil(frame, idx) - frame)
            spoilt.append(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))
        return spoilt

    def score(self, output: Iterable[Image]) -> dict[str, float]:
        quality = Quality()
        for idx, (image, frame) in enumerate(zip(output, self.frames)):
            quality.add(View(image, frame, self.boxes[idx], self.points[idx], idx / 25))
        return quality.finish(HEARING)


def blurred(sigma: float) -> Callable[[Image, int], Floats]:
    return lambda frame, _: np.asarray(cv2.GaussianBlur(frame.astype(float), (0, 0), sigma))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip()


def test_the_real_video_itself_is_perfect(clip: Clip) -> None:
    values = clip.score(clip.frames)
    assert set(values) == {column.name for column in QUALITY_COLUMNS}
    perfect = {column.name: 60.0 if column.name.startswith("psnr") else 1.0 for column in QUALITY_COLUMNS}
    assert values == pytest.approx(perfect, abs=1e-5)


def test_a_blurred_mouth_loses_likeness_and_sharpness_where_it_is(clip: Clip) -> None:
    scores = [clip.score(clip.spoilt("mouth", blurred(sigma), 3)) for sigma in (0.7, 2.0, 4.0)]
    for name in ("sharpness", "psnr_mouth", "ssim_mouth", "msssim_mouth", "psnr_lower", "ssim_face"):
        values = [score[name] for score in scores]
        assert all(later < earlier for earlier, later in pairwise(values)), name
    assert scores[0]["sharpness"] > 0.7
    assert scores[1]["sharpness"] < 0.7
    assert scores[2]["sharpness"] < 0.5
    assert scores[2]["ssim_mouth"] < scores[2]["ssim_lower"] < scores[2]["ssim_face"]
    assert scores[0]["seam"] < 1.2
    assert scores[2]["flicker"] == pytest.approx(1, abs=0.25)


def test_compression_costs_likeness_and_is_neither_blur_nor_seam_nor_flicker(clip: Clip, tmp_path: Path) -> None:
    scores = []
    for crf in (12, 24, 34):  # at 16 flicker is 0.82, and x264 does not always make the same of the same pictures
        path = tmp_path / f"{crf}.mp4"
        height, width = clip.frames[0].shape[:2]
        with VideoWriter(Output(path, width, height, 25, encoding=Encoding(crf=crf))) as writer:
            for frame in clip.frames:
                writer.write(frame)
        scores.append(clip.score(frame.image for frame in read_frames(path)))
    for name in ("psnr_face", "psnr_mouth", "ssim_face", "ssim_mouth", "msssim_face"):
        values = [score[name] for score in scores]
        assert all(later < earlier for earlier, later in pairwise(values)), name
    assert all(0.85 < score["sharpness"] < 1.03 for score in scores)
    assert scores[0]["seam"] < 1.15
    assert scores[0]["flicker"] == pytest.approx(1, abs=0.2)


def test_grain_is_no_sharpness(clip: Clip) -> None:
    rng = np.random.default_rng(9)
    noisy = clip.spoilt("face", lambda frame, _: frame + rng.normal(0, 6, frame.shape[:2])[..., None], 4)
    soft_and_noisy = clip.spoilt(
        "face", lambda frame, idx: blurred(3)(frame, idx) + rng.normal(0, 6, frame.shape[:2])[..., None], 4
    )
    plain = cv2.Laplacian(cv2.cvtColor(noisy[3], cv2.COLOR_RGB2GRAY), cv2.CV_64F)[clip.parts(3)["mouth"]].std()
    real = cv2.Laplacian(cv2.cvtColor(clip.frames[3], cv2.COLOR_RGB2GRAY), cv2.CV_64F)[clip.parts(3)["mouth"]].std()
    assert plain > 1.5 * real  # what the variance of the Laplacian would say
    assert clip.score(noisy)["sharpness"] == pytest.approx(1, abs=0.08)
    assert clip.score(soft_and_noisy)["sharpness"] < 0.6


def test_sharpened_is_above_one(clip: Clip) -> None:
    sharpened = clip.spoilt("face", lambda frame, idx: 2.0 * frame - blurred(1.5)(frame, idx), 4)
    assert clip.score(sharpened)["sharpness"] > 1.3


def test_a_late_mouth_costs_likeness_but_neither_sharpness_nor_steadiness(clip: Clip) -> None:
    late = [clip.score(clip.frames[:delay] + clip.frames[:-delay]) for delay in (1, 3)]
    assert late[1]["psnr_mouth"] < late[0]["psnr_mouth"] < 40
    assert late[1]["ssim_mouth"] < late[0]["ssim_mouth"]
    for score in late:
        assert score["sharpness"] == pytest.approx(1, abs=0.05)
        assert score["flicker"] == pytest.approx(1, abs=0.15)
        assert score["seam"] < 1.2


def test_a_hard_edge_is_a_seam_and_a_soft_one_hardly(clip: Clip) -> None:
    def brighter(by: float) -> Callable[[Image, int], Floats]:
        return lambda frame, _: frame + by

    hard = [clip.score(clip.spoilt("lower", brighter(by)))["seam"] for by in (8, 25)]
    soft = clip.score(clip.spoilt("lower", brighter(8), 8))["seam"]
    assert 1.25 < hard[0] < hard[1]
    assert soft < 1.15
    assert hard[1] > 1.8


@pytest.mark.parametrize("coarse", [True, False], ids=["brightness", "grain"])
def test_jitter_of_the_pasted_part_is_flicker_and_fresh_grain_is_not(clip: Clip, coarse: bool) -> None:
    rng = np.random.default_rng(4)

    def jittered(strength: float) -> float:
        def spoil(frame: Image, _: int) -> Floats:
            return np.asarray(frame + rng.normal(0, strength, () if coarse else (*frame.shape[:2], 1)))

        return clip.score(clip.spoilt("lower", spoil, 5))["flicker"]

    weak, strong = jittered(1.0), jittered(3.0)
    if coarse:
        assert 1.2 < weak < strong
        assert strong > 2
    else:
        assert weak < 1.3


def test_other_mouth_movements_are_no_flicker() -> None:
    clip, other = Clip(), Clip()
    silent = [clip.frames[0]] * N_FRAMES
    assert clip.score(other.frames[::-1])["flicker"] == pytest.approx(1, abs=0.35)
    assert clip.score(silent)["flicker"] < 0.6


def test_without_a_reference_there_is_nothing_to_say(clip: Clip) -> None:
    quality = Quality()
    quality.add(View(clip.frames[0], None, clip.boxes[0], clip.points[0], 0.0))
    assert quality.finish(HEARING) == {}


def test_faces_at_the_edge_of_the_picture_or_outside_break_nothing(clip: Clip) -> None:
    quality = Quality()
    for shift in (-90.0, 120.0, 5000.0, -5000.0):
        box, points = clip.boxes[0] + shift, clip.points[0] + shift
        quality.add(View(clip.frames[0], clip.frames[0], box, points, 0.0))
    values = quality.finish(HEARING)
    assert values["psnr_face"] == 60
    assert all(np.isfinite(value) for value in values.values())


def test_tiny_faces_have_no_mouth_to_compare(clip: Clip) -> None:
    quality = Quality()
    points = np.array([[20.0, 20], [26, 20], [23, 24], [21, 27], [25, 27]])
    for _ in range(5):
        quality.add(View(clip.frames[0], clip.frames[1], np.array([16.0, 14, 30, 34]), points, 0.0))
    values = quality.finish(HEARING)
    assert "psnr_face" in values
    assert not {"psnr_mouth", "sharpness", "ssim_lower"} & set(values)


def test_lpips_appears_with_its_weights_and_grows_with_damage(clip: Clip) -> None:
    torch.manual_seed(0)
    network = Lpips().eval()
    assert not {column.name for column in Quality().columns} & {column.name for column in LPIPS_COLUMNS}
    assert Quality(network).columns == QUALITY_COLUMNS + LPIPS_COLUMNS
    names = [f"lpips_{part}" for part in PARTS]

    def score(output: list[Image]) -> dict[str, float]:
        quality = Quality(network)
        for idx in (0, 1, 8):
            quality.add(View(output[idx], clip.frames[idx], clip.boxes[idx], clip.points[idx], idx / 25))
        return quality.finish(HEARING)

    same, weak, strong = map(
        score, (clip.frames, clip.spoilt("mouth", blurred(1), 3), clip.spoilt("mouth", blurred(5), 3))
    )
    for name in names:
        assert same[name] == pytest.approx(0, abs=1e-6)
        assert same[name] < weak[name] < strong[name]
    assert strong["lpips_mouth"] > strong["lpips_face"]


def test_every_column_is_explained() -> None:
    for column in (*QUALITY_COLUMNS, *LPIPS_COLUMNS):
        assert column.group == "quality"
        assert len(column.meaning) > 40
    names = [column.name for column in (*QUALITY_COLUMNS, *LPIPS_COLUMNS)]
    assert len(set(names)) == len(names)

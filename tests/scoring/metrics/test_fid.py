"""Features clip by clip, and the distances of the sets that their files make."""

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.helpers.golden import golden_seeds, golden_vectors, published_state
from w2l.core.arrays import Image
from w2l.features.crop import CropSpec, cut
from w2l.models.checkpoint import Model, ModelCard
from w2l.models.inception import InceptionWeights
from w2l.nets.inception import Inception, fold_inception
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.scoring.metrics.fid import (
    FID_COLUMNS,
    FaceFeatures,
    Features,
    FidRegion,
    InceptionSource,
    JudgeSource,
)
from w2l.scoring.metrics.frechet import Moments, frechet_distance
from w2l.scoring.metrics.view import Hearing, View

BOX = np.array([10.2, 6.7, 50.0, 60.9])
POINTS = np.array([[20.0, 20.0], [40.0, 20.0], [30.0, 32.0], [22.0, 45.0], [38.0, 45.0]])
SILENCE = Hearing(np.zeros(16000), 25.0)


def noise(n_frames: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n_frames, 80, 64, 3), dtype=np.uint8)


def views(outputs: NDArray[np.uint8], references: NDArray[np.uint8] | None = None) -> list[View]:
    reals: list[Image | None] = [None] * len(outputs) if references is None else list(references)
    return [View(image, real, BOX, POINTS, idx / 25) for idx, (image, real) in enumerate(zip(outputs, reals))]


class Corners:
    """A source that tells which pictures it was given: the first pixel of each of its windows' pictures."""

    columns = FID_COLUMNS
    title = "corners"

    def __init__(self, span: int) -> None:
        self.span = self.dims = span
        self.sizes: list[int] = []

    def cut(self, image: Image, view: View, region: FidRegion) -> Image:
        return image[:1, :1].copy()

    def embed(self, windows: list[list[Image]]) -> Features:
        self.sizes.append(len(windows))
        return np.array([[picture[0, 0, 0] for picture in window] for window in windows], np.float32)


@pytest.mark.parametrize("span", [1, 5])
@pytest.mark.parametrize("every", [1, 3, 5, 7])
@pytest.mark.parametrize("n_frames", [0, 1, 4, 5, 23])
def test_which_frames_make_features(span: int, every: int, n_frames: int) -> None:
    outputs, references = np.zeros((2, n_frames, 80, 64, 3), np.uint8)
    outputs[:, 0, 0, 0] = np.arange(n_frames)
    references[:, 0, 0, 0] = np.arange(n_frames) + 100
    source = Corners(span)
    measure = FaceFeatures(source, every=every, batch=4)
    for view in views(outputs, references):
        measure.add(view)
    assert measure.finish(SILENCE) == {}
    ours, real = measure.features()
    starts = range(0, n_frames - span + 1, every)
    expected = np.array([np.arange(start, start + span) for start in starts]).reshape(-1, span)
    np.testing.assert_array_equal(ours, expected)
    assert real is not None
    np.testing.assert_array_equal(real, expected + 100)
    assert ours.dtype == real.dtype == np.float32
    assert all(size <= 4 for size in source.sizes)


def test_without_reference() -> None:
    outputs = noise(6)
    for measure, seen in (
        (FaceFeatures(Corners(1)), views(outputs)),
        (FaceFeatures(Corners(1), with_reference=False), views(outputs, outputs)),
        (FaceFeatures(Corners(1)), views(outputs[:3], outputs[:3]) + views(outputs[3:])),
    ):
        for view in seen:
            measure.add(view)
        measure.finish(SILENCE)
        ours, real = measure.features()
        assert len(ours) == 6
        assert real is None
    assert measure.columns == ()
    with pytest.raises(ValueError, match="at least 1"):
        FaceFeatures(Corners(1), every=0)


@pytest.fixture(scope="module")
def inception() -> InceptionSource:
    torch.manual_seed(0)
    network = Inception()
    for weight in network.parameters():
        if weight.dim() == 4:
            torch.nn.init.kaiming_normal_(weight)
    return InceptionSource(InceptionWeights(fold_inception(network), Path("random.pth"), 64 * "0"))


def test_fid_sees_the_box_or_the_frame(inception: InceptionSource) -> None:
    image = noise(1)[0]
    (view,) = views(image[None])
    face, frame = (inception.cut(image, view, region) for region in ("face", "frame"))
    np.testing.assert_array_equal(face, image[6:60, 10:50])
    np.testing.assert_array_equal(frame, image)
    for box in ([-20, -9, 30, 40], [50, 60, 90, 130], [200, 200, 300, 300]):  # beyond the picture
        outside = View(image, None, np.array(box, dtype=np.float64), POINTS, 0.0)
        height, width = inception.cut(image, outside, "face").shape[:2]
        assert height >= 2
        assert width >= 2
    assert "random.pth" in inception.title


def test_pictures_of_several_sizes_share_a_batch(inception: InceptionSource) -> None:
    small, large = noise(1)[0], cv2.resize(noise(1, 1)[0], (300, 320))
    both = inception.embed([[small], [np.asarray(large, dtype=np.uint8)]])
    alone = inception.embed([[small]])
    assert both.shape == (2, inception.dims)
    assert float(np.abs(both[0] - both[1]).max()) > 1e-3
    np.testing.assert_allclose(both[:1], alone, atol=1e-5)


def test_cudnn_stays_on_and_rounds_no_products(inception: InceptionSource) -> None:
    """`torch.backends.cudnn.flags` switches off what it is not told to leave on."""
    seen: list[tuple[bool, bool]] = []
    cudnn = torch.backends.cudnn
    hook = inception._network.register_forward_pre_hook(lambda *_: seen.append((cudnn.enabled, cudnn.allow_tf32)))
    inception.embed([[image] for image in noise(1)])
    hook.remove()
    assert seen == [(True, False)]


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("crop", [CropSpec("judge", 64), CropSpec("aligned", 96)], ids=["own size", "resized"])
def test_the_judge_sees_windows_as_it_was_trained(colour: str, crop: CropSpec) -> None:
    torch.manual_seed(0)
    judge = Judge(JudgeDimensions(64, 6)).eval()
    source = JudgeSource(Model(judge, ModelCard("judge", {}, crop, colour), Path("j.safetensors")))  # type: ignore[arg-type]
    outputs = noise(9)
    measure = FaceFeatures(source, every=2)
    for view in views(outputs):
        measure.add(view)
    measure.finish(SILENCE)
    faces = np.stack([cv2.resize(cut(image, BOX, POINTS, crop), (64, 64)) for image in outputs])
    faces = faces[..., ::-1] if colour == "bgr" else faces
    windows = np.stack([faces[start : start + 5] for start in (0, 2, 4)]).astype(np.float32)
    with torch.inference_mode():
        expected = judge.forward_lipfeat(torch.from_numpy(windows).permute(0, 4, 1, 2, 3)).numpy()
    got, _ = measure.features()
    assert got.shape == (3, source.dims)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert source.cut(outputs[0], views(outputs)[0], "frame").shape == (64, 64, 3)


def _moments(rows: NDArray[np.floating]) -> Moments:
    made = Moments(rows.shape[1])
    made.add(rows)
    return made


@pytest.mark.parametrize("seed", golden_seeds("fid")[:1])
def test_golden_folders(seed: int, golden_rule: ModuleType) -> None:
    golden = golden_vectors(f"fid_seed{seed}")
    network = Inception()
    network.load_state_dict(published_state("fid_inception", seed), strict=False)
    source = InceptionSource(InceptionWeights(fold_inception(network), Path("rule.pth"), 64 * "0"))
    measure = FaceFeatures(source, "frame", batch=4)
    for view in views(*(golden_rule.fid_images(seed + more, 10, 96, 96) for more in (0, 1))):
        measure.add(view)
    measure.finish(SILENCE)
    ours, real = measure.features()
    assert real is not None
    expected = golden["folder_exact"][golden["folder_dims"].tolist().index(2048)]
    assert frechet_distance(_moments(ours), _moments(real)) == pytest.approx(expected, rel=2e-3)

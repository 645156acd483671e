"""Features clip by clip, and the distances of the sets that their files make."""

import json
import tracemalloc
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from w2l.errors import CacheError
from w2l.faces.crop import CropSpec, cut
from w2l.inception_weights import InceptionWeights
from w2l.metrics.fid import (
    FaceFeatures,
    Features,
    FrechetSets,
    InceptionSource,
    JudgeSource,
    Region,
    read_features,
    write_features,
)
from w2l.metrics.fid_columns import ENOUGH_CLIPS, FD_JUDGE_COLUMNS, FID_COLUMNS, LEAST_CLIPS
from w2l.metrics.frechet import Moments, frechet_distance
from w2l.metrics.view import Hearing, Image, View
from w2l.nets.inception import Inception, fold
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.training.checkpoint import Model, ModelCard

BOX = np.array([10.2, 6.7, 50.0, 60.9])
POINTS = np.array([[20.0, 20.0], [40.0, 20.0], [30.0, 32.0], [22.0, 45.0], [38.0, 45.0]])
SILENCE = Hearing(np.zeros(16000), 25.0)
Clip = tuple[NDArray[np.floating], NDArray[np.floating] | None]


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

    def cut(self, image: Image, view: View, region: Region) -> Image:
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
    return InceptionSource(InceptionWeights(fold(network), Path("random.pth"), 64 * "0"))


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


def made_clips(n_clips: int, dims: int = 12, seed: int = 0, paired: bool = True) -> dict[str, Clip]:
    """Clips of 4 to 9 frames whose outputs differ a little from their references."""
    rng = np.random.default_rng(seed)
    clips: dict[str, Clip] = {}
    for idx in range(n_clips):
        real = rng.normal(size=(rng.integers(4, 10), dims)) + rng.normal(size=dims)
        clips[f"s{idx}"] = (0.8 * real + 0.3, real if paired else None)
    return clips


def stored(sets: FrechetSets, system: str, clips: dict[str, Clip], folder: Path) -> None:
    """Files as `write_features` makes them, which flushes each to the disk and so takes its time."""
    for name, (output, real) in clips.items():
        (folder / system).mkdir(parents=True, exist_ok=True)
        ours, theirs = (folder / system / f"{name}.{side}.npy" for side in ("output", "real"))
        np.save(ours, half(output))
        if real is not None:
            np.save(theirs, half(real))
        sets.add(system, name, ours, theirs if real is not None else None)


def half(rows: NDArray[np.floating]) -> NDArray[np.float16]:
    return rows.astype(np.float32).astype(np.float16)


def direct(outputs: list[NDArray[np.floating]], reals: list[NDArray[np.floating]]) -> float:
    sides = []
    for rows in (outputs, reals):
        sides.append(Moments(rows[0].shape[1]))
        sides[-1].add(half(np.concatenate(rows)))
    return frechet_distance(*sides)


@pytest.mark.parametrize("n_clips", [2, LEAST_CLIPS, 31])
def test_sets_of_files_give_the_distance_of_all_their_rows(n_clips: int, tmp_path: Path) -> None:
    clips = made_clips(n_clips)
    sets = FrechetSets()
    stored(sets, "ours", clips, tmp_path)
    found = sets.score("ours")
    outputs, reals = ([clip[side] for clip in clips.values()] for side in (0, 1))
    assert found["fid"] == pytest.approx(direct(outputs, reals), rel=1e-9)  # type: ignore[arg-type]
    assert found["fid_frames"] == sum(len(rows) for rows in outputs)  # type: ignore[arg-type]
    assert ("fid_unbiased" in found) == (n_clips >= LEAST_CLIPS)
    if n_clips >= LEAST_CLIPS:
        assert found["fid_unbiased"] < found["fid"]
    assert any(f"{n_clips} clips" in note for note in sets.notes())
    assert set(found) <= {column.name for column in FID_COLUMNS}


def test_scores_depend_on_neither_order_nor_other_systems(tmp_path: Path) -> None:
    clips = made_clips(20)
    one, two = FrechetSets(FD_JUDGE_COLUMNS), FrechetSets(FD_JUDGE_COLUMNS)
    stored(one, "ours", clips, tmp_path)
    stored(two, "theirs", made_clips(20, seed=5), tmp_path)
    stored(two, "ours", dict(reversed(clips.items())), tmp_path)
    assert one.score("ours") == two.score("ours") == two.score("ours")
    assert set(one.score("ours")) == {column.name for column in FD_JUDGE_COLUMNS}
    assert two.score("theirs")["fd_judge"] != two.score("ours")["fd_judge"]
    seeded = FrechetSets(FD_JUDGE_COLUMNS, seed=1)
    stored(seeded, "ours", clips, tmp_path)
    assert seeded.score("ours")["fd_judge"] == pytest.approx(one.score("ours")["fd_judge"], rel=1e-9)
    assert seeded.score("ours")["fd_judge_unbiased"] != one.score("ours")["fd_judge_unbiased"]


def test_clips_without_a_real_video_are_left_out_and_told(tmp_path: Path) -> None:
    clips = made_clips(10)
    sets, fewer = FrechetSets(), FrechetSets()
    stored(fewer, "ours", clips, tmp_path)
    stored(sets, "ours", clips | {"odd": (np.full((5, 12), 9.0), None)}, tmp_path)
    assert sets.score("ours") == fewer.score("ours")
    assert any("1 of 11 clips left out" in note for note in sets.notes())


def test_without_own_references_all_real_clips_are_the_set(tmp_path: Path) -> None:
    ours, reals = made_clips(9, paired=False), made_clips(12, seed=3, paired=False)
    sets = FrechetSets()
    stored(sets, "ours", ours, tmp_path)
    assert sets.score("ours") == {}
    stored(sets, "real", reals, tmp_path)
    found = sets.score("ours")
    assert found["fid"] == pytest.approx(
        direct([a for a, _ in ours.values()], [a for a, _ in reals.values()]), rel=1e-9
    )
    assert any("all 12 real clips" in note for note in sets.notes())
    assert sets.score("real") == sets.score("nobody") == {}


def test_whole_clips_are_drawn_so_that_their_likeness_is_no_news(tmp_path: Path) -> None:
    """Twins: two sets of different speakers from one distribution; many like frames make no large set."""
    rng = np.random.default_rng(0)
    plain, extrapolated = [], []
    for trial in range(4):
        people = rng.normal(size=(2, ENOUGH_CLIPS, 1, 10)) + 0.2 * rng.normal(size=(2, ENOUGH_CLIPS, 6, 10))
        sets = FrechetSets()
        stored(sets, f"o{trial}", {f"{trial}-{i}": (*pair,) for i, pair in enumerate(zip(*people))}, tmp_path)
        found = sets.score(f"o{trial}")
        plain.append(found["fid"])
        extrapolated.append(found["fid_unbiased"])
        assert not sets.notes()
    assert np.mean(plain) > 0.3
    assert abs(np.mean(extrapolated)) < 0.4 * np.mean(plain)


def test_half_precision_costs_little_and_large_numbers_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real = np.abs(rng.normal(size=(300, 24))) * np.arange(1, 25) ** -0.5
    ours = real * 0.9 + 0.02
    path = tmp_path / "a" / "clip.npy"
    halves = []
    for rows in (ours, real):
        write_features(path, rows.astype(np.float32))
        halves.append(read_features(path))
    assert halves[0].dtype == np.float16
    exact, rounded = (frechet_distance(_moments(a), _moments(b)) for a, b in ((ours, real), halves))
    assert abs(rounded - exact) < 1e-3 * exact
    large = np.full((2, 3), 1e6, np.float32)
    write_features(path, large)
    np.testing.assert_array_equal(read_features(path), large)


def _moments(rows: NDArray[np.floating]) -> Moments:
    made = Moments(rows.shape[1])
    made.add(rows)
    return made


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    def with_reference(name: str, reals: NDArray[np.float32]) -> FrechetSets:
        sets = FrechetSets()
        stored(sets, "ours", made_clips(3), tmp_path / name)
        write_features(tmp_path / name / "bad.npy", reals)
        sets.add("ours", "bad", tmp_path / name / "ours" / "s0.output.npy", tmp_path / name / "bad.npy")
        return sets

    with pytest.raises(CacheError, match=r"expected features \(frames"):
        with_reference("dims", np.zeros((4, 5), np.float32)).score("ours")
    with pytest.raises(CacheError, match="not finite"):
        with_reference("nan", np.full((4, 12), np.nan, np.float32)).score("ours")
    with pytest.raises(CacheError, match="no features"):
        with_reference("flat", np.zeros(12, np.float32)).score("ours")
    sets = with_reference("cut", np.zeros((4, 12), np.float32))
    (tmp_path / "cut" / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CacheError, match=r"bad\.npy cannot be read"):
        sets.score("ours")
    mixed = FrechetSets()
    stored(mixed, "ours", {"a": (np.zeros((3, 4)), np.zeros((3, 5)))}, tmp_path)
    with pytest.raises(CacheError, match="several networks"):
        mixed.score("ours")
    short = FrechetSets()
    stored(short, "ours", {"a": (np.zeros((1, 4)), np.zeros((1, 4)))}, tmp_path)
    assert short.score("ours") == {}
    assert any("too short" in note for note in short.notes())


def test_memory_is_flat_in_the_number_of_clips(tmp_path: Path) -> None:
    peaks = []
    for n_clips in (100, 300):
        sets = FrechetSets()
        stored(sets, "ours", made_clips(n_clips, dims=128), tmp_path / str(n_clips))
        tracemalloc.start()
        sets.score("ours")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_golden_folders(seed: int, shared: Path, golden_rule: ModuleType) -> None:
    with np.load(shared / "reference" / "golden" / f"fid_seed{seed}.npz") as archive:
        golden = dict(archive)
    spec = json.loads((shared / "reference" / "checkpoints" / "fid_inception.json").read_text())
    arrays = golden_rule.state_dict_for("fid_inception", seed, spec)
    network = Inception()
    network.load_state_dict({key: torch.as_tensor(value) for key, value in arrays.items()}, strict=False)
    source = InceptionSource(InceptionWeights(fold(network), Path("rule.pth"), 64 * "0"))
    measure = FaceFeatures(source, "frame", batch=4)
    for view in views(*(golden_rule.fid_images(seed + more, 10, 96, 96) for more in (0, 1))):
        measure.add(view)
    measure.finish(SILENCE)
    ours, real = measure.features()
    assert real is not None
    expected = golden["folder_exact"][golden["folder_dims"].tolist().index(2048)]
    assert frechet_distance(_moments(ours), _moments(real)) == pytest.approx(expected, rel=2e-3)

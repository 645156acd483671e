"""Clips through the judge: the published evaluation number for number, and what streaming must not change."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from w2l.errors import MediaError
from w2l.metrics.embed import embed_clip
from w2l.metrics.sync import SyncScore, distances, score_curve
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.timing import SAMPLES_PER_FRAME

Golden = dict[str, NDArray[Any]]
TOLERANCE = 2e-3
"""Of features and distances up to 200."""


@pytest.fixture(scope="module", params=[0, 1], ids=["seed0", "seed1"])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def golden(shared: Path, seed: int) -> Golden:
    with np.load(shared / "reference" / "golden" / f"lse_seed{seed}.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def judge(shared: Path, golden_rule: ModuleType, seed: int) -> Judge:
    keys = json.loads((shared / "reference" / "checkpoints" / "syncnet_v2.json").read_text())
    weights = golden_rule.state_dict_for("syncnet_v2", seed, keys)
    net = Judge()
    net.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in weights.items()})
    return net.eval()


@pytest.fixture(scope="module")
def tiny() -> Judge:
    torch.manual_seed(0)
    return Judge(JudgeDimensions(size=96, width=6)).eval()


def noise_clip(n_frames: int, size: int = 96) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng(n_frames)
    frames = rng.integers(0, 256, (n_frames, size, size, 3), dtype=np.uint8)
    return frames, rng.normal(0, 0.1, n_frames * SAMPLES_PER_FRAME).astype(np.float32)


def check_scores(score: SyncScore, golden: Golden, prefix: str = "") -> None:
    assert score.offset == golden[f"{prefix}offset"]
    np.testing.assert_allclose(score.mean_distances, golden[f"{prefix}mdist"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(score.confidence, golden[f"{prefix}conf"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(score.min_distance, golden[f"{prefix}minval"], atol=TOLERANCE, rtol=0)


def test_golden_clip(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    rgb = golden_rule.clip_frames(seed, 30)[..., ::-1]
    wave = golden_rule.waveform_f32(seed)
    lip, audio = embed_clip(judge, iter(rgb), wave)
    np.testing.assert_allclose(lip[:, ::4], golden["lip_feat"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(audio[:, ::4], golden["aud_feat"], atol=TOLERANCE, rtol=0)
    every = distances(lip, audio)
    np.testing.assert_allclose(every, golden["dists"], atol=TOLERANCE, rtol=0)
    score = score_curve(every)
    check_scores(score, golden)
    np.testing.assert_allclose(score.framewise_confidence, golden["framewise_conf"], atol=TOLERANCE, rtol=0)

    # Sound shorter than the picture takes windows away and leaves the other ones as they are.
    cut = embed_clip(judge, iter(rgb), wave[: golden["short_samples"]])
    assert len(cut[0]) == len(cut[1]) < len(lip)
    np.testing.assert_allclose(cut[0], lip[: len(cut[0])], atol=TOLERANCE)
    check_scores(score_curve(distances(*cut)), golden, "short_")


def test_golden_clip_in_small_batches(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    frames = golden_rule.clip_frames(seed, 30)
    score = score_curve(distances(*embed_clip(judge, frames, golden_rule.waveform_f32(seed), colour="rgb", batch=7)))
    np.testing.assert_allclose(score.mean_distances, golden["batch7_mdist"], atol=TOLERANCE, rtol=0)


def test_golden_clip_of_another_size(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    rgb = golden_rule.clip_frames(seed + 100, 30, height=180, width=150)[..., ::-1]
    score = score_curve(distances(*embed_clip(judge, rgb, golden_rule.waveform_f32(seed))))
    check_scores(score, golden, "small_")


@pytest.mark.parametrize("n_frames", [6, 7, 24, 25, 26])
def test_windows_are_frames_less_five(tiny: Judge, n_frames: int) -> None:
    lip, audio = embed_clip(tiny, *noise_clip(n_frames))
    assert lip.shape == audio.shape == (n_frames - 5, tiny.dimensions.embedding)
    assert lip.dtype == audio.dtype == np.float32


def test_the_shorter_of_picture_and_sound_counts(tiny: Judge) -> None:
    frames, wave = noise_clip(12)
    for lip, audio in (
        embed_clip(tiny, frames, wave[: 9 * SAMPLES_PER_FRAME + 639]),
        embed_clip(tiny, frames[:9], wave),
    ):
        complete_lip, complete_audio = embed_clip(tiny, frames, wave)
        np.testing.assert_allclose(lip, complete_lip[:4], atol=1e-5)
        np.testing.assert_allclose(audio, complete_audio[:4], atol=1e-5)


def test_colour_is_the_order_of_channels(tiny: Judge) -> None:
    frames, wave = noise_clip(8)
    flipped = np.ascontiguousarray(frames[..., ::-1])
    bgr, _ = embed_clip(tiny, frames, wave, colour="bgr")
    np.testing.assert_allclose(bgr, embed_clip(tiny, flipped, wave, colour="rgb")[0], atol=1e-6)
    assert np.abs(bgr - embed_clip(tiny, frames, wave, colour="rgb")[0]).max() > 1e-4


def test_frames_are_read_as_they_are_needed(tiny: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first batch is embedded, no more than its frames and the one after it have been read."""
    frames, wave = noise_clip(40)
    n_read = 0
    read_at_call: list[int] = []
    embed = tiny.forward_lip

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal n_read
        for image in frames:
            n_read += 1
            yield image

    def noted(windows: torch.Tensor) -> torch.Tensor:
        read_at_call.append(n_read)
        return embed(windows)

    monkeypatch.setattr(tiny, "forward_lip", noted)
    embed_clip(tiny, counted(), wave, batch=10)
    assert read_at_call == [15, 25, 35, 40]


def test_sound_after_the_picture_is_not_read(tiny: Judge) -> None:
    frames, wave = noise_clip(8)
    _, audio = embed_clip(tiny, frames, wave)
    _, longer = embed_clip(tiny, frames, np.concatenate([wave, np.full(160000, 0.9, np.float32)]))
    np.testing.assert_array_equal(audio, longer)


@pytest.mark.parametrize(("n_frames", "n_sounding"), [(5, 20), (20, 5), (0, 20), (20, 0)])
def test_a_clip_too_short_is_refused(tiny: Judge, n_frames: int, n_sounding: int) -> None:
    frames, wave = noise_clip(20)
    with pytest.raises(MediaError, match="too short to score"):
        embed_clip(tiny, frames[:n_frames], wave[: n_sounding * SAMPLES_PER_FRAME])


def test_a_judge_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        embed_clip(Judge(JudgeDimensions(size=96, width=6)), *noise_clip(8))

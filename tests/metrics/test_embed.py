"""Clips through the judge: the published evaluation number for number, and what streaming must not change."""

import copy
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
from w2l.metrics.embed import LipEmbedder, embed_clip, embed_sound, ready_judge
from w2l.metrics.sync import SyncScore, distances, score_curve
from w2l.nets.folded_judge import FoldedJudge
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.timing import SAMPLES_PER_FRAME
from w2l.weights import load

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


@pytest.fixture(scope="module")
def shipped() -> Judge:
    judge = load("w2l", "judge").network
    assert isinstance(judge, Judge)
    return judge


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
    """When a batch is embedded, no frame after its last one has been read."""
    frames, wave = noise_clip(40)
    n_read = 0
    read_at_call: list[int] = []
    embed = FoldedJudge.forward_lip

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal n_read
        for image in frames:
            n_read += 1
            yield image

    def noted(judge: FoldedJudge, windows: torch.Tensor) -> torch.Tensor:
        read_at_call.append(n_read)
        return embed(judge, windows)

    monkeypatch.setattr(FoldedJudge, "forward_lip", noted)
    embed_clip(tiny, counted(), wave, batch=10)
    assert read_at_call == [14, 24, 34, 40]


@pytest.mark.parametrize("n_frames", [0, 4, 5, 13, 14, 15, 23])
def test_all_windows_of_one_clip_after_the_other(tiny: Judge, n_frames: int) -> None:
    """The published evaluation takes all but the last; neither batches nor clips before leave a trace."""
    frames, wave = noise_clip(n_frames)
    lips = LipEmbedder(tiny, batch=10)
    for image in frames[::-1]:
        lips.add(image)
    lips.finish()
    for image in frames:
        lips.add(image)
    lip, audio = lips.finish(), embed_sound(tiny, wave)
    assert lip.shape == audio.shape == (max(0, n_frames - 4), tiny.dimensions.embedding)
    assert lip.dtype == audio.dtype == np.float32
    if n_frames > 5:
        published_lip, published_audio = embed_clip(tiny, frames, wave, batch=10)
        np.testing.assert_array_equal(lip[:-1], published_lip)
        np.testing.assert_array_equal(audio[:-1], published_audio)


def test_the_last_window_hears_on_where_sound_goes_on(tiny: Judge) -> None:
    """15 ms beyond the last frame: what sounds there, or zeros."""
    _, wave = noise_clip(20)
    whole = embed_sound(tiny, wave)
    np.testing.assert_allclose(embed_sound(tiny, wave, 12), whole[:8], atol=1e-6)
    np.testing.assert_array_equal(embed_sound(tiny, wave, 99), whole)
    ending = wave[: 12 * SAMPLES_PER_FRAME]
    silence = np.concatenate([ending, np.zeros(SAMPLES_PER_FRAME, np.float32)])
    np.testing.assert_array_equal(embed_sound(tiny, ending), embed_sound(tiny, silence, 12))
    assert np.abs(embed_sound(tiny, ending)[-1] - whole[7]).max() > 1e-4


def test_two_runs_are_bitwise_equal(tiny: Judge) -> None:
    first, second = (embed_clip(tiny, *noise_clip(40)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_a_judge_is_made_ready_once(tiny: Judge) -> None:
    ready = ready_judge(tiny)
    assert ready_judge(ready) is ready
    assert not ready.is_half
    for made, plain in zip(embed_clip(ready, *noise_clip(12)), embed_clip(tiny, *noise_clip(12))):
        np.testing.assert_array_equal(made, plain)


def test_half_precision_hardly_moves_the_curve(shipped: Judge) -> None:
    """Under 0.01 with the shipped judge; here on the CPU, which rounds the same numbers to 16 bits as a GPU does."""
    frames, wave = noise_clip(30, shipped.dimensions.size)
    frames = (0.5 * frames + 60 + 60 * np.sin(np.arange(30))[:, None, None, None]).clip(0, 255).astype(np.uint8)
    single, half = (
        score_curve(distances(*embed_clip(ready_judge(shipped, half=half), frames, wave))).mean_distances
        for half in (False, True)
    )
    assert 0 < np.abs(half - single).max() < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_curve(shipped: Judge) -> None:
    frames, wave = noise_clip(60, shipped.dimensions.size)
    expected = score_curve(distances(*embed_clip(shipped, frames, wave))).mean_distances
    there = copy.deepcopy(shipped).cuda()
    for half in (None, False):
        ready = ready_judge(there, half)
        assert ready.is_half == (half is None)
        made = score_curve(distances(*embed_clip(ready, frames, wave))).mean_distances
        assert np.abs(made - expected).max() < 0.01


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


def test_an_empty_batch_is_refused(tiny: Judge) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LipEmbedder(tiny, batch=0)

"""Clips through the judge: the published evaluation number for number, and what streaming must not change."""

import copy
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.helpers.golden import golden_seeds, golden_vectors, published_state
from w2l.core.timing import SAMPLES_PER_FRAME
from w2l.models.registry import load_by_name
from w2l.models.tensors import ChannelOrder
from w2l.nets.folded.judge import FoldedJudge
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.scoring.metrics import embed as embedding
from w2l.scoring.metrics.choices import BATCH
from w2l.scoring.metrics.embed import AnyJudge, Embeddings, LipEmbedder, embed_sound, ready_judge
from w2l.scoring.metrics.lse import LseValues, lse_values
from w2l.scoring.metrics.sync import embedding_distances

Golden = dict[str, NDArray[Any]]
TOLERANCE = 2e-3
"""Of features and distances up to 200."""


@pytest.fixture(scope="module", params=golden_seeds("lse"), ids="seed{}".format)
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def golden(seed: int) -> Golden:
    return golden_vectors(f"lse_seed{seed}")


@pytest.fixture(scope="module")
def judge(seed: int) -> Judge:
    net = Judge()
    net.load_state_dict(published_state("syncnet_v2", seed))
    return net.eval()


@pytest.fixture(scope="module")
def tiny() -> Judge:
    torch.manual_seed(0)
    return Judge(JudgeDimensions(size=96, width=6)).eval()


@pytest.fixture(scope="module")
def shipped() -> Judge:
    judge = load_by_name("w2l", "judge").network
    assert isinstance(judge, Judge)
    return judge


def noise_clip(n_frames: int, size: int = 96) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng(n_frames)
    frames = rng.integers(0, 256, (n_frames, size, size, 3), dtype=np.uint8)
    return frames, rng.normal(0, 0.1, n_frames * SAMPLES_PER_FRAME).astype(np.float32)


def embed(
    judge: AnyJudge,
    frames: Iterable[NDArray[np.uint8]],
    wave: NDArray[np.float32],
    colour: ChannelOrder = "bgr",
    batch: int = BATCH,
) -> tuple[Embeddings, Embeddings]:
    """All windows of picture and sound, as the scorer takes them of one clip."""
    lips = LipEmbedder(judge, colour, batch)
    for image in frames:
        lips.add(image)
    return lips.finish(), embed_sound(judge, wave, batch=batch)


def curve(judge: AnyJudge, frames: NDArray[np.uint8], wave: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array(lse_values(*embed(judge, frames, wave)).curve)


def check_scores(told: LseValues, golden: Golden, prefix: str = "") -> None:
    assert told.values["offset"] == golden[f"{prefix}offset"]
    np.testing.assert_allclose(told.curve, golden[f"{prefix}mdist"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(told.values["lse_c"], golden[f"{prefix}conf"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(told.values["lse_d"], golden[f"{prefix}minval"], atol=TOLERANCE, rtol=0)


def test_golden_clip(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    rgb = golden_rule.clip_frames(seed, 30)[..., ::-1]
    wave = golden_rule.waveform_f32(seed)
    lip, audio = embed(judge, rgb, wave)
    told = lse_values(lip, audio)
    check_scores(told, golden)
    np.testing.assert_allclose(told.over_time, golden["framewise_conf"], atol=TOLERANCE, rtol=0)
    n_windows = int(told.values["windows"])
    lip, audio = lip[:n_windows], audio[:n_windows]
    np.testing.assert_allclose(lip[:, ::4], golden["lip_feat"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(audio[:, ::4], golden["aud_feat"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(embedding_distances(lip, audio), golden["dists"], atol=TOLERANCE, rtol=0)

    # Sound shorter than the picture takes windows away and leaves the other ones as they are.
    short = embed_sound(judge, wave[: golden["short_samples"]])
    assert len(short) < len(audio)
    check_scores(lse_values(lip, short), golden, "short_")


@pytest.mark.parametrize("seed", golden_seeds("lse")[:1], indirect=True, ids="seed{}".format)
def test_golden_clip_in_small_batches(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    frames = golden_rule.clip_frames(seed, 30)
    told = lse_values(*embed(judge, frames, golden_rule.waveform_f32(seed), colour="rgb", batch=7))
    np.testing.assert_allclose(told.curve, golden["batch7_mdist"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("seed", golden_seeds("lse")[:1], indirect=True, ids="seed{}".format)
def test_golden_clip_of_another_size(judge: Judge, golden_rule: ModuleType, golden: Golden, seed: int) -> None:
    rgb = golden_rule.clip_frames(seed + 100, 30, height=180, width=150)[..., ::-1]
    check_scores(lse_values(*embed(judge, rgb, golden_rule.waveform_f32(seed))), golden, "small_")


def test_colour_is_the_order_of_channels(tiny: Judge) -> None:
    frames, wave = noise_clip(8)
    flipped = np.ascontiguousarray(frames[..., ::-1])
    bgr, _ = embed(tiny, frames, wave, colour="bgr")
    np.testing.assert_allclose(bgr, embed(tiny, flipped, wave, colour="rgb")[0], atol=1e-6)
    assert np.abs(bgr - embed(tiny, frames, wave, colour="rgb")[0]).max() > 1e-4


def test_frames_are_read_as_they_are_needed(tiny: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a batch is embedded, no frame after its last one has been read."""
    frames, wave = noise_clip(40)
    n_read = 0
    read_at_call: list[int] = []
    plain = FoldedJudge.forward_lip

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal n_read
        for image in frames:
            n_read += 1
            yield image

    def noted(judge: FoldedJudge, windows: torch.Tensor) -> torch.Tensor:
        read_at_call.append(n_read)
        return plain(judge, windows)

    monkeypatch.setattr(FoldedJudge, "forward_lip", noted)
    embed(tiny, counted(), wave, batch=10)
    assert read_at_call == [14, 24, 34, 40]


@pytest.mark.parametrize("n_frames", [0, 4, 5, 13, 14, 15, 23])
def test_all_windows_of_one_clip_after_the_other(tiny: Judge, n_frames: int) -> None:
    """Neither batches nor clips before leave a trace."""
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
    first, second = (embed(tiny, *noise_clip(40)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_a_judge_is_made_ready_once(tiny: Judge) -> None:
    ready = ready_judge(tiny)
    assert ready_judge(ready) is ready
    assert not ready.is_half
    for made, plain in zip(embed(ready, *noise_clip(12)), embed(tiny, *noise_clip(12))):
        np.testing.assert_array_equal(made, plain)


def test_half_precision_hardly_moves_the_curve(shipped: Judge) -> None:
    """Under 0.01 with the shipped judge; here on the CPU, which rounds the same numbers to 16 bits as a GPU does."""
    frames, wave = noise_clip(30, shipped.dimensions.size)
    frames = (0.5 * frames + 60 + 60 * np.sin(np.arange(30))[:, None, None, None]).clip(0, 255).astype(np.uint8)
    single, half = (curve(ready_judge(shipped, half=half), frames, wave) for half in (False, True))
    assert 0 < np.abs(half - single).max() < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_curve(shipped: Judge) -> None:
    frames, wave = noise_clip(60, shipped.dimensions.size)
    expected = curve(shipped, frames, wave)
    there = copy.deepcopy(shipped).cuda()
    for half in (None, False):
        ready = ready_judge(there, half)
        assert ready.is_half == (half is None)
        made = curve(ready, frames, wave)
        assert np.abs(made - expected).max() < 0.01


def test_a_judge_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        embed(Judge(JudgeDimensions(size=96, width=6)), *noise_clip(8))


def test_an_empty_batch_is_refused(tiny: Judge) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LipEmbedder(tiny, batch=0)


def test_long_sounds_are_embedded_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the blocks are cut, the embeddings are the same."""
    torch.manual_seed(0)
    judge = ready_judge(Judge(JudgeDimensions(size=64, width=8)).eval())
    wave = np.random.default_rng(0).normal(0, 0.1, 640 * 60 + 333).astype(np.float32)
    whole = embed_sound(judge, wave)
    assert len(whole) == 56
    for block in (1, 7, 55):
        monkeypatch.setattr(embedding, "SOUND_BLOCK", block)
        np.testing.assert_allclose(embed_sound(judge, wave), whole, atol=1e-5)

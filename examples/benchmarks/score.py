"""Measure the judge: the published loop and that of `w2l score`."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from examples.benchmarks.timing import best_of
from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.features.mel import mfcc, to_int16
from w2l.nets.folded.judge import FoldedJudge
from w2l.nets.judge import Judge
from w2l.scoring.metrics.choices import BATCH
from w2l.scoring.metrics.embed import LipEmbedder, embed_sound, ready_judge
from w2l.scoring.metrics.lse import lse_values
from w2l.scoring.metrics.sync import embedding_distances, score_curve

Curve = NDArray[np.float32]
Work = Callable[[], Curve | None]


def score(n_frames: int, batches: list[int], rounds: int) -> None:
    """Print windows per second of each variant, alternating, with the published dimensions; the best round counts."""
    torch.manual_seed(0)
    judge = Judge().eval().to("cuda" if torch.cuda.is_available() else "cpu")
    frames, wave = noise(n_frames)
    n_windows = n_frames - WINDOW_FRAMES
    print(f"{n_windows} windows, {torch.get_num_threads()} threads, {next(judge.parameters()).device}")
    ways = ways_of(judge, frames, wave, batches)
    best = best_of(ways, rounds)
    plain = best["published, no gradients"]
    curves = {name: work() for name, work in ways.items()}
    published = curves["published, no gradients"]
    for name, (seconds, used) in best.items():
        moved = curves[name]
        told = "" if moved is None or published is None else f"  curve within {abs(moved - published).max():.1e}"
        rate = f"{n_windows / seconds:7.1f} windows/s  x {plain[0] / seconds:4.2f}"
        print(
            f"  {name:26s} {rate}  {1000 * used / n_windows:6.1f} ms of CPU per window, x {plain[1] / used:4.2f}{told}"
        )


def noise(n_frames: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return crops (frames, 224, 224, 3) and the wave (samples,) of a clip of noise."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (n_frames, 224, 224, 3), dtype=np.uint8)
    return frames, rng.normal(0, 0.1, n_frames * SAMPLES_PER_FRAME).astype(np.float32)


def ways_of(judge: Judge, frames: NDArray[np.uint8], wave: NDArray[np.float32], batches: list[int]) -> dict[str, Work]:
    """Return name -> function that scores one clip; "lips" embeds the picture alone."""
    ready = ready_judge(judge)
    single = ready_judge(judge, half=False)
    ways: dict[str, Work] = {
        "published": lambda: _published(judge, frames, wave),
        "published, no gradients": lambda: torch.no_grad()(_published)(judge, frames, wave),
        "w2l, optimised again": lambda: _ours(ready_judge(judge), frames, wave, BATCH),
    }
    for batch in batches:
        ways[f"w2l, batch {batch}"] = partial(_ours, ready, frames, wave, batch)
    if ready.is_half:
        ways["w2l, float32"] = lambda: _ours(single, frames, wave, BATCH)
    ways["w2l, lips"] = lambda: _lips(LipEmbedder(ready), frames)
    return ways


def _ours(judge: FoldedJudge, frames: NDArray[np.uint8], wave: NDArray[np.float32], batch: int) -> Curve:
    lips = LipEmbedder(judge, batch=batch)
    for image in frames:
        lips.add(image)
    return np.array(lse_values(lips.finish(), embed_sound(judge, wave, batch=batch)).curve, np.float32)


def _lips(embedder: LipEmbedder, frames: NDArray[np.uint8]) -> None:
    for image in frames:
        embedder.add(image)
    embedder.finish()


def _published(judge: Judge, frames: NDArray[np.uint8], wave: NDArray[np.float32]) -> Curve:
    """Score as in the published evaluation: all frames together, then windows in batches of 20, eagerly."""
    device = next(judge.parameters()).device
    # (1, 3, frames, rows, columns), and (1, 1, 13, MFCC columns)
    pictures = torch.from_numpy(frames[..., ::-1].astype(np.float32).transpose(3, 0, 1, 2)[None].copy())
    cepstra = torch.from_numpy(mfcc(to_int16(wave)))[None, None]
    lips, sounds = [], []
    n_windows = len(frames) - WINDOW_FRAMES
    for start in range(0, n_windows, 20):
        chosen = range(start, min(start + 20, n_windows))
        seen = torch.cat([pictures[:, :, i : i + WINDOW_FRAMES] for i in chosen])
        lips.append(judge.forward_lip(seen.to(device)).detach().cpu())
        heard = torch.cat([cepstra[..., 4 * i : 4 * i + 20] for i in chosen])
        sounds.append(judge.forward_aud(heard.to(device)).detach().cpu())
    return score_curve(embedding_distances(torch.cat(lips).numpy(), torch.cat(sounds).numpy())).mean_distances

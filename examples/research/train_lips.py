"""Trains the lip reader on mouths whose truth is known, first drawn ones, then also real closed ones warped open.

    python -m examples.research.train_lips OUT.npz [--cache CACHE --list train.txt] [--mouths 26000] [--steps 1300] \\
        [--seed 1]

The second phase needs a cache of aligned 96 px crops: the most closed mouths of the clips in --list (of
all without), as the first phase reads them, are opened. Without a cache there is one phase.

The shipped weights: the defaults, with the cache of GRID and its train list; 12 minutes on one core. Of the 26,000
mouths of the second phase two of five are real ones of 220 clips (1,760 closed mouths), opened.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from examples.research.drawn_mouths import PUPPETS, Floats, Mouth, draw_mouth, draw_puppet, spoil
from examples.research.opened_mouths import open_mouth
from w2l.cache.crops import open_crops
from w2l.models.lip_reader import load_lips, save_lips
from w2l.nets.lips import GAP_UNIT, HOME, POINT_UNIT, Lips, mouth_region

BATCH = 64
RATE = 2e-3
SHIFT = 4
"""Pixels by which a batch is moved at most, each way."""
GAP_WEIGHT = 3.0
"""Weight of the gap's loss; each coordinate has 1."""
KNEE = 0.1
"""Error from which on the loss grows linearly."""
CLIPS, PER_CLIP = 220, 8
"""Clips that closed mouths are taken from, and how many of each."""
CLOSED_PX = 1.2
"""Gap in pixels up to which a real mouth is taken as closed."""
OPENED = 0.4
"""Share of opened real mouths in the second phase."""
HELD_OUT = 500

Region = NDArray[np.uint8]


def main() -> None:
    """Draws, trains, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--list", type=Path, help="clips that may be used, one speaker/clip a line")
    parser.add_argument("--start", type=Path, help="weights to begin the second phase with")
    parser.add_argument("--mouths", type=int, default=26000)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)
    data = "drawn mouths and puppets"
    if options.start is None:
        network = Lips()
        train(network, *draw(rng, options.mouths, []), steps=options.steps)
    else:
        network = load_lips(options.start).requires_grad_(True)
    if options.cache is not None:
        allowed = options.list.read_text().split() if options.list else None
        closed = closed_mouths(options.cache, network, rng, allowed)
        print(f"{len(closed)} closed mouths", flush=True)
        train(network, *draw(rng, options.mouths, closed), steps=options.steps)
        data += ", closed mouths of the GRID corpus (Cooke et al., 2006; CC BY 4.0), warped open"
    save_lips(options.out, network, data=data, licence="MIT; with GRID: attribution to Cooke et al., 2006 (CC BY 4.0)")


def draw(rng: np.random.Generator, count: int, closed: list[tuple[Region, Floats]]) -> tuple[Tensor, Tensor]:
    """`count` mouths as regions (count, 3, 48, 64) uint8 and what `Lips.raw` should say of them (count, 13)."""

    def one() -> Mouth:
        if closed and rng.random() < OPENED:
            return open_mouth(rng, *closed[int(rng.integers(len(closed)))])
        return draw_puppet(rng) if rng.random() < PUPPETS else draw_mouth(rng)

    images, truths = [], []
    for _ in range(count):
        image, points, gap = spoil(rng, one())
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        truths.append(np.append(((points - HOME) / POINT_UNIT).ravel(), gap / GAP_UNIT))
    return torch.stack(images), torch.from_numpy(np.array(truths, dtype=np.float32))


def train(network: Lips, images: Tensor, truths: Tensor, steps: int) -> None:
    """Fits a lip reader; the last mouths are held out and measured at the end."""
    network.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=RATE / 100)
    weights = torch.ones(truths.shape[1])
    weights[-1] = GAP_WEIGHT
    for step in range(1, steps + 1):
        pick = torch.randint(len(images) - HELD_OUT, (BATCH,))
        batch, truth = _shifted(images[pick].float() / 255, truths[pick])
        found = network.raw(batch.contiguous(memory_format=torch.channels_last))
        loss = (F.smooth_l1_loss(found, truth, reduction="none", beta=KNEE) * weights).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} | loss {loss.item():.4f}", flush=True)
    network.eval()
    with torch.inference_mode():
        found = network.raw(images[-HELD_OUT:].float() / 255)
    truth = truths[-HELD_OUT:]
    off = (found - truth).abs().mean(dim=0).tolist()
    gap, points = off[-1] * GAP_UNIT, sum(off[:-1]) / len(off[:-1]) * POINT_UNIT
    corr = float(torch.corrcoef(torch.stack([found[:, -1], truth[:, -1]]))[0, 1])
    print(f"held out: gap off by {gap:.2f} px, r {corr:.3f}, points off by {points:.2f} px")


def _shifted(batch: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The batch moved by a few pixels, its truth with it."""
    right, down = (int(way) for way in torch.randint(-SHIFT, SHIFT + 1, (2,)))
    rows, columns = batch.shape[2:]
    padded = F.pad(batch, (SHIFT,) * 4, mode="replicate")
    moved = padded[:, :, SHIFT - down : SHIFT - down + rows, SHIFT - right : SHIFT - right + columns]
    truth = truth.clone()
    truth[:, 0:-1:2] += right / POINT_UNIT
    truth[:, 1:-1:2] += down / POINT_UNIT
    return moved, truth


def closed_mouths(
    cache: Path, network: Lips, rng: np.random.Generator, allowed: list[str] | None
) -> list[tuple[Region, Floats]]:
    """Regions (48, 64, 3) and points (6, 2), in pixels, of the most closed mouths of some clips of a cache."""
    found = []
    for frames in _clips(cache, rng, allowed):
        crops = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
        regions = mouth_region(crops.float() / 255)
        with torch.inference_mode():
            raw = network.raw(regions).numpy()
        gaps = raw[:, -1] * GAP_UNIT
        points = raw[:, :-1].reshape(-1, 6, 2) * POINT_UNIT + HOME
        closed = np.flatnonzero(gaps <= min(CLOSED_PX, float(np.percentile(gaps, 12))))
        for frame in rng.permutation(closed)[:PER_CLIP]:
            region = np.round(regions[frame].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            found.append((region, points[frame].astype(np.float64)))
    return found


def _clips(cache: Path, rng: np.random.Generator, allowed: list[str] | None) -> Iterator[NDArray[np.uint8]]:
    """Crops (frames, 96, 96, 3) of the first track of some clips."""
    tracks = sorted((cache / "clips").glob("**/tracks/*"))
    names = ["/".join(track.relative_to(cache / "clips").parts[:-2]) for track in tracks]
    usable = [track for track, name in zip(tracks, names) if allowed is None or name in allowed]
    for number in rng.permutation(len(usable))[:CLIPS]:
        yield open_crops(usable[number])[0:10_000]


if __name__ == "__main__":
    main()

r"""Train the lip reader on real mouths labelled by the face mesh, and on drawn ones.

    python -m examples.research.train_lips OUT.npz [--labels LABELS.npz ...] [--drawn 20000] [--real 160000] \
        [--steps 12000]

LABELS are outputs of `mesh_labels.py`; a fifth of the people of portraits, by the hash of their name, is excluded from
training (see `mesh_mouths.is_left_out`). Some of the drawn mouths are replaced by labelled closed ones, warped open by
a known gap. Objects are drawn over some mouths and beside others. Without labels, all mouths are drawn.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from examples.research.drawn_mouths import PUPPETS, Floats, draw_mouth, draw_puppet
from examples.research.mesh_mouths import COVERED, FAR, Choice, Labels, closed_of, draw_real, finished, is_left_out
from examples.research.opened_mouths import open_mouth
from w2l.models.lip_reader import load_lips, save_lips
from w2l.nets.lips import GAP_UNIT, N_EXTRAS, N_POINTS, POINT_UNIT, LipDimensions, Lips

BATCH = 128
RATE = 2e-3
SHIFT = 4
"""Largest shift of a batch in pixels, in each direction."""
GAP_WEIGHT = 3.0
"""Weight of the loss of the gap, relative to that of a coordinate."""
KNEE = 0.05
"""Error from which the loss grows linearly."""
OPENED = 0.45
"""Share of real mouths warped open among the drawn ones, if there are labels."""
PLACES = 2 * N_POINTS + 2
"""Columns of a ground truth that are lengths: points, gap, width. The others are teeth and cover."""
GAP = 2 * N_POINTS
"""The column of the gap."""
STATE_WEIGHT = 0.06
"""Weight of the cross entropy of teeth and of cover, relative to the mean loss of a length."""
FEATURES = 72
"""Number of units of the layer before the last."""
HELD_OUT = 500

Region = NDArray[np.uint8]


def main() -> None:
    """Make the mouths, train the lip reader and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    parser.add_argument("--drawn", type=int, default=20000)
    parser.add_argument("--real", type=int, default=160000)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="Initial weights, of a reader with extras.")
    parser.add_argument("--rate", type=float, default=RATE, help="Learning rate; less with --start.")
    parser.add_argument("--puppets", type=float, default=PUPPETS, help="Share of puppets among the drawn mouths.")
    parser.add_argument("--data", default="drawn mouths and puppets", help="Description of the data for the card.")
    parser.add_argument("--licence", default="MIT", help="Licence of the weights for the card.")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)
    labels = [train_part(Labels.read(path)) for path in options.labels]
    closed = [mouth for each in labels for mouth in closed_of(each)]
    images, truths = draw(rng, options.drawn, closed, puppets=options.puppets)
    print(f"{len(closed)} closed mouths, {len(images)} drawn or opened", flush=True)
    if labels:
        real, of_real = draw_labelled(rng, options.real, labels)
        images, truths = torch.cat([images, real]), torch.cat([truths, of_real])
        print(f"{len(real)} real mouths", flush=True)
    order = torch.randperm(len(images))
    network = Lips(LipDimensions(features=FEATURES, extras=N_EXTRAS))
    if options.start is not None:
        network = load_lips(options.start).requires_grad_(True)
    train(network, images[order], truths[order], options.steps, options.rate)
    save_lips(options.out, network, data=options.data, licence=options.licence)


def train_part(labels: Labels) -> Labels:
    """Return the labelled mouths of people who are not left out of training."""
    return labels.select(np.array([not is_left_out(person) for person in labels.person.tolist()], dtype=np.bool_))


def draw(
    rng: np.random.Generator,
    count: int,
    closed: list[tuple[Region, Floats]],
    covers: bool = True,
    puppets: float = PUPPETS,
) -> tuple[Tensor, Tensor]:
    """Return `count` drawn or opened mouths, (count, 3, 48, 64) uint8, and ground truths (count, 16), nan if unknown.

    `puppets` is their share of the drawn ones. Without `covers` nothing is drawn over or beside the mouths.
    """
    images, truths = [], []
    for _ in range(count):
        if closed and rng.random() < OPENED:
            mouth = open_mouth(rng, *closed[int(rng.integers(len(closed)))])
        else:
            mouth = draw_puppet(rng) if rng.random() < puppets else draw_mouth(rng)
        teeth = 0.0 if mouth.gap == 0 else float("nan")
        image, truth = finished(rng, mouth, teeth, covers=COVERED * covers, far=FAR * covers)
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        truths.append(torch.from_numpy(truth))
    return torch.stack(images), torch.stack(truths)


def draw_labelled(rng: np.random.Generator, count: int, labels: list[Labels]) -> tuple[Tensor, Tensor]:
    """Return `count` labelled mouths in the same form as `draw`."""
    joint = Labels(**{key: np.concatenate([getattr(each, key) for each in labels]) for key in vars(labels[0])})
    choice = Choice(joint)
    images = torch.empty((count, 3, 48, 64), dtype=torch.uint8)
    truths = torch.empty((count, PLACES + 2))
    for number in range(count):
        image, truth = finished(rng, *draw_real(rng, joint, choice.draw(rng)))
        images[number], truths[number] = torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(truth)
    return images, truths


def train(network: Lips, images: Tensor, truths: Tensor, steps: int, rate: float = RATE) -> None:
    """Train a lip reader; the last mouths are held out and measured at the end."""
    network.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate / 100)
    for step in range(1, steps + 1):
        pick = torch.randint(len(images) - HELD_OUT, (BATCH,))
        batch, truth = _shifted(images[pick].float() / 255, truths[pick])
        found = network.everything(batch.contiguous(memory_format=torch.channels_last))
        loss = loss_of(found, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} | loss {loss.item():.4f}", flush=True)
    network.eval()
    with torch.inference_mode():
        found = network.everything(images[-HELD_OUT:].float() / 255)
    _report(found, truths[-HELD_OUT:])


def loss_of(found: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of outputs (batch, 16); values that are nan in `truth` are ignored."""
    known = ~truth.isnan()
    truth = truth.nan_to_num()
    weights = torch.ones(PLACES)
    weights[GAP] = GAP_WEIGHT
    lengths = F.smooth_l1_loss(found[:, :PLACES], truth[:, :PLACES], reduction="none", beta=KNEE)
    places = known[:, :PLACES] * weights
    states = F.binary_cross_entropy_with_logits(found[:, PLACES:], truth[:, PLACES:], reduction="none")
    asked = known[:, PLACES:].float()
    mean = (lengths * places).sum() / known[:, :PLACES].sum().clamp(min=1)
    return mean + STATE_WEIGHT * (states * asked).sum() / asked.sum().clamp(min=1)


def _report(found: Tensor, truth: Tensor) -> None:
    """Print the errors on held-out mouths."""
    clear = ~truth[:, 0].isnan()
    off = (found - truth)[clear].abs().mean(dim=0)
    points, gap = off[:GAP].mean().item() * POINT_UNIT, off[GAP].item() * GAP_UNIT
    corr = float(torch.corrcoef(torch.stack([found[clear, GAP], truth[clear, GAP]]))[0, 1])
    print(f"held out: gap off by {gap:.2f} px, r {corr:.3f}, points off by {points:.2f} px")
    for column, name in ((PLACES, "teeth"), (PLACES + 1, "cover")):
        known = ~truth[:, column].isnan()
        right = (found[known, column] > 0) == (truth[known, column] > 0.5)
        print(f"held out: {name} right in {right.float().mean().item():.3f} of {int(known.sum())}")


def _shifted(batch: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the batch and its ground truth, shifted by a few pixels."""
    right, down = (int(way) for way in torch.randint(-SHIFT, SHIFT + 1, (2,)))
    rows, columns = batch.shape[2:]
    padded = F.pad(batch, (SHIFT,) * 4, mode="replicate")
    moved = padded[:, :, SHIFT - down : SHIFT - down + rows, SHIFT - right : SHIFT - right + columns]
    truth = truth.clone()
    truth[:, 0:GAP:2] += right / POINT_UNIT
    truth[:, 1:GAP:2] += down / POINT_UNIT
    return moved, truth


if __name__ == "__main__":
    main()

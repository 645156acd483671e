"""Train the predictor of lip shapes from audio on the tracks of a cache, labelled by the lip reader.

    python -m examples.research.train_speech_lips CACHE OUT.npz --leave-out s3 --leave-out s5

Prints for each speaker the mean correlation over clips of predicted and true opening and width. People left out of
training show what holds for strangers.
"""

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from w2l.cache.crops import Crops
from w2l.cache.store import Cache
from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError
from w2l.core.timing import FPS, MEL_RATE
from w2l.features.mel import MEL_LIMIT
from w2l.features.windows import mel_window
from w2l.models.lip_reader import BATCH as LIP_BATCH
from w2l.models.lip_reader import read_mouths
from w2l.models.speech_lips import relative_shapes, save_speech_lips, shapes_in_speech
from w2l.nets.speech_lips import SpeechLips

BATCH = 128
RATE, DECAY = 3e-3, 0.02
KNEE = 0.2
"""Error from which the loss grows linearly."""
LEVEL, TILT = 0.3, 0.3
"""Standard deviations of the change of level and of spectral tilt from the lowest to the highest band."""
MOST_SHIFT = 4
"""Largest shift of the bands, which moves pitch and formants."""
NOISY, MOST_NOISE = 0.5, 1.8
"""Share of windows with a floor of noise, and its largest level above silence."""


@dataclass(frozen=True)
class Clip:
    """A clip with the shapes of its lips."""

    name: str
    speaker: str
    mel: NDArray[np.float32]
    shapes: Floats
    """(frames, 2): opening and width, relative to the range of the clip."""

    @property
    def middles(self) -> NDArray[np.int64]:
        """(frames,): mel column in the middle of each frame."""
        return np.round((np.arange(len(self.shapes)) + 0.5) * MEL_RATE / FPS).astype(np.int64)


def read_clips(cache: Cache) -> list[Clip]:
    """Return the usable tracks of a cache of aligned crops that are in sync as they are."""
    clips = []
    for row in cache.all_tracks():
        if row.status or row.offset:
            continue
        gaps, widths = _read(cache.load_crops(row))
        shapes = relative_shapes(gaps, widths, gaps, widths)
        clips.append(Clip(row.clip, row.speaker, cache.load_mel(row), shapes))
    return clips


def _read(crops: Crops) -> tuple[Floats, Floats]:
    parts = [read_mouths(np.array(crops[first : first + LIP_BATCH])) for first in range(0, len(crops), LIP_BATCH)]
    return np.concatenate([part.gaps for part in parts]), np.concatenate([part.widths for part in parts])


def train(clips: list[Clip], steps: int, seed: int) -> SpeechLips:
    """Return a predictor trained on the clips; a speaker counts by the square root of their number of frames."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = SpeechLips()
    n_columns = network.dimensions.columns
    windows = torch.from_numpy(
        np.stack(
            [mel_window(clip.mel, int(middle) - n_columns // 2, n_columns) for clip in clips for middle in clip.middles]
        )
    ).float()
    truth = torch.from_numpy(np.concatenate([clip.shapes for clip in clips])).float()
    speakers = np.concatenate([np.full(len(clip.shapes), clip.speaker) for clip in clips])
    _, who, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    weights = counts[who] ** -0.5
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    for _ in range(steps):
        batch = rng.choice(len(windows), BATCH, p=weights / weights.sum())
        loss = F.smooth_l1_loss(network(altered(windows[batch], rng)), truth[batch], beta=KNEE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def altered(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """Return windows (batch, bands, columns) of other voices in other rooms: level, tilt, pitch, noise."""
    n_windows, n_bands, _ = mel.shape
    mel = mel + LEVEL * torch.randn(n_windows, 1, 1)
    mel = mel + TILT * torch.randn(n_windows, 1, 1) * torch.linspace(-1, 1, n_bands)[None, :, None]
    shift = int(rng.integers(-MOST_SHIFT, MOST_SHIFT + 1))
    mel = mel[:, np.clip(np.arange(n_bands) - shift, 0, n_bands - 1)]
    floor = MOST_NOISE * torch.rand(n_windows, 1, 1) * (torch.rand(n_windows, 1, 1) < NOISY) - MEL_LIMIT
    return torch.maximum(mel, floor + 0.15 * torch.randn_like(mel)).clamp(-MEL_LIMIT, MEL_LIMIT)


def correlations(clips: list[Clip], network: SpeechLips) -> Floats:
    """Return the mean correlation (2,) over clips of predicted and true opening and width."""
    found = []
    for clip in clips:
        predicted = shapes_in_speech(clip.mel, clip.middles, network)
        found.append([np.corrcoef(predicted[:, one], clip.shapes[:, one])[0, 1] for one in (0, 1)])
    return np.asarray(np.nanmean(found, axis=0))


@click.command(help=__doc__)
@click.argument("cache", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--leave-out", multiple=True, metavar="SPEAKER", help="Speakers who are measured but not trained on.")
@click.option("--steps", default=1500, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--data", default="", help="Description of the data for the card.")
@click.option("--licence", default="", help="Licence of the weights for the card.")
def main(
    cache: Path, out: Path, leave_out: tuple[str, ...], steps: int, seed: int, data: str, licence: str
) -> None:  # fmt: skip
    """Read the clips, train and measure."""
    clips = read_clips(Cache.open(cache))
    learnt = [clip for clip in clips if clip.speaker not in leave_out]
    if not learnt:
        raise ConfigError(f"{cache} contains no usable tracks of speakers who are not left out")
    network = train(learnt, steps, seed)
    save_speech_lips(out, network, data=data, licence=licence)
    print("speaker  clips  opening  width")
    for speaker in sorted({clip.speaker for clip in clips}):
        of_one = [clip for clip in clips if clip.speaker == speaker]
        opening, width = correlations(of_one, network)
        print(f"{speaker:8s} {len(of_one):5d}  {opening:7.3f}  {width:5.3f}{'  left out' * (speaker in leave_out)}")


if __name__ == "__main__":
    main()

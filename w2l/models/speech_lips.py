"""The shipped predictor of lip shapes from audio, see `w2l.nets.speech_lips`."""

import functools
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.features.windows import mel_window
from w2l.models.network_file import load_network, save_network
from w2l.nets.speech_lips import N_SHAPES, SpeechLips, SpeechLipsDimensions

WEIGHTS = Path(__file__).parent / "assets" / "speech-lips.npz"
"""The shipped weights, see `w2l.models.network_file`."""
OPENING_RANGE, WIDTH_RANGE = (10.0, 97.0), (5.0, 95.0)
"""Percentiles of a person's gaps and mouth widths in speech that count as 0 and 1."""
LEAST_RANGE = 0.02
"""Least difference of the two, in eye distances; less is the error of the lip reader."""
BEYOND = 0.2
"""Largest excess beyond 0..1."""
BATCH = 256
"""Windows per batch."""


def save_speech_lips(path: Path, network: SpeechLips, **facts: str) -> None:
    """Write a predictor with its metadata: training data, licence."""
    save_network(path, network, network.dimensions, facts)


def load_speech_lips(path: Path = WEIGHTS) -> SpeechLips:
    """Return the predictor of a file, in eval mode; raise CheckpointError if the file is not one."""
    return load_network(
        path, lambda dimensions: SpeechLips(SpeechLipsDimensions(**dimensions)), "predictor of lip shapes"
    )


@functools.cache
def shipped_speech_lips() -> SpeechLips:
    """Return the predictor that ships with w2l; loaded once."""
    return load_speech_lips()


def shapes_in_speech(
    mel: NDArray[np.float32], middles: NDArray[np.int64], network: SpeechLips | None = None
) -> NDArray[np.float32]:
    """Return opening and width (frames, 2), relative to the person's range, that go with the audio.

    Parameters
    ----------
    mel : (80, columns)
    middles : (frames,)
        Mel column in the middle of each frame.
    network : SpeechLips, optional
        The predictor  [the shipped one]
    """
    network = network or shipped_speech_lips()
    n_columns = network.dimensions.columns
    found = []
    for first in range(0, len(middles), BATCH):
        windows = [
            mel_window(mel, int(middle) - n_columns // 2, n_columns) for middle in middles[first : first + BATCH]
        ]
        with torch.inference_mode():
            found.append(network(torch.from_numpy(np.stack(windows)).float()).numpy())
    return np.concatenate(found) if found else np.zeros((0, N_SHAPES), dtype=np.float32)


def relative_shapes(gaps: Floats, widths: Floats, spoken_gaps: Floats, spoken_widths: Floats) -> Floats:
    """Return opening and width (mouths, 2) relative to the range in the person's speech.

    Parameters
    ----------
    gaps, widths : (mouths,)
        Gap between the lips and width of the mouth, in eye distances.
    spoken_gaps, spoken_widths : (frames,)
        The same of a sequence of frames in which the person speaks.
    """
    pairs = ((gaps, spoken_gaps, OPENING_RANGE), (widths, spoken_widths, WIDTH_RANGE))
    return np.column_stack([_relative(values, spoken, ends) for values, spoken, ends in pairs])


def _relative(values: Floats, spoken: Floats, ends: tuple[float, float]) -> Floats:
    low, high = np.percentile(spoken, ends)
    return np.asarray(np.clip((values - low) / max(float(high - low), LEAST_RANGE), -BEYOND, 1 + BEYOND))

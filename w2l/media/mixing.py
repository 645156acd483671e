"""Mix several audio files into one, piece by piece."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from w2l.core.files import write_atomic
from w2l.media.container import ReadStats, open_input
from w2l.media.resampling import Resampler
from w2l.media.sound_blocks import sound_blocks, sound_stream
from w2l.media.soundtrack import stereo_weights

RATE = 48_000
"""Samples per second of a mix."""
PIECE = RATE
"""Number of samples mixed at a time."""
FULL = 0.99
"""Peak to which a mix that would clip is attenuated."""


def mix(paths: Sequence[Path], output: Path) -> None:
    """Write the sum of audio files that start at the same time, as stereo FLAC with the length of the longest.

    A sum that would clip is attenuated as a whole. Every file is read twice, a piece at a time.

    Raises MediaError for a file without audio, and CacheError if `output` cannot be written.
    """
    peak = max((float(np.abs(piece).max()) for piece in _sum(paths)), default=0.0)
    gain = np.float32(min(1.0, FULL / peak) if peak else 1.0)

    def write(file: object) -> None:
        with soundfile.SoundFile(file, "w", RATE, 2, "PCM_16", format="FLAC") as writer:
            for piece in _sum(paths):
                writer.write((gain * piece).T)

    write_atomic(output, write)


def _sum(paths: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Yield pieces (2, samples) of the sum of all files."""
    sounds = [_pieces(path) for path in paths]
    while pieces := [piece for sound in sounds if (piece := next(sound, None)) is not None]:
        total = np.zeros((2, max(piece.shape[1] for piece in pieces)), np.float32)
        for piece in pieces:
            total[:, : piece.shape[1]] += piece
        yield total


def _pieces(path: Path) -> Iterator[NDArray[np.float32]]:
    """Yield the audio of a file in pieces (2, `PIECE`), the last one shorter."""
    waiting = np.zeros((2, 0), np.float32)
    for samples in _stereo(path):
        waiting = np.concatenate([waiting, samples], axis=1)
        while waiting.shape[1] >= PIECE:
            yield waiting[:, :PIECE]
            waiting = waiting[:, PIECE:]
    if waiting.shape[1]:
        yield waiting


def _stereo(path: Path) -> Iterator[NDArray[np.float32]]:
    resampler = Resampler(RATE, 2)
    with open_input(path) as container:
        for block in sound_blocks(container, sound_stream(container, path), ReadStats()):
            if len(block.samples) <= 2:
                both = np.repeat(block.samples, 2 // len(block.samples), axis=0)
            else:
                both = stereo_weights(block.speakers) @ block.samples
            yield resampler.push(both, block.rate)
    yield resampler.flush()

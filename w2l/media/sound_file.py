"""Read plain WAV and FLAC files block by block with soundfile, 2 to 5 times as fast as PyAV and with equal samples.

Files with more than two channels stay with PyAV, which is as fast for WAV and faster for FLAC. So does Ogg: after a
lost page libsndfile continues without silence, so that all later audio comes too early, and its Opus samples differ by
up to 0.003.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from w2l.core.limits import spend
from w2l.media.container import is_decodable

CONTAINERS = frozenset({"wav", "flac"})
"""Demuxers, by FFmpeg's names, whose files soundfile reads."""
FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC"})
"""The same kinds of files, by libsndfile's names."""
ENCODINGS = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"})
"""Encodings for which both libraries give the same samples; for ADPCM and GSM they do not."""
MOST_CHANNELS = 2
"""Most channels that soundfile reads."""
BLOCK_SAMPLES = 2**14
"""Most samples per channel in one block."""


class IncompleteError(Exception):
    """Soundfile cannot read a file, or not to its declared end."""


def is_plain(container: Any) -> bool:
    """Return whether an opened file (PyAV's) is WAV or FLAC with one audio track, mono or stereo."""
    tracks = container.streams.audio
    return (
        container.format.name in CONTAINERS
        and len(tracks) == 1
        and is_decodable(tracks[0])
        and tracks[0].channels <= MOST_CHANNELS
    )


def plain_samples(path: Path, rate: int, n_channels: int, n_samples: int) -> Iterator[NDArray[np.float32]]:
    """Yield all samples (channels, samples) in -1..1 of a WAV or FLAC file from its start to its end.

    Raises IncompleteError for an encoding that is not in `ENCODINGS`, for damage, and if soundfile finds another rate,
    number of channels or length than PyAV did.
    """
    try:
        with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            if sound.format not in FORMATS or sound.subtype not in ENCODINGS:
                raise IncompleteError(f"{sound.format} with {sound.subtype}")
            if (sound.samplerate, sound.channels, sound.frames) != (rate, n_channels, n_samples):
                raise IncompleteError(f"{sound.frames} samples, {sound.channels} channels, {sound.samplerate} Hz")
            n_left = n_samples
            while n_left > 0:
                block = sound.read(BLOCK_SAMPLES, "float32", always_2d=True)
                if not len(block):
                    raise IncompleteError(f"ends {n_left} samples early")
                spend(0)
                n_left -= len(block)
                yield np.ascontiguousarray(block.T)
    except (soundfile.SoundFileError, OSError) as error:
        raise IncompleteError(str(error)) from error

"""The audio that drives `sync`: the mel of the speech or of a stem of it, and its length."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import MediaError
from w2l.core.timing import MIN_SPEECH_S, SAMPLE_RATE
from w2l.features.speech import mel_of_pieces
from w2l.media.audio import SpeechTrack, Wave, read_speech

logger = logging.getLogger(__name__)

OTHER_LENGTH_S = 1.0
"""Difference in length between a stem and its mix, in seconds, from which a warning is logged."""


@dataclass(frozen=True)
class HeardSpeech:
    """The decoded speech."""

    mel: NDArray[np.float32]
    """(80, columns)"""
    duration_s: float
    """Length of the speech in seconds."""
    stream_idx: int
    """Index of its stream in the file."""
    stems: tuple[NDArray[np.float32], ...] = ()
    """Mel (80, columns) of each stem, as long as `mel`."""


def hear(
    path: Path,
    origin_s: float | None = None,
    *,
    track: int | None = None,
    drive: Path | None = None,
    stems: Sequence[Path] = (),
) -> HeardSpeech:
    """Return the mel and the length of the speech at `path`.

    Parameters
    ----------
    origin_s : float, optional
        Time in the file's clock that counts as 0; see `read_audio`.
    track : int, optional
        Index of the audio track; by default see `read_speech`.
    drive : Path, optional
        A file whose audio drives the mouth instead, such as the voice without the music. Both start at the same time;
        the length is that of the speech.
    stems : sequence of Path
        Further files, aligned in the same way, that each drive another face.

    Raises MediaError without audio or with less than one window of it, and ConfigError for a missing track.
    """
    if drive is None:
        (mel, n_samples), heard = read_speech(path, mel_of_pieces, origin_s=origin_s, track=track)
        _warn_of_silence(path, heard)
    else:
        n_samples, heard = read_speech(path, _count, origin_s=origin_s, track=track)
        begins = 0 if origin_s is None else round((heard.first_s - origin_s) * SAMPLE_RATE)
        mel = _mel_of_stem(drive, begins, n_samples, path)
    duration_s = n_samples / SAMPLE_RATE
    if duration_s < MIN_SPEECH_S:
        raise MediaError(f"{path}: the speech lasts {duration_s:.3f} s; at least {MIN_SPEECH_S} s are required")
    begins = 0 if origin_s is None else round((heard.first_s - origin_s) * SAMPLE_RATE)
    apart = tuple(_mel_of_stem(stem, begins, n_samples, None) for stem in stems)
    return HeardSpeech(mel, duration_s, heard.stream_idx, apart)


def _mel_of_stem(drive: Path, begins: int, n_samples: int, mix: Path | None) -> NDArray[np.float32]:
    """Return the mel of a stem whose first sample is number `begins` of the `n_samples` of its mix."""
    n_own = 0

    def counted(pieces: Iterator[Wave]) -> Iterator[Wave]:
        nonlocal n_own
        n_own = 0
        for piece in pieces:
            n_own += piece.size
            yield piece

    def mel_of(pieces: Iterator[Wave]) -> NDArray[np.float32]:
        return mel_of_pieces(_laid_in(counted(pieces), begins, n_samples))[0]

    mel, heard = read_speech(drive, mel_of)
    _warn_of_silence(drive, heard)
    if mix is not None and abs(begins + n_own - n_samples) > OTHER_LENGTH_S * SAMPLE_RATE:
        lengths = f"{n_own / SAMPLE_RATE:.2f} s, not the {n_samples / SAMPLE_RATE:.2f} s of {mix}"
        logger.warning("%s: lasts %s; both should start and end at the same time", drive, lengths)
    return mel


def _laid_in(pieces: Iterator[Wave], begins: int, n_samples: int) -> Iterator[Wave]:
    """Yield `n_samples` samples of silence that contain the audio of `pieces` from sample `begins`."""
    n_done = max(0, min(begins, n_samples))
    n_skip = max(0, -begins)
    yield np.zeros(n_done, np.float32)
    for piece in pieces:
        kept = piece[n_skip : n_skip + n_samples - n_done]
        n_skip = max(0, n_skip - piece.size)
        n_done += kept.size
        yield kept
    yield np.zeros(n_samples - n_done, np.float32)


def _count(pieces: Iterator[Wave]) -> int:
    return sum(piece.size for piece in pieces)


def _warn_of_silence(path: Path, heard: SpeechTrack) -> None:
    if heard.is_silent:
        logger.warning("%s: the audio is silent, so the mouth stays closed; choose another track or file", path)

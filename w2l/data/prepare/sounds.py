"""Audio of a clip for preprocess: where it is read from, and what is stored of it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.data.sources.listing import sound_beside
from w2l.features.mel import mel_spectrogram, mfcc, to_int16
from w2l.media.audio import read_audio
from w2l.media.video import VideoInfo

Sounds = dict[str, NDArray[np.float32]]
"""Audio features of a track, by the name of their file: `mel` and, for a judge, `mfcc`."""


def read_clip_audio(path: Path, info: VideoInfo) -> NDArray[np.float32] | None:
    """Return the audio (samples,) of a video, else of the file that `sound_beside` finds; None without either."""
    if info.has_sound:
        return read_audio(path, origin_s=info.start_s)
    beside = sound_beside(path)
    return read_audio(beside) if beside else None


def sound_features(wave: NDArray[np.float32], crop_kind: str) -> Sounds:
    """Return the features of a track's audio (samples,) for crops of a kind."""
    sounds = {"mel": mel_spectrogram(wave)}
    if crop_kind == "judge":
        sounds["mfcc"] = mfcc(to_int16(wave))
    return sounds

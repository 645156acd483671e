"""Convert audio to another sample rate piece by piece, with FFmpeg's resampler."""

import av
import numpy as np
from numpy.typing import NDArray

from w2l.media.sound_blocks import as_float


class Resampler:
    """Converter of audio of any rates to one rate, piece by piece."""

    def __init__(self, rate: int, n_channels: int = 1) -> None:
        self._rate = rate
        self._layout = {1: "mono", 2: "stereo"}[n_channels]
        self._nothing = np.zeros((n_channels, 0), np.float32)
        self._in_rate = 0
        self._resampler: av.AudioResampler | None = None

    def push(self, samples: NDArray[np.float32], in_rate: int) -> NDArray[np.float32]:
        """Return the audio (channels, samples) at the new rate that is ready after this piece at `in_rate`."""
        tail = self._nothing
        if in_rate != self._in_rate:
            tail = self.flush()
            self._in_rate = in_rate
            if in_rate != self._rate:
                self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        if self._resampler is None:
            return np.concatenate([tail, samples], axis=1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", self._layout)
        frame.sample_rate = in_rate
        return np.concatenate([tail, *map(as_float, self._resampler.resample(frame))], axis=1)

    def flush(self) -> NDArray[np.float32]:
        """Return the last samples at the end of the stream."""
        frames = self._resampler.resample(None) if self._resampler is not None else []
        self._resampler = None
        return np.concatenate([self._nothing, *map(as_float, frames)], axis=1)

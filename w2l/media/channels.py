"""Determine which channels of a track contain speech, measured piece by piece while it is read."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BAND_RATE = 8000
"""Sample rate at which speech is measured; higher frequencies are not needed for this."""
FRAME_S = 0.05
"""Length in seconds of the frames in which power is measured, shorter than a syllable."""
NO_SPEECH = 0.1
"""Share of the best channel's speech (-20 dB) below which a channel counts as having none."""
CANCELLED = 0.3
"""Power of the average relative to the channels below which they cancel each other out; 0.5 for unrelated channels."""
CANCELLED_FRAME = 0.1
"""The same for a single frame, whose power is less certain."""
MOST_CANCELLED = 0.1
"""Largest share of the power in cancelled frames."""
STEADY = 0.2
"""Least variation of the level of speech, relative to its mean: about 1 in speech, 0.05 in noise, 0 in hum."""
CONSTANT = 1e-6
"""Change from sample to sample of the voice band below which it counts as silent: that of 100 Hz at -95 dB."""
SILENT = 1e-4
"""Peak below which audio counts as silent: -80 dB."""
QUIET = 1e-3
"""Peak below which audio is barely audible: -60 dB."""

USUAL_CHANNELS: dict[int, tuple[str, ...]] = {
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Number of channels -> their roles, if the file does not specify them."""


@dataclass(frozen=True)
class ChannelChoice:
    """Channels to average, and the reason."""

    channels: tuple[int, ...] = ()
    """Indices of the channels; empty: all."""
    reason: str = ""
    """Reason for the log."""
    level: int = logging.INFO
    """Log level of the reason."""


def speakers_of(frame: Any) -> tuple[str, ...]:
    """Return the roles of the channels of a decoded frame (PyAV's), with FFmpeg's names: FL is front left."""
    names = tuple(channel.name for channel in frame.layout.channels)
    return names if {"FL", "FC"} & set(names) else USUAL_CHANNELS.get(len(names), names)


def first_choice(speakers: tuple[str, ...]) -> ChannelChoice:
    """Return the channels to read before measuring: the centre, where dialogue is, else front left and right."""
    if len(speakers) < 3:
        return ChannelChoice()
    if "FC" in speakers:
        return ChannelChoice((speakers.index("FC"),), f"of {len(speakers)} channels the centre is read")
    pair = front_pair(speakers)
    return (
        ChannelChoice(pair, f"of {len(speakers)} channels front left and right are read") if pair else ChannelChoice()
    )


def front_pair(speakers: tuple[str, ...]) -> tuple[int, int] | None:
    """Return the indices of the stereo pair; None if there is none."""
    if len(speakers) == 2:
        return 0, 1
    if "FL" in speakers and "FR" in speakers:
        return speakers.index("FL"), speakers.index("FR")
    return None


class SpeechMeter:
    """Meter of the amount of speech in each channel of a track, and of cancellation between two channels.

    The measure is the standard deviation of the level of the voice band in frames of 50 ms, as speech varies from
    syllable to syllable and hum and noise do not.
    """

    def __init__(self, speakers: tuple[str, ...]) -> None:
        self.speakers = speakers
        """Roles of the channels."""
        self.first = first_choice(speakers)
        """Channels that are read until everything is measured."""
        self._pair = front_pair(speakers)
        n_rows = len(speakers) + (self._pair is not None)
        self._powers, self._levels = np.zeros(n_rows), np.zeros(n_rows)
        self._n_frames = 0
        self._most = 0.0
        self._cancelled = 0.0
        self._rate = self._n_waiting = 0
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, samples: NDArray[np.float32], rate: int) -> None:
        """Take the next (channels, samples); pieces with a different number of channels are skipped."""
        if samples.shape[0] != len(self.speakers):
            return
        if rate != self._rate:
            self._waiting, self._n_waiting, self._rate = [], 0, rate
        self._waiting.append(samples)
        self._n_waiting += samples.shape[1]
        if self._n_waiting >= rate:
            self._measure()

    def choice(self) -> ChannelChoice:
        """Return the channels to read, from everything that was added."""
        self._measure()
        speech = self.speech
        best = float(speech.max(initial=0.0))
        if len(speech) < 2 or not best > 0.0:
            return self.first
        has_speech = speech >= NO_SPEECH * best
        if len(speech) > 2 and "FC" in self.speakers and has_speech[self.speakers.index("FC")]:
            return self.first
        if self._pair is not None and has_speech[list(self._pair)].any():
            return self._of_pair(self._pair, speech)
        loudest = int(speech.argmax())
        return self._alone(loudest, "the others contain no speech")

    @property
    def speech(self) -> NDArray[np.float64]:
        """Return the amount of speech in each channel, (channels,)."""
        return self._spread()[: len(self.speakers)]

    @property
    def is_constant(self) -> bool:
        """Return whether the samples hardly change in any channel: silence, also where it is not at zero."""
        self._measure()
        return self._n_frames > 0 and self._most < CONSTANT**2

    @property
    def is_steady(self) -> bool:
        """Return whether no channel varies like speech."""
        self._measure()
        means = self._levels / max(1, self._n_frames)
        return bool((self._spread() <= STEADY * means).all())

    def _spread(self) -> NDArray[np.float64]:
        """Return the standard deviation (rows,) of the level of each channel, and of the average of two."""
        count = max(1, self._n_frames)
        spread: NDArray[np.float64] = np.sqrt(np.maximum(0.0, self._powers / count - (self._levels / count) ** 2))
        return spread

    def _of_pair(self, pair: tuple[int, int], speech: NDArray[np.float64]) -> ChannelChoice:
        """Return both channels of a pair, or the better one if the other is silent or they cancel each other out."""
        better, worse = sorted(pair, key=lambda channel: (speech[channel], self._powers[channel]), reverse=True)
        if speech[worse] < NO_SPEECH * speech[better]:
            return self._alone(better, f"{self._name(worse)} holds no speech")
        own = float(self._powers[list(pair)].mean())
        if self._powers[-1] < CANCELLED * own or self._cancelled > MOST_CANCELLED * own:
            cancels = f"{self._name(worse)} and {self._name(better)} cancel each other out"
            return self._alone(better, cancels, logging.WARNING)
        return ChannelChoice() if len(speech) == 2 else ChannelChoice(pair, "front left and right are read")

    def _alone(self, channel: int, reason: str, level: int = logging.INFO) -> ChannelChoice:
        return ChannelChoice((channel,), f"channel {self._name(channel)} is read alone: {reason}", level)

    def _name(self, channel: int) -> str:
        """Return the role of a channel; its number, counted from 0, if unknown."""
        return str(channel) if self.speakers[channel] == "NONE" else self.speakers[channel]

    def _measure(self) -> None:
        """Add the complete frames of the pending samples to the sums."""
        block = max(1, self._rate // BAND_RATE)
        length = block * max(2, round(FRAME_S * self._rate / block))
        n_frames = self._n_waiting // length
        if not n_frames:
            return
        joined = np.concatenate(self._waiting, axis=1)
        self._waiting = [joined[:, n_frames * length :]]
        self._n_waiting = self._waiting[0].shape[1]
        blocks = joined[:, : n_frames * length].reshape(len(joined), n_frames, -1, block)
        low = blocks[..., 0] / np.float32(block)
        for place in range(1, block):  # faster than a mean over so short an axis
            low += blocks[..., place] / np.float32(block)
        if self._pair is not None:
            low = np.concatenate([low, low[list(self._pair)].mean(axis=0, keepdims=True)])
        # Differences hold less of hum, and more of the formants of a voice.
        power = np.square(np.diff(low, axis=2)).mean(axis=2, dtype=np.float64)
        self._n_frames += n_frames
        self._most = max(self._most, float(power.max()))
        self._powers += power.sum(axis=1)
        self._levels += np.sqrt(power).sum(axis=1)
        if self._pair is not None:
            own = power[list(self._pair)].mean(axis=0)
            self._cancelled += float(own[power[-1] < CANCELLED_FRAME * own].sum())

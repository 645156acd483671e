"""All conversions between seconds, video frames, audio samples and mel columns.

The constants are those of Wav2Lip (Prajwal et al., ACM Multimedia 2020): 25 fps video, 16 kHz audio, 80 mel columns per
second, windows of 5 frames and 16 columns.
"""

import math


def exact_div(numerator: int, denominator: int) -> int:
    """Return the quotient of two integers that must divide evenly."""
    if numerator % denominator:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return numerator // denominator


SAMPLE_RATE = 16000
"""Hz, mono."""
FPS = 25
"""Frames per second of the training data and of the networks' windows."""
HOP_LENGTH = 200
"""Samples from one mel column to the next: 12.5 ms."""
MEL_RATE = exact_div(SAMPLE_RATE, HOP_LENGTH)
"""Mel columns per second: 80."""
WINDOW_FRAMES = 5
"""T: frames per window of the expert and the discriminator: 200 ms."""
WINDOW_COLUMNS = exact_div(MEL_RATE * WINDOW_FRAMES, FPS)
"""Mel columns per window: 16."""
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)
"""Audio samples per video frame at 25 fps: 640."""
MIN_SPEECH_S = WINDOW_COLUMNS / MEL_RATE
"""Shortest audio that fills one window, in seconds: 0.2."""


def mel_columns(n_samples: int) -> int:
    """Return the number of mel columns of a centred spectrogram over `n_samples` samples."""
    return 1 + n_samples // HOP_LENGTH


def window_start(frame_idx: int, fps: float = FPS) -> int:
    """Return the first mel column of the window that begins with video frame `frame_idx`."""
    return int(frame_idx * (MEL_RATE / fps))


def generator_window_start(frame_idx: int, fps: float = FPS) -> int:
    """Return the first mel column for generating frame `frame_idx`; see `generator_window_at`.

    At 25 fps it equals ``window_start(frame_idx - 1)``.
    """
    return generator_window_at(frame_idx / fps)


def generator_window_at(time_s: float) -> int:
    """Return the first mel column for generating the frame shown at `time_s`: the window 40 ms earlier, as in training.

    Negative for the first frames: the time before the beginning counts as silence.
    """
    return math.floor((time_s - 1 / FPS) * MEL_RATE + 1e-6)


def reference_window_starts(n_columns: int, fps: float) -> list[int]:
    """Return the window starts of the published inference: frame i takes the window at frame i; a full window is last.

    Raises ValueError if the audio is shorter than one window or `fps` is not positive.
    """
    if n_columns < WINDOW_COLUMNS:
        raise ValueError(f"{n_columns} mel columns are fewer than one window of {WINDOW_COLUMNS}")
    if fps <= 0:
        raise ValueError(f"fps must be positive, got {fps}")
    starts: list[int] = []
    while (start := window_start(len(starts), fps)) + WINDOW_COLUMNS <= n_columns:
        starts.append(start)
    return [*starts, n_columns - WINDOW_COLUMNS]


MAX_SHIFT = 15
"""Largest shift tried in each direction, in video frames: 0.6 s."""

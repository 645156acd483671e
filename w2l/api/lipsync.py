"""`w2l.LipSync`: redraw the mouth in a stream of frames."""

import os
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from w2l.api.given import PathLike, Settings, given_path, path_of
from w2l.api.sync import sync_settings
from w2l.cache.place import default_root
from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, MediaError
from w2l.core.timing import MIN_SPEECH_S, SAMPLE_RATE
from w2l.features.speech import speech_mel
from w2l.syncing.hearing import hear
from w2l.syncing.settings import MAX_FPS, MIN_FPS, Silence
from w2l.syncing.stream import StreamSync, delay_frames
from w2l.syncing.tools import Tools


class LipSync:
    """A generator and a face detector, loaded once, that redraw one face in streams of frames.

    For whole files `w2l.sync` draws better: it sees all of a video before it draws, chooses each frame's references by
    sound from all of it, and keeps exact times and sound.

    Parameters
    ----------
    model : str
        The generator: ``w2l`` (shipped), an imported model, a run of the cache, or a file.
    device : "auto", "cpu" or "cuda"
    face : str
        Whose mouth: ``auto``, ``largest``, ``left``, ``right``, ``x,y`` or a picture of the person.
    box : (x1, y1, x2, y2), optional
        The face's place in pixels in all frames, instead of detection.
    silence : "close" or "model"
        The mouth in pauses.
    cache, config, settings
        As for `w2l.sync`. A cache that is missing is not created.

    Raises
    ------
    CheckpointError, ConfigError
        See `w2l.errors`.

    Examples
    --------
    >>> lips = w2l.LipSync()  # doctest: +SKIP
    >>> for image in lips.redraw(camera_frames, "speech.wav", fps=25):  # doctest: +SKIP
    ...     show(image)
    """

    def __init__(
        self,
        model: str | None = None,
        device: str = "auto",
        *,
        face: str | None = None,
        box: tuple[float, float, float, float] | None = None,
        silence: Silence | None = None,
        cache: PathLike | None = None,
        config: PathLike | None = None,
        settings: Settings | None = None,
    ) -> None:
        options = {"model": model, "face": face, "box": box, "silence": silence}
        chosen = sync_settings(options, config=config, settings=settings)
        if chosen.silence == "source":
            raise ConfigError("silence=source needs a whole video; of a stream choose close or model")
        root = (path_of(cache) or default_root()).absolute()
        opened = Cache.open(root) if (root / "cache.json").exists() else Cache(root)
        self._stream = StreamSync(Tools(chosen, opened, str(choose_device(device))))

    @staticmethod
    def latency(fps: float) -> float:
        """Return the most seconds of frames that must have come after a frame before it is drawn.

        It is 1.4 s of frames, and 8 frames more: 1.72 s at 25 fps.
        """
        return delay_frames(_checked_fps(fps)) / fps

    def redraw(
        self, frames: Iterable[Image], speech: PathLike | NDArray[np.floating], fps: float = 25.0
    ) -> Iterator[Image]:
        """Yield one frame for each of `frames`, in order, with a mouth that says the speech.

        Memory does not grow with the stream: about 3 s of frames are held, and 26 kB for each second of the speech.
        Frames without the face come back as they are; after the end of the speech the mouth is closed.

        Parameters
        ----------
        frames : iterable of (height, width, 3) uint8 arrays
            RGB, all of one size. They are drawn lazily, see `latency`.
        speech : path or (samples,) array
            A file with sound, or mono samples at 16 kHz in [-1, 1]; it begins with the first frame.
        fps : float
            The constant rate of the frames.

        Raises
        ------
        MediaError
            For speech that cannot be read, and for a frame of another size or kind, when it comes.
        NoFaceError
            With on_missing=fail, where the face is missing.
        """
        _checked_fps(fps)
        mel = hear(given_path(speech)).mel if isinstance(speech, (str, os.PathLike)) else _mel_of(np.asarray(speech))
        return self._stream.redraw(frames, mel, fps)


def _checked_fps(fps: float) -> float:
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ConfigError(f"fps {fps} must lie between {MIN_FPS:.0f} and {MAX_FPS:.0f}")
    return fps


def _mel_of(wave: NDArray[np.floating]) -> NDArray[np.float32]:
    least = round(MIN_SPEECH_S * SAMPLE_RATE)
    if wave.ndim != 1 or wave.dtype.kind != "f" or len(wave) < least or not np.isfinite(wave).all():
        found = f"{wave.dtype} {wave.shape}"
        raise MediaError(f"the speech is {found}; expected at least {least} finite samples (samples,) of float")
    return speech_mel(wave.astype(np.float32))

"""Caches made on the spot, without any video: mouths as open as their sound is loud, numbered frames, noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import DONE, PreprocessOutcome, TrackRecord
from w2l.cache.store import Cache
from w2l.cache.voices import write_voice
from w2l.core.config import plain
from w2l.core.timing import FPS, MEL_RATE, mel_columns
from w2l.features.crop import CropSpec

ALIGNED = CropSpec("aligned", 32)
JUDGE = CropSpec("judge", 52)
VOICES = (-3.0, 5.0)
"""Semitones of `add_voices`."""


def talking_cache(
    root: Path, n_clips: int = 6, n_frames: int = 40, crop: CropSpec = ALIGNED, split: str = "", seed: int = 0
) -> Cache:
    """A cache whose mouths (dark bars) are as open as the sound is loud: what is in sync can be learnt and seen."""
    cache = Cache.open(root, create=True)
    for number in range(n_clips):
        rng = np.random.default_rng([seed, number])
        # A new loudness every 80 ms, linear between, so that any two places of a clip differ.
        times = np.arange(mel_columns(n_frames * 640)) / MEL_RATE
        loudness = np.interp(times, np.arange(0, n_frames / FPS + 1, 0.08), rng.random(round(n_frames / 2) + 13))
        openness = loudness[np.round(np.arange(n_frames) * MEL_RATE / FPS).astype(int)]
        mel = -3.5 + 6 * loudness[None] * np.linspace(1, 0.5, 80)[:, None] + rng.normal(0, 0.05, (80, len(times)))
        mfcc = np.repeat(openness * 10, 4)[None] * np.linspace(1, -1, 13)[:, None]
        frames = np.stack([face(float(open_), crop.size, rng.integers(120, 220)) for open_ in openness])
        sounds = {"mel": mel.astype(np.float32)}
        if crop.kind == "judge":
            sounds["mfcc"] = mfcc.astype(np.float32)
        add_track(cache, f"clip{number}", frames, sounds, crop, split)
    return cache


def face(openness: float, size: int, skin: int) -> NDArray[np.uint8]:
    """A flat face (size, size, 3) with a mouth that is `openness` (0..1) of two fifths of the face high."""
    image = np.full((size, size, 3), skin, np.uint8)
    half = round(openness * size / 5)
    middle = size * 3 // 4
    image[middle - half : middle + half + 1, size // 4 : size * 3 // 4] = (90, 20, 30)
    return image


def numbered_cache(root: Path, lengths: tuple[int, ...] = (60, 60, 60), crop: CropSpec = ALIGNED) -> Cache:
    """A cache whose frames and mel columns say which they are: red the frame, green the track, column c is c / 100."""
    cache = Cache.open(root, create=True)
    for track, n_frames in enumerate(lengths):
        frames = np.zeros((n_frames, crop.size, crop.size, 3), np.uint8)
        frames[..., 0] = np.arange(n_frames)[:, None, None]
        frames[..., 1] = track
        mel = np.tile(np.arange(mel_columns(n_frames * 640)) / 100, (80, 1))
        mfcc = np.tile(np.arange(4 * n_frames - 2), (13, 1))
        sounds = {"mel": mel.astype(np.float32), "mfcc": mfcc.astype(np.float32)}
        add_track(cache, f"clip{track:03d}", frames, sounds, crop)
    return cache


def where(faces: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(track, frame) that the pictures (..., rows, width, 3) of a numbered cache show."""
    return faces[..., 0, 0, 1].astype(np.int64), faces[..., 0, 0, 0].astype(np.int64)


def noise_clip(cache: Cache, name: str, crop: CropSpec, n_frames: int = 30) -> None:
    """Puts a clip of noise into the cache."""
    rng = np.random.default_rng(len(list(cache.clips())))
    frames: NDArray[np.uint8] = rng.integers(0, 256, (n_frames, crop.size, crop.size, 3), dtype=np.uint8)
    mel = rng.uniform(-4, 4, (80, mel_columns(n_frames * 640))).astype(np.float32)
    add_track(cache, name, frames, {"mel": mel, "mfcc": np.zeros((13, 4 * n_frames), np.float32)}, crop)


def add_track(
    cache: Cache,
    name: str,
    frames: NDArray[np.uint8],
    sounds: dict[str, NDArray[np.float32]],
    crop: CropSpec,
    split: str = "",
) -> None:
    """Puts one track into the cache, as `preprocess` would."""
    clip = cache.clip(name)
    cache.invalidate_index()
    clip.write_track(0, iter(frames), frames.shape, sounds)
    facts = TrackRecord(len(frames), sounds["mel"].shape[1], 0)
    clip.note(PreprocessOutcome("made", outcome=DONE, crop=plain(crop), tracks=(facts,)), split=split)


def add_voices(cache: Cache, only: int | None = None) -> None:
    """Stores voices whose features are those of the clip, a hundredth of their semitones higher."""
    for number, clip in enumerate(cache.clips()):
        if only is not None and number != only:
            continue
        folder = clip.folder / "tracks" / "0"
        for semitones in VOICES:
            own = {
                name: np.load(folder / f"{name}.npy") for name in ("mel", "mfcc") if (folder / f"{name}.npy").exists()
            }
            write_voice(clip, 0, semitones, {name: sound + semitones / 100 for name, sound in own.items()})
        clip.note(replace(clip.record().preprocess, voices=VOICES, voices_mark="made"))
    cache.invalidate_index()

"""Training batches from the cache, each a pure function of (seed, step): resuming needs no loader state."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache import Cache, TrackRow
from w2l.data.augment import AugmentSettings, augment_frames, augment_mels, draw_look, draw_sound
from w2l.data.windows import expert_mel, generator_mels, is_silent, judge_mfcc, n_windows
from w2l.errors import CacheError, TrainingError
from w2l.faces.crop import CropSpec
from w2l.files import fingerprint
from w2l.timing import WINDOW_FRAMES

VALIDATION_SHARE = 10
"""Without a `val` list, one clip in so many validates."""
OPEN_FILES = 128
"""Crops kept open at once: each costs a file handle, of which a process may have only 1024."""


class Tracks:
    """The tracks of one split: crops memory-mapped while in use, sounds in memory.

    Crops for a generator and its expert (`aligned`, `box`) are seen by their lower half and heard as mel; crops for a
    judge are seen whole and heard as MFCC.
    """

    def __init__(self, cache: Cache, rows: list[TrackRow], crop: CropSpec) -> None:
        """Opens `rows`; TrainingError when none has two complete windows."""
        self.for_judge = crop.kind == "judge"
        usable = [row for row in rows if n_windows(row.n_frames, row.n_columns) >= 2]
        if not usable:
            raise TrainingError(
                f"{len(rows)} tracks, none with two windows of {WINDOW_FRAMES} frames; add longer clips"
            )
        self.names = [row.clip for row in usable]
        self.counts = np.array([n_windows(row.n_frames, row.n_columns) for row in usable], dtype=np.int64)
        """(tracks,): windows of each track."""
        self.mels = [cache.load_track(row)[1] for row in usable]
        self.mfccs = [cache.load_mfcc(row) for row in usable] if self.for_judge else []
        self._open = functools.lru_cache(OPEN_FILES)(lambda track: cache.load_track(usable[track])[0])

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.names)

    def frames(self, track: int) -> NDArray[np.uint8]:
        """All crops of a track, (frames, height, width, 3), memory-mapped."""
        return self._open(track)

    def window(self, track: int, start: int) -> NDArray[np.uint8]:
        """Five crops (frames, height, width, 3) from frame `start` on."""
        return np.asarray(self.frames(track)[start : start + WINDOW_FRAMES])

    def seen(self, track: int, start: int) -> NDArray[np.uint8]:
        """What the network that compares faces with sounds sees of `window`: (frames, rows, width, 3)."""
        window = self.window(track, start)
        return window if self.for_judge else window[:, window.shape[1] // 2 :]

    def heard(self, track: int, start: int) -> NDArray[np.float32]:
        """What it hears: mel (80, 16), or MFCC (13, 20) for a judge."""
        return judge_mfcc(self.mfccs[track], start) if self.for_judge else expert_mel(self.mels[track], start)

    def is_silent(self, track: int, start: int) -> bool:
        """Whether the window at `start` holds no speech."""
        return bool(is_silent(expert_mel(self.mels[track], start)))


def open_splits(cache: Cache, crop: CropSpec) -> tuple[Tracks, Tracks]:
    """Tracks to train on and to validate on.

    The lists `train` and `val` where the cache has both; otherwise a fixed tenth of the clips, chosen by their names,
    validates (at least one clip, never a clip of `test` or `unseen`).
    """
    rows = [row for row in cache.tracks() if row.split not in ("test", "unseen")]
    train = [row for row in rows if row.split in ("train", "pretrain")]
    val = [row for row in rows if row.split == "val"]
    if not (train and val):
        if len({row.clip for row in rows}) < 2:
            raise CacheError(f"cache {cache.root} has {len(rows)} tracks to train on; preprocess two clips or more")
        ranked = sorted({row.clip for row in rows}, key=fingerprint)
        chosen = set(ranked[: max(1, len(ranked) // VALIDATION_SHARE)])
        train = [row for row in rows if row.clip not in chosen]
        val = [row for row in rows if row.clip in chosen]
    return Tracks(cache, train, crop), Tracks(cache, val, crop)


def crop_spec(cache: Cache) -> CropSpec:
    """How the cache's crops were cut; CacheError when they differ among each other."""
    found: dict[str, Any] = {}
    for clip in cache.clips():
        outcome = clip.outcome("preprocess")
        if outcome.get("tracks"):
            found[fingerprint(outcome["crop"])] = outcome["crop"]
    if not found:
        raise CacheError(f"cache {cache.root} holds no face track; run w2l preprocess on a folder of videos first")
    if len(found) > 1:
        raise CacheError(f"cache {cache.root} holds {len(found)} kinds of crops, need one; preprocess all clips alike")
    return CropSpec(**next(iter(found.values())))


@dataclass(frozen=True)
class ExpertBatch:
    """Windows for the expert, several of each clip."""

    faces: NDArray[np.uint8]
    """(batch, frames, rows, width, 3): lower halves, or whole crops for a judge."""
    sounds: NDArray[np.float32]
    """(batch, 80, 16) mel, or (batch, 13, 20) MFCC for a judge."""
    partner: NDArray[np.int64]
    """(batch,): for each window another one of the same clip, at least the gap away."""
    in_sync: NDArray[np.bool_]
    """(batch,): the paper's coin: pair the face with its own sound, or with its partner's."""
    silent: NDArray[np.bool_]
    """(batch,): windows without speech."""


def _rng(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng([seed, step])


def _spread_starts(rng: np.random.Generator, count: int, n_starts: int, gap: int) -> NDArray[np.int64]:
    """`count` window starts in [0, n_starts), any two at least `gap` apart; n_starts > gap * (count - 1)."""
    free = n_starts - gap * (count - 1)
    return np.asarray(rng.permutation(np.sort(rng.integers(0, free, count)) + gap * np.arange(count)))


def expert_batch(
    tracks: Tracks, seed: int, step: int, n_clips: int, per_clip: int, gap: int, augment: AugmentSettings
) -> ExpertBatch:
    """Batch `step` of an expert's training: `per_clip` windows, `gap` apart, of each of `n_clips` clips.

    Tracks without room for these windows are left out, and no track comes twice: with fewer than `n_clips` of them the
    batch is smaller. TrainingError when there is none.
    """
    rng = _rng(seed, step)
    roomy = np.flatnonzero(tracks.counts > gap * (per_clip - 1))
    if not len(roomy):
        raise TrainingError(
            f"none of {len(tracks)} tracks has room for {per_clip} windows {gap} frames apart; add longer clips, or "
            "set per_clip or gap lower"
        )
    n_clips = min(n_clips, len(roomy))
    faces, sounds, silent = [], [], []
    for track in rng.choice(roomy, n_clips, replace=False):
        look, sound = draw_look(rng, augment), draw_sound(rng, augment)
        for start in map(int, _spread_starts(rng, per_clip, tracks.counts[track], gap)):
            faces.append(augment_frames(tracks.seen(track, start), look))
            heard = tracks.heard(track, start)
            sounds.append(heard if tracks.for_judge else augment_mels(heard[None], sound)[0])
            silent.append(tracks.is_silent(track, start))
    within = (np.arange(per_clip) + rng.integers(1, max(per_clip, 2), (n_clips, per_clip))) % per_clip
    partner = (within + per_clip * np.arange(n_clips)[:, None]).ravel()
    in_sync = rng.random(len(faces)) < 0.5
    return ExpertBatch(np.stack(faces), np.stack(sounds), partner, in_sync, np.array(silent))


@dataclass(frozen=True)
class GeneratorBatch:
    """Windows for the generator."""

    target: NDArray[np.uint8]
    """(batch, frames, height, width, 3): the real faces."""
    reference: NDArray[np.uint8]
    """(batch, frames, height, width, 3 * references): other frames of the same clips."""
    mels: NDArray[np.float32]
    """(batch, frames, 80, 16): one window a frame."""
    expert_mels: NDArray[np.float32]
    """(batch, 80, 16): what the expert hears with the five frames."""


def generator_batch(
    tracks: Tracks, seed: int, step: int, size: int, n_references: int, still: bool, augment: AugmentSettings
) -> GeneratorBatch:
    """Batch `step` of a generator's training.

    `still` references are one frame repeated over the window, as `sync` uses them, so that they cannot leak the
    mouth's movement; otherwise five frames in a row, as published.
    """
    rng = _rng(seed, step)
    parts: list[tuple[NDArray[Any], ...]] = []
    for track in rng.integers(0, len(tracks), size):
        frames, mel = tracks.frames(track), tracks.mels[track]
        look, sound = draw_look(rng, augment), draw_sound(rng, augment)
        start = int(rng.integers(0, tracks.counts[track]))
        references = [_reference(rng, frames, start, still) for _ in range(n_references)]
        heard = augment_mels(np.concatenate([generator_mels(mel, start), expert_mel(mel, start)[None]]), sound)
        parts.append(
            (
                augment_frames(tracks.window(track, start), look),
                np.concatenate([augment_frames(reference, look) for reference in references], axis=-1),
                heard[:-1],
                heard[-1],
            )
        )
    return GeneratorBatch(*(np.stack(column) for column in zip(*parts)))


def _reference(rng: np.random.Generator, frames: NDArray[np.uint8], start: int, still: bool) -> NDArray[np.uint8]:
    """Five reference frames (frames, height, width, 3), where there is room outside the window at `start`."""
    length = 1 if still else WINDOW_FRAMES
    allowed = [idx for idx in range(len(frames) - length + 1) if idx + length <= start or idx >= start + WINDOW_FRAMES]
    first = int(rng.choice(allowed)) if allowed else int(rng.integers(0, len(frames) - length + 1))
    chosen = frames[first : first + length]
    return np.repeat(chosen, WINDOW_FRAMES, axis=0) if still else np.asarray(chosen)

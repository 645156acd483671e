"""The tracks of a cache as training sees them, and batches for a generator: pure functions of (seed, step)."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache import Cache, TrackRow
from w2l.crops import Crops, skip
from w2l.data.augment import AugmentSettings, augment_frames, augment_mels, draw_look, draw_sound
from w2l.data.recent import Recent, n_bytes, one
from w2l.data.splits import plan_splits
from w2l.data.windows import (
    MFCC_PER_FRAME,
    expert_mel,
    generator_mels,
    judge_mfcc,
    silent_windows,
    voiced_windows,
    window_columns,
    window_counts,
)
from w2l.errors import CacheError, TrainingError
from w2l.faces.crop import CropSpec
from w2l.index import Rows
from w2l.timing import WINDOW_FRAMES

logger = logging.getLogger(__name__)
OPEN_FILES = 128
"""Crops kept open at once: each costs a file handle, of which a process may have only 1024."""
SOUND_BYTES = 2**30
"""Most memory for mels, and for MFCCs, that were used last: one minute of speech is 1.5 MB of mel."""
SILENCE_BYTES = 2**27
"""Most memory for which windows of a track are silent: a byte a window."""


class Tracks:
    """The tracks of one split; nothing is opened before it is asked for, and memory stays bounded.

    Crops for a generator and its expert (`aligned`, `box`) are seen by their lower half and heard as mel; crops for a
    judge are seen whole and heard as MFCC. Where the audit found an offset, frames and sounds begin where both are
    there: window w of a track is in sync, whatever the files hold.
    """

    def __init__(self, cache: Cache, rows: Sequence[TrackRow], crop: CropSpec, n_frames: int = WINDOW_FRAMES) -> None:
        """Takes the rows with two complete windows of `n_frames`; TrainingError, with reasons, when there is none."""
        rows = Rows.of(rows)
        seen_from, heard_from = first_frames(rows.numbers("offset"))
        lost = window_columns(WINDOW_FRAMES) * (heard_from // WINDOW_FRAMES)
        counts = window_counts(rows.numbers("n_frames") - seen_from, rows.numbers("n_columns") - lost, n_frames)
        usable = rows.usable & (counts >= 2)
        if not usable.any():
            raise TrainingError(_why_none(rows, n_frames))
        self.for_judge = crop.kind == "judge"
        self.n_frames = n_frames
        """Frames of a window."""
        self.rows = rows.select(usable)
        """The rows of the index."""
        self.counts = counts[usable]
        """(tracks,): windows of each track."""
        self.first_row = 0 if self.for_judge else crop.size // 2
        """First row of a crop that the network that compares faces with sounds sees."""
        self._cache, self._seen_from, self._heard_from = cache, seen_from[usable], heard_from[usable]
        self._crops = Recent(self._load_crops, OPEN_FILES, one)
        self._mels = Recent(self._load_mel, SOUND_BYTES, n_bytes)
        self._mfccs = Recent(self._load_mfcc, SOUND_BYTES, n_bytes)
        self._silent = Recent(self._find_silent, SILENCE_BYTES, n_bytes)

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.counts)

    @cached_property
    def names(self) -> list[str]:
        """The clip of each track."""
        return self.rows.words("clip")

    @cached_property
    def speakers(self) -> list[str]:
        """The speaker of each track; empty where unknown."""
        return self.rows.words("speaker")

    def frames(self, track: int) -> Crops:
        """All crops of a track, (frames, height, width, 3), read as they are sliced."""
        return self._crops[int(track)]

    def mel(self, track: int) -> NDArray[np.float32]:
        """Mel (80, columns) of a track; column 0 belongs to its frame 0."""
        return self._mels[int(track)]

    def window(self, track: int, start: int) -> NDArray[np.uint8]:
        """The crops (frames, height, width, 3) of the window that begins at frame `start`."""
        return np.asarray(self.frames(track)[start : start + self.n_frames])

    def seen(self, track: int, start: int) -> NDArray[np.uint8]:
        """What the network that compares faces with sounds sees of `window`: (frames, rows, width, 3)."""
        return self.window(track, start)[:, self.first_row :]

    def heard(self, track: int, start: int) -> NDArray[np.float32]:
        """What it hears: mel (80, columns), or MFCC (13, columns) for a judge; 16 and 20 columns for 5 frames."""
        if self.for_judge:
            return judge_mfcc(self._mfccs[int(track)], start, self.n_frames)
        return expert_mel(self.mel(track), start, self.n_frames)

    def silent(self, track: int) -> NDArray[np.bool_]:
        """(windows,): which windows of a track hold no speech."""
        return self._silent[int(track)]

    def voiced(self, track: int) -> NDArray[np.bool_]:
        """(windows,): in which windows of a track something is said most of the time."""
        return voiced_windows(self.mel(track), int(self.counts[track]), self.n_frames)

    def is_silent(self, track: int, start: int) -> bool:
        """Whether the window at `start` holds no speech."""
        return bool(self.silent(track)[start])

    def _load_crops(self, track: int) -> Crops:
        row = self.rows[track]
        crops = self._cache.load_crops(row)
        _check_length(row, "frames", len(crops), row.n_frames)
        return skip(crops, int(self._seen_from[track]))

    def _load_mel(self, track: int) -> NDArray[np.float32]:
        row = self.rows[track]
        mel = self._cache.load_mel(row)
        _check_length(row, "mel columns", mel.shape[1], row.n_columns)
        return expert_side(mel, int(self._heard_from[track]))

    def _load_mfcc(self, track: int) -> NDArray[np.float32]:
        return self._cache.load_mfcc(self.rows[track])[:, MFCC_PER_FRAME * int(self._heard_from[track]) :]

    def _find_silent(self, track: int) -> NDArray[np.bool_]:
        return silent_windows(self.mel(track), int(self.counts[track]), self.n_frames)


def _check_length(row: TrackRow, what: str, found: int, promised: int) -> None:
    """CacheError when a file holds less than the index says, such as after another preprocess during a training."""
    if found < promised:
        raise CacheError(
            f"clip {row.clip}, track {row.track}: {found} {what} where the index has {promised}; run w2l preprocess "
            "--force on this clip"
        )


def first_frames(offsets: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first frame that is seen, and the first one that is heard, of tracks with these offsets.

    Face i has sound i - offset. The sound begins at a multiple of five frames, which is a whole number of mel columns:
    so all that is true of the columns of a track without offset is true of these, for up to four frames less.
    """
    behind = np.maximum(0, -offsets.astype(np.int64))
    heard = -(-behind // WINDOW_FRAMES) * WINDOW_FRAMES
    return heard + offsets, heard


def expert_side(mel: NDArray[np.float32], heard_from: int) -> NDArray[np.float32]:
    """The mel (80, columns) from frame `heard_from`, a multiple of five, on."""
    return mel[:, window_columns(heard_from) :]


def _why_none(rows: Rows, n_frames: int) -> str:
    """Says why no row can be used, with the number of rows for each reason."""
    usable = rows.select(rows.usable)
    few = int((usable.numbers("n_frames") < n_frames + 1).sum())
    aside = {reason: count for reason, count in rows.counts("status").items() if reason}
    reasons = {
        f"shorter than two windows of {n_frames} frames": few,
        "with too little sound, or none left after its offset": len(usable) - few,
        f"set aside by the audit (most often: {next(iter(aside), '')})": sum(aside.values()),
    }
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return f"{len(rows)} tracks, none usable{': ' if said else ''}{said}; add longer clips in which a face speaks"


def open_splits(cache: Cache, crop: CropSpec, n_frames: int = WINDOW_FRAMES) -> tuple[Tracks, Tracks]:
    """Tracks to train on and to validate on: as the lists say, else by speaker; see `w2l.data.splits`."""
    rows = cache.tracks()
    division = plan_splits(zip(rows.words("clip"), rows.words("split"), rows.words("speaker")))
    train, val = (rows.select(rows.has("clip", *division.members(split))) for split in ("train", "val"))
    if not (len(train) and len(val)):
        raise CacheError(
            f"cache {cache.root} has {len(division.splits)} clips to train on; preprocess two clips or more"
        )
    for note in division.notes:
        logger.warning("%s", note)
    return Tracks(cache, train, crop, n_frames), Tracks(cache, val, crop, n_frames)


def crop_spec(cache: Cache) -> CropSpec:
    """How the cache's crops were cut, from the index; CacheError when they differ among each other."""
    rows = cache.all_tracks()
    found = rows.distinct("crop")
    if not found:
        raise CacheError(f"cache {cache.root} holds no face track; run w2l preprocess on a folder of videos first")
    if len(found) > 1:
        raise CacheError(f"cache {cache.root} holds {len(found)} kinds of crops, need one; preprocess all clips alike")
    return CropSpec(**json.loads(found[0]))


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
    rng = np.random.default_rng([seed, step])
    parts: list[tuple[NDArray[Any], ...]] = []
    for track in rng.integers(0, len(tracks), size).tolist():
        frames, mel = tracks.frames(track), tracks.mel(track)
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


def _reference(rng: np.random.Generator, frames: Crops, start: int, still: bool) -> NDArray[np.uint8]:
    """Five reference frames (frames, height, width, 3), where there is room outside the window at `start`."""
    length = 1 if still else WINDOW_FRAMES
    allowed = [idx for idx in range(len(frames) - length + 1) if idx + length <= start or idx >= start + WINDOW_FRAMES]
    first = int(rng.choice(allowed)) if allowed else int(rng.integers(0, len(frames) - length + 1))
    chosen = np.asarray(frames[first : first + length])
    return np.repeat(chosen, WINDOW_FRAMES, axis=0) if still else chosen

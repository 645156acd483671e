"""The tracks of a cache as training uses them."""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import Crops, skip
from w2l.cache.index import NO_VOICES, Rows
from w2l.cache.store import Cache, TrackRow
from w2l.cache.voices import load_voice
from w2l.core.config import build
from w2l.core.errors import CacheError, ConfigError, TrainingError
from w2l.core.ranges import check_ranges
from w2l.core.reading import Unreadable, parse_json
from w2l.core.timing import SAMPLES_PER_FRAME, WINDOW_FRAMES, mel_columns
from w2l.data.batches.lru import Recent, n_bytes, one
from w2l.data.batches.near import Likeness, track_likeness
from w2l.data.batches.splits import plan_splits
from w2l.features.crop import CropSpec
from w2l.features.mel import N_MELS, N_MFCC
from w2l.features.windows import (
    MFCC_PER_FRAME,
    expert_mel,
    judge_mfcc,
    silent_windows,
    voiced_windows,
    window_columns,
    window_counts,
)

logger = logging.getLogger(__name__)
OPEN_FILES = 128
"""Number of crop files kept open: each needs a file handle, of which a process may have only 1024."""
SOUND_BYTES = 2**30
"""Memory limit for recently used mels and MFCCs: one minute of speech is 1.5 MB of mel."""
SILENCE_BYTES = 2**27
"""Memory limit for the silent windows of tracks: one byte per window."""
LIKENESS_BYTES = 2**27
"""Memory limit for lip and pose features: 122 bytes per frame, 12 hours of video."""


class Tracks:
    """The tracks of one split; nothing is opened before it is needed, and memory stays bounded.

    For a generator and its expert (`aligned`, `box`), the lower half of crops and mels are used; for a judge, whole
    crops and MFCCs. If the audit found an offset, frames and audio begin where both exist: window w of a track is in
    sync, whatever the files contain.
    """

    def __init__(
        self, cache: Cache, rows: Sequence[TrackRow], crop: CropSpec, n_frames: int = WINDOW_FRAMES,
        spans: Sequence[tuple[int, int]] = (),
    ) -> None:  # fmt: skip
        """Use the rows with two complete windows of `n_frames`; raise TrainingError, with reasons, if there are none.

        `spans`, if given, are the used frames (first, last) of each row, see `part`.
        """
        rows = Rows.of(rows)
        seen_from, heard_from = first_frames(rows.numbers("offset"))
        lengths = rows.numbers("n_frames") - seen_from
        begins = np.zeros(len(rows), np.int64)
        if spans:
            begins, ends = np.array(spans, np.int64).T
            lengths = np.minimum(lengths, ends) - begins
            seen_from, heard_from = seen_from + begins, heard_from + begins
        lost = window_columns(WINDOW_FRAMES) * (heard_from // WINDOW_FRAMES)
        counts = window_counts(lengths, rows.numbers("n_columns") - lost, n_frames)
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
        """First row of a crop that the network comparing faces with audio takes."""
        self.begins = begins[usable]
        """(tracks,): first frame of each within the whole track that it is a part of; 0 for whole tracks."""
        self.lengths = lengths[usable]
        """(tracks,): frames of each track."""
        self._cache, self._crop, self._is_part = cache, crop, bool(spans)
        self._seen_from, self._heard_from = seen_from[usable], heard_from[usable]
        self._crops = Recent(self._load_crops, OPEN_FILES, one)
        self._mels = Recent(self._load_mel, SOUND_BYTES, n_bytes)
        self._mfccs = Recent(self._load_mfcc, SOUND_BYTES, n_bytes)
        self._silent = Recent(self._find_silent, SILENCE_BYTES, n_bytes)
        self._likeness = Recent(self._find_likeness, LIKENESS_BYTES, n_bytes)
        self._spoken_from: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.counts)

    def part(self, spans: Sequence[tuple[int, int, int]]) -> "Tracks":
        """Return parts of these tracks as tracks of their own: (track, first, last) in frames, last exclusive.

        The result does not give access to anything outside a part. A part begins at a multiple of five frames, which is
        an integer number of mel columns; ValueError otherwise. A track may come more than once, or not at all.
        """
        if self._is_part or any(first % WINDOW_FRAMES or first < 0 for _, first, _ in spans):
            raise ValueError(f"parts must be of whole tracks and begin at multiples of {WINDOW_FRAMES}: {spans}")
        rows = self.rows.select(np.array([track for track, _, _ in spans], np.int64))
        return Tracks(self._cache, rows, self._crop, self.n_frames, [(first, last) for _, first, last in spans])

    @cached_property
    def names(self) -> list[str]:
        """The clip of each track."""
        return self.rows.words("clip")

    @cached_property
    def speakers(self) -> list[str]:
        """The speaker of each track; empty where unknown."""
        return self.rows.words("speaker")

    @cached_property
    def of_speakers(self) -> list[NDArray[np.int64]]:
        """Tracks of each speaker, those of unknown ones together, ordered by name."""
        _, number = np.unique(np.array(self.speakers), return_inverse=True)
        return [np.flatnonzero(number == speaker) for speaker in range(int(number.max()) + 1)]

    def frames(self, track: int) -> Crops:
        """Return all crops of a track, (frames, height, width, 3), read as they are sliced."""
        return self._crops[int(track)]

    def mel(self, track: int, semitones: float = 0.0) -> NDArray[np.float32]:
        """Return the mel (80, columns) of a track; column 0 belongs to its frame 0.

        `semitones` other than 0: in that one of its `voices`.
        """
        return self._mels[int(track), semitones]

    def voices(self, track: int) -> tuple[float, ...]:
        """Return the semitones of the further voices in which the speech of a track is stored."""
        return self.rows[int(track)].voices

    def check_voices(self, share: float, setting: str) -> None:
        """Raise TrainingError if `share`, the value of `setting`, is above 0 and a track has no further voices."""
        lacking = np.flatnonzero(self.rows.has("voices", NO_VOICES))
        if share and len(lacking):
            raise TrainingError(
                f"{setting} is {share:g}, but {len(lacking)} of {len(self)} tracks to train on, such as "
                f"{self.names[int(lacking[0])]}, have no other voice in the cache; run w2l preprocess on the "
                f"same clips with --set voices.semitones=[-3,3], or set {setting}=0"
            )

    def spoken_from(self, track: int) -> int:
        """Return the frame of the clip whose audio belongs to frame 0 of a track, for words timed in the clip.

        Above 0 if the face appears late or the clip was cut, if an audit found an offset, and in a part.
        """
        track = int(track)
        if track not in self._spoken_from:
            row = self.rows[track]
            facts = self._cache.clip(row.clip).record().preprocess.tracks
            begun = facts[row.track].first_frame or 0 if row.track < len(facts) else 0
            self._spoken_from[track] = begun + int(self._heard_from[track])
        return self._spoken_from[track]

    def likeness(self, track: int) -> Likeness:
        """Return lip and pose features of each frame of a track, see `w2l.data.batches.near`.

        Computed from the crops on first use. Raises ConfigError for crops that are not aligned.
        """
        return self._likeness[int(track)]

    def window(self, track: int, start: int) -> NDArray[np.uint8]:
        """Return the crops (frames, height, width, 3) of the window that begins at frame `start`."""
        return np.asarray(self.frames(track)[start : start + self.n_frames])

    def seen(self, track: int, start: int) -> NDArray[np.uint8]:
        """Return the part of `window` that expert or judge takes: (frames, rows, width, 3)."""
        return self.window(track, start)[:, self.first_row :]

    def heard(self, track: int, start: int, semitones: float = 0.0) -> NDArray[np.float32]:
        """Return its audio: mel (80, columns), or MFCC (13, columns) for a judge; 16 and 20 columns for 5 frames.

        `semitones` as in `mel`.
        """
        if self.for_judge:
            return judge_mfcc(self._mfccs[int(track), semitones], start, self.n_frames)
        return expert_mel(self.mel(track, semitones), start, self.n_frames)

    def silent(self, track: int) -> NDArray[np.bool_]:
        """Return which windows of a track contain no speech, (windows,)."""
        return self._silent[int(track)]

    def voiced(self, track: int) -> NDArray[np.bool_]:
        """Return which windows of a track contain speech most of the time, (windows,)."""
        return voiced_windows(self.mel(track), int(self.counts[track]), self.n_frames)

    def is_silent(self, track: int, start: int) -> bool:
        """Return whether the window at `start` contains no speech."""
        return bool(self.silent(track)[start])

    def _load_crops(self, track: int) -> Crops:
        row = self.rows[track]
        crops = self._cache.load_crops(row)
        _check_length(row, "frames", len(crops), row.n_frames)
        crops = skip(crops, int(self._seen_from[track]))
        return First(crops, int(self.lengths[track])) if self._is_part else crops

    def _load_mel(self, voice: tuple[int, float]) -> NDArray[np.float32]:
        track, semitones = voice
        row = self.rows[track]
        mel = load_voice(self._cache, row, "mel", N_MELS, semitones) if semitones else self._cache.load_mel(row)
        _check_length(row, "mel columns", mel.shape[1], row.n_columns)
        mel = expert_side(mel, int(self._heard_from[track]))
        return mel[:, : mel_columns(int(self.lengths[track]) * SAMPLES_PER_FRAME)] if self._is_part else mel

    def _load_mfcc(self, voice: tuple[int, float]) -> NDArray[np.float32]:
        track, semitones = voice
        row, first, length = self.rows[track], int(self._heard_from[track]), int(self.lengths[track])
        whole = load_voice(self._cache, row, "mfcc", N_MFCC, semitones) if semitones else self._cache.load_mfcc(row)
        mfcc = whole[:, MFCC_PER_FRAME * first :]
        return mfcc[:, : MFCC_PER_FRAME * length] if self._is_part else mfcc

    def _find_likeness(self, track: int) -> Likeness:
        if self._crop.kind != "aligned":
            raise ConfigError(
                f"sampling.near needs aligned crops, and this cache contains crops of kind {self._crop.kind}; set "
                "sampling.near=0, or preprocess with crop.kind=aligned"
            )
        return track_likeness(self.frames(track))

    def _find_silent(self, track: int) -> NDArray[np.bool_]:
        return silent_windows(self.mel(track), int(self.counts[track]), self.n_frames)


class First:
    """The first crops of a track; reads nothing by itself. See `w2l.cache.crops.Crops`."""

    def __init__(self, crops: Crops, n_frames: int) -> None:
        """Take at most the first `n_frames`."""
        self._crops, self._n_frames = crops, min(n_frames, len(crops))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (frames, height, width, 3)."""
        return (self._n_frames, *self._crops.shape[1:])

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._n_frames

    def __getitem__(self, where: slice, /) -> NDArray[np.uint8]:
        """Return frames ``[first:end]``; negative steps are not supported."""
        return self._crops[slice(*where.indices(self._n_frames))]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Return all frames."""
        return np.asarray(self[:])


def _check_length(row: TrackRow, what: str, found: int, promised: int) -> None:
    """Raise CacheError if a file contains less than the index says, as after preprocessing during a training."""
    if found < promised:
        raise CacheError(
            f"clip {row.clip}, track {row.track}: {found} {what}, but the index has {promised}; run w2l preprocess "
            "--force on this clip"
        )


def first_frames(offsets: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first frames whose image and whose audio are used, for tracks with these offsets.

    Face i matches audio i - offset. The audio begins at a multiple of five frames, an integer number of mel columns, so
    that all properties of the columns of a track without offset hold for these, at the cost of up to four frames.
    """
    behind = np.maximum(0, -offsets.astype(np.int64))
    heard = -(-behind // WINDOW_FRAMES) * WINDOW_FRAMES
    return heard + offsets, heard


def expert_side(mel: NDArray[np.float32], heard_from: int) -> NDArray[np.float32]:
    """Return the mel (80, columns) from frame `heard_from`, a multiple of five, on."""
    return mel[:, window_columns(heard_from) :]


def _why_none(rows: Rows, n_frames: int) -> str:
    """Explain why no row can be used, with the number of rows per reason."""
    usable = rows.select(rows.usable)
    few = int((usable.numbers("n_frames") < n_frames + 1).sum())
    aside = {reason: count for reason, count in rows.counts("status").items() if reason}
    reasons = {
        f"shorter than two windows of {n_frames} frames": few,
        "with too little audio, or none left after the offset": len(usable) - few,
        f"excluded by the audit (most often: {next(iter(aside), '')})": sum(aside.values()),
    }
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return f"{len(rows)} tracks, none usable{': ' if said else ''}{said}; add longer clips in which a face speaks"


def open_splits(cache: Cache, crop: CropSpec, n_frames: int = WINDOW_FRAMES) -> tuple[Tracks, Tracks]:
    """Open the tracks for training and validation: by lists, else by speaker; see `w2l.data.batches.splits`."""
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
    """Return the crop spec of the cache from the index; raise CacheError if it is not unique."""
    rows = cache.all_tracks()
    found = rows.distinct("crop")
    if not found:
        raise CacheError(f"cache {cache.root} contains no face tracks; run w2l preprocess on some videos first")
    if len(found) > 1:
        raise CacheError(f"cache {cache.root} contains {len(found)} kinds of crops; preprocess them alike")
    try:
        spec = build(CropSpec, parse_json(found[0]), "crop.")
        check_ranges(spec, "crop.")
        return spec
    except (ConfigError, Unreadable, AttributeError) as error:
        reason = f"the record of how its crops were cut is damaged ({error})"
        raise CacheError(f"cache {cache.root}: {reason}; preprocess again") from error

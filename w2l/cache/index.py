"""The index of a cache: one row per kept track, stored by column, so that a million rows open in a second.

Numbers are arrays; strings (clips, splits, speakers) are indices into tables of distinct strings. A row becomes an
object only when it is accessed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import EXCLUDED, SHIFTED, ClipRecord
from w2l.core.files import read_arrays

FORMAT = 2
"""Version of the file; other versions are rebuilt."""
NUMBERS = ("track", "n_frames", "n_columns", "offset")
WORDS = ("clip", "split", "speaker", "status", "crop", "voices")
"""Columns; `crop` is the track's crop spec and `voices` the semitones of its further voices, as JSON. An index without
one of them, of an older w2l, is rebuilt."""

NO_VOICES = "[]"
"""The entry of column `voices` of a track without any."""

DAMAGED_RECORD = "its record is damaged"
"""Reason for excluding a track whose record contains impossible numbers."""


@dataclass(frozen=True)
class TrackRow:
    """One kept track of a clip."""

    clip: str
    track: int
    """Number of its folder within the clip."""
    n_frames: int
    n_columns: int
    """Mel columns."""
    split: str
    speaker: str = ""
    """Empty when unknown."""
    offset: int = 0
    """Video frames by which the audio runs ahead of the picture, as audited: face i matches audio i - offset."""
    status: str = ""
    """Empty if usable, else the audit's reason for excluding it."""
    voices: tuple[float, ...] = ()
    """Semitones of the further voices in which its speech is stored."""


class Words(Sequence[str]):
    """Distinct strings, as one UTF-8 buffer with the end of each string."""

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.text, self.ends = text, ends

    @classmethod
    def of(cls, words: Iterable[str]) -> "Words":
        """Build from any strings; surrogate escapes of undecodable file names are preserved."""
        coded = [word.encode("utf-8", "surrogatepass") for word in words]
        ends = np.cumsum([len(word) for word in coded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(coded), np.uint8), ends)

    def __len__(self) -> int:
        """Return the number of strings."""
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        """Iterate over all strings."""
        text, begin = self.text.tobytes(), 0
        for end in self.ends.tolist():
            yield text[begin:end].decode("utf-8", "surrogatepass")
            begin = end

    def some(self, numbers: NDArray[np.integer[Any]]) -> dict[int, str]:
        """Return the strings with these numbers, which must be distinct."""
        if len(numbers) < len(self) // 4:
            return {number: self[number] for number in numbers.tolist()}
        words = list(self)
        return {number: words[number] for number in numbers.tolist()}

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        """Return one string or a list of them."""
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        begin = int(self.ends[number - 1]) if number else 0
        return self.text[begin : int(self.ends[number])].tobytes().decode("utf-8", "surrogatepass")


class Rows(Sequence[TrackRow]):
    """Rows of the index: a sequence of `TrackRow`, with columns as arrays for speed."""

    def __init__(self, numbers: Mapping[str, NDArray[np.int32]], words: Mapping[str, Words]) -> None:
        """Use `numbers`: one column for each of `NUMBERS` and, as indices into `words`, for each of `WORDS`."""
        self._numbers, self._words = dict(numbers), dict(words)

    @classmethod
    def of(cls, rows: Iterable[TrackRow]) -> "Rows":
        """Build from single rows."""
        if isinstance(rows, Rows):
            return rows
        builder = Builder()
        for row in rows:
            builder.add(row)
        return builder.finish()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._numbers["track"])

    @overload
    def __getitem__(self, number: int) -> TrackRow: ...
    @overload
    def __getitem__(self, number: slice) -> "Rows": ...
    def __getitem__(self, number: int | slice) -> "TrackRow | Rows":
        """Return one row or several."""
        if isinstance(number, slice):
            return self.select(np.arange(len(self))[number])
        values: dict[str, Any] = {name: int(self._numbers[name][number]) for name in NUMBERS}
        values |= {name: self._words[name][int(self._numbers[name][number])] for name in WORDS if name != "crop"}
        return TrackRow(**{**values, "voices": tuple(json.loads(values["voices"]))})

    def __iter__(self) -> Iterator[TrackRow]:
        """Iterate over all rows."""
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence contains equal rows in the same order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip_longest(self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return the first rows as text."""
        return f"Rows({len(self)} rows: {', '.join(map(repr, self[:3]))}{', ...' if len(self) > 3 else ''})"

    def __add__(self, other: "Rows") -> "Rows":
        """Return these rows followed by the others."""
        numbers = {name: np.concatenate([self._numbers[name], other._numbers[name]]) for name in NUMBERS}
        words: dict[str, Words] = {}
        for name in WORDS:
            known = {word: number for number, word in enumerate(self._words[name])}
            moved = [known.setdefault(word, len(known)) for word in other._words[name]]
            theirs = np.array(moved, np.int32)[other._numbers[name]] if moved else other._numbers[name]
            numbers[name], words[name] = np.concatenate([self._numbers[name], theirs]), Words.of(known)
        return Rows(numbers, words)

    def select(self, which: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> "Rows":
        """Return the rows selected by a mask or by row numbers; shares the tables of strings."""
        return Rows({name: column[which] for name, column in self._numbers.items()}, self._words)

    def of_clips(self, order: Mapping[str, int]) -> "Rows":
        """Return the rows whose clips are in `order`, in that order."""
        places = np.array([order.get(clip, -1) for clip in self._words["clip"]], np.int64)
        if not len(places):
            return self
        of_row = places[self._numbers["clip"]]
        which = np.flatnonzero(of_row >= 0)
        return self.select(which[np.argsort(of_row[which], kind="stable")])

    def numbers(self, column: str) -> NDArray[np.int32]:
        """Return a column (rows,) of `NUMBERS`, or of `WORDS` as indices that are equal for equal strings."""
        return self._numbers[column]

    def words(self, column: str) -> list[str]:
        """Return the string of every row."""
        table = self._used(column)
        return [table[number] for number in self._numbers[column].tolist()]

    def distinct(self, column: str) -> list[str]:
        """Return the distinct strings of a column, sorted."""
        return sorted(self._used(column).values())

    def has(self, column: str, *words: str) -> NDArray[np.bool_]:
        """Return (rows,): where a column is one of `words`."""
        asked = set(words)
        wanted = [number for number, word in self._used(column).items() if word in asked]
        return np.isin(self._numbers[column], wanted)

    def _used(self, column: str) -> dict[int, str]:
        return self._words[column].some(np.unique(self._numbers[column]))

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Return (rows,): which rows the audit did not exclude."""
        return self.has("status", "")

    def counts(self, column: str) -> dict[str, int]:
        """Return the number of rows per string of a column; the most frequent first."""
        numbers, counts = np.unique(self._numbers[column], return_counts=True)
        found = dict(zip(self._words[column].some(numbers).values(), counts.tolist()))
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def write(self, file: BinaryIO) -> None:
        """Write an npz file; equal rows make equal bytes, whatever they were selected from."""
        arrays: dict[str, NDArray[Any]] = {"format": np.array(FORMAT)}
        for name in NUMBERS:
            arrays[name] = self._numbers[name]
        for name in WORDS:
            used, codes = np.unique(self._numbers[name], return_inverse=True)
            words = list(self._words[name].some(used).values())
            order = sorted(range(len(words)), key=words.__getitem__)
            place = np.empty(len(words), np.int32)
            place[order] = np.arange(len(words), dtype=np.int32)
            table = Words.of(words[number] for number in order)
            arrays |= {name: place[codes], f"{name}_text": table.text, f"{name}_ends": table.ends}
        np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> "Rows":
        """Read what `write` wrote; raise one of `w2l.core.files.DAMAGED` if it is invalid."""
        arrays = read_arrays(path)
        if arrays["format"].shape != () or int(arrays["format"]) != FORMAT:
            raise ValueError(f"index of format {arrays['format']}")
        words = {name: Words(arrays[f"{name}_text"], arrays[f"{name}_ends"]) for name in WORDS}
        numbers = {name: arrays[name] for name in (*NUMBERS, *WORDS)}
        for name, column in numbers.items():
            if column.shape != numbers["track"].shape or column.ndim != 1 or column.dtype != np.int32:
                raise ValueError(f"index with a column {name} {column.shape} of {column.dtype}")
        for name, table in words.items():
            ends = table.ends
            rises = ends.ndim == 1 and (np.diff(ends, prepend=0) >= 0).all()
            if not rises or table.text.ndim != 1 or table.text.dtype != np.uint8 or ends[-1:].sum() != len(table.text):
                raise ValueError(f"index with damaged strings in {name}")
            codes = numbers[name]
            if len(codes) and not (codes.min() >= 0 and codes.max() < len(ends)):
                raise ValueError(f"index with unknown strings in {name}")
        return cls(numbers, words)


class Builder:
    """Collects rows."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {name: [] for name in (*NUMBERS, *WORDS)}
        self._words: dict[str, dict[str, int]] = {name: {} for name in WORDS}

    def add(self, row: TrackRow, crop: str = "") -> None:
        """Add a row with its crop spec as JSON."""
        for name in NUMBERS:
            self._numbers[name].append(getattr(row, name))
        for name in WORDS:
            word = crop if name == "crop" else getattr(row, name)
            word = json.dumps(word) if name == "voices" else word
            known = self._words[name]
            self._numbers[name].append(known.setdefault(word, len(known)))

    def finish(self) -> Rows:
        """Return the rows."""
        numbers = {name: np.array(column, np.int32) for name, column in self._numbers.items()}
        return Rows(numbers, {name: Words.of(words) for name, words in self._words.items()})


def rows_of(clip_id: str, record: ClipRecord) -> Iterator[tuple[TrackRow, str]]:
    """Yield the rows of one clip's record, each with its crop spec as JSON; old records lack some fields."""
    outcome = record.preprocess
    crop = json.dumps(outcome.crop or {}, sort_keys=True)
    for number, (facts, found) in enumerate(zip(outcome.tracks, record.verdicts)):
        offset = found.offset if found.verdict == SHIFTED else 0
        status = (found.reason or "set aside by the audit") if found.verdict == EXCLUDED else ""
        if min(facts.n_frames, facts.n_columns) < 0 or abs(offset) > max(0, facts.n_frames):
            offset, status = 0, status or DAMAGED_RECORD
        row = TrackRow(
            clip_id, number, facts.n_frames, facts.n_columns, record.split or "", record.speaker or "", offset, status,
            outcome.voices or (),
        )  # fmt: skip
        yield row, crop

"""Lists of (video, speech) pairs, as used in the evaluations of Wav2Lip.

The lists of LRS2, LRS3 and LRW hold ``audio_source video``: the speech FIRST, no suffix, both ``.mp4`` files below one
root. Those of ReSyncED hold ``video audio``: the video FIRST, both with their suffix. Source: the folder `evaluation`
of github.com/Rudrabha/Wav2Lip, whose tools name each output by the number of its line, from 0.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from w2l.core.errors import ConfigError
from w2l.core.urls import refuse_url
from w2l.data.sources.tables import Row, Table, read_table
from w2l.data.sources.walk import VIDEO_SUFFIXES

Order = Literal["auto", "audio-video", "video-audio"]
"""Which name of a line comes first."""
SOUND_SUFFIXES = frozenset([".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"])
KNOWN_SUFFIXES = VIDEO_SUFFIXES | SOUND_SUFFIXES
PUBLISHED_SUFFIX = ".mp4"
"""Suffix added to a name without one."""
VIDEO_COLUMNS, SPEECH_COLUMNS = ("video",), ("speech", "audio", "audio_source")
COLUMNS = (*VIDEO_COLUMNS, *SPEECH_COLUMNS, "name")
"""Column names that a heading may contain."""
NAME_IT = "set --pairs-order audio-video (LRS2, LRS3, LRW) or video-audio (ReSyncED)"


@dataclass(frozen=True)
class Pair:
    """One line of a list: a video and the speech for it."""

    video: Path
    speech: Path
    """Any file with audio, also a video."""
    name: str
    """Name of the output, without suffix: that of the video below the root, unless the list has a column `name`. Both
    may contain folders. Where several lines have one video, the later ones add their speech."""
    line: int
    """Its line in the list, from 1, for messages."""
    number: int
    """Its line below the heading, if any, from 0: the published tool's name of the output."""


def read_pair_list(path: Path, root: Path | None = None, order: Order = "auto") -> list[Pair]:
    """Return the pairs of the list at `path`, one per line, in its order.

    Names are separated by spaces, tabs or (``.csv``) commas; those that contain spaces are quoted. Blank lines and
    lines that begin with ``#`` are skipped, but counted. A heading may name the
    columns: `video`, `speech` or `audio`, and `name`.

    Parameters
    ----------
    root : Path, optional
        What names are relative to; by default the list's own folder. A name may also be an absolute path.
    order
        `auto`: the heading decides, else the suffixes: an audio file is the speech; without any suffix the speech comes
        first, as in the LRS lists; of two videos the video comes first, as in ReSyncED.

    Raises
    ------
    ConfigError
        With file and line: if a line is not a pair, its order is ambiguous or contradicts its suffixes, an output name
        is used twice, or none of the videos exists. Some missing files are not an error here: a test set of thousands
        does not end with one of them, and the code that opens them reports it.
    """
    if order not in get_args(Order):
        raise ConfigError(f"order {order!r} of pairs is unknown; choose {', '.join(get_args(Order))}")
    table = read_table(path, COLUMNS)
    base = path.parent if root is None else root
    found = _by_heading(table) if table.heading else _by_order(table, order)
    for row, names in zip(table.rows, found):
        for name in names:
            refuse_url(name, table.where(row))
    files = [
        (named_file(base, video, VIDEO_SUFFIXES), named_file(base, speech, KNOWN_SUFFIXES)) for video, speech in found
    ]
    pairs = [
        Pair(video, speech, name, row.line, row.line - table.heading_line - 1)
        for row, (video, speech), name in zip(table.rows, files, _names(table, files, base))
    ]
    _check(table, pairs)
    if not any(os.path.isfile(pair.video) for pair in pairs):
        raise ConfigError(
            f"{path}: none of its {len(pairs)} videos exists, the first is {pairs[0].video}; name the folder "
            f"that its names begin in with --root, or the other order with --pairs-order"
        )
    return pairs


def suffix_kind(name: str) -> Literal["sound", "video", ""]:
    """Return the kind of file that a name's suffix indicates; empty for an unknown one."""
    suffix = os.path.splitext(name)[1].lower()
    return "sound" if suffix in SOUND_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else ""


def _by_heading(table: Table) -> list[tuple[str, str]]:
    """Return video and speech of each row by the heading."""
    if not set(table.heading) & set(SPEECH_COLUMNS) or "video" not in table.heading:
        raise ConfigError(f"{table.path}: the heading {' '.join(table.heading)} must name a video and a speech column")
    found = [(table.cell(row, *VIDEO_COLUMNS), table.cell(row, *SPEECH_COLUMNS)) for row in table.rows]
    for row, (video, speech) in zip(table.rows, found):
        if not video or not speech:
            raise ConfigError(f"{table.where(row)}: {'speech' if video else 'video'} is missing; add it")
    return found


def _by_order(table: Table, order: Order) -> list[tuple[str, str]]:
    """Return video and speech of each row, which contains just these two."""
    cells = [_two(table, row) for row in table.rows]
    if order == "auto":
        order = _order_of(table, cells)
    return [(second, first) if order == "audio-video" else (first, second) for first, second in cells]


def _two(table: Table, row: Row) -> tuple[str, str]:
    cells = [cell for cell in row.cells if cell]
    if len(cells) == 2:
        return cells[0], cells[1]
    told = [
        (row.text[: gap.start()], row.text[gap.end() :])
        for gap in re.finditer(r"\s+", row.text)
        if suffix_kind(row.text[: gap.start()]) and suffix_kind(row.text[gap.end() :])
    ]
    if len(told) == 1 and not re.search("[\"'\t]", row.text):  # spaces within names, yet only one place to split them
        return told[0]
    if len(cells) < 2:
        raise ConfigError(f"{table.where(row)}: only one name; expected a video and a speech")
    raise ConfigError(
        f"{table.where(row)}: {len(cells)} names; expected a video and a speech: quote names that contain spaces, "
        "or put a tab between the two"
    )


def _order_of(table: Table, cells: Sequence[tuple[str, str]]) -> Order:
    """Return the one order that the suffixes of all lines fit."""
    kinds = [(suffix_kind(first), suffix_kind(second)) for first, second in cells]
    votes: dict[Order, Row] = {}
    for row, (first, second) in zip(table.rows, kinds):
        if first == second == "sound":
            raise ConfigError(f"{table.where(row)}: two audio files; expected a video and a speech")
        if "sound" in (first, second):
            votes.setdefault("audio-video" if first == "sound" else "video-audio", row)
    if len(votes) > 1:
        lines = " and ".join(f"line {row.line}" for row in votes.values())
        raise ConfigError(f"{table.path}: {lines} have video and speech in different orders; use one order")
    if votes:
        return next(iter(votes))
    if not any(kind for pair in kinds for kind in pair):
        return "audio-video"
    if all(pair == ("video", "video") for pair in kinds):
        return "video-audio"
    odd = next(row for row, pair in zip(table.rows, kinds) if pair != kinds[0] or pair[0] != pair[1])
    raise ConfigError(f"{table.where(odd)}: only some names have a suffix, so the order is unknown; {NAME_IT}")


def named_file(base: Path, name: str, suffixes: frozenset[str]) -> Path:
    """Return the file that `name` refers to: itself, with ``.mp4`` appended, or with the suffix of an existing file."""
    if "\\" in name and "/" not in name:
        name = name.replace("\\", "/")  # for lists written on Windows
    path = base / name
    if suffix_kind(name) or os.path.isfile(path):
        return path
    others = sorted(suffixes - {PUBLISHED_SUFFIX})
    candidates = [Path(f"{path}{suffix}") for suffix in (PUBLISHED_SUFFIX, *others)]
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), candidates[0])


def _names(table: Table, files: Sequence[tuple[Path, Path]], base: Path) -> list[str]:
    """Return the name of each output: as the list says, else that of its video, which is made different by the speech.

    A name does not depend on the lines after it, so that a list can grow.
    """
    names = {row.line: _safe(table, row, name) for row in table.rows if (name := table.cell(row, "name"))}
    taken = set(names.values())
    for row, (video, speech) in zip(table.rows, files):
        if row.line in names:
            continue
        name = _below(video, base)
        if name in taken:
            name = f"{name}-{_below(speech, base).replace(os.sep, '-')}"
        if name in taken:
            name = f"{name}-{row.line - table.heading_line - 1}"
        names[row.line] = name
        taken.add(name)
    return [names[row.line] for row in table.rows]


def _below(path: Path, base: Path) -> str:
    """Return the name of a file below `base`, without suffix; of a file elsewhere, its last part."""
    below = os.path.relpath(path, base)
    name = path.name if below.startswith(os.pardir) else below
    return os.path.splitext(name)[0] if suffix_kind(name) else name


def _safe(table: Table, row: Row, name: str) -> str:
    """Return an output name that stays below the output folder."""
    stem = os.path.splitext(name)[0] if suffix_kind(name) else name
    if os.path.isabs(stem) or {"..", ".", ""} & set(stem.split("/")):
        raise ConfigError(f"{table.where(row)}: the name {name!r} leads out of the output folder; use a plain name")
    return stem


def _check(table: Table, pairs: Sequence[Pair]) -> None:
    """Reject audio files in place of videos, and duplicate output names."""
    lines: dict[str, int] = {}
    for pair in pairs:
        where = f"{table.path}, line {pair.line}"
        if suffix_kind(pair.video.name) == "sound":
            raise ConfigError(f"{where}: {pair.video.name} is audio, not video; is the order reversed? {NAME_IT}")
        if (first := lines.setdefault(pair.name, pair.line)) != pair.line:
            raise ConfigError(f"{where}: the name {pair.name} is also used in line {first}; choose another one")

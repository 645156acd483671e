"""Word timings of the clips of a corpus, from a table."""

import csv
import io
import math
from pathlib import Path, PurePath

from w2l.core.errors import ConfigError
from w2l.core.reading import Unreadable, read_text
from w2l.core.timecodes import parse_seconds

Spoken = tuple[tuple[float, float, str], ...]
"""Words of one clip: start and end in seconds, and the word."""
Words = dict[str, Spoken]
"""Clip -> its words."""
STILL = "<still>"
"""Marks, instead of a word, a stretch without speech that shows another appearance of the person, such as a smile. A
generator's training takes references from it, but never targets."""


def read_words(path: Path) -> Words:
    """Return the words of each clip from a tab-separated table with the columns clip, start_s, end_s, word.

    Times are seconds or timecodes.

    Raises ConfigError, with the line, for an invalid table.
    """
    found: dict[str, list[tuple[float, float, str]]] = {}
    try:
        text = read_text(path)
    except Unreadable as error:
        raise ConfigError(f"word times {path} cannot be read ({error}); check the path") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    try:
        for row in reader:
            words = found.setdefault(row["clip"], [])
            words.append((_seconds(row["start_s"]), _seconds(row["end_s"]), row["word"]))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ConfigError(
            f"{path}, line {reader.line_num}: expected clip, start_s, end_s and word separated by tabs"
        ) from error
    if not found:
        raise ConfigError(f"{path} contains no words; expected the heading clip, start_s, end_s, word and lines")
    return {clip: tuple(words) for clip, words in found.items()}


def _seconds(text: str) -> float:
    seconds = parse_seconds(text) if ":" in text else float(text)
    if not math.isfinite(seconds):
        raise ValueError(f"{text} is not a time")
    return seconds


def words_of(words: Words, clip: str | PurePath) -> Spoken:
    """Return the words of a clip (a path without suffix) by as many of its last parts as the table has; else empty."""
    parts = PurePath(clip).parts
    for count in range(1, len(parts) + 1):
        if (found := words.get("/".join(parts[-count:]))) is not None:
            return found
    return ()

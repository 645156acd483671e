"""What is said in each clip and when: the words of a corpus, from a table."""

import csv
from pathlib import Path, PurePath

from w2l.core.errors import ConfigError

Spoken = tuple[tuple[float, float, str], ...]
"""Words of one clip: start and end in seconds, and the word."""
Words = dict[str, Spoken]
"""Clip -> its words."""


def read_words(path: Path) -> Words:
    """The words of each clip, from a table with the columns clip, start_s, end_s, word, between tabs.

    Raises ConfigError, with the line, for what is no such table.
    """
    found: dict[str, list[tuple[float, float, str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        try:
            for row in reader:
                words = found.setdefault(row["clip"], [])
                words.append((float(row["start_s"]), float(row["end_s"]), row["word"]))
        except (KeyError, TypeError, ValueError, csv.Error) as error:  # a text of another encoding is a ValueError
            raise ConfigError(
                f"{path}, line {reader.line_num + isinstance(error, UnicodeError)}: expected clip, start_s, end_s and "
                "word between tabs"
            ) from error
    if not found:
        raise ConfigError(f"{path} holds no words; a heading clip, start_s, end_s, word and a line a word belong there")
    return {clip: tuple(words) for clip, words in found.items()}


def words_of(words: Words, clip: str | PurePath) -> Spoken:
    """The words of a clip, a path without suffix, by as many of its last parts as the table gives; none: empty."""
    parts = PurePath(clip).parts
    for count in range(1, len(parts) + 1):
        if (found := words.get("/".join(parts[-count:]))) is not None:
            return found
    return ()

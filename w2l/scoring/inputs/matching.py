"""Matching of outputs to references by similar names (pure).

Tools decorate names: ``bbaf2n`` becomes ``bbaf2n_out``, ``wav2lip-BBAF2N.w2l`` or ``s1_bbaf2n``. Names are compared
word by word, a word being a run of letters and digits in any case, so that ``11`` is never found in ``111``.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Decoration = tuple[tuple[str, ...], tuple[str, ...]]
"""Words before and after a name within a longer one."""
MAJORITY = 0.5
"""Smallest share of all names that must have the same decoration for it to decide between several partners."""
MAX_WORDS = 24
"""Number of words of a name that are compared, from its end: more would only cost time."""


@dataclass(frozen=True)
class Matching:
    """Result of the matching."""

    found: Mapping[str, str] = field(default_factory=dict)
    """Name -> its target; several names may have the same target."""
    unclear: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> equally possible targets; none is chosen."""


@dataclass(frozen=True)
class _Key:
    words: tuple[str, ...]
    """Words of the folders and the file."""
    first: int
    """Index of the file's first word."""

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield start and end of each run of words that extends into the file's, the longest first."""
        for length in range(len(self.words), 0, -1):
            for start in range(len(self.words) - length + 1):
                if start + length > self.first:
                    yield start, start + length

    def decoration(self, start: int, stop: int) -> Decoration:
        """Return what surrounds a run of words in the file's own name; folders are not decoration."""
        return self.words[self.first : max(start, self.first)], self.words[stop:]

    def file_only(self) -> "_Key":
        return _Key(self.words[self.first :], 0)


def match(names: Iterable[str], targets: Iterable[str]) -> Matching:
    """Find for each of `names` the one of `targets` that it was made from.

    Both are paths without suffix. In this order: the same name; the target's words within the name's, including
    folders; the name's within the target's; the same for file names only; and all that again without the words that all
    names, or all targets, share at their ends. A name with several targets belongs to the longest that contains the
    others, else to the one that leaves the most common decoration; otherwise it is unclear.
    """
    wanted, known = list(dict.fromkeys(names)), set(targets)
    found = {name: name for name in wanted if name in known}
    unclear: dict[str, tuple[str, ...]] = {}
    name_keys, target_keys = _keys(wanted), _keys(sorted(known))
    stripped = _stripped(name_keys), _stripped(target_keys)
    files = [{name: key.file_only() for name, key in keys.items()} for keys in (name_keys, target_keys)]
    for these, those in ((name_keys, target_keys), (files[0], files[1]), stripped):
        for look in (_targets_within, _names_within):
            left = {name: key for name, key in these.items() if name not in found and name not in unclear}
            if not left:
                break
            found_now, unclear_now = _settle(look(left, those), len(wanted))
            found |= found_now
            unclear |= unclear_now
    return Matching(found, unclear)


def words(name: str) -> tuple[str, ...]:
    """Return the runs of letters and digits in `name`, with case and accents normalised."""
    return tuple(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold()))


def _keys(names: Iterable[str]) -> dict[str, _Key]:
    keys = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        of_file = words(file)[-MAX_WORDS:]
        of_folder = words(folder)[-MAX_WORDS:]
        if of_file:
            keys[name] = _Key(of_folder + of_file, len(of_folder))
    return keys


def _targets_within(names: Mapping[str, _Key], targets: Mapping[str, _Key]) -> dict[str, dict[str, Decoration]]:
    """Return name -> the targets whose words it contains, each with what surrounds it."""
    whole: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for target, key in targets.items():
        whole[key.words].append(target)
    found: dict[str, dict[str, Decoration]] = {}
    for name, key in names.items():
        taken: list[tuple[int, int]] = []
        for start, stop in key.spans():
            is_part = any(first <= start and stop <= last for first, last in taken)
            if is_part or key.words[start:stop] not in whole:
                continue
            taken.append((start, stop))
            for target in whole[key.words[start:stop]]:
                found.setdefault(name, {}).setdefault(target, key.decoration(start, stop))
    return found


def _names_within(names: Mapping[str, _Key], targets: Mapping[str, _Key]) -> dict[str, dict[str, Decoration]]:
    """Return, for each name, the targets that contain its words, with the text around them in each."""
    wanted: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, key in names.items():
        wanted[key.words].append(name)
    found: dict[str, dict[str, Decoration]] = {}
    for target, key in targets.items():
        for start, stop in key.spans():
            for name in wanted.get(key.words[start:stop], ()):
                found.setdefault(name, {}).setdefault(target, key.decoration(start, stop))
    return found


def _settle(
    candidates: Mapping[str, Mapping[str, Decoration]], n_names: int
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return one target for each name that has candidates, or all of them if none stands out."""
    usual = Counter(decoration for of_name in candidates.values() for decoration in set(of_name.values()))
    found: dict[str, str] = {}
    unclear: dict[str, tuple[str, ...]] = {}
    for name, of_name in candidates.items():
        most = max(usual[decoration] for decoration in of_name.values())
        best = [target for target, decoration in of_name.items() if usual[decoration] == most]
        if len(of_name) == 1 or (len(best) == 1 and most > 1 and most >= MAJORITY * n_names):
            found[name] = best[0]
        else:
            unclear[name] = tuple(sorted(of_name))
    return found, unclear


def _stripped(keys: Mapping[str, _Key]) -> dict[str, _Key]:
    """Return the words of the file names, without those that all names start or end with."""
    files = {name: key.words[key.first :] for name, key in keys.items()}
    if len(files) < 2:
        return {name: _Key(file, 0) for name, file in files.items()}
    shortest = min(map(len, files.values()))
    first = _shared(list(files.values()), shortest - 1)
    last = _shared([file[::-1] for file in files.values()], shortest - 1 - first)
    return {name: _Key(file[first : len(file) - last], 0) for name, file in files.items()}


def _shared(files: list[tuple[str, ...]], most: int) -> int:
    """Return how many words all files begin with, at most `most`, so that one remains."""
    return next((n for n in range(most) if len({file[n] for file in files}) > 1), max(most, 0))

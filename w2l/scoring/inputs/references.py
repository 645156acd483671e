"""Real videos given by `--reference`, and the outputs that they belong to."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.core.text import readable, some
from w2l.data.sources.pairs import COLUMNS as PAIR_COLUMNS
from w2l.data.sources.pairs import Order, named_file, read_pair_list, suffix_kind
from w2l.data.sources.tables import LIST_SUFFIXES, Row, Table, read_table
from w2l.data.sources.walk import VIDEO_SUFFIXES, walk_videos
from w2l.scoring.inputs.matching import match
from w2l.scoring.results import Sample


@dataclass(frozen=True)
class Origin:
    """Source of an output."""

    video: Path
    speech: Path | None = None


@dataclass
class Named:
    """The references given by the user."""

    for_all: Path | None = None
    """The one real video of all outputs."""
    by_name: dict[str, list[Origin]] = field(default_factory=dict)
    """Name -> references with that name: several if they differ only in their suffix."""
    by_number: dict[str, list[Origin]] = field(default_factory=dict)
    """Number of the line in a list of pairs -> its video: the published tool names outputs so."""
    by_output: dict[Path, Origin] = field(default_factory=dict)
    """Resolved output -> the reference given with it in a list."""
    folders: list[Path] = field(default_factory=list)
    """Resolved folders of references, which are not searched for outputs."""

    def assign(self, samples: Sequence[Sample], notes: list[str]) -> list[Sample]:
        """Return `samples` with matching references; unused and unclear references are noted."""
        if self.for_all is not None:
            return [replace(sample, reference=sample.reference or self.for_all) for sample in samples]
        told = [self._told(sample) for sample in samples] if self.by_output else list(samples)
        if not self.by_name:
            return told
        if {sample.name for sample in told} <= self.by_number.keys():
            self.by_name = self.by_number
        used: set[str] = set()
        for system in dict.fromkeys(sample.system for sample in told):
            self._match(told, system, used, notes)
        if unused := [name for name in self.by_name if name not in used]:
            notes.append(f"{len(unused)} of {len(self.by_name)} references belong to no output: {some(unused)}")
        return told

    def _told(self, sample: Sample) -> Sample:
        origin = self.by_output.get(real_path(sample.path))
        if origin is None or sample.reference is not None:
            return sample
        return replace(sample, reference=origin.video, speech=sample.speech or origin.speech)

    def _match(self, samples: list[Sample], system: str, used: set[str], notes: list[str]) -> None:
        """Assign references by name to the outputs of one system, and their names, in place."""
        open_ = {one.name: idx for idx, one in enumerate(samples) if one.system == system and one.reference is None}
        if not open_:
            return
        matching = match(open_, self.by_name)
        owners = Counter(matching.found.values())
        closed = {one.name for one in samples if one.system == system} - set(open_)
        missing: list[str] = []
        unclear = {name: list(targets) for name, targets in matching.unclear.items()}
        for name, target in matching.found.items():
            used.add(target)
            sample = samples[open_[name]]
            origins = self._fitting(target, sample.path)
            if len(origins) > 1:
                unclear[name] = [str(origin.video) for origin in origins]
                continue
            is_there = origins[0].video.is_file()
            if not is_there:
                missing.append(str(origins[0].video))
            samples[open_[name]] = replace(
                sample,
                reference=origins[0].video if is_there else None,
                speech=sample.speech or origins[0].speech,
                name=target if owners[target] == 1 and target not in closed else name,
            )
        alone = [name for name in open_ if name not in matching.found and name not in unclear]
        if missing:
            notes.append(f"{system}: {len(missing)} references are missing: {some(missing)}")
        if alone:
            notes.append(f"{system}: {len(alone)} of {len(open_)} outputs match no reference by name: {some(alone)}")
        if unclear:
            name, targets = next(iter(unclear.items()))
            notes.append(
                f"{system}: {len(unclear)} of {len(open_)} outputs may belong to several references and got none, as "
                f"{readable(name)}: {some(targets)}; list each with its reference"
            )

    def _fitting(self, target: str, output: Path) -> list[Origin]:
        """Return the references with a name; of several the one with the suffix of the output."""
        origins = self.by_name[target]
        if len(origins) > 1:
            origins = list({real_path(origin.video): origin for origin in origins}.values())
        alike = [origin for origin in origins if origin.video.suffix.lower() == output.suffix.lower()]
        return alike if len(alike) == 1 else origins


def read_references(paths: Sequence[Path], root: Path | None, order: Order, notes: list[str]) -> Named:
    """Return the references: one video for all, or videos, folders and lists to be matched by name.

    Raises ConfigError for a path that does not exist, a folder without videos, or a line that does not name a video.
    """
    for path in paths:
        if not path.exists():
            raise ConfigError(f"reference {path} does not exist; choose a real video, a folder of them or a list")
    named = Named()
    files = [path for path in paths if not path.is_dir() and path.suffix.lower() not in LIST_SUFFIXES]
    if len(paths) == len(files) == 1:
        named.for_all = files[0]
        return named
    for name, path in zip(clip_names(files), files):
        named.by_name.setdefault(name, []).append(Origin(path))
    for path in paths:
        if path.is_dir():
            for name, video in videos_below(path, notes):
                named.by_name.setdefault(_without_suffix(name), []).append(Origin(video))
            named.folders.append(real_path(path))
        elif path.suffix.lower() in LIST_SUFFIXES:
            _read_list(path, root, order, named)
    return named


def _read_list(path: Path, root: Path | None, order: Order, named: Named) -> None:
    """Add the entries of a list of references, or of pairs."""
    table = read_table(path, {*PAIR_COLUMNS, "output", "reference"})
    bases = [path.parent, Path()] if root is None else [root]
    if "reference" in table.heading:
        for row in table.rows:
            video = find_listed(table, row, table.cell(row, "reference"), bases)
            speech = table.cell(row, "speech", "audio")
            origin = Origin(video, find_listed(table, row, speech, bases) if speech else None)
            if output := table.cell(row, "output"):
                named.by_output[real_path(find_listed(table, row, output, bases))] = origin
            else:
                named.by_name.setdefault(table.cell(row, "name") or video.stem, []).append(origin)
        return
    if not table.heading and (videos := _one_a_line(table, bases)):
        for name, video in zip(clip_names(videos), videos):
            named.by_name.setdefault(name, []).append(Origin(video))
        return
    for pair in read_pair_list(path, root, order):
        origin = Origin(pair.video, pair.speech)
        named.by_name.setdefault(pair.name, []).append(origin)
        if "name" not in table.heading:
            named.by_number.setdefault(str(pair.number), []).append(origin)


def _one_a_line(table: Table, bases: Sequence[Path]) -> list[Path]:
    """Return the videos of a list with one per line; empty for a list of pairs."""
    first = table.rows[0]
    if len(first.cells) > 1 and not _exists(first.text, bases):
        return []
    return [find_listed(table, row, row.text if len(row.cells) > 1 else row.cells[0], bases) for row in table.rows]


def find_listed(table: Table, row: Row, name: str, bases: Sequence[Path]) -> Path:
    """Return the file named in a line below the first of `bases` that has it; raise ConfigError if there is none."""
    for base in bases:
        path = named_file(base, name, VIDEO_SUFFIXES)
        if name and os.path.isfile(path):
            return path
    if not name:
        raise ConfigError(f"{table.where(row)}: a name is missing; add it, or delete the line")
    raise ConfigError(
        f"{table.where(row)}: {readable(name)} does not exist below {bases[0]}; correct it, or set --root"
    )


def _exists(name: str, bases: Sequence[Path]) -> bool:
    return any(os.path.isfile(base / name) for base in bases)


def videos_below(folder: Path, notes: list[str]) -> list[tuple[str, Path]]:
    """Return relative and full path of each video in `folder`; raise ConfigError if there are none."""
    walk = walk_videos(str(folder))
    if not walk.videos:
        found = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in walk.others.most_common(3))
        raise ConfigError(
            f"no videos in {folder}{f' (other files: {readable(found)})' * bool(found)}; choose another folder"
        )
    notes += [f"skipped {readable(left)}" for left in walk.unreadable]
    return [(name, folder / name) for name in walk.videos]


def clip_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each of several files: its stem, or its path below their common folder if ambiguous."""
    stems = [_without_suffix(path.name) for path in paths]
    if len(set(stems)) == len(paths):
        return stems
    whole = [os.path.abspath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in whole])
    below = [os.path.relpath(path, common) for path in whole]
    return distinct(below)


def distinct(names: Sequence[str]) -> list[str]:
    """Return paths without their suffix, except for those that differ only in it."""
    shared = Counter(_without_suffix(name) for name in dict.fromkeys(names))
    return [name if shared[_without_suffix(name)] > 1 else _without_suffix(name) for name in names]


def _without_suffix(name: str) -> str:
    return os.path.splitext(name)[0] if suffix_kind(name) == "video" else name

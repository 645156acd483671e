"""Inputs of a score: from files, folders, lists or the cache's runs to samples, each with its reference."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache as remember
from pathlib import Path

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.core.text import some
from w2l.data.sources.layouts import recognise
from w2l.data.sources.pairs import Order
from w2l.data.sources.tables import LIST_SUFFIXES, Row, Table, read_table
from w2l.scoring.inputs.matching import match
from w2l.scoring.inputs.records import Records
from w2l.scoring.inputs.references import Named, clip_names, distinct, find_listed, read_references, videos_below
from w2l.scoring.results import REAL, SHUFFLED, Sample

OUTPUTS = "outputs"
"""System of individually named files."""
LIST_COLUMNS = ("output", "reference", "speech", "audio", "name", "system", "speaker")
"""Column names that the heading of a list may contain."""
PLAIN_COLUMNS = ("output", "reference", "speech")
"""The columns of a list without a heading; the last ones are optional."""
FileIdentity = Callable[[Path], str]
"""Resolves a path, following links."""
NO_REAL = "the real video is unknown; set it with --reference"


@dataclass(frozen=True)
class ScoreInputs:
    """The videos to score, and notes for the user."""

    samples: tuple[Sample, ...]
    """The outputs, system by system, then the real videos, each once."""
    notes: tuple[str, ...] = ()

    @property
    def systems(self) -> tuple[str, ...]:
        """Return the names of the systems in their order, without the real videos."""
        return tuple(dict.fromkeys(sample.system for sample in self.samples if sample.system != REAL))


def find_inputs(
    paths: Sequence[Path],
    references: Sequence[Path],
    cache: Cache,
    root: Path | None = None,
    order: Order = "auto",
) -> ScoreInputs:
    """Find the outputs in `paths`, or all that `sync` made with `cache`, and their real videos.

    Parameters
    ----------
    paths
        Videos, which make one system; folders, each a system of all videos below it; lists of outputs, each a system.
        The outputs of one clip get one name in all systems, whatever each system added to it, see `match`.
    references
        A video for all outputs; or folders, videos and lists that are matched to the outputs by name. A list contains
        videos, or pairs of video and speech (see `w2l.data.sources.pairs`) for outputs named after them. An output
        without a match uses the video in the record of `sync`, in the cache or beside it.
    root, order
        For the names in lists, see `read_pairs`.

    Raises
    ------
    ConfigError
        For a path that does not exist, with the line of the list if any, or a folder without videos.
    CacheError
        Without `paths`, if the cache has no runs.
    """
    notes: list[str] = []
    identity: FileIdentity = remember(os.path.realpath)  # called repeatedly for each clip
    named = read_references(references, root, order, notes)
    records = Records(cache)
    samples = _from_paths(paths, named, root, notes) if paths else records.outputs(notes)
    samples = _apart_from_anchors(samples, notes)
    samples = named.assign(_once(samples, identity, notes), notes)
    samples = _one_name_a_clip(records.assign(samples, notes), identity, notes)
    reals = _reals(samples, identity)
    without = [sample.name for sample in samples if sample.reference is None]
    if not reals:
        notes.append(NO_REAL)
    elif without:
        notes.append(f"{len(without)} of {len(samples)} outputs have no reference: {some(without)}")
    return ScoreInputs(tuple(_with_speakers([*samples, *reals])), tuple(notes))


def _from_paths(paths: Sequence[Path], named: Named, root: Path | None, notes: list[str]) -> list[Sample]:
    """Return the outputs in `paths`, in the order of their kinds: files, folders, lists."""
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path} does not exist; choose a video, a folder of videos or a list of them")
    folders = [path for path in paths if path.is_dir()]
    lists = [path for path in paths if not path.is_dir() and path.suffix.lower() in LIST_SUFFIXES]
    samples = _from_files([path for path in paths if not path.is_dir() and path not in lists])
    for folder, system in _systems(folders).items():
        samples += _from_folder(folder, system, named, notes)
    for path in lists:
        samples += _from_list(path, root)
    return samples


def _from_files(files: Sequence[Path]) -> list[Sample]:
    """Return one system of individually named videos; one per folder if these contain files of the same name."""
    files = list({real_path(path): path for path in files}.values())
    if len({path.stem for path in files}) < len(files) and len({path.parent for path in files}) > 1:
        samples = []
        for folder, system in _systems([path.parent for path in files]).items():
            inside = [path for path in files if real_path(path.parent) == real_path(folder)]
            samples += [Sample(path, system, name) for path, name in zip(inside, clip_names(inside))]
        return samples
    return [Sample(path, OUTPUTS, name) for path, name in zip(files, clip_names(files))]


def _from_folder(folder: Path, system: str, named: Named, notes: list[str]) -> list[Sample]:
    """Return all videos below a folder, without those in a folder of references inside it."""
    within = [real for real in named.folders if real != real_path(folder) and real.is_relative_to(real_path(folder))]
    videos = videos_below(folder, notes)
    if within:
        outside = [(name, path) for name, path in videos if not any(real_path(path).is_relative_to(f) for f in within)]
        if not outside:
            raise ConfigError(f"all videos in {folder} lie in the folder of references; choose that of the outputs")
        videos = outside
    names = distinct([name for name, _ in videos])
    return [Sample(path, system, name) for (_, path), name in zip(videos, names)]


def _systems(folders: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each folder: its own, with those above it if several have the same name."""
    different: dict[Path, Path] = {}
    for folder in folders:
        different.setdefault(real_path(folder), folder)
    parts = {folder: Path(os.path.abspath(folder)).parts for folder in different.values()}
    names = {folder: "/".join(of_folder[-1:]) for folder, of_folder in parts.items()}
    depth = 1
    while len(set(names.values())) < len(names):
        depth += 1
        names = {folder: "/".join(of_folder[-depth:]) for folder, of_folder in parts.items()}
    return names


def _apart_from_anchors(samples: Sequence[Sample], notes: list[str]) -> list[Sample]:
    """Return the outputs, with systems renamed that have the name of an anchor row."""
    for name in (REAL, SHUFFLED):
        if any(sample.system == name for sample in samples):
            remedy = "set --reference for real videos"
            notes.append(f"outputs named {name} are scored as a system {name}/; {remedy}")
    return [replace(one, system=f"{one.system}/") if one.system in (REAL, SHUFFLED) else one for one in samples]


def _from_list(path: Path, root: Path | None) -> list[Sample]:
    """Return the outputs in a list, with their references and speech."""
    table = read_table(path, LIST_COLUMNS)
    bases = [path.parent, Path()] if root is None else [root]
    if not table.heading:
        table = _with_heading(table, bases)
    if "output" not in table.heading:
        raise ConfigError(f"{path}: the heading {' '.join(table.heading)} does not have a column output; add it")
    samples = []
    for row in table.rows:
        cells = {name: table.cell(row, *names) for name, names in _ASKED.items()}
        output = find_listed(table, row, cells["output"], bases)
        reference, speech = (
            find_listed(table, row, cells[name], bases) if cells[name] else None for name in ("reference", "speech")
        )
        system = cells["system"] or path.stem
        samples.append(Sample(output, system, cells["name"], reference, speech, cells["speaker"]))
    for system in dict.fromkeys(sample.system for sample in samples):
        unnamed = [idx for idx, one in enumerate(samples) if one.system == system and not one.name]
        for idx, name in zip(unnamed, clip_names([samples[idx].path for idx in unnamed])):
            samples[idx] = replace(samples[idx], name=name)
    return samples


_ASKED = {name: (name,) for name in ("output", "reference", "name", "system", "speaker")} | {
    "speech": ("speech", "audio")
}


def _with_heading(table: Table, bases: Sequence[Path]) -> Table:
    """Return a list of plain columns; a single name with spaces in a line need not be quoted."""
    rows = []
    for row in table.rows:
        if len(row.cells) > 1 and any(os.path.isfile(base / row.text) for base in bases):
            row = Row(row.line, row.text, (row.text,))
        if len(row.cells) > len(PLAIN_COLUMNS):
            raise ConfigError(
                f"{table.where(row)}: {len(row.cells)} names; expected an output, optionally its reference and "
                "speech; quote names that contain spaces"
            )
        rows.append(row)
    return Table(table.path, tuple(rows), PLAIN_COLUMNS)


def _once(samples: Sequence[Sample], identity: FileIdentity, notes: list[str]) -> list[Sample]:
    """Return each file once per system."""
    found = {(sample.system, identity(sample.path)): sample for sample in reversed(samples)}
    kept = set(map(id, found.values()))
    if twice := [sample.name for sample in samples if id(sample) not in kept]:
        notes.append(f"{len(twice)} outputs are given twice, and scored once: {some(twice)}")
    return [sample for sample in samples if id(sample) in kept]


def _one_name_a_clip(samples: Sequence[Sample], identity: FileIdentity, notes: list[str]) -> list[Sample]:
    """Give the same clip the same name in every system: that of the first system that has it."""
    by_system: dict[str, list[Sample]] = {}
    for sample in samples:
        by_system.setdefault(sample.system, []).append(sample)
    known: list[Sample] = []
    for system, ours in by_system.items():
        renamed = _renamed(ours, known, identity) if known else ours
        if known and not {one.name for one in renamed} & {one.name for one in known}:
            notes.append(f"{system} does not share clips with the systems before it: their outputs are not compared")
        by_system[system] = renamed
        known += renamed
    return [sample for ours in by_system.values() for sample in ours]


def _renamed(ours: Sequence[Sample], known: Sequence[Sample], identity: FileIdentity) -> list[Sample]:
    """Return the outputs of a system, renamed to match the clips of others by similar names or the same reference."""
    taken, theirs = {one.name for one in ours}, {one.name for one in known}
    free, left = theirs - taken, taken - theirs
    found = dict(match(left, free).found)
    by_reference = _of_one_output(known, identity)
    for reference, name in _of_one_output(ours, identity).items():
        if name in left and name not in found and by_reference.get(reference) in free:
            found[name] = by_reference[reference]
    owners = Counter(found.values())
    return [replace(one, name=found[one.name]) if owners[found.get(one.name, "")] == 1 else one for one in ours]


def _of_one_output(samples: Sequence[Sample], identity: FileIdentity) -> dict[str, str]:
    """Return reference -> name of the clip made from it, for references with exactly one such clip."""
    names: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.reference is not None:
            names[identity(sample.reference)].add(sample.name)
    return {reference: next(iter(of_it)) for reference, of_it in names.items() if len(of_it) == 1}


def _reals(samples: Sequence[Sample], identity: FileIdentity) -> list[Sample]:
    """Return the real videos, each once, named like their outputs, or by their own name if these are several."""
    paths = {identity(one.reference): one.reference for one in samples if one.reference is not None}
    names = _of_one_output(samples, identity)
    own = dict(zip(paths, clip_names(list(paths.values()))))
    called = {file: names.get(file, own[file]) for file in paths}
    uses = Counter(called.values())
    return [Sample(path, REAL, called[file] if uses[called[file]] == 1 else str(path)) for file, path in paths.items()]


def _with_speakers(samples: Sequence[Sample]) -> list[Sample]:
    """Set speakers by the folders of the real videos, or else of the outputs, as in `preprocess`."""
    groups: dict[str, list[int]] = defaultdict(list)
    for idx, sample in enumerate(samples):
        groups["" if sample.reference or sample.system == REAL else sample.system].append(idx)
    told = list(samples)
    for group in groups.values():
        paths = [os.path.abspath(samples[idx].reference or samples[idx].path) for idx in group]
        common = os.path.commonpath([os.path.dirname(path) for path in paths])
        if common == os.path.sep:
            continue
        dataset = recognise(common, [os.path.relpath(path, common) for path in paths], "auto")
        for idx, path in zip(group, paths):
            place = dataset.place(path)
            told[idx] = replace(samples[idx], speaker=samples[idx].speaker or (place.speaker if place else ""))
    return told

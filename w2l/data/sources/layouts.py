"""Dataset layouts, recognised by their paths, with the split and the speaker of each video.

| layout      | a video lies in                             | split                 | speaker                     |
|-------------|---------------------------------------------|-----------------------|-----------------------------|
| `lrs2`      | `main/<id>/<n>`, `pretrain/<id>/<n>`         | the lists at the root | `<id>`: one programme       |
| `lrs3`      | `trainval|test|pretrain/<youtube id>/<n>`   | the first folder      | `<youtube id>`: one talk    |
| `lrw`       | `<WORD>/train|val|test/<WORD>_<n>`          | the second folder     | unknown                     |
| `voxceleb2` | `dev|test/mp4/id<nnnnn>/<youtube id>/<n>`   | the first folder      | `id<nnnnn>`                 |
| `folder`    | anywhere                                    | see below             | the first of several folders |

In a plain folder, splits are folders named `train`, `val`, `test` without other folders beside them, or lists at the
root.

Sources: the datasets' pages at www.robots.ox.ac.uk/~vgg/data (lip_reading, voxceleb), Afouras et al. 2018
(arXiv 1809.00496) for LRS3, and for where LRS2's lists lie (beside or above `main`) github.com/mpc001/auto_avsr.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2l.core.errors import ConfigError
from w2l.core.text import readable
from w2l.data.sources.clip_lists import SPLITS

SAMPLE = 1000
"""Number of paths from which the layout of a dataset is recognised."""
ALIKE = 0.95
"""Share of the paths that must fit a layout for it to be recognised automatically."""


@dataclass(frozen=True)
class PathShape:
    """The form of a dataset's paths."""

    expected: str
    """Description for errors."""
    path: re.Pattern[str]
    """The whole path without suffix: `home`, `subset` and `speaker` are its named parts."""
    splits: Mapping[str, str]
    """Subset folder -> split; empty if only lists define splits."""
    only_asked: str = ""
    """A subset folder that is used only on request."""
    one_of: tuple[str, ...] = ()
    """Recognised automatically only if one of these folders exists."""


def _shape(
    expected: str, path: str, splits: Mapping[str, str], only: str = "", one_of: tuple[str, ...] = ()
) -> PathShape:
    return PathShape(expected, re.compile(rf"(?P<home>.*?)/{path}", re.DOTALL | re.ASCII), splits, only, one_of)


SHAPES: Mapping[str, PathShape] = {
    "lrs2": _shape(
        "main/<id>/<n>.mp4, both of digits",
        r"(?P<subset>main|pretrain)/(?P<speaker>\d+)/\d+",
        {"main": "", "pretrain": "pretrain"},
        only="pretrain",
    ),
    "lrs3": _shape(
        "trainval|test|pretrain/<youtube id>/<5 digits>.mp4",
        r"(?P<subset>trainval|test|pretrain)/(?P<speaker>[\w-]{11})/\d{5}",
        {"trainval": "train", "test": "test", "pretrain": "pretrain"},
        one_of=("trainval", "pretrain"),
    ),
    "lrw": _shape(
        "<WORD>/train|val|test/<WORD>_<5 digits>.mp4",
        r"(?P<word>[A-Z']+)/(?P<subset>train|val|test)/(?P=word)_\d{5}",
        {"train": "train", "val": "val", "test": "test"},
    ),
    "voxceleb2": _shape(
        "dev|test/mp4/id<5 digits>/<youtube id>/<5 digits>.mp4",
        r"(?:(?P<subset>dev|test)/)?(?:mp4/)?(?P<speaker>id\d{5})/[\w-]{11}/\d{5}",
        {"dev": "train", "test": "test"},
    ),
}
LAYOUTS = ("auto", *SHAPES, "folder")


@dataclass(frozen=True)
class Place:
    """Position of a video in its dataset."""

    key: str
    """Path below the home, without suffix."""
    subset: str = ""
    split: str = ""
    speaker: str = ""


@dataclass(frozen=True)
class Dataset:
    """A recognised dataset."""

    layout: str
    root: str
    """The folder given by the user, absolute."""
    home: str
    """The folder that ids are relative to: the root, or for a known layout the one that contains its subsets, wherever
    the root lies below it."""
    split_level: int | None = None
    """For a plain folder: index of the path part that names the split, if any."""
    speaker_level: int | None = None
    """For a plain folder: index of the path part that is taken as the speaker."""

    def place(self, path: str) -> Place | None:
        """Return the position of the video at absolute `path`; None if it does not fit the layout."""
        stem = os.path.splitext(path)[0]
        if self.layout == "folder":
            is_within = stem.startswith(f"{self.home}/")
            key = stem[len(self.home) + 1 :] if is_within else os.path.relpath(stem, self.home)
            folders = key.split("/")[:-1] if not key.startswith("../") else []
            return Place(key, "", _part(folders, self.split_level), _part(folders, self.speaker_level))
        shape = SHAPES[self.layout]
        match = shape.path.fullmatch(stem)
        if match is None or match["home"] != self.home:
            return None
        parts = match.groupdict(default="")
        subset = parts["subset"]
        return Place(stem[len(self.home) + 1 :], subset, shape.splits.get(subset, ""), parts.get("speaker", ""))

    def wants(self, subset: str) -> bool:
        """Whether videos of `subset` are used, unless a list names them."""
        return self.layout == "folder" or subset != SHAPES[self.layout].only_asked or self._root_names(subset)

    def _root_names(self, subset: str) -> bool:
        folder = os.path.join(self.home, subset)
        return self.root == folder or self.root.startswith(f"{folder}/")

    def bases(self, split: str) -> list[str]:
        """Return the folders that the lines of a list for `split` may be relative to, the most likely first."""
        if self.layout == "folder":
            return [self.root]
        subsets = [os.path.join(self.home, subset) for subset in self._subsets(split)]
        near = subsets[:1] if split else []
        return list(dict.fromkeys([*near, self.root, self.home, *subsets]))

    def keys(self, name: str, split: str) -> list[str]:
        """Return the keys that `name`, on a list for `split`, may refer to."""
        name = name.removeprefix(f"{self.home}/")
        return [name] if self.layout == "folder" else [name, *(f"{subset}/{name}" for subset in self._subsets(split))]

    def _subsets(self, split: str) -> list[str]:
        """Return the layout's subset folders, the one for `split` first, then the one divided only by lists."""
        splits = SHAPES[self.layout].splits
        return sorted(splits, key=lambda subset: (splits[subset] != split, splits[subset] != ""))

    def list_folders(self) -> list[str]:
        """Return the folders that may contain the dataset's own lists."""
        above = [os.path.dirname(self.home)] if self.layout == "lrs2" else []
        return list(dict.fromkeys([self.root, self.home, *above]))


def recognise(root: str, names: Sequence[str], layout: str) -> Dataset:
    """Return the dataset whose videos are `names`, paths below the absolute folder `root`; a sample is sufficient.

    Raises ConfigError if `layout` is given and no video fits it.
    """
    if not names and layout in SHAPES:
        raise ConfigError(f"{root} does not have the layout {layout}: expected {SHAPES[layout].expected}; found none")
    step = max(1, len(names) // SAMPLE) if layout == "auto" else 1
    sample = [os.path.splitext(name)[0] for name in names[::step]]
    for name, shape in SHAPES.items():
        for base in dict.fromkeys([root, os.path.realpath(root)]):
            home, n_fits = _home_of(shape, [os.path.join(base, stem) for stem in sample])
            is_like_it = n_fits and n_fits >= ALIKE * len(sample) and _is_sure(shape, home)
            if (name == layout and n_fits) or (layout == "auto" and is_like_it):
                return Dataset(name, base, home)
    if layout in SHAPES:
        raise ConfigError(
            f"{root} does not have the layout {layout}: expected {SHAPES[layout].expected}, not {readable(names[0])} or"
            " the like; choose the dataset's root folder, or use --layout auto"
        )
    return Dataset("folder", root, root, *_levels(root))


def _home_of(shape: PathShape, stems: Sequence[str]) -> tuple[str, int]:
    """Return the most frequent home of the paths that fit, and how many have it."""
    homes = Counter(match["home"] for match in map(shape.path.fullmatch, stems) if match)
    return homes.most_common(1)[0] if homes else ("", 0)


def _is_sure(shape: PathShape, home: str) -> bool:
    return not shape.one_of or any(os.path.isdir(os.path.join(home, name)) for name in shape.one_of)


def _levels(root: str) -> tuple[int | None, int | None]:
    """Return which folder level from a plain folder to its videos names a split, and which a speaker.

    Single folders carry no information; the first level with several names defines splits, if all are names of splits
    and speakers lie below them, else speakers.
    """
    level = 0
    names = _folders(root)
    while len(names) == 1:
        root, level = os.path.join(root, names[0]), level + 1
        names = _folders(root)
    if not names:
        return None, None
    return (level, level + 1) if set(names) <= set(SPLITS) else (None, level)


def _folders(root: str) -> list[str]:
    """Return the folders in `root`, without hidden ones."""
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except OSError:
        return []


def _part(parts: Sequence[str], level: int | None) -> str:
    return parts[level] if level is not None and level < len(parts) else ""

"""Building a user study: outputs of several systems under blind names, a page, and the key."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from w2l.core.config import plain
from w2l.core.errors import CacheError, ConfigError, MediaError
from w2l.core.files import fingerprint, read_json, remove_leftovers, sha256, write_atomic, write_json, write_text
from w2l.core.progress import progress
from w2l.core.reading import real_path
from w2l.core.text import counted, readable, some
from w2l.data.sources.walk import walk_videos
from w2l.media.browser import encode_for_browsers, unplayable
from w2l.media.video import probe
from w2l.scoring.study.page import CLIP_FOLDER, PageContent, render_study
from w2l.scoring.study.plan import pair_rounds, rating_rounds

logger = logging.getLogger(__name__)

RATERS = "for-raters"
"""The folder given to raters: the page and its videos."""
PAGE = "study.html"
KEY = "study-key.json"
"""Stays with the experimenter: maps blind names to systems."""
KEY_FORMAT = "w2l study key 1"
MOST_NAMES = 5
"""Longest list in a message."""
SAME_LENGTH_S = 0.2
"""Difference in length, in seconds, from which videos of one clip are reported."""


@dataclass(frozen=True)
class StudySettings:
    """Settings of a user study."""

    title: str = "Faces that speak"
    """Title of the page, visible to raters; it should not name a system."""
    send_to: str = ""
    """Where raters should send their answers, such as an address; may be empty."""
    clips: int = 40
    """Largest number of clips, drawn at random; 0 for all."""
    ratings: int = 20
    """Videos that one rater rates from 1 to 5, drawn so that all systems occur equally often; 0 for none."""
    pairs: int = 20
    """Pairs of the same clip that one rater compares; 0 for none."""
    repeats: int = 2
    """Number of these pairs shown again with the sides swapped, to measure a rater's consistency."""
    seed: int = 0
    """Seed of the drawing; another seed gives other clips and other blind names."""

    def __post_init__(self) -> None:
        """Reject negative numbers and a study without questions."""
        for name in ("clips", "ratings", "pairs", "repeats", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} {getattr(self, name)} must not be negative")
        if not self.ratings and not self.pairs:
            raise ConfigError("ratings and pairs are both 0; set at least one of them")
        if self.repeats > self.pairs:
            raise ConfigError(f"repeats {self.repeats} must not be more than pairs {self.pairs}")


@dataclass(frozen=True)
class Study:
    """The result of building a study."""

    id: str
    page: Path
    """To be opened in a browser; its folder is given to raters."""
    key: Path
    systems: tuple[str, ...]
    clips: tuple[str, ...]
    """Clips that all systems have and that can be shown."""
    encoded: Mapping[str, int]
    """System -> videos that browsers cannot play and that were re-encoded."""
    notes: tuple[str, ...] = ()
    """Notes for the experimenter: clips left out and why."""


@dataclass(frozen=True)
class _Video:
    """One video in the folder for raters."""

    blind: str
    """Its name there, without suffix."""
    digest: str
    """SHA-256 of the source."""
    is_encoded: bool
    size: str
    length_s: float


@dataclass
class _Shown:
    """The videos of a study, collected clip by clip."""

    folder: Path
    videos: dict[tuple[str, str], _Video] = field(default_factory=dict)
    """By system and clip."""
    clips: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_systems(folder: Path, named: Sequence[Path] = ()) -> dict[str, Path]:
    """Return the systems of a study by name: the folders `named`, or else the subfolders of `folder`.

    Raises ConfigError if one is not a folder, two have the same name, or there are none.
    """
    found = list(named)
    if not found and folder.is_dir():
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
        found = [path for path in inside if path.name != RATERS and not path.name.startswith(".")]
    systems: dict[str, Path] = {}
    for path in found:
        if not path.is_dir():
            raise ConfigError(f"{path} is not a folder; choose the folder that contains a system's videos")
        name = real_path(path).name
        if name in systems:
            raise ConfigError(f"{systems[name]} and {path} are both named {name}; rename one of them")
        systems[name] = path
    if not systems:
        raise ConfigError(f"{folder} contains no folders of videos; put each system's outputs into a separate folder")
    return systems


def build_study(systems: Mapping[str, Path], out: Path, settings: StudySettings | None = None) -> Study:
    """Build the folder `for-raters` (page and videos) and the key beside it, in the folder `out`.

    Videos are of the same clip if their paths below the systems' folders are equal, without suffix; clips that one
    system lacks, or that cannot be shown, are left out and reported. Real videos may be one of the systems. Videos are
    copied unchanged if browsers play them, else re-encoded. The same videos and settings give the same study, so that
    an interrupted build can be rerun.

    Parameters
    ----------
    systems : mapping
        Name -> folder of videos, searched with all its subfolders.

    Raises ConfigError if there are no clips that all systems have, MediaError if none of them can be shown.
    """
    settings = settings or StudySettings()
    if len(systems) == 1 and not settings.ratings:
        raise ConfigError("a single system cannot be compared, and ratings is 0; add another system or set ratings")
    videos, notes = _videos(systems)
    names = _common_clips(videos, notes)
    chosen = [names[idx] for idx in np.random.default_rng(settings.seed).permutation(len(names))]
    shown = _Shown(out / RATERS / CLIP_FOLDER, notes=notes)
    shown.folder.mkdir(parents=True, exist_ok=True)
    limit = min(settings.clips or len(chosen), len(chosen))
    with progress("study", limit, "clips") as advance:
        for clip in chosen:
            if len(shown.clips) == limit:
                break
            if _show_clip(clip, {system: videos[system][clip] for system in videos}, settings.seed, shown):
                advance()
    if not shown.clips:
        raise MediaError(f"none of {counted(len(chosen), 'clip')} can be shown: {'; '.join(shown.notes[-MOST_NAMES:])}")
    shown.clips.sort()
    if len(systems) == 1:
        shown.notes.append("there is only one system, so nothing is compared")
    _compare_sizes(shown)
    page, key, study = _write(tuple(systems), out, settings, shown)
    encoded = Counter(system for (system, _), video in shown.videos.items() if video.is_encoded)
    return Study(study, page, key, tuple(systems), tuple(shown.clips), encoded, tuple(map(readable, shown.notes)))


def study_summary(study: Study) -> str:
    """Return what was built and what to do with it, as lines of text."""
    systems = ", ".join(map(readable, study.systems))
    encoded = ", ".join(f"{count} of {readable(system)}" for system, count in study.encoded.items())
    lines = [
        f"study {study.id}: {counted(len(study.clips), 'clip')} of {counted(len(study.systems), 'system')} ({systems})",
        *([f"re-encoded, because browsers cannot play them: {encoded}"] if encoded else []),
        *(f"note: {note}" for note in study.notes),
        f"give raters the folder {study.page.parent}; they open {study.page.name} and return the file that it saves",
        f"keep {study.key}: only it maps videos to systems",
        f"then: w2l score --study-results {study.key} ANSWERS.json ...",
    ]
    return "\n".join(lines)


def _videos(systems: Mapping[str, Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Return system -> clip -> file, and notes on skipped files."""
    found: dict[str, dict[str, Path]] = {}
    notes = []
    for system, folder in systems.items():
        walk = walk_videos(str(folder))
        notes += [f"{system}: {reason}" for reason in walk.unreadable]
        found[system] = {}
        for name in walk.videos:
            clip = Path(name).with_suffix("").as_posix()
            if clip in found[system]:
                notes.append(f"{system}: {name} is left out, {found[system][clip].name} has the same name")
            else:
                found[system][clip] = folder / name
        if not found[system]:
            raise ConfigError(f"{folder} contains no videos; choose the folder of the outputs of {system}")
    return found, notes


def _common_clips(videos: Mapping[str, Mapping[str, Path]], notes: list[str]) -> list[str]:
    """Return the clips that all systems have, sorted; note those that some lack."""
    counts = Counter(clip for clips in videos.values() for clip in clips)
    common = sorted(clip for clip, count in counts.items() if count == len(videos))
    partial = sorted(set(counts) - set(common))
    if partial:
        left_out = counted(len(partial), "clip")
        notes.append(f"{left_out} left out, as not all systems have them: {some(partial, MOST_NAMES)}")
    if not common:
        examples = "; ".join(f"{system}: {some(sorted(clips)[:2])}" for system, clips in videos.items())
        raise ConfigError(f"no clip is in all systems; give the same clip the same name in each ({examples})")
    return common


def _show_clip(clip: str, paths: Mapping[str, Path], seed: int, shown: _Shown) -> bool:
    """Add one clip of all systems to the study; if one cannot be shown, note why and add none."""
    videos: dict[str, _Video] = {}
    for system, path in paths.items():
        try:
            videos[system] = _put(path, (seed, system, clip), shown.folder)
        except (MediaError, OSError) as error:
            shown.notes.append(f"{clip} is left out: {error}")
            return False
    for system, video in videos.items():
        shown.videos[system, clip] = video
    if len({video.digest for video in videos.values()}) < len(videos):
        shown.notes.append(f"{clip}: two systems have the same file")
    lengths = [video.length_s for video in videos.values()]
    if max(lengths) - min(lengths) > SAME_LENGTH_S:
        shown.notes.append(f"{clip}: lengths differ between systems, {min(lengths):.2f} to {max(lengths):.2f} s")
    shown.clips.append(clip)
    return True


def _put(path: Path, facts: tuple[Any, ...], folder: Path) -> _Video:
    """Copy a video into `folder`, re-encoded if browsers require it; skip what an earlier build did.

    Its name there depends on its content and on `facts`.
    """
    info = probe(path)
    if info.is_still or not info.has_sound:
        raise MediaError(f"{path}: {'is an image, not a video' if info.is_still else 'has no audio'}; use another")
    digest = sha256(path)
    blind = fingerprint(*facts, digest)
    target = folder / f"{blind}.mp4"
    is_encoded = bool(unplayable(path))
    if not target.is_file() and is_encoded:
        encode_for_browsers(path, target)
    elif not target.is_file():
        with path.open("rb") as file:
            write_atomic(target, lambda copy: shutil.copyfileobj(file, copy))
    return _Video(blind, digest, is_encoded, f"{info.width}x{info.height}", info.duration_s)


def _compare_sizes(shown: _Shown) -> None:
    """Note if a system could be recognised by its size; the page shows all equally large."""
    sizes: dict[str, set[str]] = {}
    for (system, _), video in shown.videos.items():
        sizes.setdefault(system, set()).add(video.size)
    told = {system: ", ".join(sorted(found)) for system, found in sizes.items()}
    if len(set(told.values())) > 1:
        listed = "; ".join(f"{system}: {size}" for system, size in told.items())
        shown.notes.append(f"sizes differ between systems, and so may sharpness ({listed})")


def _write(systems: tuple[str, ...], out: Path, settings: StudySettings, shown: _Shown) -> tuple[Path, Path, str]:
    """Write the page and the key; remove videos of an earlier study from the folder for raters."""
    blind = {place: video.blind for place, video in shown.videos.items()}
    ratings = rating_rounds(blind, systems, shown.clips, settings.seed) if settings.ratings else ()
    pairs = pair_rounds(blind, systems, shown.clips, settings.seed) if settings.pairs else ()
    study = fingerprint(plain(settings), sorted(blind.values()))
    n_repeats = settings.repeats if pairs else 0
    content = PageContent(
        study, settings.title, settings.send_to, ratings, pairs, settings.ratings, settings.pairs, n_repeats
    )
    page, key = out / RATERS / PAGE, out / KEY
    _keep_old_key(key, study, shown)
    clips = {
        video.blind: {"system": system, "clip": clip, "sha256": video.digest}
        for (system, clip), video in shown.videos.items()
    }
    facts: dict[str, Any] = {"format": KEY_FORMAT, "study": study, "systems": list(systems), "clips": clips}
    write_json(key, facts | {"settings": plain(settings), "notes": shown.notes})
    write_text(page, render_study(content))
    remove_leftovers(shown.folder)
    for path in shown.folder.glob("*.mp4"):
        if path.stem not in clips:
            path.unlink()
    return page, key, study


def _keep_old_key(key: Path, study: str, shown: _Shown) -> None:
    """Rename the key of another study, without which its raters' answers would be lost."""
    if not key.is_file():
        return
    try:
        old = str(read_json(key).get("study", ""))
    except CacheError:
        old = "damaged"
    if old != study:
        aside = key.with_name(f"{key.stem}-{old}{key.suffix}")
        key.replace(aside)
        shown.notes.append(f"the key of the study that was here before is now {aside.name}")

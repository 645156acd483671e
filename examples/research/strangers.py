"""Redraw people on whom no model was trained, with others' speech, and measure and show their mouths.

    python -m examples.research.strangers results/ a.mp4 b.mkv portrait.jpg --variant default --variant "old:model=old"

Each clip gets the speech of the next one that has sound, or one of --speech. Each variant is a name and settings of
`w2l sync`: "NAME:KEY=VALUE,KEY=VALUE". Prints a Markdown table by person: foreign colours, the interior over that of
the real halves, teeth, seam and flicker (`w2l score --explain`). With --groups, a file of "NAME<tab>GROUP" lines such
as `complexions.py` writes, a second table gives the mean and the range of each group. Writes two sheets for each clip:
24 consecutive frames of the lower face and 24 spread ones. With --blind the rows of a sheet are in random order, which
only the key reveals.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from examples.research.resync_grid import UNMARKED
from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.arrays import Image
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError, MediaError, NoFaceError, W2LError
from w2l.core.files import fingerprint, source_fingerprint, write_text
from w2l.core.progress import progress
from w2l.faces.detectors.factory import make_detector
from w2l.faces.scan import clip_for, scan_clip
from w2l.features.crop import CropSpec, cut
from w2l.media.video import probe, read_frames
from w2l.scoring import run as scoring
from w2l.scoring.faces import MeasuredFace
from w2l.scoring.inputs.references import clip_names
from w2l.scoring.inputs.samples import ScoreInputs
from w2l.scoring.results import REAL, ClipScore, Sample
from w2l.scoring.run import ScoreWork
from w2l.scoring.settings import ScoreSettings
from w2l.syncing.jobs import Job
from w2l.syncing.run import run
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

SHOWN = {
    "foreign": "foreign %", "foreign_worst": "worst", "interior": "interior", "interior_ratio": "over real",
    "teeth": "teeth", "seam": "seam", "flicker": "flicker",
}  # fmt: skip
"""Columns of the table."""
N_FRAMES, PER_ROW = 24, 6
"""Number of frames of a sheet, and of one of its rows."""
CROP = CropSpec("aligned", 256)
"""Crop of faces for a sheet, which shows their lower half."""
STRIP = 26
"""Height in pixels of the name above the frames of a variant."""


@dataclass(frozen=True)
class Variant:
    """Settings with which people are redrawn."""

    name: str
    assignments: tuple[str, ...] = ()
    """Settings of `w2l sync`, KEY=VALUE each."""

    @classmethod
    def of(cls, text: str) -> "Variant":
        """Parse "NAME:KEY=VALUE,KEY=VALUE"; raise ConfigError without a name, or for that of the real video."""
        name, _, settings = text.partition(":")
        if not name or name == REAL or "=" in name:
            raise ConfigError(f"--variant {text!r}: expected NAME or NAME:KEY=VALUE,KEY=VALUE; {REAL!r} is reserved")
        return cls(name, tuple(each for each in settings.split(",") if each))


@dataclass(frozen=True)
class Stranger:
    """One clip and its new speech."""

    name: str
    video: Path
    speech: Path


def strangers(videos: Sequence[Path], speeches: Sequence[Path]) -> list[Stranger]:
    """Return each clip with the speech of the next one that has sound, or with one of `speeches` in turn."""
    names = clip_names(videos)
    if speeches:
        return [Stranger(n, video, speeches[i % len(speeches)]) for i, (n, video) in enumerate(zip(names, videos))]
    heard = [path for path in videos if probe(path).has_sound]
    found = []
    for idx, (name, video) in enumerate(zip(names, videos)):
        after = [path for path in (*videos[idx + 1 :], *videos[:idx]) if path in heard]
        if not after:
            raise ConfigError(f"no other clip has speech for {video}; pass some with --speech")
        found.append(Stranger(name, video, after[0]))
    return found


def listed(paths: Sequence[Path], root: Path | None) -> list[Path]:
    """Return the videos; a list (.txt) is replaced by the videos it names, with or without suffix."""
    found: list[Path] = []
    for path in paths:
        if path.suffix != ".txt":
            found.append(path)
            continue
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
            place = (root or path.parent) / line
            there = [place] if place.is_file() else sorted(place.parent.glob(f"{place.name}.*"))
            if not there:
                raise MediaError(f"{path}: {place} does not exist; pass the folder of its clips with --root")
            found.append(there[0])
    return found


def redraw(people: Sequence[Stranger], variant: Variant, folder: Path, cache: Cache, device: str) -> Iterator[Sample]:
    """Yield the outputs of a variant, made unless they exist; clips that fail are reported."""
    lengths: dict[bool, list[str]] = {True: [], False: ["fit=shortest"]}  # a still has no length of its own
    settings = {
        still: config.load(SyncSettings, "sync", None, [UNMARKED, *length, *variant.assignments])
        for still, length in lengths.items()
    }
    ready = {still: Tools(each, cache, device) for still, each in settings.items()}
    with progress(variant.name, len(people), "clips") as advance:
        for one in people:
            tools = ready[probe(one.video).is_still]
            made_from = (tools.model_path, one.video, one.speech)
            mark = fingerprint(config.plain(tools.settings), *map(source_fingerprint, made_from))
            output = folder / variant.name / f"{one.name.replace('/', '-')}-{mark[:8]}.mp4"
            try:
                if not output.exists():
                    output.parent.mkdir(parents=True, exist_ok=True)
                    run(tools, Job(one.video, one.speech, output))
                yield Sample(output, variant.name, one.name, one.video, speaker=one.name)
            except (MediaError, NoFaceError) as error:
                click.echo(f"left out {one.name}: {error}", err=True)
            advance()


def table(clips: Sequence[ClipScore], names: Sequence[str]) -> str:
    """Return a Markdown table: for each person the variants, then the real video in two halves."""
    lines = [f"| person | video | {' | '.join(SHOWN.values())} |", "|---|---|" + "---|" * len(SHOWN)]
    for name in names:
        for clip in clips:
            if clip.sample.name == name:
                cells = (f"{clip.values[key]:.2f}" if key in clip.values else "-" for key in SHOWN)
                lines.append(f"| {name} | {clip.sample.system} | {clip.reason or ' | '.join(cells)} |")
    return "\n".join(lines)


def group_table(clips: Sequence[ClipScore], groups: Mapping[str, str]) -> str:
    """Return a Markdown table: for each group of people the mean of each variant, with the number of people.

    `groups` maps file names, without folder and suffix, to groups.
    """
    lines = [f"| group | video | people | {' | '.join(SHOWN.values())} |", "|---|---|---|" + "---|" * len(SHOWN)]
    for group in dict.fromkeys(groups.values()):
        for system in dict.fromkeys(clip.sample.system for clip in clips):
            of = [c for c in clips if c.sample.system == system and groups.get(Path(c.sample.name).stem) == group]
            found = [clip.values for clip in of if not clip.reason]
            if not found:
                continue
            means = ([float(values[key]) for values in found if key in values] for key in SHOWN)
            cells = (f"{np.mean(some):.2f} ({min(some):.2f} to {max(some):.2f})" if some else "-" for some in means)
            lines.append(f"| {group} | {system} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def lower_faces(video: Path, reference: Path, frames: Sequence[int], face: MeasuredFace) -> list[Image]:
    """Return the lower halves (128, 256, 3) of the faces in some frames, black if there is no face.

    `face` is the position of the face in `reference`, which has the same frames as `video`, or is a still.
    """
    zoom = probe(video).width / probe(reference).width
    still = probe(reference).is_still
    found = {idx: np.zeros((CROP.size // 2, CROP.size, 3), np.uint8) for idx in frames}
    for frame in read_frames(video):
        place = face.at(0 if still else frame.idx) if frame.idx in found else None
        if place is not None:
            found[frame.idx] = cut(frame.image, place[0] * zoom, place[1] * zoom, CROP)[CROP.size // 2 :]
    return [found[idx] for idx in frames]


def sheet(rows: Mapping[str, Sequence[Image]]) -> Image:
    """Return one picture of all variants, each with its name above `N_FRAMES` frames in rows of `PER_ROW`."""
    parts = []
    for name, frames in rows.items():
        strip = np.zeros((STRIP, PER_ROW * CROP.size, 3), np.uint8)
        cv2.putText(strip, name, (6, STRIP - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        lines = [np.hstack(list(frames[first : first + PER_ROW])) for first in range(0, N_FRAMES, PER_ROW)]
        parts += [strip, *lines]
    return np.vstack(parts)


def chosen_frames(n_frames: int) -> dict[str, list[int]]:
    """Return the frames of the sheets: consecutive ones from a third on, and spread ones; the last fills gaps."""
    first = max(0, min(n_frames // 3, n_frames - N_FRAMES))
    rising = [min(first + idx, n_frames - 1) for idx in range(N_FRAMES)]
    return {"consecutive": rising, "spread": np.linspace(0, n_frames - 1, N_FRAMES).astype(int).tolist()}


def write_sheets(
    one: Stranger, outputs: Mapping[str, Path], face: MeasuredFace, folder: Path, blind: int | None
) -> dict[str, dict[str, str]]:
    """Write the two sheets of a person; return the variant of each row. `blind`: seed of the order, or None."""
    still = probe(one.video).is_still
    shown = outputs if still else {**outputs, REAL: one.video}
    n_frames = min(probe(path).n_frames for path in shown.values())
    keys = {}
    for kind, frames in chosen_frames(n_frames).items():
        order = list(shown)
        name = f"{one.name.replace('/', '-')}-{kind}"
        if blind is not None:
            order = [order[idx] for idx in np.random.default_rng([blind, *name.encode()]).permutation(len(order))]
        letters = {chr(ord("A") + idx) if blind is not None else system: system for idx, system in enumerate(order)}
        rows = {label: lower_faces(shown[system], one.video, frames, face) for label, system in letters.items()}
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{name}.png"), sheet(rows)[..., ::-1])
        keys[name] = letters
    return keys


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the names in a list  [the list's folder]")
@click.option("--speech", "speeches", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--variant", "variants", multiple=True, default=["default"], help="NAME:KEY=VALUE,KEY=VALUE")
@click.option("--groups", type=click.Path(exists=True, path_type=Path), help="NAME<tab>GROUP lines, by file name.")
@click.option(
    "--blind", type=click.Path(path_type=Path), help="Shuffle the rows of the sheets; write the key to this file."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the order with --blind.")
@click.option("--cache", "cache_root", type=click.Path(path_type=Path), help="Cache folder  [FOLDER/cache]")
@click.option("--device", default="auto", show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Clips scored in parallel.")
def main(
    folder: Path, videos: tuple[Path, ...], root: Path | None, speeches: tuple[Path, ...], variants: tuple[str, ...],
    groups: Path | None, blind: Path | None, seed: int, cache_root: Path | None, device: str, jobs: int,
) -> None:  # fmt: skip
    """Redraw all people, print the tables and write the sheets."""
    set_up_logging(0)
    where = str(choose_device(device))
    cache = Cache.open(cache_root or folder / "cache", create=True)
    people = strangers(listed(videos, root), speeches)
    made = [sample for text in variants for sample in redraw(people, Variant.of(text), folder / "made", cache, where)]
    if not made:
        raise MediaError("none of the clips could be redrawn; see the warnings above")
    reals = [Sample(one.video, REAL, one.name, speaker=one.name) for one in people if not probe(one.video).is_still]
    settings = ScoreSettings(measures=("quality", "mouth"))
    report = scoring.score(ScoreInputs((*made, *reals)), settings, cache, ScoreWork(where, jobs)).report
    click.echo(table(report.clips, [one.name for one in people]))
    if groups is not None:
        lines = groups.read_text(encoding="utf-8").splitlines()
        click.echo("\n" + group_table(report.clips, dict(line.split("\t") for line in lines if line)))
    click.echo("\n".join(note for clip in report.clips for note in clip.notes), err=True)
    detector = make_detector(settings.detect.detector, where, settings.detect.min_face, cache.models)
    keys: dict[str, dict[str, str]] = {}
    for one in people:
        outputs = {sample.system: sample.path for sample in made if sample.name == one.name}
        if not outputs:
            continue
        scan, _ = scan_clip(clip_for(cache, one.video), one.video, detector, settings.detect)
        keys |= write_sheets(one, outputs, MeasuredFace(scan), folder / "sheets", seed if blind else None)
    if blind is not None:
        write_text(blind, json.dumps(keys, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

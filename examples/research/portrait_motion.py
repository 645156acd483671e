r"""Make short talking clips out of still portraits, animated with the measured motion of faces of GRID.

    python -m examples.research.portrait_motion OUT --portraits portraits/ --grid grid/ \
        --mesh face_landmark.tflite --detector yunet:face_detection_yunet.onnx --count 900

Every clip shows one person and has the sound of the GRID clip whose motion of lips, chin and jaw it uses, so that both
agree; the head moves slightly. Teeth are the person's own if a portrait shows them, else another person's, adapted to
the light of the portrait. People are drawn from groups of equal steps of skin lightness, equally many clips from each;
every further clip of a person counts as another speaker. One person in ten is left out: --left-out makes clips of only
those, for tests; no tested model may be trained on them. OUT gets a folder for each person, a list for `w2l
preprocess` (``train.txt`` or ``unseen.txt``) and ``words.tsv``. An interrupted run resumes when started again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from examples.research.lip_motion import Motion, aligned, motion_of, upright
from examples.research.mesh import Mesh
from examples.research.portrait_faces import SIDE, Portrait, by_lightness, is_left_out, read_portraits
from examples.research.portrait_teeth import EVEN, LEAST_TEETH, Row, TeethColour, is_grey, lent, of_same_person, row_of
from examples.research.portrait_warp import Inside, Pose, TalkingPortrait
from w2l.core.arrays import Floats
from w2l.core.files import write_text
from w2l.core.timing import FPS, SAMPLES_PER_FRAME
from w2l.data.sources.word_times import STILL, Spoken, Words, read_words
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.media.audio import read_audio, write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

N_GROUPS = 5
"""Groups of skin lightness."""
MOST_TAKES = 4
"""Most clips per person."""
FRAMES = (30, 38)
"""Fewest and most frames of a clip."""
BEFORE = 8
"""Frames before the first word, with the face at rest, at the start of every second clip."""
UNSMILE = (0.4, 0.9)
"""Range of the share by which a smiling portrait is moved towards rest."""
LOUD = (0.95, 1.35)
"""Range of the factor applied to the measured motion of the lips."""
WIDEST = 0.17
"""Largest gap between the lips, in eye distances."""
N_STILL = 6
"""Frames of the unchanged portrait at the end of a clip."""
CRF = 12
"""Quality of the video, visually lossless."""


@dataclass(frozen=True)
class Cast:
    """All portraits that can be animated, and the available teeth."""

    ready: tuple[Portrait, ...]
    """Portraits with closed lips, or with an open smile."""
    own: dict[str, Row]
    """Name of a portrait -> its teeth; for closed lips, those of the same person's smile."""
    lenders: tuple[Row, ...]
    colour: TeethColour
    unsmile: Floats
    """(468, 2): mean displacement from a smile to rest, in eye distances."""


def gather(portraits: Sequence[Portrait]) -> Cast:
    """Return the portraits that can be animated, and all teeth."""
    by_name = {each.name: each for each in portraits}
    rows = {each.name: row for each in portraits if (row := row_of(each)) and row.is_clear(each.skin)}
    known = [by_name[name] for name in rows]
    pairs = [(each, by_name[_rest_of(each.name)]) for each in known if _rest_of(each.name) in by_name]
    unsmile = np.mean([_way(smile, rest) for smile, rest in pairs], axis=0)
    own, ready = dict(rows), list(known)
    for smile, rest in pairs:
        own[rest.name] = of_same_person(rows[smile.name], smile, rest)
    ready += [each for each in portraits if each.name not in rows and (each.is_shut or "-neutral" in each.name)]
    lenders = tuple(rows[each.name] for each in known if _lends(each, rows[each.name]))
    return Cast(tuple(ready), own, lenders, TeethColour(known, list(rows.values())), unsmile)


def _lends(portrait: Portrait, row: Row) -> bool:
    """Return whether other people may get the teeth of a portrait: large, even, coloured, person not left out."""
    even = portrait.teeth >= LEAST_TEETH and row.rough < EVEN
    return even and not is_grey(portrait) and not is_left_out(portrait.name)


def _rest_of(name: str) -> str:
    return name.replace("-smiling", "-neutral") if "-smiling" in name else ""


def _way(smile: Portrait, rest: Portrait) -> Floats:
    """Return the displacement (468, 2) of the face from a smile to rest."""
    begin = upright(smile.mesh)
    return (aligned(upright(rest.mesh), begin) - begin)[:, :2]


def in_turn(portraits: Sequence[Portrait], count: int, rng: np.random.Generator) -> list[tuple[Portrait, int]]:
    """Return up to `count` portraits in turn over the groups of lightness, each with the number of its take."""
    groups = [[group[k] for k in rng.permutation(len(group))] for group in by_lightness(portraits, N_GROUPS)]
    queues = [[(each, take) for take in range(MOST_TAKES) for each in group] for group in groups]
    chosen: list[tuple[Portrait, int]] = []
    for place in range(max(map(len, queues))):
        chosen += [queue[place] for queue in queues if place < len(queue)]
    return chosen[:count]


def choose_clips(names: Sequence[str], words: Words, count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` clips, balanced over speakers as far as possible, those with words first."""
    of_speaker: dict[str, list[str]] = {}
    for name in rng.permutation(sorted(names)).tolist():
        of_speaker.setdefault(name.split("/")[0], []).append(name)
    queues = [sorted(clips, key=lambda clip: clip not in words) for _, clips in sorted(of_speaker.items())]
    turns = [queue[place] for place in range(max(map(len, queues))) for queue in queues if place < len(queue)]
    return turns[:count]


def span_of(motion: Motion, words: Mapping[str, Spoken], rng: np.random.Generator) -> tuple[int, int]:
    """Return first and last-plus-one frame of a piece of a clip, which often starts before the first word."""
    total = len(motion.moves)
    length = min(int(rng.integers(FRAMES[0], FRAMES[1] + 1)), total)
    spoken = [start_s for start_s, _, word in words.get(motion.clip, ()) if word not in ("sil", "sp")]
    first = int(rng.integers(0, total - length + 1))
    if spoken and rng.random() < 0.5:
        first = round(spoken[0] * FPS) - BEFORE
    first = int(np.clip(first, 0, total - length))
    return first, first + length


def poses(count: int, rng: np.random.Generator) -> list[Pose]:
    """Return the poses of the head in `count` frames: slow oscillations."""
    time_s = np.arange(count) / FPS
    sizes = np.array([5.0, 4.0, 2.0, 0.03, 0.03, 0.02]) * rng.uniform(0.2, 1.0)
    rates, starts = rng.uniform(0.2, 0.6, (2, 6)), rng.uniform(0, 2 * np.pi, (2, 6))
    waves = np.sin(2 * np.pi * rates[:, None] * time_s[:, None] + starts[:, None]).mean(axis=0) * sizes
    return [Pose((w[0], w[1], w[2]), (w[3], w[4]), 1 + w[5]) for w in waves]


def fitted(motion: Motion, portrait: Portrait, loud: float) -> Floats:
    """Return the displacements (frames, 468, 2) of a motion for a portrait, scaled by `loud`."""
    own = upright(portrait.mesh)[:, :2]
    wide = np.hypot(*(own[291] - own[61])) / np.hypot(*(motion.face[291] - motion.face[61]))
    high = (own[152, 1] - own[2, 1]) / (motion.face[152, 1] - motion.face[2, 1])
    moves = motion.moves * np.clip([wide, high], 0.8, 1.25) * loud
    gap = float((moves[:, 14, 1] - moves[:, 13, 1]).max())
    return np.asarray(moves * min(1.0, WIDEST / max(gap, 1e-6)))


def film(path: Path, wave: Floats, actor: TalkingPortrait, moves: Floats, rng: np.random.Generator) -> None:
    """Write one clip, which ends with the unchanged portrait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    speech = path.parent / f".{path.stem}.wav"
    silence = np.zeros(N_STILL * SAMPLES_PER_FRAME)
    write_wav(speech, np.concatenate([wave, silence]).astype(np.float32))
    output = Output(path, SIDE, SIDE, FPS, speech=speech, encoding=Encoding(crf=CRF, preset="ultrafast"))
    with VideoWriter(output) as writer:
        for move, pose in zip(moves, poses(len(moves), rng)):
            writer.write(actor.draw(move, pose))
        for _ in range(N_STILL):
            writer.write(actor.portrait.image)
    speech.unlink()


class Speakers:
    """The motions of clips, measured on first use."""

    def __init__(self, grid: Path, clips: Sequence[str], mesh: Mesh, detector: Detector) -> None:
        self._grid, self._left, self._tools = grid, list(clips), (mesh, detector)
        self._motions: list[tuple[Motion, Floats]] = []

    def motion(self, number: int) -> tuple[Motion, Floats]:
        """Return the motion and the sound for the clip of that number; all motions are used in turn."""
        while self._left and len(self._motions) <= number:
            clip = self._left.pop(0)
            path = self._grid / f"{clip}.mkv"
            found = motion_of(path, clip, *self._tools)
            if found is not None:
                self._motions.append((found, read_audio(path)))
        if not self._motions:
            raise click.ClickException("no face was found in any of the clips; check --grid and --mesh")
        return self._motions[number % len(self._motions)]


def actor_of(portrait: Portrait, cast: Cast, rng: np.random.Generator) -> TalkingPortrait:
    """Return a portrait prepared for animation."""
    teeth = cast.own.get(portrait.name)
    if teeth is None:
        teeth = lent(cast.lenders[int(rng.integers(len(cast.lenders)))], portrait, cast.colour(portrait), rng)
    inside = Inside(teeth, float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.35, 0.65)))
    smiles = portrait.is_open and "-neutral" not in portrait.name
    return TalkingPortrait(portrait, inside, rng.uniform(*UNSMILE) * cast.unsmile if smiles else None)


def make(out: Path, cast: Cast, chosen: Sequence[tuple[Portrait, int]], speakers: Speakers, words: Words) -> list[str]:
    """Write the missing clips; return the lines of the table of words."""
    lines: list[str] = []
    for number, (portrait, take) in enumerate(chosen):
        rng = np.random.default_rng([number, 7])
        motion, wave = speakers.motion(number)
        first, last = span_of(motion, words, rng)
        person = portrait.name.replace("/", "-") + (f"-{take + 1}" if take else "")
        name = f"{person}/{motion.clip.replace('/', '-')}"
        path = out / f"{name}.mkv"
        if not path.exists():
            moves = fitted(motion, portrait, rng.uniform(*LOUD))[first:last]
            sound = wave[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
            film(path, sound, actor_of(portrait, cast, rng), moves, rng)
        lines += [
            f"{name}\t{max(0.0, start_s - first / FPS):.3f}\t{end_s - first / FPS:.3f}\t{word}"
            for start_s, end_s, word in words.get(motion.clip, ())
            if first / FPS < end_s and start_s < last / FPS
        ]
        ends_s = (last - first) / FPS
        lines.append(f"{name}\t{ends_s:.3f}\t{ends_s + N_STILL / FPS:.3f}\t{STILL}")
        if number % 50 == 49:
            click.echo(f"{number + 1} of {len(chosen)} clips", err=True)
    return lines


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--portraits", "folder", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--grid", required=True, type=click.Path(path_type=Path, exists=True), help="Clips and lists.")
@click.option("--mesh", "model", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--detector", default="mtcnn", show_default=True, help="As for w2l preprocess.")
@click.option("--count", default=900, show_default=True, help="Number of clips to make.")
@click.option("--motions", default=120, show_default=True, help="Number of clips of GRID whose motion is used.")
@click.option("--yaw", default=0.17, show_default=True, help="Largest asymmetry of a portrait.")
@click.option("--left-out", is_flag=True, help="Use only the people who are left out of training.")
@click.option("--seed", default=0, show_default=True)
def main(
    out: Path, folder: Path, grid: Path, model: Path, detector: str, count: int, motions: int, yaw: float,
    left_out: bool, seed: int,
) -> None:  # fmt: skip
    """Make the clips and their lists."""
    cv2.setNumThreads(1)
    mesh, finder = Mesh(model), make_detector(detector)
    cast = gather(list(read_portraits(folder, mesh, finder, yaw)))
    people = [each for each in cast.ready if is_left_out(each.name) == left_out]
    chosen = in_turn(people, count, np.random.default_rng(seed))
    click.echo(f"{len(people)} usable portraits, {len(chosen)} clips", err=True)
    words = read_words(grid / "words.tsv")
    clips = choose_clips((grid / "train.txt").read_text().split(), words, motions, np.random.default_rng(seed))
    lines = make(out, cast, chosen, Speakers(grid, clips, mesh, finder), words)
    write_text(out / "words.tsv", "\n".join(["clip\tstart_s\tend_s\tword", *lines, ""]))
    names = sorted(str(path.relative_to(out).with_suffix("")) for path in out.glob("*/*.mkv"))
    write_text(out / ("unseen.txt" if left_out else "train.txt"), "\n".join([*names, ""]))


if __name__ == "__main__":
    main()

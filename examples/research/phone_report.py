r"""Report the accuracy of a lip reader and of an expert by phone class.

    python -m examples.research.phone_report CACHE PHONES.tsv --split test --split unseen [--expert w2l] \
        [--lips LIPS.npz] [--out REPORT.md]

CACHE contains aligned crops of GRID, PHONES.tsv is the output of `phones.py`; `leave_people_out.py --same` merges
speakers who are one person. Prints Markdown tables. For the lip reader: means by class, and for each person how well a
reading distinguishes two classes (area under the curve). For the expert: all windows by the class of the phone in their
middle, each face with its own sound and with another one of the same clip at least five frames away, as paired by
`evaluate_expert.py`; the expert's own calibration decides which are in sync.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from examples.research.evaluate_expert import interval
from examples.research.evaluate_lips import auc
from examples.research.phones import SILENCE, Phone, read_phones
from w2l.cache.store import Cache
from w2l.core.files import write_text
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks, crop_spec
from w2l.features.aperture import ONSET_S
from w2l.models import registry
from w2l.models.checkpoint import Model
from w2l.models.lip_reader import Mouths, load_lips, read_mouths, shipped_lips
from w2l.nets.lips import N_EXTRAS, Lips
from w2l.training import scores
from w2l.training.expert.evaluate import PAIR_SEED, off_sync_partners, similarity_tables
from w2l.training.expert.pairing import pairing_of
from w2l.training.scores import ScoredPairs

CLASSES = {
    "p b m": ("P", "B", "M"),
    "f v": ("F", "V"),
    "s z": ("S", "Z"),
    "sh ch j": ("SH", "ZH", "CH", "JH"),
    "t d n k g": ("T", "D", "N", "K", "G"),
    "u w": ("UW", "UH", "W"),
    "i e": ("IY", "IH", "EY"),
    "open": ("AA", "AE", "AY", "AW"),
    "silence": (SILENCE,),
}
"""CMU's phones by movement of the lips; all others are of the class `OTHER`."""
OTHER = "other"
OF_PHONE = {phone: name for name, phones in CLASSES.items() for phone in phones}
LEAST_TOKENS, LEAST_WINDOWS = 5, 20
"""Fewest phones and windows of a class for which a person is reported."""
CONTRASTS = {
    "p b m closed, open vowels open": ("widest", "open", "narrowest", "p b m"),
    "p b m closed, t d n k g not": ("narrowest", "t d n k g", "narrowest", "p b m"),
    "teeth in s z, not in p b m": ("teeth", "s z", "teeth", "p b m"),
    "teeth in f v, not in p b m": ("teeth", "f v", "teeth", "p b m"),
    "mouth narrow in u w, wide in i e": ("width", "i e", "width", "u w"),
}
"""Name -> reading and class that should be high, reading and class that should be low."""


@dataclass(frozen=True)
class Token:
    """Readings of the lips in one phone."""

    person: str
    kind: str
    """Class of the phone."""
    narrowest: float
    """Gap, in eye distances, of the narrowest frame around the onset, within `ONSET_S`."""
    widest: float
    """Gap of the widest frame of the phone's middle half."""
    teeth: float
    """Mean probability that teeth show, over the middle half."""
    width: float
    """Mean width of the mouth over the middle half, over the person's median width."""


def frames_of(phone: Phone, spoken_from: int, n_frames: int) -> tuple[slice, slice]:
    """Return the frames of a track around the onset of a phone, and those of its middle half; empty outside of it."""
    quarter = (phone.end_s - phone.start_s) / 4
    spans = (phone.start_s - ONSET_S[0], phone.start_s + ONSET_S[1]), (phone.start_s + quarter, phone.end_s - quarter)
    ends = [(round(start_s * FPS) - spoken_from, round(end_s * FPS) + 1 - spoken_from) for start_s, end_s in spans]
    onset, middle = (slice(max(0, start), end) if end <= n_frames else slice(0) for start, end in ends)
    return onset, middle


def tokens_of(mouths: Mouths, phones: Sequence[Phone], spoken_from: int, person: str) -> Iterator[Token]:
    """Yield the phones of a track, with widths in eye distances."""
    for phone in phones:
        onset, middle = frames_of(phone, spoken_from, len(mouths.gaps))
        around, within = mouths.gaps[onset], mouths.gaps[middle]
        if len(around) and len(within):
            teeth, width = float(mouths.teeth[middle].mean()), float(mouths.widths[middle].mean())
            kind = OF_PHONE.get(phone.phone, OTHER)
            yield Token(person, kind, float(around.min()), float(within.max()), teeth, width)


def read_tokens(tracks: Tracks, phones: Mapping[str, Sequence[Phone]], network: Lips) -> list[Token]:
    """Return all phones of the tracks, with widths relative to the median of the person."""
    found: list[Token] = []
    for track, (clip, person) in enumerate(zip(tracks.names, tracks.speakers)):
        mouths = read_mouths(np.array(tracks.frames(track)[:]), network)
        found += tokens_of(mouths, phones[clip], tracks.spoken_from(track), person)
    median = {
        person: float(np.median([token.width for token in found if token.person == person]))
        for person in {token.person for token in found}
    }
    return [replace(token, width=token.width / median[token.person]) for token in found]


def class_rows(tokens: Sequence[Token]) -> Iterator[list[str]]:
    """Yield the row of each class: tokens, and the mean of each reading."""
    for kind in (*CLASSES, OTHER):
        if own := [token for token in tokens if token.kind == kind]:
            values = np.array([[token.narrowest, token.widest, token.teeth, token.width] for token in own]).mean(axis=0)
            yield [kind, str(len(own)), *(f"{value:.3f}" for value in values)]


def contrasts_of(tokens: Sequence[Token]) -> dict[str, float]:
    """Return the area under the curve of each of `CONTRASTS`; those with too few phones are left out."""
    found = {}
    for name, (reading, high, other, low) in CONTRASTS.items():
        above = np.array([getattr(token, reading) for token in tokens if token.kind == high])
        below = np.array([getattr(token, other) for token in tokens if token.kind == low])
        if min(len(above), len(below)) >= LEAST_TOKENS:
            found[name] = auc(above, below)
    return found


@dataclass(frozen=True)
class Windows:
    """The windows of a split, paired with sounds as in `score_pairs`."""

    pairs: ScoredPairs
    kinds: NDArray[np.str_]
    """(windows,): class of the phone in the middle."""
    people: NDArray[np.str_]
    """(windows,)"""

    def of(self, kind: str, person: str | None = None) -> ScoredPairs:
        """Return the pairs of a class, of all people or of one."""
        chosen = self.kinds == kind
        return self.pairs.chosen(chosen if person is None else chosen & (self.people == person))


def kind_at(phones: Sequence[Phone], time_s: float) -> str:
    """Return the class of the phone at a time of the clip, which is silence outside of all phones."""
    phone = next((phone for phone in phones if phone.start_s <= time_s < phone.end_s), None)
    return OF_PHONE.get(phone.phone if phone else SILENCE, OTHER)


def read_windows(tracks: Tracks, phones: Mapping[str, Sequence[Phone]], expert: Model) -> Windows:
    """Compare each window with its own and with another sound."""
    rng = np.random.default_rng(PAIR_SEED)
    pieces = [(track, 0, int(count)) for track, count in enumerate(tracks.counts)]
    columns: list[tuple[NDArray[np.generic], ...]] = []
    device = next(expert.network.parameters()).device
    for (track, _, _), table in similarity_tables(tracks, pieces, pairing_of(expert.network), device):
        faces, sounds = off_sync_partners(rng, len(table), WINDOW_FRAMES)
        middle_s = (faces + tracks.spoken_from(track) + tracks.n_frames / 2) / FPS
        kinds = np.array([kind_at(phones[tracks.names[track]], time_s) for time_s in middle_s.tolist()])
        of_track = np.full(len(faces), track)
        columns.append((np.diagonal(table)[faces], table[sounds, faces], tracks.voiced(track)[faces], of_track, kinds))
    in_sync, off_sync, voiced, of_track, kinds = (np.concatenate(column) for column in zip(*columns))
    at_gap = np.zeros((len(in_sync), 0))
    pairs = ScoredPairs(in_sync, off_sync, voiced, at_gap, of_track, tracks.speakers, np.zeros(0, np.int64), {})
    return Windows(pairs, kinds, np.array(tracks.speakers, dtype=np.str_)[of_track])


def window_rows(windows: Windows, scale: float, bias: float) -> Iterator[list[str]]:
    """Yield the row of each class: windows, both shares classified correctly at p = 0.5, their mean, the AUC."""
    for kind in (*CLASSES, OTHER, None):
        pairs = windows.of(kind) if kind else windows.pairs
        if len(pairs.in_sync):
            shares = (scale * pairs.in_sync + bias >= 0).mean(), (scale * pairs.off_sync + bias < 0).mean()
            values = *shares, scores.accuracy_at_half(pairs, scale, bias), scores.area_under_roc(pairs)
            yield [kind or "all", str(len(pairs.in_sync)), *(f"{value:.3f}" for value in values)]


def people_rows(by_person: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield a row for each person, then the mean over people with its 95 % interval; cells are empty if n is small."""
    for person, found in by_person.items():
        yield [person, *(f"{found[name]:.3f}" if name in found else "" for name in columns)]
    values = [[found[name] for found in by_person.values() if name in found] for name in columns]
    yield ["mean over people, 95 %, people", *map(_mean_cell, values)]


def _mean_cell(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    low, high = interval(values)
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f}), {len(values)}"


def markdown(header: Sequence[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def report_lips(split: str, tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the two tables of a lip reader on a split."""
    people = sorted({token.person for token in tokens})
    header = ["phones", "n", "gap, narrowest at onset", "gap, widest", "teeth show", "width over median"]
    yield f"**Lip reader, {split}**: {len(tokens)} phones of {len(people)} people; gaps in eye distances\n"
    yield markdown(header, class_rows(tokens))
    found = {person: contrasts_of([token for token in tokens if token.person == person]) for person in people}
    together = contrasts_of(tokens)
    pooled = ["all phones together", *(f"{together[name]:.3f}" if name in together else "" for name in CONTRASTS)]
    rows = [*people_rows(found, list(CONTRASTS)), pooled]
    yield markdown(["AUC, by person", *CONTRASTS], rows)


def report_expert(split: str, windows: Windows, expert: Model) -> Iterator[str]:
    """Yield the two tables of an expert on a split."""
    people = np.unique(windows.people).tolist()
    header = ["phone in the middle", "windows", "in sync", "off sync", "balanced accuracy at p = 0.5", "AUC"]
    yield f"**Expert, {split}**: {len(windows.kinds)} windows of {len(people)} people\n"
    yield markdown(header, window_rows(windows, expert.card.scale, expert.card.bias))
    found: dict[str, dict[str, float]] = {person: {} for person in people}
    kinds = [*CLASSES, OTHER]
    for person in people:
        for kind in kinds:
            pairs = windows.of(kind, person)
            if len(pairs.in_sync) >= LEAST_WINDOWS:
                found[person][kind] = scores.area_under_roc(pairs)
    yield markdown(["AUC, by person", *kinds], people_rows(found, kinds))


def open_split(cache: Cache, split: str, known: Mapping[str, Sequence[Phone]], n_frames: int) -> Tracks:
    """Return the tracks of a split whose phones are known; raise UsageError if there are none."""
    rows = cache.tracks()
    chosen = rows.has("split", split) & rows.has("clip", *known)
    if not chosen.any():
        raise click.UsageError(f"no clip of split {split!r} of {cache.root} is in the table of phones; run phones.py")
    return Tracks(cache, rows.select(chosen), crop_spec(cache), n_frames)


@click.command(help=__doc__)
@click.argument("root", metavar="CACHE", type=click.Path(path_type=Path, exists=True))
@click.argument("table", metavar="PHONES.tsv", type=click.Path(path_type=Path, exists=True))
@click.option("--split", "splits", multiple=True, default=("test", "unseen"), show_default=True)
@click.option("--expert", default="w2l", show_default=True, help="Calibrated expert: a name or a file.")
@click.option("--lips", type=click.Path(path_type=Path, exists=True), help="File of a lip reader  [the shipped one]")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the tables to this file.")
def main(root: Path, table: Path, splits: tuple[str, ...], expert: str, lips: Path | None, out: Path | None) -> None:
    """Print the tables of all splits."""
    cache, phones = Cache.open(root), read_phones(table)
    network = load_lips(lips) if lips else shipped_lips()
    if network.dimensions.extras != N_EXTRAS:
        raise click.UsageError(f"{lips} reads only gaps and points; pass a lip reader that reads teeth and widths")
    model = registry.load_by_name(expert, "expert", cache)
    if not model.card.calibrated:
        raise click.UsageError(f"{expert} is not calibrated; run examples.research.calibrate_expert first")
    n_frames = int(model.card.dimensions.get("n_frames", WINDOW_FRAMES))
    parts: list[str] = []
    for split in splits:
        tracks = open_split(cache, split, phones, n_frames)
        parts += report_lips(split, read_tokens(tracks, phones, network))
        with torch.inference_mode():
            parts += report_expert(split, read_windows(tracks, phones, model), model)
    text = "\n".join(parts)
    click.echo(text)
    if out:
        write_text(out, text)


if __name__ == "__main__":
    main()

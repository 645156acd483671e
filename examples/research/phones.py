r"""Label clips of GRID with the times of their phones, by forced alignment with pocketsphinx.

    pip install pocketsphinx  # used only here; w2l does not depend on it
    python -m examples.research.phones GRID PHONES.tsv --list train.txt --list test.txt --list unseen.txt \
        --words words.tsv

The name of a clip encodes its sentence (`bbaf2n`: bin blue at f two now). If a name does not, the sentence is
recognised with the grammar of the corpus; `--check N` measures the accuracy of that on known sentences. `--words`
compares the onsets of words with those of the corpus. PHONES.tsv has a row per phone: clip, start_s, end_s, phone
(CMU's symbols; SIL is silence) and its word.
"""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from w2l.core.errors import MediaError
from w2l.core.files import write_text
from w2l.media.audio import read_audio

DIGITS = {
    "z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine",
}  # fmt: skip
CODE: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    DIGITS,
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""Words for each letter of a clip's name, in order; w is not among the spoken letters."""
SPOKEN = {"a": "EY", "z": "Z EH D"}
"""Pronunciations of letters by the speakers, if the dictionary has the article or the American name."""
LETTER = "letter-"
"""Prefix of a letter of the alphabet in the aligner's dictionary, to distinguish it from a word."""
FRAME_RATE = 100
"""Frames of the aligner per second."""
SILENCE = "SIL"
HEADER = "clip\tstart_s\tend_s\tphone\tword"
ALIGNING: dict[str, Any] = {"lm": None, "cmn": "batch", "bestpath": False, "loglevel": "FATAL"}
"""Without `bestpath`, whose word times have gaps in which the alignment of the phones fails."""
RECOGNISING: dict[str, Any] = {**ALIGNING, "beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60}
"""With the default beams of 1e-48, words are lost: accuracy 0.86 instead of 0.92, on 12 clips."""


class Phone(NamedTuple):
    """A phone in a clip."""

    clip: str
    start_s: float
    end_s: float
    phone: str
    word: str


def sentence_of(clip: str) -> list[str] | None:
    """Return the words that the name of a clip, `speaker/code`, encodes; None for another name."""
    name = clip.rsplit("/", 1)[-1]
    if len(name) != len(CODE) or any(letter not in words for letter, words in zip(name, CODE)):
        return None
    return [words[letter] for letter, words in zip(name, CODE)]


def grammar() -> str:
    """Return all sentences of the corpus as a JSGF grammar."""
    slots = (" | ".join(_entry(word) for word in words.values()) for words in CODE)
    return f"#JSGF V1.0; grammar grid; public <sentence> = {' '.join(f'({slot})' for slot in slots)};"


def _entry(word: str) -> str:
    return LETTER + word if len(word) == 1 else word


class Aligner:
    """The English model of pocketsphinx, with the letters of the alphabet in its dictionary."""

    def __init__(self) -> None:
        try:
            sphinx = importlib.import_module("pocketsphinx")
        except ImportError as error:
            raise click.UsageError("pocketsphinx is not installed; run: pip install pocketsphinx") from error
        self._aligner, self._recogniser = sphinx.Decoder(**ALIGNING), sphinx.Decoder(**RECOGNISING)
        for decoder in (self._aligner, self._recogniser):
            for letter in CODE[3]:
                decoder.add_word(LETTER + letter, SPOKEN.get(letter) or decoder.lookup_word(letter), False)
            decoder.add_word(f"{LETTER}r(2)", "AA", True)  # without the American r; the last one updates the model
        self._recogniser.add_jsgf_string("grid", grammar())
        self._recogniser.activate_search("grid")

    def recognise(self, sound: bytes) -> list[str]:
        """Return the words of the corpus's grammar that fit 16 kHz, 16 bit `sound` best; empty if none do."""
        _decode(self._recogniser, sound)
        found = self._recogniser.hyp()
        return [word.removeprefix(LETTER) for word in found.hypstr.split()] if found else []

    def align(self, clip: str, sound: bytes, words: Sequence[str]) -> list[Phone]:
        """Return the phones of `words` and the silences around them; raise MediaError if they do not fit the sound."""
        try:
            self._aligner.set_align_text(" ".join(map(_entry, words)))
            _decode(self._aligner, sound)
            self._aligner.set_alignment()
            _decode(self._aligner, sound)
        except RuntimeError as error:
            raise MediaError(f"{clip}: its sound does not fit the words {' '.join(words)!r}; leave it out") from error
        return [
            Phone(
                clip,
                phone.start / FRAME_RATE,
                (phone.start + phone.duration) / FRAME_RATE,
                phone.name,
                _word(word.name),
            )
            for word in self._aligner.get_alignment()
            for phone in word
        ]


def _decode(decoder: Any, sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _word(entry: str) -> str:
    """Return the word of a dictionary entry, without the number of its pronunciation; empty for silence."""
    return "" if entry.startswith(("<", "[")) else entry.split("(")[0].removeprefix(LETTER)


def sound_of(root: Path, clip: str) -> bytes:
    """Return the sound of a clip under `root` as 16 bit samples at 16 kHz; raise MediaError without a video."""
    video = next(iter(sorted(root.glob(f"{clip}.*"))), None)
    if video is None:
        raise MediaError(f"{root / clip}: no such video; check the list")
    return bytes((np.clip(read_audio(video), -1, 1) * 32767).astype("<i2").tobytes())


def write_phones(path: Path, phones: Iterable[Phone]) -> None:
    """Write the table of phones."""
    rows = (f"{clip}\t{start:.2f}\t{end:.2f}\t{phone}\t{word}" for clip, start, end, phone, word in phones)
    write_text(path, "\n".join([HEADER, *rows]) + "\n")


def read_phones(path: Path) -> dict[str, list[Phone]]:
    """Return clip -> its phones in order of time, from the table at `path`; raise MediaError for another file."""
    header, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
    if header != HEADER:
        raise MediaError(f"{path} is not a table of phones: its first line is not {HEADER!r}; write one with phones.py")
    found: dict[str, list[Phone]] = {}
    for row in rows:
        clip, start, end, phone, word = row.split("\t")
        found.setdefault(clip, []).append(Phone(clip, float(start), float(end), phone, word))
    return found


def onsets_off(phones: dict[str, list[Phone]], words: Path) -> Iterator[float]:
    """Yield by how many seconds each word starts later than in the corpus's own word times."""
    rows = [line.split("\t") for line in words.read_text(encoding="utf-8").splitlines()[1:]]
    given: dict[str, list[tuple[float, str]]] = {}
    for clip, start, _, word in rows:
        if word not in ("sil", "sp"):
            given.setdefault(clip, []).append((float(start), word))
    for clip, of_clip in phones.items():
        mine = word_onsets(of_clip)
        theirs = given.get(clip, [])
        if [word for _, word in mine] == [word for _, word in theirs]:
            yield from (start - onset for (start, _), (onset, _) in zip(mine, theirs))


def word_onsets(phones: Sequence[Phone]) -> list[tuple[float, str]]:
    """Return the time at which each word starts; no sentence of the corpus has a word twice in a row."""
    before = ["", *(phone.word for phone in phones)]
    return [(phone.start_s, phone.word) for phone, last in zip(phones, before) if phone.word and phone.word != last]


def label(root: Path, clips: Sequence[str], aligner: Aligner) -> Iterator[list[Phone]]:
    """Yield the phones of each clip that has a sentence; report the others, and why, on stderr."""
    for clip in clips:
        try:
            sound = sound_of(root, clip)
            if words := sentence_of(clip) or aligner.recognise(sound):
                yield aligner.align(clip, sound, words)
            else:
                click.echo(f"{clip}: no sentence of the corpus fits; left out", err=True)
        except MediaError as error:
            click.echo(str(error), err=True)


def recognised(root: Path, clips: Sequence[str], aligner: Aligner) -> float:
    """Return the share of words that are recognised correctly in clips whose sentences are known."""
    right = []
    for clip in clips:
        found = aligner.recognise(sound_of(root, clip))
        right += [found[place : place + 1] == [word] for place, word in enumerate(sentence_of(clip) or [])]
    return float(np.mean(right))


@click.command(help=__doc__)
@click.argument("root", metavar="GRID", type=click.Path(path_type=Path, exists=True))
@click.argument("out", metavar="PHONES.tsv", type=click.Path(path_type=Path))
@click.option("--list", "lists", multiple=True, required=True, help="List of clips, under GRID; repeatable.")
@click.option("--words", help="Word times of the corpus, under GRID.")
@click.option("--check", default=0, metavar="N", help="Recognise N clips of each list whose sentences are known.")
def main(root: Path, out: Path, lists: tuple[str, ...], words: str | None, check: int) -> None:
    """Label all clips and write the table."""
    aligner = Aligner()
    names = [(root / name).read_text(encoding="utf-8").split() for name in lists]
    if check:
        known = [clip for clips in names for clip in [clip for clip in clips if sentence_of(clip)][-check:]]
        click.echo(f"{recognised(root, known, aligner):.3f} of the words of {len(known)} clips recognised")
    clips = list(dict.fromkeys(clip for of_list in names for clip in of_list))
    phones = {of_clip[0].clip: of_clip for of_clip in label(root, clips, aligner)}
    write_phones(out, (phone for of_clip in phones.values() for phone in of_clip))
    click.echo(f"{len(phones)} of {len(clips)} clips, {sum(map(len, phones.values()))} phones: {out}")
    if words and (off := np.abs(list(onsets_off(phones, root / words)))).size:
        click.echo(
            f"onsets of {len(off)} words: median {np.median(off):.3f} s from the corpus's, 90 % within "
            f"{np.percentile(off, 90):.3f} s, 98 % within {np.percentile(off, 98):.3f} s"
        )


if __name__ == "__main__":
    main()

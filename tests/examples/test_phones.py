"""The scripts that label phones and report by phone: sentences, tables, and what is counted where."""

import sys
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from examples.research import phone_report as report
from examples.research import phones as script
from examples.research.phones import Phone
from tests.helpers.tiny_cache import ALIGNED, talking_cache
from w2l.core.errors import MediaError
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.models.lip_reader import Mouths, save_lips
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.lips import N_EXTRAS, LipDimensions, Lips


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        ("s1/bbaf2n", "bin blue at f two now"),
        ("s23/priazn", "place red in a zero now"),
        ("va/clip1", None),
        ("s1/bbaw2n", None),
        ("s1/bbaf2", None),
    ],
)
def test_the_sentence_that_a_name_spells(clip: str, words: str | None) -> None:
    assert script.sentence_of(clip) == (words.split() if words else None)


def test_the_table_of_phones_is_read_as_it_was_written(tmp_path: Path) -> None:
    phones = [Phone("a/x", 0.0, 0.5, "SIL", ""), Phone("a/x", 0.5, 0.53, "B", "bin"), Phone("a/y", 1.0, 1.1, "AH", "")]
    script.write_phones(tmp_path / "phones.tsv", phones)
    assert script.read_phones(tmp_path / "phones.tsv") == {"a/x": phones[:2], "a/y": phones[2:]}
    (tmp_path / "other.tsv").write_text("clip\tstart_s\tend_s\tword\n")
    with pytest.raises(MediaError, match="not a table of phones"):
        script.read_phones(tmp_path / "other.tsv")


def test_onsets_are_compared_where_the_words_agree(tmp_path: Path) -> None:
    phones = {
        "a/x": [
            Phone("a/x", 0, 0.5, "SIL", ""),
            Phone("a/x", 0.5, 0.6, "B", "bin"),
            Phone("a/x", 0.6, 0.7, "IH", "bin"),
        ],
        "a/y": [Phone("a/y", 0.2, 0.6, "B", "by")],
    }
    words = tmp_path / "words.tsv"
    words.write_text("clip\tstart_s\tend_s\tword\na/x\t0\t0.4\tsil\na/x\t0.4\t0.7\tbin\na/y\t0.1\t0.6\tblue\n")
    assert list(script.onsets_off(phones, words)) == pytest.approx([0.1])


def test_letters_are_not_taken_for_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Decoder(SimpleNamespace):
        def __init__(self, **settings: object) -> None:
            super().__init__(
                add_word=lambda *_: None, lookup_word=lambda _: "X", add_jsgf_string=lambda *_: None,
                activate_search=lambda _: None, set_align_text=asked.append, set_alignment=lambda: None,
                start_utt=lambda: None, process_raw=lambda *_, **__: None, end_utt=lambda: None,
            )  # fmt: skip

        def get_alignment(self) -> list[object]:
            silence, letter = [Entry("SIL", 0, 50)], [Entry("AA", 50, 20)]
            return [Word("<sil>", silence), Word("letter-r(2)", letter)]

    monkeypatch.setitem(sys.modules, "pocketsphinx", SimpleNamespace(Decoder=Decoder))
    found = script.Aligner().align("s1/x", b"", ["at", "a"])
    assert asked == ["at letter-a"]
    assert found == [Phone("s1/x", 0.0, 0.5, "SIL", ""), Phone("s1/x", 0.5, 0.7, "AA", "r")]


class Entry(SimpleNamespace):
    def __init__(self, name: str, start: int, duration: int) -> None:
        super().__init__(name=name, start=start, duration=duration)


class Word(list[Entry]):
    def __init__(self, name: str, phones: list[Entry]) -> None:
        super().__init__(phones)
        self.name = name


def test_without_the_aligner_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(click.UsageError, match="pip install pocketsphinx"):
        script.Aligner()


def test_readings_are_taken_at_the_phone() -> None:
    gaps = np.full(50, 0.1)
    gaps[19], gaps[27] = 0.0, 0.3  # closed at 0.76 s, open at 1.08 s
    mouths = Mouths(gaps, np.zeros((50, 6, 2)), np.full(50, 0.5), np.linspace(0, 1, 50), np.zeros(50))
    phones = [Phone("c", 0.8, 0.84, "B", "bin"), Phone("c", 1.0, 1.2, "AY", "five"), Phone("c", 1.9, 2.4, "S", "six")]
    closed, opened = report.tokens_of(mouths, phones, 0, "me")
    assert (closed.kind, closed.narrowest) == ("p b m", 0.0)
    assert (opened.kind, opened.widest, opened.narrowest) == ("open", 0.3, 0.1)
    assert opened.teeth == pytest.approx(np.linspace(0, 1, 50)[26:30].mean())
    moved = report.tokens_of(mouths, phones, 10, "me")  # the track begins ten frames into the clip
    assert next(moved).narrowest == 0.1


def test_windows_belong_to_the_phone_in_their_middle() -> None:
    phones = [Phone("c", 0.1, 0.2, "P", "place"), Phone("c", 0.2, 0.3, "L", "place")]
    assert [report.kind_at(phones, time) for time in (0.05, 0.1, 0.25, 0.3)] == ["silence", "p b m", "other", "silence"]


def test_tables_of_made_clips(tmp_path: Path) -> None:
    talking_cache(tmp_path / "cache", 3, n_frames=60, split="test")
    rows = [
        Phone(f"clip{number}", place * 0.1, place * 0.1 + 0.1, phone, "word")
        for number in range(2)  # of the third clip nothing is known
        for place, phone in enumerate(["SIL", *["P", "AA"] * 10, "SIL"])
    ]
    script.write_phones(tmp_path / "phones.tsv", rows)
    torch.manual_seed(0)
    expert, lips = Expert(ExpertDimensions(ALIGNED.size, width=2, signed=True)), Lips(LipDimensions(1, 8, N_EXTRAS))
    card = ModelCard("expert", dimensions_of(expert), ALIGNED, calibrated=True, scale=5.0)
    save_model(tmp_path / "expert.safetensors", expert, card)
    save_lips(tmp_path / "lips.npz", lips)
    given = [
        str(tmp_path / "cache"),
        str(tmp_path / "phones.tsv"),
        "--split",
        "test",
        "--lips",
        str(tmp_path / "lips.npz"),
    ]
    done = CliRunner().invoke(
        report.main, [*given, "--expert", str(tmp_path / "expert.safetensors"), "--out", str(tmp_path / "out.md")],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    assert done.stdout == (tmp_path / "out.md").read_text() + "\n"
    cells = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in done.stdout.splitlines() if "|" in line}
    assert cells["all"] == str(2 * 56)  # windows
    assert "**Lip reader, test**: 44 phones of 1 people" in done.stdout
    left_out = CliRunner().invoke(report.main, [*given[:2], "--split", "unseen"])
    assert left_out.exit_code == 2
    assert "run phones.py" in left_out.stderr


def test_a_reading_that_tells_two_classes_apart() -> None:
    tokens = [report.Token("me", "p b m", 0.01 * n, 0.1, 0.1, 1.0) for n in range(5)]
    tokens += [report.Token("me", "open", 0.0, 0.2, 0.5, 1.0) for _ in range(5)]
    assert report.contrasts_of(tokens) == {"p b m closed, open vowels open": 1.0}
    assert report.contrasts_of(tokens[:-1]) == {}

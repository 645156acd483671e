"""Scores as text: what is shown, what is marked, what is left out; files that programs can read."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from typing import Literal

import pytest
from rich.cells import cell_len

from tests.helpers.made_scores import COLUMNS, N_CLIPS, NOTE, OURS, THEIRS, against, clip, report
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Comparison, Interval
from w2l.scoring.report.table import FEW, MOST_LINES, as_csv, as_plain, explain, score_table
from w2l.scoring.report.verdict import judge_lines
from w2l.scoring.report.wording import DOUBT, NOTHING, beats_real, best_systems, value_text, winner
from w2l.scoring.results import REAL, SHUFFLED, ClipScore, JudgeCheck, ScoreReport, SystemScore

Better = Literal["lower", "higher", "one", "zero", ""]
STYLE = re.compile(r"\x1b\[[0-9;]*m")
LSE_C = next(column for column in COLUMNS if column.name == "lse_c")


def plain(text: str) -> str:
    """Without styles."""
    return STYLE.sub("", text)


def row(text: str, name: str, after: str = "") -> str:
    """The first line that begins with `name`, behind a title that begins with `after`."""
    lines = plain(text).splitlines()
    start = next(idx for idx, line in enumerate(lines) if line.startswith(after))
    return next(line for line in lines[start:] if line.startswith(name))


@pytest.mark.parametrize("width", [None, 60, 80, 140])
def test_systems_stand_below_each_other_with_the_anchors_last(width: int | None) -> None:
    lines = plain(score_table(report(), COLUMNS, width, clips=False)).splitlines()
    starts = [
        next(idx for idx, line in enumerate(lines) if line.startswith(name)) for name in (OURS, THEIRS, REAL, SHUFFLED)
    ]
    assert starts == list(range(starts[0], starts[0] + 4))


def test_a_mean_has_its_interval_and_the_clips_it_is_of() -> None:
    """The first clip of each tested system was dropped: 0.1, 0.2 and 0.3 above the system's LSE-C remain."""
    text = score_table(report(), COLUMNS, None, clips=False)
    ours, real = row(text, OURS).split(), row(text, REAL).split()
    assert ours[1] == f"{N_CLIPS - 1}/{N_CLIPS}"
    assert real[1] == str(N_CLIPS)
    assert {"7.700*", "±0.100"} <= set(ours)
    assert {"7.150", "±0.150"} <= set(real)
    assert row(text, OURS, "Similarity").split() == [OURS, "9.25"]


def test_a_mean_over_fewer_clips_says_so() -> None:
    clips = [clip(OURS, 0, identity=0.5), clip(OURS, 1, identity=0.5), clip(OURS, 2)]
    text = score_table(report(clips), COLUMNS, None, clips=False)
    assert row(text, OURS, "Identity").split() == [OURS, "0.500", "(2)"]
    assert "(n): mean of n clips" in plain(text)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits_a_terminal(width: int) -> None:
    text = plain(
        score_table(report(comparisons=(against(OURS, THEIRS, "lse_c", 1.5, 0.01),)), COLUMNS, width, clips=True)
    )
    assert max(map(cell_len, text.splitlines())) <= width


def test_a_piped_table_is_plain_and_breaks_no_row() -> None:
    long = Column("lse_d", "a very long heading of a column " * 8, "lse", "lower", "")
    text = score_table(report(), (long, *COLUMNS[1:]), None, clips=True)
    assert text == plain(text)
    assert sum(line.startswith(f"{OURS}/clip1") for line in text.splitlines()) == 2  # one for lse, one for quality


def test_minor_columns_and_those_without_numbers_are_left_to_the_files() -> None:
    text = score_table(report(), COLUMNS, None, clips=True)
    assert "LSE-D corr." not in text
    assert "Identity" not in text
    header = as_csv(report(), COLUMNS).splitlines()[0].split(",")
    assert "lse_d_corrected" in header
    assert not {"identity", "fid"} & set(header)  # clips have no FID of their own


@pytest.mark.parametrize(
    ("n_clips", "asked", "listed"), [(FEW, False, True), (FEW + 1, False, False), (FEW + 1, True, True)]
)
def test_few_clips_are_listed_and_many_when_asked_for(n_clips: int, asked: bool, listed: bool) -> None:
    clips = [clip(OURS, n) for n in range(n_clips)]
    assert (f"{OURS}/clip1" in score_table(report(clips), COLUMNS, None, asked)) == listed


def test_dropped_clips_are_counted_with_their_reason() -> None:
    """The path differs from clip to clip; the reason is one."""
    lines = score_table(report(), COLUMNS, None, clips=False).splitlines()
    at = lines.index(f"Not scored: 2 of {3 * N_CLIPS} clips")  # those of shuffled speech are nobody's
    assert lines[at + 1].split(maxsplit=1) == ["2", f"no face; try another: {OURS}/clip0, {THEIRS}/clip0"]


def test_notes_of_the_report_and_of_clips_are_told_once() -> None:
    clips = [clip(OURS, 0), clip(THEIRS, 0), clip(OURS, 1)]
    text = score_table(report(clips), COLUMNS, None, clips=False)
    assert f"2 {NOTE}: {OURS}/clip0, {THEIRS}/clip0" in text
    assert text.count("a note on everything") == 1


def test_nothing_scored_is_a_table_all_the_same() -> None:
    text = score_table(report([clip(OURS, 0, "/ours/clip0.mp4 is damaged")]), COLUMNS, 80, clips=True)
    assert row(text, OURS).split() == [OURS, "0/1"]
    assert "the clip is damaged" in plain(text)
    assert score_table(ScoreReport("nothing", (), ()), COLUMNS, 80, clips=True)


def test_markup_and_line_breaks_in_names_are_shown_as_they_are() -> None:
    one = clip(OURS, 1)
    odd = replace(one, sample=replace(one.sample, name="a [red]b[/] \n c\udcff"))
    lines = score_table(report([odd]), COLUMNS, None, clips=True).splitlines()
    assert any(line.startswith("ours/a [red]b[/] \\n c\\udcff") for line in lines)


def test_one_clip_has_no_interval() -> None:
    text = score_table(report([clip(OURS, 1)]), COLUMNS, None, clips=False)
    assert "±" not in text.split("Clips")[0]
    assert "inf" not in text


def test_only_systems_under_test_can_be_best() -> None:
    found = report()
    assert best_systems(found.systems, LSE_C) == {OURS}
    assert best_systems(found.systems[1:], LSE_C) == set()  # one system is not the best of several


@pytest.mark.parametrize(
    ("better", "best"), [("lower", "low"), ("higher", "high"), ("one", "middle"), ("zero", "low"), ("", None)]
)
def test_what_is_best_depends_on_the_column(better: Better, best: str | None) -> None:
    column = replace(LSE_C, better=better)
    means = {"low": 0.3, "middle": 0.9, "high": 1.9}
    systems = [SystemScore(name, 1, 0, {"lse_c": Interval(mean, mean, mean, 1)}) for name, mean in means.items()]
    assert best_systems(systems, column) == ({best} if best else set())


def test_clips_without_a_number_of_a_group_are_not_listed_there() -> None:
    """Real videos have no sharpness: beside themselves it would be 1."""
    lines = score_table(report([clip(OURS, 1), clip(REAL, 1)]), COLUMNS, None, clips=True).splitlines()
    lse, quality = (lines.index(f"Clips: {group}") for group in ("lse", "quality"))
    assert lines[lse + 3].startswith(f"{REAL}/clip1")
    assert lines[quality + 2].startswith(f"{OURS}/clip1")
    assert not [line for line in lines[quality:] if line.startswith(REAL)]


def test_systems_that_print_the_same_share_being_best() -> None:
    def system(name: str, mean: float) -> SystemScore:
        return SystemScore(name, 1, 0, {"lse_c": Interval(mean, mean, mean, 1)})

    systems = (system("a", 7.0001), system("b", 7.0002), system("c", 6.0))
    assert best_systems(systems, LSE_C) == {"a", "b"}
    assert best_systems(systems[:2], LSE_C) == set()


@pytest.mark.parametrize(("p_value", "beats"), [(0.01, True), (0.5, False)])
def test_better_than_real_is_marked_when_the_clips_tell_them_apart(p_value: float, beats: bool) -> None:
    found = report(comparisons=(against(OURS, REAL, "lse_c", 0.5, p_value),))
    ours, theirs, real, _ = found.systems
    assert beats_real(found, ours, LSE_C) == beats
    assert not beats_real(found, theirs, LSE_C)
    assert not beats_real(found, real, LSE_C)
    assert ("*: better than the real videos" in score_table(found, COLUMNS, None, clips=False)) == beats


@pytest.mark.parametrize(("lowest", "beats"), [(7.2, True), (7.05, False)])
def test_better_than_real_on_other_clips_takes_intervals_apart(lowest: float, beats: bool) -> None:
    """The real videos have 7.0 to 7.1, the outputs `lowest` to 8, and no clip of the ones is one of the others'."""
    found = report([clip(OURS, 0, lse_c=lowest), clip(OURS, 1, lse_c=8.0), clip(REAL, 0), clip(REAL, 1)])
    assert beats_real(found, found.systems[0], LSE_C) == beats


def test_many_different_reasons_are_cut_short() -> None:
    text = score_table(
        report([clip(OURS, n, f"reason {n}") for n in range(MOST_LINES + 2)]), COLUMNS, None, clips=False
    )
    assert f"reason {MOST_LINES - 1}:" in text
    assert f"reason {MOST_LINES}:" not in text
    assert "and 2 more; --json and --csv list all" in text


@pytest.mark.parametrize(
    ("name", "difference", "p_value", "better"),
    [
        ("lse_c", 1.5, 0.01, OURS), ("lse_c", -1.5, 0.01, THEIRS), ("lse_d", 1.5, 0.01, THEIRS),
        ("sharpness", -0.1, 0.01, OURS), ("offset", 2.0, 0.05, THEIRS), ("lse_c", 1.5, 0.051, ""),
        ("lse_c", 1.5, math.nan, ""), ("lse_c", 0.0, 0.01, ""),
    ],
)  # fmt: skip
def test_the_winner_of_a_comparison(name: str, difference: float, p_value: float, better: str) -> None:
    """For `one` and `zero` the difference is that of the distances from them: the lower is better."""
    column = next(column for column in COLUMNS if column.name == name)
    assert winner(against(OURS, THEIRS, name, difference, p_value), column) == better


def test_comparisons_have_a_row_a_measure_and_a_column_a_pair() -> None:
    pairs = (
        against(OURS, THEIRS, "lse_d", -0.5, 0.01), against(OURS, THEIRS, "lse_c", 1.5, 0.2),
        against(OURS, REAL, "lse_c", 0.5, 0.01),
    )  # fmt: skip
    lines = score_table(report(comparisons=pairs), COLUMNS, None, clips=False).splitlines()
    at = lines.index("Paired differences")
    assert re.split(r" {2,}", lines[at + 1].strip()) == [f"{OURS} - {THEIRS}", f"{OURS} - {REAL}"]
    assert lines[at + 2].split() == ["LSE-D", "↓", "-0.500", "±0.200", "75%", NOTHING]
    assert lines[at + 3].split() == ["LSE-C", "↑", "~+1.500", "±0.200", "75%", "+0.500", "±0.200", "75%"]
    assert "Fewer than 6 clips are never significant" in " ".join(lines)


@pytest.mark.parametrize(
    ("name", "value", "mean", "text"),
    [
        ("offset", 3.0, False, "+3"), ("offset", -2.0, False, "-2"), ("offset", 0.0, False, "0"),
        ("offset", 0.04, True, "0.0"), ("offset", -0.04, True, "0.0"), ("offset", 0.25, True, "+0.2"),
        ("windows", 70.6, True, "71"), ("lse_d", 7.12345, True, "7.123"), ("sharpness", math.nan, False, NOTHING),
        ("sharpness", None, False, NOTHING), ("lse_d", math.inf, False, NOTHING),
    ],
)  # fmt: skip
def test_numbers(name: str, value: float | None, mean: bool, text: str) -> None:
    column = next(column for column in COLUMNS if column.name == name)
    assert value_text(column, value, mean=mean) == text


def test_csv_has_one_line_a_clip_and_gives_numbers_back() -> None:
    found = report()
    rows = list(csv.DictReader(io.StringIO(as_csv(found, COLUMNS))))
    assert [(line["system"], line["clip"]) for line in rows] == [(c.sample.system, c.sample.name) for c in found.clips]
    for line, one in zip(rows, found.clips):
        assert None not in line, "more cells than headings"
        assert (line["reason"] != "") == (not one.scored)
        assert line["notes"] == "; ".join(one.notes)
        for name in ("lse_c", "sharpness"):
            told = one.values.get(name)
            assert line[name] == "" if told is None else float(line[name]) == pytest.approx(told, rel=1e-6)
    assert rows[0]["reference"] == "/real/clip0.mp4"
    assert rows[0]["speaker"] == "ann"


def test_csv_survives_odd_names_and_numbers() -> None:
    one = clip(OURS, 1, lse_c=math.nan, lse_d=0.1 + 0.2)
    odd = replace(one, sample=replace(one.sample, name='a,"b"\n\udcff'))
    text = as_csv(report([odd]), COLUMNS)
    text.encode()
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["clip"] == 'a,"b"\\n\\udcff'
    assert line["lse_c"] == ""
    assert line["lse_d"] == "0.3"


def test_json_is_strict_and_complete() -> None:
    pairs = (against(OURS, REAL, "lse_c", math.nan, math.nan),)
    found = as_plain(report([clip(OURS, 1)], pairs))
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert set(found) == {"title", "clips", "systems", "comparisons", "notes", "judge_check"}
    assert found["judge_check"] is None
    assert found["clips"][0]["sample"]["path"] == "/ours/clip1.mp4"
    assert found["clips"][0]["values"]["lse_c"] == pytest.approx(7.6)
    assert len(found["clips"][0]["curve"]) == 31
    assert found["systems"][0]["means"]["lse_c"] == {"mean": pytest.approx(7.6), "low": None, "high": None, "clips": 1}
    assert found["comparisons"][0]["p_value"] is None


CAN = JudgeCheck(True, 0.0004, 9, True, "shuffled")
CANNOT = replace(CAN, can_tell=False, p_value=0.7)


def judged(check: JudgeCheck, *clips: ClipScore, pairs: tuple[Comparison, ...] = ()) -> ScoreReport:
    return replace(report(clips, pairs), judge_check=check)


@pytest.mark.parametrize("width", [None, 80])
def test_the_first_line_says_that_the_judge_can_tell(width: int | None) -> None:
    text = plain(score_table(judged(CAN), COLUMNS, width, clips=False))
    start = " ".join(text.split())
    assert start.startswith("The judge can tell lip sync on these clips: 9 real videos score better with their own ")
    assert start.index("p < 0.001.") < start.index("LSE with a judge")
    assert DOUBT not in text


@pytest.mark.parametrize("width", [None, 80])
def test_the_first_line_says_that_it_cannot_and_marks_what_it_says(width: int | None) -> None:
    """Of all other measures nothing changes."""
    text = plain(score_table(judged(CANNOT, pairs=(against(OURS, REAL, "lse_c", 0.7, 0.01),)), COLUMNS, width, True))
    start = " ".join(text.split())
    assert start.startswith("The judge cannot tell lip sync on these clips: 9 real videos score no better")
    assert "p = 0.700" in start
    assert "--judge syncnet-v2" in start
    cells = row(text, OURS).split()
    assert {"8.000?", "7.700?"} <= set(cells)
    assert "9.25" in row(text, OURS, "Similarity")
    assert "9.25?" not in text
    assert "*" not in row(text, OURS, "LSE-C" if width is None else "")
    assert re.search(r"\+0\.700.*\?", text)
    assert f"{DOUBT}: the judge failed its check" in text


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (replace(CAN, clips=1, how="alone"), "can tell lip sync on this clip: 1 real video"),
        (replace(CANNOT, real=False), "pass some with --reference"),
        (replace(CAN, real=False), "There was no real video"),
        (replace(CANNOT, clips=1, how="alone"), "1 real video fits its own sound at no offset better than next to it"),
        (replace(CAN, clips=2, how="alone", real=False), "2 outputs fit their own sound better at one offset"),
        (replace(CANNOT, clips=3, how="alone"), "Five or more clips"),
        (replace(CANNOT, published=True), "w2l train-expert"),
    ],
)
def test_the_check_says_what_it_was_made_on(check: JudgeCheck, said: str) -> None:
    assert said in " ".join(judge_lines(judged(check)))


def test_a_published_judge_is_not_told_to_try_itself() -> None:
    assert "syncnet" not in " ".join(judge_lines(judged(replace(CANNOT, published=True))))


def test_an_offset_that_is_none_is_printed_so() -> None:
    clips = [clip(OURS, 1, offset=math.nan), clip(OURS, 2, offset=math.nan)]
    text = plain(score_table(judged(CANNOT, *clips), COLUMNS, None, clips=True))
    assert "none?" in row(text, OURS).split()
    assert "none?" in row(text, f"{OURS}/clip1").split()
    (first, _) = csv.DictReader(io.StringIO(as_csv(judged(CANNOT, *clips), COLUMNS)))
    assert first["offset"] == "none"
    assert first["judge_can_tell"] == "no"
    found = as_plain(judged(CAN, *clips))
    assert found["clips"][0]["values"]["offset"] is None
    assert found["judge_check"]["can_tell"] is True
    assert found["judge_check"]["p_value"] == 0.0004
    half = plain(score_table(judged(CAN, clips[0], clip(OURS, 2, offset=2.0)), COLUMNS, None, clips=False))
    assert "+2.0" in row(half, OURS)
    assert "(1)" in row(half, OURS)


def test_explain_says_everything_of_every_column() -> None:
    text = explain(COLUMNS)
    assert max(map(len, text.splitlines())) <= 100
    joined = " ".join(text.split())
    for column in COLUMNS:
        assert f"{column.heading} ({column.name}): " in joined
        assert column.meaning in joined
    assert [line.partition(":")[0] for line in text.splitlines() if line.startswith("--")] == [
        "--lse", "--fid", "--quality", "--identity"
    ]  # fmt: skip


@pytest.mark.parametrize("first", "=+-@")
def test_no_cell_is_a_formula(first: str) -> None:
    scored = clip(OURS, 0, lse_c=-0.5)
    name = f'{first}HYPERLINK("http://x")'
    odd = replace(scored, sample=replace(scored.sample, name=name, system=name, speaker=name), reason=name)
    cells = next(csv.DictReader(io.StringIO(as_csv(report([odd]), COLUMNS))))
    assert [cells[column] for column in ("system", "clip", "speaker", "reason")] == [f"'{name}"] * 4
    assert cells["lse_c"] == "-0.5"

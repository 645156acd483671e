"""Results of a study: shares and means of made raters come out, intervals cover, bad files are named."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2l.core.errors import ConfigError
from w2l.scoring.study.means import mean_of_answers
from w2l.scoring.study.results import StudyReport, as_dict, as_text, read_results

SYSTEMS, CLIPS = ("ours", "theirs", "real"), ("c1", "c2", "c3", "c4")
ASPECTS = ("sync", "picture", "overall")
Judge = Callable[[str, str], dict[str, Any]]


def blind(system: str, clip: str) -> str:
    return f"{SYSTEMS.index(system)}f{clip}"


def write_key(folder: Path, study: str = "s1", name: str = "study-key.json") -> Path:
    clips = {blind(system, clip): {"system": system, "clip": clip} for system in SYSTEMS for clip in CLIPS}
    path = folder / name
    path.write_text(json.dumps({"format": "w2l study key 1", "study": study, "systems": SYSTEMS, "clips": clips}))
    return path


def rated(system: str, clip: str, *scores: int) -> dict[str, Any]:
    return {"kind": "rating", "clips": [blind(system, clip)], "repeat": False, "answers": dict(zip(ASPECTS, scores))}


def compared(left: str, right: str, clip: str, *sides: str, repeat: bool = False) -> dict[str, Any]:
    clips = [blind(left, clip), blind(right, clip)]
    return {"kind": "pair", "clips": clips, "repeat": repeat, "answers": dict(zip(ASPECTS, sides * (3 // len(sides))))}


def write_answers(path: Path, answers: Sequence[Any] | dict[str, Any], **facts: Any) -> Path:
    usual = {"format": "w2l study answers 1", "study": "s1", "rater": path.stem, "name": "", "seed": 1, "skipped": []}
    path.write_text(json.dumps(usual | {"saved": "2026", "asked": len(answers), "answers": answers} | facts))
    return path


def opinions(report: StudyReport) -> dict[tuple[str, str], float]:
    return {(opinion.system, opinion.aspect): opinion.mean.mean for opinion in report.opinions}


def test_shares_are_those_that_were_given_on_either_side(tmp_path: Path) -> None:
    write_key(tmp_path)
    one = [compared("ours", "theirs", "c1", "left"), compared("theirs", "ours", "c2", "right")]
    two = [compared("theirs", "ours", "c1", "same", "left", "right"), compared("real", "ours", "c2", "left")]
    files = [write_answers(tmp_path / "one.json", one), write_answers(tmp_path / "two.json", two)]
    report = read_results(files)
    shares = {
        (found.first, found.second, found.aspect): (found.prefers_first, found.no_difference, found.prefers_second)
        for found in report.preferences
    }
    assert shares["ours", "theirs", "sync"] == pytest.approx((2 / 3, 1 / 3, 0))
    assert shares["ours", "theirs", "picture"] == pytest.approx((2 / 3, 0, 1 / 3))
    assert shares["ours", "theirs", "overall"] == pytest.approx((1, 0, 0))
    assert shares["ours", "real", "sync"] == (0, 0, 1)
    assert [f.first_is_better.mean for f in report.preferences if f.aspect == "sync"] == pytest.approx([5 / 6, 0.0])
    assert ("theirs", "real", "sync") not in shares


def test_means_and_counts_of_opinions(tmp_path: Path) -> None:
    write_key(tmp_path)
    first = [rated("ours", "c1", 4, 2, 3), rated("ours", "c2", 5, 1, 3), rated("real", "c1", 5, 5, 5)]
    files = [
        write_answers(tmp_path / "a.json", first),
        write_answers(tmp_path / "b.json", [rated("ours", "c1", 3, 3, 3)]),
    ]
    report = read_results(files)
    assert opinions(report)["ours", "sync"] == 4
    assert opinions(report)["ours", "picture"] == 2
    assert opinions(report)["real", "overall"] == 5
    assert not [system for system, _ in opinions(report) if system == "theirs"]
    ours = next(opinion for opinion in report.opinions if (opinion.system, opinion.aspect) == ("ours", "sync"))
    assert ours.counts == (0, 0, 1, 1, 1)
    assert (ours.mean.answers, ours.mean.raters, ours.mean.clips) == (3, 2, 2)


def test_text_and_dict_hold_the_numbers(tmp_path: Path) -> None:
    write_key(tmp_path)
    answers = [
        *(rated(system, clip, 4, 3, 2) for system in ("ours", "real") for clip in CLIPS),
        *(compared("ours", "real", clip, "left") for clip in CLIPS),
    ]
    report = read_results([write_answers(tmp_path / f"{name}.json", answers) for name in "ab"])
    text = as_text(report)
    assert "ours or real" in text
    assert "4.00 [4.00, 4.00]" in text
    assert "100 % [100, 100]" in text
    assert "\x1b" not in text
    plain = json.loads(json.dumps(as_dict(report), allow_nan=False))
    assert plain["preferences"][0]["prefers_first"] == 1.0
    assert plain["opinions"][0]["mean"]["mean"] == 4.0
    assert plain["raters"][0]["file"].endswith("a.json")


def test_repeated_pairs_tell_of_the_rater_and_do_not_count(tmp_path: Path) -> None:
    write_key(tmp_path)
    steady = [compared("ours", "real", "c1", "left"), compared("real", "ours", "c1", "right", repeat=True)]
    fickle = [compared("ours", "real", "c1", "left"), compared("real", "ours", "c1", "left", repeat=True)]
    files = [write_answers(tmp_path / "steady.json", steady), write_answers(tmp_path / "fickle.json", fickle)]
    report = read_results(files)
    assert {found.first_is_better.answers for found in report.preferences} == {2}
    assert {found.first_is_better.mean for found in report.preferences} == {1.0}
    assert {rater.id: (rater.repeats, rater.agreed) for rater in report.raters} == {"steady": (3, 3), "fickle": (3, 0)}
    assert [note for note in report.notes if "inconsistent" in note and "fickle" in note]
    assert not [note for note in report.notes if "steady" in note]
    assert [note for note in report.notes if "2 raters" in note and "too narrow" in note]


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ([compared("ours", "real", clip, "left") for clip in CLIPS], "chose the left one in 12 of 12"),
        ([rated("ours", clip, 3, 3, 3) for clip in CLIPS], "gave 3 to everything"),
    ],
)
def test_a_rater_with_one_answer_for_all_is_named(tmp_path: Path, answers: list[Any], word: str) -> None:
    write_key(tmp_path)
    notes = read_results([write_answers(tmp_path / "lazy.json", answers)]).notes
    assert [note for note in notes if "lazy.json" in note and word in note]


GOOD = [rated("ours", "c1", 4, 4, 4)]
BAD_ANSWERS: dict[str, Any] = {
    "unknown video": {**GOOD[0], "clips": ["nobody"]},
    "two clips": {**compared("ours", "real", "c1", "left"), "clips": [blind("ours", "c1"), blind("real", "c2")]},
    "twice the same": {**compared("ours", "real", "c1", "left"), "clips": [blind("ours", "c1")] * 2},
    "out of range": rated("ours", "c1", 4, 4, 6),
    "a fraction": {**GOOD[0], "answers": {"sync": 4.5, "picture": 1, "overall": 1}},
    "a truth": {**GOOD[0], "answers": {"sync": True, "picture": 1, "overall": 1}},
    "a list": {**GOOD[0], "answers": {"sync": [1], "picture": 1, "overall": 1}},
    "unknown side": compared("ours", "real", "c1", "up"),
    "missing aspect": {**GOOD[0], "answers": {"sync": 4}},
    "no dict": 7,
    "clips no list": {**GOOD[0], "clips": 7},
    "clips of lists": {**GOOD[0], "clips": [[]]},
}
BAD_FILES: dict[str, Callable[[Path], Any]] = {
    **{name: lambda path, one=one: write_answers(path, [one]) for name, one in BAD_ANSWERS.items()},
    "same question twice": lambda path: write_answers(path, GOOD * 2),
    "other study": lambda path: write_answers(path, GOOD, study="s2"),
    "no rater": lambda path: write_answers(path, GOOD, rater=None),
    "no answers": lambda path: write_answers(path, []),
    "answers no list": lambda path: write_answers(path, {}),
    "other JSON": lambda path: path.write_text('{"format": "else"}'),
    "a list of JSON": lambda path: path.write_text("[1]"),
    "cut off": lambda path: path.write_text('{"format": "w2l st'),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "a folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_named_and_the_others_count(tmp_path: Path, kind: str) -> None:
    write_key(tmp_path)
    BAD_FILES[kind](tmp_path / "bad.json")
    good = write_answers(tmp_path / "good.json", GOOD)
    report = read_results([tmp_path / "bad.json", good])
    assert [rater.id for rater in report.raters] == ["good"]
    assert opinions(report)["ours", "sync"] == 4
    assert [note for note in report.notes if note.startswith(f"left out: {tmp_path / 'bad.json'}")]
    with pytest.raises(ConfigError, match=r"bad\.json"):
        read_results([tmp_path / "bad.json"], write_key(tmp_path))


def test_one_rater_counts_once_with_the_most_answers(tmp_path: Path) -> None:
    write_key(tmp_path)
    more = [*GOOD, rated("ours", "c2", 2, 2, 2)]
    files = [
        write_answers(tmp_path / "early.json", GOOD, rater="r", asked=2),
        write_answers(tmp_path / "late.json", more, rater="r"),
        write_answers(tmp_path / "copy.json", more, rater="r"),
    ]
    for order in itertools.permutations(files):
        report = read_results(order)
        assert len(report.raters) == 1
        assert opinions(report)["ours", "sync"] == 3
        assert len([note for note in report.notes if "left out" in note]) == 2
    assert [note for note in report.notes if "early.json" in note and "earlier state" in note]


def test_unfinished_skipped_and_namesakes_are_told(tmp_path: Path) -> None:
    write_key(tmp_path)
    files = [
        write_answers(tmp_path / "a.json", GOOD, name="Ann", asked=9),
        write_answers(tmp_path / "b.json", GOOD, name="ann ", asked=2, skipped=[{"clips": ["x"]}]),
    ]
    notes = read_results(files).notes
    assert [note for note in notes if "a.json" in note and "unfinished: 1 of 9" in note]
    assert [note for note in notes if "b.json" in note and "could not play 1" in note]
    assert [note for note in notes if "a.json, b.json" in note and "ann" in note]
    assert not [note for note in notes if "b.json" in note and "unfinished" in note]


def test_the_key_is_found_among_the_files_beside_them_above_them_or_by_name(tmp_path: Path) -> None:
    answers = tmp_path / "study" / "answers"
    answers.mkdir(parents=True)
    file = write_answers(answers / "a.json", GOOD)
    with pytest.raises(ConfigError, match="no study-key"):
        read_results([file])
    elsewhere = write_key(tmp_path, name="other.json")
    assert opinions(read_results([file, elsewhere]))["ours", "sync"] == 4
    assert opinions(read_results([file], elsewhere))["ours", "sync"] == 4
    key = write_key(tmp_path / "study")
    assert opinions(read_results([file]))["ours", "sync"] == 4
    key.rename(answers / "study-key-s1.json")
    write_key(answers, study="s2")
    assert opinions(read_results([file]))["ours", "sync"] == 4, "the key of the answers' study, not of a newer one"
    with pytest.raises(ConfigError, match=r"a\.json"):
        read_results([file], file)


def test_one_answer_has_no_interval_and_agreement_has_one_of_no_width() -> None:
    assert mean_of_answers(["r"], ["c"], [3.0]).low is None
    assert mean_of_answers(["r"] * 6, ["c"] * 6, [1, 2, 3, 4, 5, 5]).high is None
    same = mean_of_answers(list("abcdef"), ["c"] * 6, [1.0] * 6)
    assert (same.mean, same.low, same.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, 2.0]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected equally many"):
        mean_of_answers(["a"] * min(1, len(values)), ["c"] * len(values), values)


def test_intervals_do_not_depend_on_order_and_repeat_exactly() -> None:
    chance = np.random.default_rng(0)
    raters, clips = chance.integers(0, 6, 50), chance.integers(0, 8, 50)
    values = chance.normal(0, 1, 50)
    once = mean_of_answers(raters, clips, values)
    assert mean_of_answers(raters, clips, values) == once
    order = chance.permutation(50)
    mixed = mean_of_answers(raters[order], clips[order], values[order])
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((once.mean, once.low, once.high))
    negated = mean_of_answers(raters, clips, -values)
    assert (negated.low, negated.high) == pytest.approx((-(once.high or 0), -(once.low or 0)))


def test_intervals_cover_the_mean_of_other_raters_and_other_clips() -> None:
    """Raters differ, clips differ: single answers drawn again would cover far less than 95 %."""
    n_raters, n_clips, covered, naive = 15, 15, 0, 0
    for seed in range(80):
        chance = np.random.default_rng(seed)
        by_rater, by_clip = chance.normal(0, 0.6, n_raters), chance.normal(0, 0.6, n_clips)
        met = np.array([(r, c) for r in range(n_raters) for c in chance.permutation(n_clips)[:8]])
        values = 3 + by_rater[met[:, 0]] + by_clip[met[:, 1]] + chance.normal(0, 0.7, len(met))
        found = mean_of_answers(met[:, 0], met[:, 1], values)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3 <= found.high
        naive += abs(values.mean() - 3) < 1.96 * values.std() / math.sqrt(len(values))
    assert covered >= 0.9 * 80
    assert naive < 0.75 * 80

"""Names that tools have decorated find their references; nothing is guessed."""

import random
import string
import time

import pytest

from w2l.scoring.inputs.matching import match, words


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("bbaf2n", "bbaf2n"),
        ("bbaf2n_out", "bbaf2n"),
        ("bbaf2n.w2l", "bbaf2n"),
        ("wav2lip-BBAF2N", "bbaf2n"),
        ("s1_bbaf2n_out", "s1/bbaf2n"),
        ("s1/bbaf2n", "bbaf2n"),
        ("epoch 3/bbaf2n-synced", "s1/bbaf2n"),
        ("bbaf2n", "s1/bbaf2n_gt"),
        ("Interview (Final) v2_out", "interview final v2"),
        ("cafe\u0301_out", "caf\u00e9"),
    ],
)
def test_a_decorated_name_finds_its_reference(name: str, target: str) -> None:
    assert match([name], [target, "other", "s1/another"]).found == {name: target}


@pytest.mark.parametrize(("name", "target"), [("111", "11"), ("bbaf2nx", "bbaf2n"), ("11/clip", "11"), ("___", "--")])
def test_a_part_of_a_word_is_no_partner(name: str, target: str) -> None:
    assert not match([name], [target]).found


def test_the_longest_reference_within_a_name_wins() -> None:
    assert match(["s1_01_out"], ["s1", "01", "s1_01"]).found == {"s1_01_out": "s1_01"}


def test_folders_tell_equal_file_names_apart() -> None:
    found = match(["ours/s1/001_out", "ours/s2/001_out"], ["s1/001", "s2/001", "s3/001"]).found
    assert found == {"ours/s1/001_out": "s1/001", "ours/s2/001_out": "s2/001"}
    assert match(["001_out"], ["s1/001", "s2/001"]).unclear == {"001_out": ("s1/001", "s2/001")}


def test_what_decorates_most_names_settles_which_part_is_the_name() -> None:
    """Numbers as names, and a number in the decoration: epoch 1 is no clip."""
    names = [f"epoch_1_clip_{idx}" for idx in range(6)]
    assert match(names, [str(idx) for idx in range(6)]).found == {name: name[-1] for name in names}
    words_in_it = [f"{name}_out" for name in ("a", "b", "out", "c")]
    assert match(words_in_it, ["a", "b", "c", "out"]).found["b_out"] == "b"


def test_pairs_of_two_references_stay_unclear() -> None:
    """`video_speech`, where both are references: which is which cannot be told."""
    names = ["a_b", "b_c", "c_a"]
    matching = match(names, ["a", "b", "c"])
    assert not matching.found
    assert matching.unclear["a_b"] == ("a", "b")


def test_both_sides_may_be_decorated() -> None:
    assert match(["a_out", "b_out"], ["gt_a", "gt_b", "gt_c"]).found == {"a_out": "gt_a", "b_out": "gt_b"}


def test_an_exact_name_wins_over_all_else() -> None:
    assert match(["a_b", "a-b"], ["a-b", "a_b", "a"]).found == {"a_b": "a_b", "a-b": "a-b"}
    assert match(["A b"], ["a-b", "a_b"]).unclear == {"A b": ("a-b", "a_b")}


def test_any_common_decoration_is_undone() -> None:
    rng = random.Random(0)
    plain = list({"".join(rng.choices(string.ascii_lowercase, k=6)) + rng.choice(["", "_2", " x"]) for _ in range(80)})
    for before, behind in (("", "_out"), ("result-", ""), ("W2L ", ".v3"), ("run7/", "_x_y")):
        names = {f"{before}{name}{behind}": name for name in plain}
        found = match(names, plain).found
        assert all(found[name] == target for name, target in names.items())


def test_nothing_matches_nothing() -> None:
    assert match([], ["a"]) == match(["a"], [])
    assert words("It's 5\u2033 – Ünïcode_x") == ("it", "s", "5", "ünïcode", "x")


def test_five_thousand_names_are_matched_in_seconds() -> None:
    names = [f"exp 3/{idx % 500:05d}/{idx:06d}_wav2lip_out" for idx in range(5000)]
    targets = [f"main/{idx % 500:05d}/{idx:06d}" for idx in range(5000)]
    began = time.monotonic()
    found = match(names, targets).found
    assert time.monotonic() - began < 15
    assert all(found[name] == target for name, target in zip(names, targets))

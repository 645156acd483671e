"""What is said of looks: how many, what they cover, what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from tests.syncing.memory.test_store import some_looks
from w2l.syncing.memory.coverage import coverage_of, is_seen_speaking, missing_from


def test_it_says_what_is_covered() -> None:
    looks = replace(some_looks(40).measures, gap=np.linspace(0, 0.3, 40), teeth=np.linspace(0, 1, 40))
    said = coverage_of(replace(looks, pose=np.linspace([0, 0], [0.1, 0.04], 40)))
    assert said == "40, open by 0.00 to 0.30, teeth in 50%, turned over 0.10 x 0.04"


def test_it_says_what_is_missing() -> None:
    looks = some_looks(40).measures
    narrow = replace(looks, gap=np.linspace(0, 0.15, 40), teeth=np.ones(40))
    assert missing_from(narrow) == ["no mouth open by more than 0.2, so wide vowels are made from narrower ones"]
    smiling = replace(looks, gap=np.linspace(0.1, 0.3, 40), teeth=np.ones(40))
    assert missing_from(smiling) == ["no closed lips, so they are made from open ones"]
    assert missing_from(replace(smiling, teeth=np.zeros(40)))[-1] == "no visible teeth"


@pytest.mark.parametrize(
    ("gap", "speaking"),
    [
        (np.linspace(0, 0.15, 40), True),
        (np.repeat([0.01, 0.09], [37, 3]), True),
        (np.repeat([0.01, 0.09], [38, 2]), False),  # who opens the mouth twice does not talk
        (np.repeat([0.01, 0.09], [2, 38]), False),
        (np.linspace(0.06, 0.3, 40), False),  # a smile throughout
        (np.zeros(40), False),
        (np.array([0.316]), False),
        (np.linspace(0, 0.15, 7), False),
    ],
    ids=["speech", "a word", "two frames", "two rests", "smile", "listening", "still", "few"],
)
def test_speech_is_seen_where_the_mouth_is_seen_open_and_shut(gap: np.ndarray, speaking: bool) -> None:
    looks = replace(some_looks(len(gap)).measures, gap=gap)
    assert is_seen_speaking(looks) == speaking

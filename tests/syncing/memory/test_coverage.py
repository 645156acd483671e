"""What is said of looks: how many, what they cover, what is missing."""

from dataclasses import replace

import numpy as np

from tests.syncing.memory.test_store import some_looks
from w2l.syncing.memory.coverage import coverage_of, missing_from


def test_it_says_what_is_covered() -> None:
    looks = replace(some_looks(40).measures, gap=np.linspace(0, 0.3, 40), teeth=np.linspace(0, 1, 40))
    said = coverage_of(replace(looks, pose=np.linspace([0, 0], [0.1, 0.04], 40)))
    assert said == "40, open by 0.00 to 0.30, teeth in 50%, turned over 0.10 x 0.04"


def test_it_says_what_is_missing() -> None:
    looks = some_looks(40).measures
    narrow = replace(looks, gap=np.linspace(0, 0.15, 40), teeth=np.ones(40))
    assert missing_from(narrow) == [
        "no look with the mouth open by more than 0.2: wide vowels are made from narrower ones"
    ]
    smiling = replace(looks, gap=np.linspace(0.1, 0.3, 40), teeth=np.ones(40))
    assert missing_from(smiling) == ["no look with closed lips: they are brought together from open ones"]
    assert missing_from(replace(smiling, teeth=np.zeros(40)))[-1] == "no look with teeth"

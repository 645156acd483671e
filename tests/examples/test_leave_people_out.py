"""A fold of a cache in which people who validate do not train."""

from pathlib import Path

import click
import pytest

from examples.research.leave_people_out import left_out, link_fold, same_people

SAME = {"uc": "s5"}


@pytest.mark.parametrize(
    ("split", "speaker", "people", "found"),
    [
        ("train", "s33", ["s33"], ("val", "s33")),
        ("train", "s1", ["s33"], ("train", "s1")),
        ("val", "s1", ["s33"], ("", "s1")),
        ("val", "s1", [], ("val", "s1")),
        ("unseen", "s30", ["s33"], ("unseen", "s30")),
        ("train", "uc", ["s5"], ("val", "s5")),
    ],
)
def test_who_validates(split: str, speaker: str, people: list[str], found: tuple[str, str]) -> None:
    record = left_out({"split": split, "speaker": speaker, "id": "x"}, people, SAME)
    assert (record["split"], record["speaker"]) == found
    assert record["id"] == "x"


def test_only_the_chosen_people_train() -> None:
    splits = {
        (split, speaker): left_out({"split": split, "speaker": speaker}, [], SAME, only=["s5", "s1"])["split"]
        for split, speaker in [("train", "uc"), ("train", "s1"), ("train", "s2"), ("val", "s2"), ("unseen", "s30")]
    }
    assert list(splits.values()) == ["train", "train", "", "val", "unseen"]


def test_people_who_are_the_same() -> None:
    assert same_people(["uc=s5", "uf=s3"]) == {"uc": "s5", "uf": "s3"}
    for odd in ("uc", "uc=", "=s5"):
        with pytest.raises(click.BadParameter, match="SPEAKER=PERSON"):
            same_people([odd])


def test_the_cache_itself_stays_as_it_is(tmp_path: Path) -> None:
    clip = tmp_path / "cache/clips/s33/a"
    clip.mkdir(parents=True)
    (clip / "clip.json").write_text('{"split": "train", "speaker": "s33"}')
    (clip / "mel.npy").write_bytes(b"mel")
    (tmp_path / "cache/cache.json").write_text("{}")
    assert link_fold(tmp_path / "cache", tmp_path / "fold", ["s33"], {}) == {"val": 1}
    assert '"val"' in (tmp_path / "fold/clips/s33/a/clip.json").read_text()
    assert '"train"' in (clip / "clip.json").read_text()
    assert (tmp_path / "fold/clips/s33/a/mel.npy").samefile(clip / "mel.npy")

"""Building a study: every system alike, nothing that names one, and a key that does."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2l.core.errors import ConfigError, MediaError
from w2l.media.audio import write_wav
from w2l.media.browser import unplayable
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.scoring.study.build import KEY, RATERS, Study, StudySettings, build_study, find_systems, study_summary
from w2l.scoring.study.page import CLIP_FOLDER
from w2l.scoring.study.plan import pair_rounds, rating_rounds

Make = Callable[..., Path]
SYSTEMS, CLIPS = ("ours-v2", "their_gan", "real"), ("ann/1", "ann/2", "bob/1", "bob/2")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    write_wav(path, np.random.default_rng(0).normal(0, 0.05, 6400).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def make(speech: Path) -> Make:
    """Writes a video of 0.4 s of one colour."""

    def write(path: Path, grey: int, size: int = 32, sound: bool = True, seconds: float = 0.4) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(Output(path, size, size, 25, speech=speech if sound else None)) as writer:
            for _ in range(round(25 * seconds)):
                writer.write(np.full((size, size, 3), grey, np.uint8))
        return path

    return write


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Path:
    """Three systems with four clips each; the real ones in a container that browsers do not play."""
    folder = tmp_path_factory.mktemp("systems")
    for number, (system, clip) in enumerate((system, clip) for system in SYSTEMS for clip in CLIPS):
        make(folder / system / f"{clip}{'.mkv' if system == 'real' else '.mp4'}", 20 + 15 * number)
    return folder


def build(folder: Path, out: Path, **settings: Any) -> Study:
    return build_study(find_systems(folder), out, StudySettings(**settings))


def contents(study: Study) -> dict[str, Any]:
    """What the page knows."""
    text = re.search(r'<script id="study" type="application/json">(.*?)</script>', study.page.read_text(), re.S)
    assert text is not None
    facts: dict[str, Any] = json.loads(text[1])
    return facts


def test_the_page_names_no_system_and_the_key_names_all(videos: Path, tmp_path: Path) -> None:
    study = build(videos, tmp_path)
    passed_on = [path for path in (tmp_path / RATERS).rglob("*") if path.is_file()]
    assert study.page in passed_on
    assert study.key not in passed_on
    for path in passed_on:
        assert not [name for name in (*SYSTEMS, "ann", "bob") if name in path.relative_to(tmp_path).as_posix()]
    page = study.page.read_text()
    assert not [name for name in (*SYSTEMS, *CLIPS) if f'"{name}' in page or f"/{name}" in page]
    key = json.loads(study.key.read_text())
    assert {(place["system"], place["clip"]) for place in key["clips"].values()} == {
        (system, clip) for system in SYSTEMS for clip in CLIPS
    }
    shown = {path.stem for path in passed_on if path.suffix == ".mp4"}
    assert shown == set(key["clips"])
    for name, place in key["clips"].items():
        source = next((videos / place["system"]).glob(f"{place['clip']}.*"))
        assert hashlib.sha256(source.read_bytes()).hexdigest() == place["sha256"]
        copy = study.page.parent / CLIP_FOLDER / f"{name}.mp4"
        assert unplayable(copy) == ""
        assert (copy.read_bytes() == source.read_bytes()) == (place["system"] != "real")
    assert study.encoded == {"real": 4}
    assert "4 of real" in study_summary(study)


def test_the_page_asks_about_every_video_and_every_pair_once(videos: Path, tmp_path: Path) -> None:
    study = build(videos, tmp_path)
    key, page = json.loads(study.key.read_text())["clips"], contents(study)
    assert page["id"] == study.id
    assert Counter(name for one in page["ratings"] for name in one) == Counter(key.keys())
    pairs = [pair for one in page["pairs"] for pair in one]
    assert {key[first]["clip"] == key[second]["clip"] for first, second in pairs} == {True}
    met = Counter(
        (key[first]["clip"], frozenset([key[first]["system"], key[second]["system"]])) for first, second in pairs
    )
    assert met == {(clip, frozenset(two)): 1 for clip in CLIPS for two in combinations(SYSTEMS, 2)}


def test_the_same_again_changes_nothing(videos: Path, tmp_path: Path) -> None:
    first = build(videos, tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / RATERS / CLIP_FOLDER).iterdir()}
    page = first.page.read_bytes()
    assert build(videos, tmp_path) == first
    after = {path: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / RATERS / CLIP_FOLDER).iterdir()}
    assert after == before
    assert first.page.read_bytes() == page


def test_another_study_keeps_the_key_of_the_first(videos: Path, tmp_path: Path) -> None:
    first = build(videos, tmp_path, clips=2)
    old = first.key.read_bytes()
    second = build(videos, tmp_path, clips=1, seed=1)
    assert second.id != first.id
    assert (tmp_path / f"study-key-{first.id}.json").read_bytes() == old
    assert any(first.id in note for note in second.notes)
    names = {path.stem for path in (tmp_path / RATERS / CLIP_FOLDER).iterdir()}
    assert names == set(json.loads(second.key.read_text())["clips"]), "the first study's videos are gone"


def test_built_within_the_folder_of_systems_it_is_no_system(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for system in SYSTEMS:
        (tmp_path / "all" / system).symlink_to(videos / system)
    build(tmp_path / "all", tmp_path / "all", clips=1)
    assert sorted(find_systems(tmp_path / "all")) == sorted(SYSTEMS)


def test_a_clip_that_cannot_be_shown_is_left_out_of_all_and_named(make: Make, tmp_path: Path) -> None:
    for number, system in enumerate(("a", "b")):
        for clip in ("good", "mute", "broken", "lone", "empty"):
            if (system, clip) != ("a", "lone"):
                make(tmp_path / "in" / system / f"{clip}.mp4", 50 + 20 * number, sound=(system, clip) != ("b", "mute"))
    (tmp_path / "in" / "a" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "in" / "b" / "empty.mp4").write_bytes(b"")
    study = build(tmp_path / "in", tmp_path / "out")
    assert study.clips == ("good",)
    for clip in ("mute", "broken", "lone", "empty"):
        assert any(clip in note for note in study.notes), clip
        assert clip in study_summary(study)
    assert len(list((tmp_path / "out" / RATERS / CLIP_FOLDER).iterdir())) == 2


def test_what_could_give_a_system_away_is_told(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "a" / "1.mp4", 50)
    make(tmp_path / "b" / "1.mp4", 50, size=64, seconds=0.8)
    make(tmp_path / "a" / "2.mp4", 90)
    (tmp_path / "b" / "2.mp4").write_bytes((tmp_path / "a" / "2.mp4").read_bytes())
    study = build(tmp_path, tmp_path / "out")
    assert any("sizes differ" in note and "64x64" in note for note in study.notes)
    assert any(note.startswith("1: lengths differ") for note in study.notes)
    assert any(note.startswith("2: two systems have the same file") for note in study.notes)


def test_clips_are_drawn_by_the_seed_up_to_the_limit(videos: Path, tmp_path: Path) -> None:
    system = {"ours": videos / "ours-v2"}
    chosen = {build_study(system, tmp_path, StudySettings(clips=2, seed=seed)).clips for seed in range(6)}
    assert {len(clips) for clips in chosen} == {2}
    assert len(chosen) > 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"pairs": 0, "ratings": 0, "repeats": 0}, "are both 0"), ({"pairs": 1}, "repeats"), ({"clips": -1}, "clips")],
)
def test_settings_that_make_no_study_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        StudySettings(**settings)


def test_folders_that_make_no_study_are_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains no folders"):
        find_systems(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="contains no videos"):
        build(tmp_path, tmp_path / "out")
    make(tmp_path / "a" / "1.mp4", 50)
    make(tmp_path / "b" / "2.mp4", 50)
    with pytest.raises(ConfigError, match="no clip is in all systems"):
        build(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="both named a"):
        find_systems(tmp_path, [tmp_path / "a", tmp_path / "b" / ".." / "a"])
    with pytest.raises(ConfigError, match="not a folder"):
        find_systems(tmp_path, [tmp_path / "a" / "1.mp4"])
    with pytest.raises(ConfigError, match="a single system"):
        build_study({"a": tmp_path / "a"}, tmp_path / "out", StudySettings(ratings=0))
    (tmp_path / "a" / "2.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match="none of 1 clip can be shown"):
        build(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / KEY).exists()


def test_one_system_is_rated_and_not_compared(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "in" / "a" / "1.mp4", 50)
    study = build(tmp_path / "in", tmp_path / "out")
    page = contents(study)
    assert (len(page["ratings"]), page["pairs"], page["n_repeats"]) == (1, [], 0)
    assert any("one system" in note for note in study.notes)


@pytest.mark.parametrize(("n_systems", "n_clips"), [(2, 1), (3, 7), (5, 3)])
def test_every_round_treats_all_systems_alike(n_systems: int, n_clips: int) -> None:
    systems, clips = [f"s{idx}" for idx in range(n_systems)], [f"c{idx}" for idx in range(n_clips)]
    blind = {(system, clip): f"{system} {clip}" for system in systems for clip in clips}
    for one in rating_rounds(blind, systems, clips, 3):
        assert sorted(name.split()[0] for name in one) == systems
        met = Counter(name.split()[1] for name in one)
        assert max(met.values()) <= -(-n_systems // min(n_clips, n_systems)), "clips differ where they can"
    rounds = pair_rounds(blind, systems, clips, 3)
    for pairs in rounds:
        assert {frozenset(name.split()[0] for name in pair) for pair in pairs} == {
            frozenset(two) for two in combinations(systems, 2)
        }
    flat = [frozenset(pair) for pairs in rounds for pair in pairs]
    assert len(set(flat)) == len(flat) == n_clips * n_systems * (n_systems - 1) // 2


def test_neither_side_nor_place_tells_the_system() -> None:
    systems, clips = ["a", "b", "c"], [f"c{idx}" for idx in range(200)]
    blind = {(system, clip): system for system in systems for clip in clips}
    rounds = pair_rounds(blind, systems, clips, 0)
    first = Counter(pair[0] for pairs in rounds for pair in pairs)
    assert min(first[system] for system in systems) > 0.85 * 200
    place = Counter(frozenset(pairs[0]) for pairs in rounds)
    assert min(place[frozenset(two)] for two in combinations(systems, 2)) > 0.7 * 200 / 3

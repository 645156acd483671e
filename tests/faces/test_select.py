"""What `--face` can say, and whom it selects."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, NoFaceError
from w2l.faces.appearance import NO_LOOK, likeness, look_of
from w2l.faces.select import Choice, Chosen, choose, describe, parse_choice, steady_tracks
from w2l.faces.tracker import Scan, link_tracks

Path4 = tuple[range, Sequence[float], int]
ANNA, BERT, CARL = 1, 2, 3
LEFT, RIGHT, SMALL = (50, 100, 150, 200), (400, 100, 520, 220), (280, 60, 330, 110)


def look(person: int, seed: int = 0) -> NDArray[np.uint8]:
    """What a person looks like, a little different each time."""
    typical = np.random.default_rng(person).integers(30, 220, NO_LOOK.shape)
    return np.clip(typical + np.random.default_rng(seed).normal(0, 12, NO_LOOK.shape), 1, 255).astype(np.uint8)


def scan_of(*stays: Path4, n_frames: int = 100, cuts: Sequence[int] = (), with_looks: bool = True) -> Scan:
    """A scan at 25 fps; each stay is the frames, the box and the person."""
    rows = sorted((idx, tuple(box), person) for frames, box, person in stays for idx in frames)
    boxes = np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4)
    looks = [look(person, idx) for idx, _, person in rows] if with_looks else []
    return Scan(
        n_frames, 25.0, 640, 360, np.arange(n_frames) / 25, np.array([row[0] for row in rows], np.int64), boxes,
        np.full(len(rows), 0.9), np.stack([boxes[:, :2]] * 5, axis=1), "none", 1,
        np.array(cuts, np.int64), np.array(looks, np.uint8).reshape(-1, *NO_LOOK.shape),
    )  # fmt: skip


def chosen(scan: Scan, said: str, portrait: NDArray[np.uint8] | None = None) -> Chosen:
    choice = Choice("portrait", picture=Path("her.jpg")) if portrait is not None else parse_choice(said)
    return choose(steady_tracks(scan), scan, choice, portrait)


def lefts(scan: Scan, said: str, portrait: NDArray[np.uint8] | None = None) -> list[list[tuple[int, int]]]:
    """For each chosen face where it stands and when it starts."""
    made = chosen(scan, said, portrait)
    return [[(round(made.tracks[number].boxes[0, 0]), made.tracks[number].start) for number in face]
            for face in made.faces]  # fmt: skip


@pytest.mark.parametrize(("said", "meant"), [
    ("auto", Choice("auto")),
    ("largest", Choice("largest")),
    (" left ", Choice("left")),
    ("all", Choice("all")),
    ("0", Choice("numbers", numbers=(0,))),
    ("2+0+2", Choice("numbers", numbers=(2, 0))),
    ("120,80", Choice("place", x=120, y=80)),
    ("120.5, 80@12.5", Choice("place", x=120.5, y=80, at_s=12.5)),
    ("1,2@1:02.5", Choice("place", x=1, y=2, at_s=62.5)),
    ("1,2@3s", Choice("place", x=1, y=2, at_s=3)),
])  # fmt: skip
def test_what_can_be_said(said: str, meant: Choice) -> None:
    assert parse_choice(said) == meant


@pytest.mark.parametrize("said", ["", "middle", "-1", "1+", "+1", "1,2,3,4", "1,2@", "@3", "1,2@x", "Auto"])
def test_what_cannot_be_said_is_answered_with_what_can(said: str) -> None:
    with pytest.raises(ConfigError, match=r"auto, largest, left, right, all, N, N\+M"):
        parse_choice(said)


def test_a_picture_is_a_portrait(tmp_path: Path) -> None:
    (tmp_path / "she is here.jpg").write_bytes(b"")
    assert parse_choice(str(tmp_path / "she is here.jpg")) == Choice("portrait", picture=tmp_path / "she is here.jpg")
    with pytest.raises(ConfigError, match="no such image"):
        parse_choice(str(tmp_path / "gone.jpg"))


@pytest.mark.parametrize("said", ["auto", "largest", "3", "0+1", "10,20", "10.5,20@3.5", "her.jpg"])
def test_a_choice_is_written_as_it_is_said(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("her.jpg").touch()
    assert str(parse_choice(said)) == said


def test_auto_takes_whom_one_sees_longest_and_largest_and_names_the_others() -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(20), RIGHT, BERT), (range(100), SMALL, CARL))
    assert lefts(scan, "auto") == [[(50, 0)]]
    said = chosen(scan, "auto").description
    assert said.startswith("auto: face 0 (0.0-4.0 s, left, 100 px); also seen: face ")
    assert "\n" not in said
    assert "0.0-0.8 s, right, 120 px" in said


@pytest.mark.parametrize(("said", "x"), [("left", 50), ("right", 400), ("largest", 400)])
def test_words_for_places(said: str, x: int) -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(50), RIGHT, BERT), (range(100), SMALL, CARL))
    assert lefts(scan, said) == [[(x, 0)]]


def test_a_glimpse_is_neither_left_nor_largest() -> None:
    scan = scan_of((range(100), SMALL, ANNA), (range(40, 50), RIGHT, BERT))
    assert lefts(scan, "largest") == lefts(scan, "right") == [[(280, 0)]]


def test_all_takes_everybody() -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(50), RIGHT, BERT))
    assert sorted(lefts(scan, "all")) == [[(50, 0)], [(400, 0)]]


def test_numbers_are_those_of_the_tracks() -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(50), RIGHT, BERT), (range(100), SMALL, CARL))
    tracks = steady_tracks(scan)
    for number, track in enumerate(tracks):
        assert lefts(scan, str(number)) == [[(round(track.boxes[0, 0]), track.start)]]
    assert len(lefts(scan, "0+2")) == 2
    with pytest.raises(NoFaceError, match=r"no face 3.*face 0 .*face 2 "):
        chosen(scan, "1+3")


def test_a_place_selects_who_is_there() -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(50), RIGHT, BERT))
    assert lefts(scan, "450,150") == [[(400, 0)]]
    assert lefts(scan, "450,150@1") == [[(400, 0)]]
    with pytest.raises(NoFaceError, match=r"450,150@3.*are 0 at 50,100,150,200"):
        chosen(scan, "450,150@3")
    with pytest.raises(NoFaceError, match=r"10,10.*(seen|found): face 0"):
        chosen(scan, "10,10")


def test_the_person_at_a_time_is_followed_through_the_cuts() -> None:
    scan = scan_of(
        (range(50), LEFT, ANNA), (range(50), RIGHT, BERT), (range(50, 100), RIGHT, ANNA), (range(50, 100), LEFT, CARL),
        n_frames=130, cuts=[50, 100],
    )  # fmt: skip
    assert lefts(scan, "100,150@0.5") == [[(50, 0)], [(400, 50)]]


def test_a_portrait_is_found_in_every_shot_and_nobody_else() -> None:
    scan = scan_of(
        (range(50), LEFT, ANNA), (range(50), RIGHT, BERT), (range(50, 100), RIGHT, ANNA), (range(100, 130), LEFT, CARL),
        n_frames=130, cuts=[50, 100],
    )  # fmt: skip
    assert lefts(scan, "", look(ANNA, 999)) == [[(50, 0)], [(400, 50)]]
    with pytest.raises(NoFaceError, match=r"no face is (like|similar to) the one in her\.jpg; (seen|found): face 0"):
        chosen(scan, "", look(77))


def test_whoever_leaves_is_picked_up_again() -> None:
    scan = scan_of((range(40), LEFT, ANNA), (range(70, 100), (200, 100, 310, 210), ANNA))
    assert lefts(scan, "auto") == [[(50, 0), (200, 70)]]
    assert lefts(scan, "0") == [[(50, 0), (200, 70)]]


@pytest.mark.parametrize("said", ["auto", "largest", "left", "right"])
@pytest.mark.parametrize("x", [50, 200], ids=["same place", "elsewhere"])
def test_whoever_is_on_screen_after_a_dissolve_is_chosen_as_after_a_cut(x: int, said: str) -> None:
    scan = scan_of((range(60), LEFT, ANNA), (range(57, 100), (x, 100, x + 100, 200), BERT))
    assert sorted(lefts(scan, said)) == [[(50, 0)], [(x, 57)]]
    assert chosen(scan, said).stretches[0] == (0, 100)
    assert lefts(scan, "0") == [[(50, 0)]]


def test_of_two_after_a_dissolve_one_is_picked_by_the_same_word() -> None:
    scan = scan_of((range(50), LEFT, ANNA), (range(50, 100), (300, 100, 400, 200), BERT), (range(50, 100), RIGHT, CARL))
    assert lefts(scan, "right") == [[(400, 50)], [(50, 0)]]
    assert lefts(scan, "left") == [[(50, 0)], [(300, 50)]]


def test_three_dissolves_choose_four_people() -> None:
    stays = [(range(25 * k, 25 * k + 25), (150 * k, 100, 150 * k + 100, 200), 10 + k) for k in range(4)]
    assert sorted(lefts(scan_of(*stays), "auto")) == [[(150 * k, 25 * k)] for k in range(4)]


def test_who_stays_when_another_walks_out_for_good_speaks_from_then_on() -> None:
    scan = scan_of((range(60), RIGHT, BERT), (range(100), LEFT, ANNA))
    large = replace(scan, box=np.where(scan.box[:, :1] == RIGHT[0], [[380.0, 60, 540, 230]], scan.box))
    assert lefts(large, "auto") == [[(380, 0)], [(50, 0)]]
    assert chosen(large, "auto").stretches[1] == (60, 100)
    assert lefts(large, "largest") == [[(380, 0)]]


def test_who_was_there_all_along_does_not_speak_for_one_who_comes_back_or_for_a_moment() -> None:
    back = scan_of((range(40), RIGHT, BERT), (range(80, 100), RIGHT, BERT), (range(100), LEFT, ANNA))
    large = replace(back, box=np.where(back.box[:, :1] == RIGHT[0], [[300.0, 0, 620, 320]], back.box))
    assert lefts(large, "auto") == [[(300, 0), (300, 80)]]
    late = scan_of((range(85), RIGHT, BERT), (range(100), LEFT, ANNA))
    assert lefts(late, "auto") == [[(400, 0)]]
    far_away = scan_of((range(60), RIGHT, BERT), (range(100), SMALL, CARL))
    assert lefts(far_away, "auto") == [[(400, 0)]]


def test_one_who_is_there_all_along_is_not_the_one_who_left() -> None:
    scan = scan_of((range(40), LEFT, ANNA), (range(100), SMALL, ANNA), (range(80, 100), LEFT, ANNA))
    assert lefts(scan, "auto") == [[(50, 0), (50, 80)]]


def test_without_looks_place_and_size_decide() -> None:
    near = scan_of((range(40), LEFT, 0), (range(70, 100), (90, 100, 190, 200), 0), with_looks=False)
    assert lefts(near, "auto") == [[(50, 0), (90, 70)]]
    far = scan_of((range(40), LEFT, 0), (range(70, 100), (500, 100, 600, 200), 0), with_looks=False)
    assert lefts(far, "auto") == [[(50, 0)], [(500, 70)]]
    grown = scan_of((range(40), LEFT, 0), (range(70, 100), (50, 50, 300, 300), 0), with_looks=False)
    assert len(chosen(grown, "auto").faces[0]) == 1


def test_every_shot_has_its_own_choice() -> None:
    scan = scan_of((range(50), LEFT, ANNA), (range(50, 80), RIGHT, BERT), n_frames=80, cuts=[50])
    assert lefts(scan, "auto") == [[(50, 0)], [(400, 50)]]


def test_flickers_are_no_faces() -> None:
    scan = scan_of((range(100), LEFT, ANNA), (range(30, 33), RIGHT, BERT))
    assert len(steady_tracks(scan)) == 1
    doubtful = replace(scan_of((range(100), LEFT, ANNA), (range(100), RIGHT, BERT)), score=np.tile([0.9, 0.55], 100))
    assert [round(track.boxes[0, 0]) for track in steady_tracks(doubtful)] == [50]
    short_shot = scan_of((range(100, 103), LEFT, ANNA), n_frames=103, cuts=[100])
    assert len(steady_tracks(short_shot)) == 1
    with pytest.raises(NoFaceError, match=r"no faces? .* in 50 frames"):
        choose([], replace(scan, n_frames=50), Choice())


def test_a_track_in_words() -> None:
    scan = scan_of((range(25, 75), SMALL, ANNA))
    assert describe(steady_tracks(scan)[0], scan) == "1.0-3.0 s, middle, 50 px"
    glimpse = scan_of((range(2), SMALL, ANNA))
    assert describe(link_tracks(glimpse)[0], glimpse) == "0.00-0.08 s, middle, 50 px"
    still = scan_of((range(1), SMALL, ANNA), n_frames=1)
    assert describe(steady_tracks(still)[0], still) == "middle, 50 px"


def test_looks_are_alike_for_one_and_not_for_another() -> None:
    assert likeness(look(ANNA), look(ANNA)) == pytest.approx(1)
    assert likeness(look(ANNA, 1), look(ANNA, 2)) > 0.9
    assert likeness(look(ANNA), look(BERT)) < 0.3
    assert likeness(look(ANNA), NO_LOOK) == likeness(NO_LOOK, look(ANNA)) == 1


def test_a_look_does_not_depend_on_size_or_turn() -> None:
    y, x = np.mgrid[:300, :300]
    image = np.stack([127 + 90 * np.sin(x / 40), 127 + 90 * np.cos(y / 50), 127 + 60 * np.sin((x + y) / 70)], axis=-1)
    points = np.array([[110, 110], [190, 110], [150, 150], [125, 195], [175, 195]], dtype=float)
    small, large = image.astype(np.uint8), np.repeat(np.repeat(image.astype(np.uint8), 4, axis=0), 4, axis=1)
    assert likeness(look_of(small, points), look_of(large, (points + 0.5) * 4 - 0.5)) > 0.99
    turned, back = np.rot90(small).copy(), np.stack([points[:, 1], 299 - points[:, 0]], axis=1)
    assert likeness(look_of(small, points), look_of(turned, back)) > 0.99

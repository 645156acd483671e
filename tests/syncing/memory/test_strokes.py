"""Letters of thin strokes over the chin of a head that moves: known by how they come and where, and never copied."""

import cv2
import numpy as np
import pytest

from tests.syncing.memory.made_looks import CENTRE, HALF_WIDTH, faces_at, reader
from w2l.core.arrays import Image
from w2l.data.puppets import draw_face
from w2l.faces.follow import Faces
from w2l.syncing.covers import find_covers
from w2l.syncing.memory.hidden import LEAST_FREE, Front, lettered, over_face
from w2l.syncing.memory.measure import look_at
from w2l.syncing.memory.strokes import STROKES_SIDE, strokes

N_FRAMES = 90
SCALE = 2


def swaying(count: int) -> tuple[list[Image], Faces]:
    """A drawn face twice as large as in `talking`, which moves about the picture and leans."""
    rng = np.random.default_rng(0)
    images, points = [], []
    for idx in range(count):
        image = np.full((320, 320, 3), (70, 110, 140), dtype=np.uint8)
        x, y = SCALE * CENTRE[0] + 24 * np.sin(idx / 11), SCALE * CENTRE[1] + 8 * np.sin(idx / 7)
        mouth = 0.5 - 0.5 * np.cos(idx / 2.3) * np.cos(idx / 7.1)
        points.append(draw_face(image, x, y, SCALE * HALF_WIDTH, mouth))
        images.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
    faces = faces_at(np.stack(points))
    return images, faces


def titled(
    image: Image,
    colour: tuple[int, int, int] = (255, 255, 255),
    x: int = 30,
    text: str = "breaking news and weather today",
    font: int = cv2.FONT_HERSHEY_SIMPLEX,
    size: float = 0.5,
) -> Image:
    made = image.copy()
    cv2.putText(made, text, (x, 268), font, size, colour, 1, cv2.LINE_AA)
    return made


def lettered_frames(images: list[Image], faces: Faces) -> list[int]:
    measures = look_at(reader(images), faces)[0].measures()
    return np.flatnonzero(lettered(*Front.of(measures).strokes(measures))).tolist()


@pytest.mark.parametrize("colour", [(255, 255, 255), (250, 240, 60), (20, 20, 20)], ids=["white", "yellow", "black"])
@pytest.mark.parametrize(
    "shown",
    [range(25, 55), range(20), pytest.param(range(60, 90), marks=pytest.mark.slow)],
    ids=["middle", "begin", "end"],
)
def test_frames_with_letters_are_known_and_others_are_not(colour: tuple[int, int, int], shown: range) -> None:
    images, faces = swaying(N_FRAMES)
    for idx in shown:
        images[idx] = titled(images[idx], colour)
    found = set(np.flatnonzero(over_face(look_at(reader(images), faces)[0].measures())).tolist())
    assert set(shown) <= found
    assert len(found) <= len(shown) + 4
    assert set(shown) <= find_covers(reader(images), faces)[0].spoilt()


def test_a_head_that_moves_without_letters_is_free() -> None:
    images, faces = swaying(N_FRAMES)
    assert not over_face(look_at(reader(images), faces)[0].measures()).any()
    assert find_covers(reader(images), faces)[0].spoilt() == frozenset()


@pytest.mark.parametrize(
    ("font", "size", "colour"),
    [
        (cv2.FONT_HERSHEY_COMPLEX_SMALL | cv2.FONT_ITALIC, 0.6, (250, 240, 60)),
        pytest.param(cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), marks=pytest.mark.slow),
    ],
    ids=["italic", "small"],
)
def test_letters_of_other_kinds_are_known(font: int, size: float, colour: tuple[int, int, int]) -> None:
    images, faces = swaying(60)
    for idx in range(20, 40):
        images[idx] = titled(images[idx], colour, font=font, size=size)
    assert lettered_frames(images, faces) == list(range(20, 40))


@pytest.mark.slow
def test_letters_that_fade_in_and_out_are_known() -> None:
    images, faces = swaying(60)
    for idx in range(18, 48):
        share = min(1.0, (idx - 17) / 9, (48 - idx) / 9)
        images[idx] = cv2.addWeighted(titled(images[idx]), share, images[idx], 1 - share, 0)
    assert set(range(22, 44)) <= set(lettered_frames(images, faces)) <= set(range(16, 50))


def test_words_that_run_across_the_picture_are_known() -> None:
    images, faces = swaying(60)
    for idx in range(60):
        images[idx] = titled(images[idx], x=400 - 10 * idx, text="stocks down")
    over_the_chin = [idx for idx in range(60) if 120 < 400 - 10 * idx + 50 < 200]
    assert set(over_the_chin) <= set(lettered_frames(images, faces))


def test_strands_beside_the_jaw_of_a_head_that_turns_are_no_letters() -> None:
    """They reach over the pasted part in some poses, and jump, but lie beside other strands."""
    images, faces = swaying(60)
    for idx, image in enumerate(images):
        middle = faces.points[idx, 2]
        for number in range(8):
            x = round(middle[0] - 116 + 7 * number + (14 if 20 <= idx < 36 else 0))
            cv2.line(image, (x, round(middle[1])), (x - 4, round(middle[1]) + 110), (40, 30, 25), 2, cv2.LINE_AA)
    measures = look_at(reader(images), faces)[0].measures()
    assert Front.of(measures).strokes(measures)[0][20:36].all()
    assert lettered_frames(images, faces) == []


def test_letters_come_or_go_at_once_and_hair_does_not() -> None:
    nowhere = np.zeros(60, dtype=np.bool_)
    unusual = np.zeros(60, dtype=np.bool_)
    unusual[10:20] = unusual[40:50] = True
    changes = np.zeros(60, dtype=np.int64)
    assert not lettered(unusual, changes, nowhere).any()
    for at, way in ((10, 1), (20, -1)):
        one = changes.copy()
        one[at] = way
        assert np.flatnonzero(lettered(unusual, one, nowhere)).tolist() == list(range(10, 20))
    unusual[20 : 20 + LEAST_FREE - 1] = False
    assert not lettered(nowhere, np.ones(60, dtype=np.int64), nowhere).any()


def test_letters_end_where_they_go_at_once_and_hair_around_them_is_free() -> None:
    unusual, middle = np.zeros(60, dtype=np.bool_), np.zeros(60, dtype=np.bool_)
    unusual[10:50] = middle[20:30] = True
    changes = np.zeros(60, dtype=np.int64)
    assert np.flatnonzero(lettered(unusual, changes, middle)).tolist() == list(range(10, 50))
    changes[18], changes[32] = 1, -1
    assert np.flatnonzero(lettered(unusual, changes, middle)).tolist() == list(range(18, 32))
    middle[20:30] = [True, True, False, True, True, False, True, True, False, False]
    assert not lettered(unusual, np.zeros(60, dtype=np.int64), middle).any()


def test_strokes_are_thin_clear_and_of_any_colour() -> None:
    skin = np.full((STROKES_SIDE, STROKES_SIDE, 3), (190, 150, 130), dtype=np.uint8)
    assert not strokes(skin, 8).any()
    broad, thin, faint = skin.copy(), skin.copy(), skin.copy()
    broad[200:240] = 240
    thin[218:220] = (190, 150, 60)  # of another blue alone
    faint[218:220] += 10
    assert not strokes(faint, 8).any()
    assert not strokes(broad[:, :, ::-1].copy(), 8)[:, 1:-1].any()
    found = strokes(thin, 8)
    assert found.shape == (8, 16)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [(218 - STROKES_SIDE // 2) // 18]

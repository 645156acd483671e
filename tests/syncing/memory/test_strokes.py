"""Letters of thin strokes over the chin of a head that moves: known by coming and going at once, and never copied."""

import cv2
import numpy as np
import pytest

from tests.syncing.memory.made_looks import CENTRE, HALF_WIDTH, faces_at, reader
from w2l.core.arrays import Image
from w2l.data.puppets import draw_face
from w2l.faces.follow import Faces
from w2l.syncing.covers import find_covers
from w2l.syncing.memory.hidden import LEAST_FREE, lettered, over_face
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


def titled(image: Image, colour: tuple[int, int, int], x: int = 30) -> Image:
    made = image.copy()
    cv2.putText(
        made, "breaking news and weather today", (x, 268), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA
    )
    return made


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


def test_letters_come_or_go_at_once_and_hair_does_not() -> None:
    unusual = np.zeros(60, dtype=np.bool_)
    unusual[10:20] = unusual[40:50] = True
    changes = np.zeros(60, dtype=np.int64)
    assert not lettered(unusual, changes).any()
    for at, way in ((10, 1), (20, -1)):
        one = changes.copy()
        one[at] = way
        assert np.flatnonzero(lettered(unusual, one)).tolist() == list(range(10, 20))
    unusual[20 : 20 + LEAST_FREE - 1] = False
    assert not lettered(np.zeros(60, dtype=np.bool_), np.ones(60, dtype=np.int64)).any()


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

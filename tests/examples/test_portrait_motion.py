"""Talking portraits: who speaks when, and, where the face mesh is at hand, that a portrait moves as it is told."""

from pathlib import Path

import numpy as np
import pytest

from examples.research.lip_motion import STABLE, Motion, aligned, face_of, upright
from examples.research.mesh import LOWER, Mesh
from examples.research.portrait_faces import SIDE, Portrait, by_lightness, colour_near, read_portrait, to_lab, to_rgb
from examples.research.portrait_motion import BEFORE, FRAMES, MOST_TAKES, choose_clips, fitted, in_turn, poses, span_of
from examples.research.portrait_teeth import is_grey, row_of
from examples.research.portrait_warp import Inside, Pose, TalkingPortrait, _warp_map
from w2l.core.arrays import Floats, Image
from w2l.core.timing import FPS
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.features.crop import CropSpec, cut
from w2l.models.lip_reader import read_mouths

STILL = Pose((0.0, 0.0, 0.0), (0.0, 0.0), 1.0)


def painted(name: str, level: int) -> Portrait:
    """A portrait that is one even grey."""
    mesh = np.random.default_rng(0).uniform(60, 190, (468, 3))
    return Portrait(name, np.full((SIDE, SIDE, 3), level, np.uint8), mesh)


def test_a_mesh_is_aligned_whatever_its_pose_and_size() -> None:
    rng = np.random.default_rng(0)
    mesh = rng.normal(0, 1, (468, 3))
    turn = np.linalg.qr(rng.normal(0, 1, (3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = 3.0 * mesh @ turn.T + np.array([5.0, -2.0, 1.0])
    moved[400] += 0.5  # no stable point: it may move
    found = aligned(moved, mesh)
    others = np.delete(np.arange(468), 400)
    assert 400 not in STABLE
    np.testing.assert_allclose(found[others], mesh[others], atol=1e-9)
    eyes = upright(moved)[[33, 263]]
    np.testing.assert_allclose(eyes[:, :2], [[-0.5, 0], [0.5, 0]], atol=1e-9)


def test_colours_go_to_cielab_and_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(to_rgb(to_lab(image)), image, atol=0.6)
    white = np.full((20, 20, 3), 255, np.uint8)
    assert colour_near(white, np.array([[3.0, 19.0]]), 2)[0] == pytest.approx(100, abs=0.1)
    assert is_grey(painted("a/1", 90))


def test_groups_of_lightness_take_turns() -> None:
    many = [painted(f"set/light{k}", 200 + k % 9) for k in range(40)] + [painted(f"set/dark{k}", 40) for k in range(4)]
    assert [len(group) for group in by_lightness(many, 2)] == [4, 40]
    chosen = in_turn(many, 40, np.random.default_rng(0))
    dark = [(each.name, take) for each, take in chosen if "dark" in each.name]
    assert len(dark) == len(set(dark)) == 4 * MOST_TAKES  # the few come again, each take once
    assert all("dark" in each.name for each, _ in chosen[:32:2])


def test_clips_are_of_every_speaker_in_turn_and_have_words_if_possible() -> None:
    names = [f"s1/{k}" for k in range(20)] + ["s2/a", "s2/b", "s3/a"]
    found = choose_clips(names, {"s1/7": (), "s2/b": ()}, 6, np.random.default_rng(0))
    assert found[:3] == ["s1/7", "s2/b", "s3/a"]
    assert found[4] == "s2/a"
    assert len(choose_clips(names, {}, 99, np.random.default_rng(0))) == len(names)


def test_a_piece_lies_within_its_clip() -> None:
    motion = Motion("s1/a", np.zeros((75, 468, 2)), np.zeros((468, 2)))
    words = {"s1/a": ((0.0, 0.8, "sil"), (0.8, 1.0, "bin"))}
    spans = [span_of(motion, words, np.random.default_rng(k)) for k in range(60)]
    assert all(first >= 0 and last <= 75 and FRAMES[0] <= last - first <= FRAMES[1] for first, last in spans)
    assert sum(first == round(0.8 * FPS) - BEFORE for first, _ in spans) > 15
    short = Motion("s1/b", np.zeros((20, 468, 2)), np.zeros((468, 2)))
    assert span_of(short, {}, np.random.default_rng(0)) == (0, 20)


def test_heads_move_slowly() -> None:
    turns = np.array([pose.angles for pose in poses(75, np.random.default_rng(1))])
    assert 0.3 < np.ptp(turns[:, 0]) < 10
    assert np.abs(np.diff(turns, axis=0)).max() < 1.0


def test_a_bend_leads_each_point_to_its_source() -> None:
    rng = np.random.default_rng(0)
    target = np.array([(x, y) for x in (40.0, 130.0, 210.0) for y in (45.0, 125.0, 205.0)])
    source = target + rng.uniform(-4, 4, target.shape)
    place = _warp_map(target, source)
    found = np.array([place[int(y), int(x)] for x, y in target])
    np.testing.assert_allclose(found, source, atol=0.3)
    np.testing.assert_allclose(_warp_map(target, target + np.array([3.0, -2.0]))[100, 50], [53.0, 98.0], atol=0.05)


@pytest.fixture(scope="module")
def tools(shared: Path) -> tuple[Mesh, Detector]:
    models = shared / "models"
    return Mesh(models / "face_landmark.tflite"), make_detector(f"yunet:{models}/face_detection_yunet_2023mar.onnx")


@pytest.fixture
def rest(shared: Path, tools: tuple[Mesh, Detector]) -> Portrait:
    """A person with closed lips."""
    return read(shared / "media/portraits/london/042-neutral.jpg", tools)


@pytest.fixture
def smile(shared: Path, tools: tuple[Mesh, Detector]) -> Portrait:
    """Another one with an open smile."""
    return read(shared / "media/portraits/congress118/0139.jpg", tools)


def read(path: Path, tools: tuple[Mesh, Detector]) -> Portrait:
    found = read_portrait(path, *tools)
    assert found is not None
    return found


def opened(gap: float) -> Floats:
    """The moves (468, 2) of a mouth whose lower lip and chin go down by `gap` eye distances."""
    moves = np.zeros((468, 2))
    low = [*LOWER[1:-1], *(17, 84, 314, 181, 405, 16, 15, 85, 315, 86, 316, 152, 148, 377, 176, 400, 199, 200, 175)]
    moves[low, 1] = gap
    return moves


def mouth(image: Image, tools: tuple[Mesh, Detector]) -> tuple[float, float]:
    """The gap between the lips in pixels, and whether teeth show, as the lip reader sees a picture."""
    face = tools[1].detect([image])[0][0]
    found = read_mouths(cut(image, face.box, face.points, CropSpec("aligned", 96))[None])
    return float(found.gaps[0] * np.hypot(*(face.points[1] - face.points[0]))), float(found.teeth[0])


def test_a_closed_portrait_opens_and_is_else_as_it_was(
    rest: Portrait, smile: Portrait, tools: tuple[Mesh, Detector]
) -> None:
    teeth = row_of(smile)
    assert teeth is not None
    actor = TalkingPortrait(rest, Inside(teeth, 0.5, 0.5))
    same = actor.draw(np.zeros((468, 2)), STILL)
    assert np.abs(same.astype(int) - rest.image).mean() < 0.5
    wide = actor.draw(opened(0.12), STILL)
    assert mouth(wide, tools)[0] - mouth(same, tools)[0] == pytest.approx(0.12 * rest.eyes, rel=0.5)
    assert np.abs(wide[: SIDE // 3].astype(int) - same[: SIDE // 3]).mean() < 0.5  # the forehead stays
    turned = actor.draw(np.zeros((468, 2)), Pose((0.0, 0.0, 0.0), (0.1, 0.0), 1.0))
    found, before = face_of(turned, *tools), face_of(same, *tools)
    assert found is not None
    assert before is not None
    np.testing.assert_allclose((found - before)[:, :2].mean(axis=0), [0.1 * rest.eyes, 0], atol=1.0)


def test_a_smile_closes_over_its_teeth(smile: Portrait, tools: tuple[Mesh, Detector]) -> None:
    teeth = row_of(smile)
    assert smile.is_open
    assert teeth is not None
    assert teeth.is_clear(smile.skin)
    actor = TalkingPortrait(smile, Inside(teeth, 0.5, 0.5), np.zeros((468, 2)))
    before, after = mouth(smile.image, tools), mouth(actor.draw(np.zeros((468, 2)), STILL), tools)
    assert after[0] < 0.5 * before[0]
    assert after[1] < 0.1 < 0.9 < before[1]


def test_the_widest_mouth_is_limited() -> None:
    face = upright(np.random.default_rng(0).normal(0, 1, (468, 3)))[:, :2]
    person = painted("a/1", 90)
    moves = np.zeros((4, 468, 2))
    moves[2, 14, 1] = 5.0
    found = fitted(Motion("s1/a", moves, face), person, 1.0)
    assert found[2, 14, 1] == pytest.approx(0.17)

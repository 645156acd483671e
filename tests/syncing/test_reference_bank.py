"""References: never the frame's own mouth, like pose first, the closed mouth of each pose."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from w2l.core.arrays import Canvas
from w2l.faces.follow import REDRAWN, Faces, fixed_face
from w2l.features.crop import TEMPLATE, CropSpec, alignment
from w2l.media.picture import RgbPicture
from w2l.syncing.reference_bank import (
    Bank,
    GivenLooks,
    OwnFrame,
    Reference,
    find_references,
    gather,
    light_between,
    poses_of,
    relit,
)

SPEC = CropSpec("aligned", 96)
FRONTAL = np.array([[40.0, 40], [80, 40], [60, 62], [44, 86], [76, 86]])


def turned(by: float) -> np.ndarray:
    """Five points of a face whose nose points `by` pixels to the side."""
    points = FRONTAL.copy()
    points[2, 0] += by
    return points


def faces_of(points: list[np.ndarray], track: int = 0) -> Faces:
    """One face in every frame."""
    count = len(points)
    return Faces(
        first=np.arange(count + 1),
        track=np.full(count, track),
        boxes=np.repeat([[20.0, 20, 100, 110]], count, axis=0),
        points=np.stack(points),
        strength=np.ones(count),
        why=np.full(count, REDRAWN, dtype=np.int8),
    )


RGB = tuple[int, int, int]


def face_image(mouth_open: float, lips: RGB = (150, 75, 75), inside: RGB = (35, 12, 12)) -> np.ndarray:
    """A flat face whose lips are that many pixels apart."""
    image = np.full((130, 130, 3), (200, 160, 140), dtype=np.uint8)
    half = round(mouth_open / 2)
    image[86 - half - 5 : 86 + half + 5, 44:76] = lips
    image[86 - half : 86 + half, 48:72] = inside
    return image


def reader(images: list[np.ndarray], asked: list[int] | None = None):
    """Reads from memory."""

    def read(wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
        for idx in wanted:
            if asked is not None:
                asked.append(idx)
            yield idx, RgbPicture(images[idx])

    return read


def look(frame_idx: int, by: float = 0.0, parted: bool = False) -> Reference:
    """A look whose lower half shows the number of its frame."""
    crop = np.full((4, 4, 3), 90, dtype=np.uint8)
    crop[2:] = frame_idx + 20
    return Reference(frame_idx, crop, poses_of(turned(by)), parted)


def all_shown(bank: Bank, faces: Faces, frame_idx: int) -> list[int]:
    """Which frames' looks a frame gets, in order."""
    seen = bank.at(frame_idx, 0, faces.at(frame_idx)[0], np.zeros((4, 4, 3), dtype=np.uint8))
    return [int(value) - 20 for value in seen[-1, 0, ::3]]


def shown(bank: Bank, faces: Faces, frame_idx: int) -> int:
    """Which frame's look a frame gets."""
    crop = np.zeros((4, 4, 3), dtype=np.uint8)
    return int(bank.at(frame_idx, 0, faces.at(frame_idx)[0], crop)[-1, 0, 0]) - 20


def test_pose_tells_sides_apart_and_nothing_else() -> None:
    assert poses_of(turned(8))[0] > poses_of(FRONTAL)[0] > poses_of(turned(-8))[0]
    angle = np.radians(20)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 2.5 * turned(8) @ rotation.T + [30, 7]
    np.testing.assert_allclose(poses_of(moved), poses_of(turned(8)), atol=1e-9)


def test_closed_is_what_has_no_gap_not_what_has_little_contrast() -> None:
    """Behind pale lips teeth hardly differ from the skin, and closed lips that are painted differ much."""
    toothy, painted = face_image(10, lips=(160, 130, 125), inside=(185, 180, 170)), face_image(0, lips=(120, 20, 30))
    images = [painted if idx % 3 else toothy for idx in range(100)]
    looks = gather(reader(images), faces_of([FRONTAL] * 100), SPEC, 25.0, 2)._looks[0]
    assert {one.frame_idx % 3 == 0 for one in looks if not one.parted} == {False}
    assert {one.frame_idx % 3 == 0 for one in looks if one.parted} == {True}


@pytest.mark.parametrize("frame_idx", range(40))
def test_no_frame_sees_its_own_mouth(frame_idx: int) -> None:
    faces = faces_of([FRONTAL] * 40)
    bank = Bank({0: [look(5), look(30)]}, faces, min_distance=5)
    assert abs(shown(bank, faces, frame_idx) - frame_idx) >= 5


def test_the_look_of_like_pose_is_taken_and_kept() -> None:
    wobble = [turned(4 + 0.2 * (-1) ** idx) for idx in range(30)]
    poses = [FRONTAL] * 30 + [turned(12)] * 30 + wobble
    faces = faces_of(poses)
    bank = Bank({0: [look(200), look(201, 12.0), look(202, 8.0)]}, faces)
    chosen = [shown(bank, faces, idx) for idx in range(90)]
    assert set(chosen[:30]) == {200}
    assert set(chosen[31:60]) == {201}
    assert len(set(chosen[61:])) == 1, "two looks that are equally near must not take turns"


def test_several_references_are_the_nearest_ones() -> None:
    faces = faces_of([FRONTAL] * 4)
    bank = Bank({0: [look(100, 10.0), look(101), look(102, 4.0)]}, faces, n_references=2)
    seen = bank.at(0, 0, faces.at(0)[0], np.zeros((4, 4, 3), dtype=np.uint8))
    assert seen.shape == (4, 4, 6)
    assert (seen[-1, 0, [0, 3]] - 20).tolist() == [101, 102]


SOME = [look(100), look(120, 9.0), look(140, parted=True), look(160, 9.0, parted=True)]


@pytest.mark.parametrize(("n_references", "expected"), [
    (1, [100]), (2, [100, 140]), (3, [100, 140, 120]), (4, [100, 140, 120, 160]), (6, [100, 140, 120, 160, 100, 140]),
])  # fmt: skip
def test_closed_and_open_mouths_take_turns_the_likest_first(n_references: int, expected: list[int]) -> None:
    faces = faces_of([FRONTAL] * 3)
    made = all_shown(Bank({0: SOME}, faces, n_references), faces, 1)
    assert made[:4] == expected[:4]
    assert set(made) == set(expected)


@pytest.mark.parametrize("n_references", [2, 3, 4])
def test_no_further_reference_shows_the_frame_s_own_mouth(n_references: int) -> None:
    faces = faces_of([FRONTAL] * 60)
    bank = Bank({0: [look(10), look(30, parted=True), look(50, 2.0)]}, faces, n_references, min_distance=5)
    for frame_idx in range(60):
        seen = all_shown(bank, faces, frame_idx)
        assert min(abs(taken - frame_idx) for taken in seen) >= 5
        assert (30 in seen) == (abs(30 - frame_idx) >= 5), "teeth are shown wherever they may be"


def test_further_references_are_steady() -> None:
    """A pose that trembles between two equally near looks makes none of the places flicker."""
    wobble = [turned(4 + 0.2 * (-1) ** idx) for idx in range(40)]
    some = [look(200), look(210, 8.0), look(220, parted=True), look(230, 8.0, parted=True)]
    faces = faces_of(wobble)
    bank = Bank({0: some}, faces, n_references=4)
    assert len({tuple(all_shown(bank, faces, idx)) for idx in range(40)}) == 1


def test_all_references_are_in_one_light() -> None:
    image = np.random.default_rng(0).integers(60, 160, (96, 96, 3), dtype=np.uint8)
    dim = np.rint(image * 0.6).astype(np.uint8)
    some = [Reference(100, image, poses_of(FRONTAL)), Reference(120, dim, poses_of(FRONTAL), True)]
    faces = faces_of([FRONTAL] * 3)
    first, second = np.split(Bank({0: some}, faces, 2).at(1, 0, faces.at(1)[0], image), 2, axis=-1)
    np.testing.assert_array_equal(first, image)
    assert np.abs(second.astype(int) - image).mean() < 1.5


def test_gathering_for_several_references_takes_the_open_mouths_too() -> None:
    opening = [2.0 * (idx % 10) for idx in range(120)]
    read = reader([face_image(height) for height in opening])
    faces = faces_of([FRONTAL] * 120)
    several, one = gather(read, faces, SPEC, 25.0, 2)._looks[0], gather(read, faces, SPEC, 25.0)._looks[0]
    closed = [other for other in several if not other.parted]
    parted = [other for other in several if other.parted]
    assert [other.frame_idx for other in closed] == [other.frame_idx for other in one]
    assert not any(other.parted for other in one)
    assert len(parted) == len(closed) == 2
    assert min(opening[other.frame_idx] for other in parted) > max(opening[other.frame_idx] for other in closed)


def test_dark_frames_are_no_open_mouths() -> None:
    """In what is nearly black, nothing that is read of lips means anything."""
    flash = np.zeros((130, 130, 3), dtype=np.uint8)
    flash[80:90, 55:60] = 255
    images = [flash] * 40 + [face_image(8)] * 60
    faces = faces_of([FRONTAL] * 100)
    bank = gather(reader(images), faces, SPEC, 25.0, 2)
    crop = np.zeros((96, 96, 3), dtype=np.uint8)
    assert all(bank.at(idx, 0, faces.at(idx)[0], crop)[:48].mean() > 100 for idx in range(100))


def test_gathering_takes_the_closed_mouth_of_each_pose() -> None:
    poses = [FRONTAL] * 60 + [turned(10)] * 60
    opening = [0 if idx in (40, 100) else 14 for idx in range(120)]
    asked: list[int] = []
    bank = gather(reader([face_image(height) for height in opening], asked), faces_of(poses), SPEC, 25.0)
    assert asked == sorted(set(asked))
    assert len(asked) <= 24, "reading is what costs"
    looks = bank._looks[0]
    assert len({round(float(one.pose[0]), 3) for one in looks}) == 2


def test_a_face_that_hardly_turns_still_has_looks_from_two_times() -> None:
    faces = faces_of([FRONTAL] * 100)
    bank = gather(reader([face_image(0)] * 100), faces, SPEC, 25.0)
    frames = [one.frame_idx for one in bank._looks[0]]
    assert max(frames) - min(frames) >= 5


def test_a_single_picture_is_its_own_reference() -> None:
    faces = fixed_face((20.0, 20, 100, 110))
    bank = gather(reader([face_image(6)]), faces, SPEC, 25.0)
    crop = np.zeros((96, 96, 3), dtype=np.uint8)
    assert bank.at(0, 0, faces.at(0)[0], crop).shape == (96, 96, 3)
    assert bank.at(500, 0, faces.at(500)[0], crop).any(), "frames behind the last known one use it, too"


def test_a_face_without_looks_is_its_own_reference() -> None:
    crop = np.full((4, 4, 3), 9, dtype=np.uint8)
    faces = faces_of([FRONTAL] * 3, track=7)
    assert (Bank({}, faces, n_references=2).at(1, 0, faces.at(1)[0], crop) == np.tile(crop, (1, 1, 2))).all()


def test_given_and_own_looks() -> None:
    face = fixed_face((20.0, 20, 100, 110)).at(0)[0]
    crop = np.full((4, 4, 3), 9, dtype=np.uint8)
    assert GivenLooks({0: np.ones((4, 4, 3), dtype=np.uint8)}).at(3, 0, face, crop).max() == 1
    assert GivenLooks({1: np.ones((4, 4, 3), dtype=np.uint8)}).at(3, 0, face, crop).max() == 9
    assert OwnFrame(3).at(3, 0, face, crop).shape == (4, 4, 9)


def test_light_is_told_from_the_upper_half() -> None:
    look_crop = np.random.default_rng(0).integers(60, 120, (96, 96, 3), dtype=np.uint8)
    assert light_between(look_crop, look_crop) is None
    for gain in (0.1, 0.6, 1.7):
        lit = np.rint(look_crop * np.array([gain, gain, 1.1 * gain])).clip(0, 255).astype(np.uint8)
        lit[48:] = 0  # what the mouth's half shows does not count
        found = light_between(lit, look_crop)
        assert found is not None
        assert np.abs(relit(lit, found)[:48].astype(int) - look_crop[:48]).mean() < 0.6 / gain + 2


def test_dark_frames_are_not_copied_from() -> None:
    images = [np.zeros((130, 130, 3), dtype=np.uint8)] * 40 + [face_image(8)] * 60
    bank = gather(reader(images), faces_of([FRONTAL] * 100), SPEC, 25.0)
    crop = np.zeros((96, 96, 3), dtype=np.uint8)
    faces = faces_of([FRONTAL] * 100)
    assert all(bank.at(idx, 0, faces.at(idx)[0], crop).mean() > 100 for idx in range(100))


def test_poses_of_many_are_those_of_each() -> None:
    many = np.stack([turned(by) for by in range(-6, 7)])
    np.testing.assert_allclose(poses_of(many), [poses_of(points) for points in many])
    transform = alignment(many[3], 1)
    by_hand = transform[:, :2] @ many[3][2] + transform[:, 2] - TEMPLATE[2]
    np.testing.assert_allclose(poses_of(many[3]), by_hand, atol=1e-12)


@pytest.mark.parametrize("n_references", [1, 2])
@pytest.mark.parametrize("turns", [False, True])
def test_spoilt_frames_serve_only_where_there_are_no_others(n_references: int, turns: bool) -> None:
    poses = [turned(6 * np.sin(k / 5)) if turns else FRONTAL for k in range(100)]
    images = [face_image(2 + 10 * abs(np.sin(k / 3))) for k in range(100)]
    read, faces = reader(images), faces_of(poses)

    def taken(*spoilt: int) -> list[int]:
        found = find_references(read, faces, SPEC, n_references, {0: frozenset(spoilt)})[0]
        return [look.frame_idx for look in found]

    plain = taken()
    assert taken(*sorted(set(range(100)) - set(plain))[::3]) == plain
    half = range(50, 100)
    assert taken(*half)
    assert not set(taken(*half)) & set(half)
    assert set(taken(*range(99))) == {99}
    assert taken(*range(100)) == plain

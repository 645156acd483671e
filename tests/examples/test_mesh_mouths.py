"""What the lip reader is taught of real mouths: labels that move with the picture, and things that hide the lips."""

import cv2
import numpy as np
import pytest
import torch

from examples.research import covers, mesh, mesh_mouths, teeth, train_lips

POINTS = np.array([[20.0, 17], [44, 17], [32, 13], [32, 16], [32, 18], [32, 23]])
"""A mouth in the region."""


def face() -> np.ndarray:
    """A region (48, 64, 3) of skin with lips at `POINTS`."""
    image = np.full((48, 64, 3), (200, 150, 130), np.float32)
    image += 60 * covers.lip_mask(POINTS)[..., None] * np.array([-0.3, -1, -0.8], np.float32)
    return image


def labels(n: int = 4, person: str = "s1") -> mesh_mouths.Labels:
    """Mouths whose corners and middles are marked by spots."""
    patch = np.full((n, 128, 128, 3), 120, np.uint8)
    places = POINTS + mesh_mouths.CORNER
    for x, y in places + 16:
        cv2.circle(patch[0], (round(x), round(y)), 1, (255, 255, 255), -1)
    patch[1:] = patch[0]
    return mesh_mouths.Labels(
        patch,
        np.repeat(places[None], n, 0),
        np.full(n, 2.0),
        np.zeros(n),
        np.array([person] * n),
        np.array(["s1/a/0"] * n),
    )


def test_points_move_with_the_picture() -> None:
    for seed in range(20):
        mouth, _ = mesh_mouths.draw_real(np.random.default_rng(seed), labels(), 0)
        for x, y in np.round(mouth.points[[0, 1, 5]]).astype(int):
            if 2 < x < 61 and 2 < y < 45:
                assert mouth.image[y - 2 : y + 3, x - 2 : x + 3].max() > 160


@pytest.mark.parametrize("kind", covers.KINDS)
def test_covers_hide_lips_or_stay_away(kind: str) -> None:
    rng = np.random.default_rng(3)
    near = [covers.covered_share(covers.draw_cover(rng, face(), POINTS, kind), POINTS) for _ in range(30)]
    assert np.median(near) > 0.3
    cover = covers.draw_cover(rng, face(), POINTS, kind)
    changed = np.abs(covers.lay(face(), cover) - face()).max(axis=-1)
    assert cover.opacity.min() >= 0
    assert cover.opacity.max() <= 1.001
    assert changed[cover.opacity == 0].max(initial=0) == 0


def test_the_truth_of_a_covered_mouth_is_its_cover_alone() -> None:
    mouth = mesh_mouths.Mouth(face(), POINTS, 2.0)
    for seed in range(20):
        _, truth = mesh_mouths.finished(np.random.default_rng(seed), mouth, 1.0, "thing", covers=1, far=0)
        if truth[-1] == 1:
            assert np.isnan(truth[:-1]).all()
    _, truth = mesh_mouths.finished(np.random.default_rng(0), mouth, 1.0, covers=0, far=0)
    assert truth[-2:].tolist() == [1, 0]
    assert truth[13] == pytest.approx(2.4)
    assert not np.isnan(truth).any()


def test_the_mesh_is_trusted_where_lips_are_apart() -> None:
    assert mesh_mouths.trusted_gap(0.2, 30, "s1/a/0") == 0
    assert mesh_mouths.trusted_gap(6, 30, "s1/a/0") == 6
    assert mesh_mouths.trusted_gap(2.4, 30, "london/001-neutral") == 0


def test_every_person_is_drawn_as_often_as_any_other() -> None:
    many, few = labels(40, "s1"), labels(2, "s2")
    both = mesh_mouths.Labels(**{key: np.concatenate([getattr(many, key), getattr(few, key)]) for key in vars(many)})
    choice, rng = mesh_mouths.Choice(both), np.random.default_rng(0)
    drawn = [choice.draw(rng) for _ in range(400)]
    assert 140 < sum(number >= 40 for number in drawn) < 260


def test_people_are_left_out_by_name() -> None:
    people = [f"london/{number:03d}" for number in range(300)]
    assert 0.12 < np.mean([mesh_mouths.is_left_out(person) for person in people]) < 0.28
    assert not mesh_mouths.is_left_out("s1")


def test_what_is_unknown_does_not_count() -> None:
    truth = torch.zeros(2, 16)
    truth[1] = torch.nan
    found = torch.zeros(2, 16)
    loss = train_lips.loss_of(found, truth)
    found[1] = 9.0
    assert train_lips.loss_of(found, truth) == loss
    found[0, 3] = 1.0
    assert train_lips.loss_of(found, truth) > loss


def test_six_points_and_the_gap_of_a_mesh() -> None:
    points = np.zeros((468, 2))
    x = np.linspace(0, 40, 11)
    for rim, height in ((mesh.UPPER, -3.0), (mesh.LOWER, 3.0)):
        points[list(rim)] = np.stack([x, height * (1 - ((x - 20) / 20) ** 2)], axis=1)
    points[[61, 291, 0, 17]] = [[-2, 0], [42, 0], [20, -9], [20, 10]]
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    six, gap = mesh.lips_of(points @ turn.T + 50)
    np.testing.assert_allclose(six[2], turn @ [20, -9] + 50)
    assert 5.3 < gap < 6


@pytest.mark.parametrize(("inside", "state"), [((235, 230, 215), 1.0), ((60, 25, 25), 0.0)], ids=["teeth", "dark"])
def test_light_pale_pixels_between_the_lips_are_teeth(inside: tuple[int, int, int], state: float) -> None:
    image = np.full((200, 200, 3), (205, 160, 140), np.uint8)
    cv2.ellipse(image, (100, 100), (40, 20), 0, 0, 360, (170, 80, 80), -1)
    cv2.ellipse(image, (100, 100), (32, 9), 0, 0, 360, inside, -1)
    points = np.full((468, 2), [100.0, 84.0])
    points[[61, 291]] = [[60, 100], [140, 100]]
    points[[17, 84, 314]] = [100, 115]
    points[list(teeth.CHEEKS)] = [30, 60]
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    outline = np.stack([100 + 32 * np.cos(turn), 100 + 9 * np.sin(turn)], axis=1)
    assert teeth.teeth_state(image, outline, points) == state

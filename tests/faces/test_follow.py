"""Which faces are redrawn in every frame: steadied, faded, held, and the reasons where they are not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from w2l.core.arrays import Floats
from w2l.core.intervals import fade, runs
from w2l.faces import follow as following
from w2l.faces.follow import (
    NO_FACE,
    NOT_CHOSEN,
    REDRAWN,
    TURNED,
    UNSURE,
    Face,
    Faces,
    fixed_face,
    follow,
    hysteresis,
    without,
    yaw_of,
)
from w2l.faces.select import Choice, choose, steady_tracks
from w2l.faces.tracker import Scan

POINTS = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])
BOX = (100.0, 100.0, 200.0, 220.0)
N = 100
FADE = (0.25, 0.5, 0.75)


def scan_of(*stays: tuple[Sequence[int], Sequence[float]], cuts: Sequence[int] = (), n_frames: int = N) -> Scan:
    """A scan at 25 fps; each stay is the frames of a face and its box."""
    rows = sorted((idx, tuple(box)) for frames, box in stays for idx in frames)
    boxes = np.array([box for _, box in rows], dtype=np.float64).reshape(-1, 4)
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    return Scan(
        n_frames, 25.0, 640, 360, np.arange(n_frames) / 25, np.array([idx for idx, _ in rows], np.int64), boxes,
        np.full(len(rows), 0.95), boxes[:, None, :2] + POINTS * sides, "none", 1, np.array(cuts, np.int64),
    )  # fmt: skip


def with_scores(scan: Scan, frames: Sequence[int], score: float) -> Scan:
    return replace(scan, score=np.where(np.isin(scan.frame, frames), score, scan.score))


def strengths(scan: Scan, **how: object) -> Floats:
    """(frames,): of the one face that is followed, 0 where there is none."""
    faces = follow(scan, 0.0, **how)  # type: ignore[arg-type]
    found = [faces.at(idx) for idx in range(scan.n_frames)]
    assert all(len(here) <= 1 for here in found)
    return np.array([here[0].strength if here else 0.0 for here in found])


def test_a_face_that_is_always_there_is_always_drawn() -> None:
    faces = follow(scan_of((range(N), BOX)), 0.12)
    assert (faces.why == REDRAWN).all()
    assert faces.tracks == [0]
    assert faces.passed() == {}
    for idx in (0, 50, N - 1, 10**6):
        (face,) = faces.at(idx)
        assert (face.track, face.strength) == (0, 1.0)
        np.testing.assert_allclose(face.box, BOX)


def test_a_face_fades_in_and_out_within_a_shot() -> None:
    strength = strengths(scan_of((range(30, 60), BOX)))
    np.testing.assert_allclose(strength[30:33], FADE)
    np.testing.assert_allclose(strength[57:60], FADE[::-1])
    assert (strength[33:57] == 1).all()
    assert (strength[:30] == 0).all()
    assert (strength[60:] == 0).all()


def test_nothing_fades_at_a_cut_or_an_end() -> None:
    strength = strengths(scan_of((range(30, 60), BOX), (range(60, N), (300, 100, 400, 220)), cuts=[30, 60]))
    assert (strength[30:] == 1).all()
    assert (strength[:30] == 0).all()


@pytest.mark.parametrize("fps", [12.5, 25.0, 60.0])
def test_a_fade_lasts_as_long_at_every_rate(fps: float) -> None:
    n_frames = round(4 * fps)
    scan = scan_of((range(n_frames // 2, n_frames), BOX), n_frames=n_frames)
    strength = strengths(replace(scan, fps=fps, times=np.arange(n_frames) / fps))
    n_fading = int(((strength > 0) & (strength < 1)).sum())
    assert n_fading / fps == pytest.approx(following.FADE_S, abs=0.5 / fps + 1e-9)


def test_smoothing_is_reset_at_a_cut_and_has_no_lag() -> None:
    moving = [(idx, (100.0 + 3 * idx, 100.0, 200.0 + 3 * idx, 220.0)) for idx in range(N)]
    scan = scan_of(*(([idx], box) for idx, box in moving), cuts=[50])
    jumped = replace(scan, box=np.where((scan.frame >= 50)[:, None], scan.box + 100, scan.box))
    faces = follow(jumped, 0.12)
    wanted = np.array([box for _, box in moving]) + np.where(np.arange(N) >= 50, 100, 0)[:, None]
    np.testing.assert_allclose(faces.boxes[12:38], wanted[12:38], atol=1e-6)
    np.testing.assert_allclose(faces.boxes[62:88], wanted[62:88], atol=1e-6)
    assert np.abs(faces.boxes[48:52] - wanted[48:52]).max() < 15  # drawn towards its own shot alone


def test_short_gaps_are_bridged_and_longer_ones_pass() -> None:
    short = scan_of(([idx for idx in range(N) if not 40 <= idx < 44], BOX))
    assert (strengths(short) == 1).all()
    long = scan_of(([idx for idx in range(N) if not 40 <= idx < 52], BOX))
    faces = follow(long, 0.0)
    assert (faces.why[40:52] == NO_FACE).all()
    assert faces.passed() == {"no face": 12}
    np.testing.assert_allclose(strengths(long)[37:40], FADE[::-1])


def test_hold_redraws_the_last_place_until_the_face_is_back() -> None:
    scan = scan_of((range(40), BOX), (range(55, 90), (140.0, 100.0, 240.0, 220.0)))
    faces = follow(scan, 0.0, hold=True)
    for idx in range(40, 55):
        (face,) = faces.at(idx)
        np.testing.assert_allclose(face.box, BOX)
        assert face.strength == 1
    assert (faces.why[:90] == REDRAWN).all()
    assert (faces.why[90:] == NO_FACE).all()


def test_hold_does_not_reach_over_a_cut() -> None:
    faces = follow(scan_of((range(40), BOX), (range(70, N), BOX), cuts=[50]), 0.0, hold=True)
    assert (faces.why[40:70] == NO_FACE).all()


def test_scores_have_hysteresis() -> None:
    between = (following.MIN_SURE + following.KEEP_SURE) / 2
    scan = scan_of((range(N), BOX))
    assert (strengths(with_scores(scan, range(40, 60), between)) == 1).all()  # sure before and after
    low = follow(with_scores(scan, range(40, 60), following.KEEP_SURE - 0.1), 0.0)
    assert (low.why[40:60] == UNSURE).all()
    never_sure = with_scores(scan, range(N), between + 0.05)
    assert (follow(never_sure, 0.0).why == UNSURE).all()
    flicker = follow(with_scores(scan, range(40, 43), 0.1), 0.0)
    assert (flicker.why == REDRAWN).all()


def test_a_glimpse_of_sureness_is_not_drawn() -> None:
    scan = with_scores(scan_of((range(N), BOX)), [*range(40, 55), *range(58, 75)], 0.2)
    assert (follow(scan, 0.0).why[40:75] == UNSURE).all()


def test_a_head_turned_away_passes() -> None:
    scan = scan_of((range(N), BOX))
    points = scan.points.copy()
    turned = np.arange(40, 60)
    points[turned, 2, 0] += 90
    faces = follow(replace(scan, points=points), 0.0)
    assert (faces.why[42:58] == TURNED).all()
    assert (faces.why[:38] == REDRAWN).all()
    assert "turned away" in faces.passed()


@pytest.mark.parametrize("yaw", [-70, -40, 0, 25, 60])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_yaw_is_told_from_the_points_of_a_turned_head(yaw: float, roll: float) -> None:
    head = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, following.NOSE_DEPTH], [-0.4, 1.1, 0.2], [0.4, 1.1, 0.2]])
    angle = np.radians(yaw)
    seen = np.stack([head[:, 0] * np.cos(angle) + head[:, 2] * np.sin(angle), head[:, 1]], axis=1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    assert yaw_of(seen @ turn.T * 80 + 300) == pytest.approx(abs(yaw), abs=0.5)


def test_a_covered_face_passes() -> None:
    scan = scan_of((range(N), BOX))
    rng = np.random.default_rng(0)
    usual, other = (rng.integers(20, 230, (12, 12, 3), dtype=np.uint8) for _ in range(2))
    looks = np.repeat(usual[None], N, axis=0)
    looks[40:60] = other
    assert (follow(replace(scan, looks=looks), 0.0).why[40:60] == UNSURE).all()


def test_who_is_not_chosen_is_told_from_nobody() -> None:
    scan = scan_of((range(50), BOX), (range(80), (400, 100, 460, 170)))
    faces = follow(scan, 0.0, Choice("left"))
    assert (faces.why[:50] == REDRAWN).all()
    assert (faces.why[50:80] == NOT_CHOSEN).all()
    assert (faces.why[80:] == NO_FACE).all()


def test_who_comes_by_a_dissolve_is_redrawn_from_where_the_other_is_gone() -> None:
    scan = scan_of((range(50), BOX), (range(46, 100), (400, 100, 460, 170)))
    faces = follow(scan, 0.0)
    assert [len(faces.at(idx)) for idx in range(100)] == [1] * 100
    assert [face.track for face in (*faces.at(49), *faces.at(50))] == [0, 1]
    assert faces.at(50)[0].strength < 1 == faces.at(60)[0].strength
    assert (faces.why == REDRAWN).all()


def test_two_faces_at_once() -> None:
    scan = scan_of((range(N), BOX), (range(50), (400, 100, 460, 170)))
    faces = follow(scan, 0.0, choose(steady_tracks(scan), scan, Choice("all")))
    assert [len(faces.at(idx)) for idx in (0, 49, 50, 99)] == [2, 2, 1, 1]
    assert {face.track for face in faces.at(10)} == {0, 1} == set(faces.tracks)


def test_no_face_at_all_is_no_error() -> None:
    faces = follow(scan_of(), 0.12)
    assert faces.at(0) == faces.at(99) == ()
    assert faces.passed() == {"no face": N}
    assert follow(scan_of(([20], BOX)), 0.12).tracks == []
    assert follow(scan_of(([0], BOX), n_frames=1), 0.12).at(0) != ()


def test_published_smoothing_keeps_whole_pixels() -> None:
    rng = np.random.default_rng(0)
    scan = scan_of(*(([idx], np.array(BOX) + rng.normal(0, 2, 4)) for idx in range(N)))
    boxes = follow(scan, 0.12, smoothing="published").boxes
    np.testing.assert_array_equal(boxes, np.round(boxes))
    assert np.abs(np.diff(boxes, axis=0)).mean() < 0.6 * np.abs(np.diff(scan.box, axis=0)).mean()


def test_hysteresis_and_runs() -> None:
    enter = np.array([0, 0, 1, 0, 0, 0, 0, 0], dtype=bool)
    stay = np.array([0, 1, 1, 1, 0, 1, 1, 0], dtype=bool)
    assert runs(hysteresis(enter, stay)) == [(1, 4)]
    assert runs(stay) == [(1, 4), (5, 7)]
    assert runs(np.zeros(3, dtype=bool)) == []


def test_short_stretches_fade_less_far() -> None:
    on = np.zeros(12, dtype=bool)
    on[5:7] = True
    np.testing.assert_allclose(fade(on, 3)[5:7], [0.25, 0.25])
    assert (fade(np.ones(2, dtype=bool), 3) == 1).all()


def test_a_box_by_hand_holds_for_ever_and_gets_points_of_a_face() -> None:
    (face,) = fixed_face(BOX).at(10**6)
    assert isinstance(face, Face)
    assert face.box.tolist() == list(BOX)
    assert ((face.points > BOX[:2]) & (face.points < BOX[2:])).all()
    assert fixed_face(BOX, 7).n_frames == 7


def test_faces_that_something_covers_pass_through_and_fade() -> None:
    faces = fixed_face(BOX, 12)
    hidden = np.zeros(12, dtype=np.bool_)
    hidden[4:8] = True
    left = without(faces, {0: hidden}, 2)
    assert [len(left.at(frame)) for frame in range(12)] == [1] * 4 + [0] * 4 + [1] * 4
    assert [round(left.at(frame)[0].strength, 2) for frame in (1, 2, 3, 8, 9, 10)] == [1, 0.67, 0.33, 0.33, 0.67, 1]
    assert left.passed() == {"something covers the mouth or chin": 4}
    assert without(faces, {}, 2).passed() == {}


def test_of_two_faces_the_one_that_is_free_is_redrawn() -> None:
    one = fixed_face(BOX, 3)
    both = Faces(
        np.arange(0, 8, 2), np.tile([0, 1], 3), np.repeat(one.boxes, 2, axis=0), np.repeat(one.points, 2, axis=0),
        np.ones(6), one.why,
    )  # fmt: skip
    left = without(both, {1: np.array([False, True, True])}, 1)
    assert [[face.track for face in left.at(frame)] for frame in range(3)] == [[0, 1], [0], [0]]
    assert left.passed() == {}

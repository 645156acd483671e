"""Which looks an output shows: never a frame's own mouth, rest in pauses, the same for every part and every run."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.syncing.memory.made_looks import faces_at
from tests.syncing.memory.test_gather import small_expert
from tests.syncing.memory.test_store import some_looks
from w2l.features.crop import CropSpec
from w2l.media.timeline import Timeline
from w2l.models.speech_lips import relative_shapes
from w2l.syncing.memory.choose import Chooser
from w2l.syncing.memory.costs import (
    MOTION_COST,
    REPLAY_COST,
    REPLAY_S,
    SHAPE_TOLERANCE,
    TEETH_GAIN,
    audio_costs,
    frame_costs,
    joins_of,
    rest_costs,
)
from w2l.syncing.memory.looks import Looks, Measures
from w2l.syncing.memory.memory import MemoryReferences
from w2l.syncing.memory.usual import rim_cells
from w2l.syncing.plan import Plan
from w2l.syncing.reference_bank import OwnFrame

FRONTAL = np.array([[40.0, 40], [80, 40], [60, 62], [44, 86], [76, 86]])


class _Info:
    fps = 25.0
    path = Path("none.mp4")


def plan_for(n_pictures: int, n_source: int, seed: int = 0) -> Plan:
    """The plan of a video that is shown forwards again and again, with noise for speech that pauses."""
    source = np.arange(n_pictures) % n_source
    mel = np.random.default_rng(seed).uniform(-2, 2, (80, n_pictures * 4)).astype(np.float32)
    mel[:, 300:420] = -4.0
    times = np.arange(n_pictures) / 25
    return Plan(
        info=_Info(),  # type: ignore[arg-type]
        source_times=np.arange(n_source) / 25,
        timeline=Timeline(source, times, n_pictures / 25, 25.0, True),
        spec=CropSpec(), faces=faces_at(np.repeat(FRONTAL[None], n_source, axis=0)), chosen="", mel=mel,
        starts=np.floor(times * 80 - 3.2).astype(np.int64), gain=np.ones(n_pictures, np.float32),
        reasons=np.full(n_pictures, ""), speech=Path("none.wav"), speech_origin_s=None, speech_s=n_pictures / 25,
    )  # fmt: skip


def looks_of(count: int) -> Looks:
    """Looks of the first frames, embedded as the small expert embeds sound."""
    some = some_looks(count)
    plain = {"pose": np.zeros((count, 2)), "cells": np.zeros((count, 128, 4), np.float32)}
    measures = replace(some.measures, points=0.02 * some.measures.points, **plain)
    rng = np.random.default_rng(5)
    sync = rng.normal(size=(count, small_expert().sounds(np.zeros((80, 40), np.float32), np.array([3])).shape[1]))
    sync /= np.linalg.norm(sync, axis=1, keepdims=True)
    return replace(some, measures=measures, seen=measures, sync=sync)


@pytest.fixture(scope="module")
def chosen() -> list[int]:
    """The looks of 400 pictures."""
    return all_of(Chooser(looks_of(40), plan_for(400, 60), 0, small_expert()), 400)


def all_of(chooser: Chooser, n_pictures: int) -> list[int]:
    """The looks of all pictures, in order."""
    return [chooser.at(picture) for picture in range(n_pictures)]


def test_no_picture_shows_its_own_mouth(chosen: list[int]) -> None:
    source = np.arange(400) % 60
    assert np.abs(np.array(chosen) - source).min() >= 5
    assert len(set(chosen)) > 3


def test_in_a_pause_the_mouth_comes_to_rest(chosen: list[int]) -> None:
    costs = rest_costs(looks_of(40).measures)
    paused, all_looks = costs[chosen[98:128]].mean(), costs.mean()  # mel columns 300 to 420 are silent
    assert paused < all_looks / 2


def test_every_run_and_every_order_of_asking_gives_the_same(chosen: list[int]) -> None:
    again = Chooser(looks_of(40), plan_for(400, 60), 0, small_expert())
    assert [again.at(picture) for picture in (390, 3, 255)] == [chosen[390], chosen[3], chosen[255]]
    assert all_of(again, 400) == chosen


def test_a_part_that_is_drawn_shows_what_the_whole_does(chosen: list[int]) -> None:
    """Parts of an output ask with the picture's number in the whole."""
    looks, plan = looks_of(40), plan_for(400, 60)
    memory = MemoryReferences({0: looks}, plan, small_expert(), OwnFrame())
    face, crop = plan.faces.at(0)[0], np.zeros((32, 32, 3), dtype=np.uint8)
    for picture in (300, 310):
        np.testing.assert_array_equal(memory.at(picture % 60, picture, face, crop), looks.crop(chosen[picture]))


def test_a_face_without_looks_gets_others_and_further_references_are_those() -> None:
    looks, plan = looks_of(40), plan_for(50, 60)
    face, crop = plan.faces.at(0)[0], np.full((32, 32, 3), 90, dtype=np.uint8)
    assert (MemoryReferences({}, plan, small_expert(), OwnFrame()).at(0, 0, face, crop) == crop).all()
    both = MemoryReferences({0: looks}, plan, small_expert(), OwnFrame(2), 2).at(0, 0, face, crop)
    assert both.shape == (32, 32, 6)
    assert both[..., 3:].std(axis=(0, 1)).max() < 1


def test_a_look_fades_into_the_one_that_is_jumped_to(chosen: list[int]) -> None:
    """One picture long, half and half, and never into lips that are nearer together."""
    looks = looks_of(40)
    chooser = Chooser(looks, plan_for(400, 60), 0, small_expert())
    left = {picture: found for picture in range(400) if (found := chooser.leaving(picture))}
    jumps = [n for n in range(1, 400) if chosen[n] not in (chosen[n - 1], chosen[n - 1] + 1)]
    opening = [n for n in jumps if looks.measures.gap[chosen[n]] >= looks.measures.gap[chosen[n - 1]]]
    assert 3 < len(opening) < len(jumps)
    assert left == {n: (min(chosen[n - 1] + 1, 39), 0.5) for n in opening}


def test_nothing_fades_across_a_cut() -> None:
    """Where the face was away the next picture shows its look alone."""
    plan = plan_for(100, 60)
    plan = replace(plan, gain=np.where(np.arange(100) == 50, 0.0, 1.0).astype(np.float32))
    assert Chooser(looks_of(40), plan, 0, small_expert()).leaving(51) is None


def test_pictures_faster_than_the_source_are_chosen_too() -> None:
    plan = plan_for(80, 60)
    fast = replace(plan, timeline=replace(plan.timeline, fps=float(Fraction(50))))
    assert len(all_of(Chooser(looks_of(40), fast, 0, small_expert()), 80)) == 80


def test_lips_that_differ_from_what_goes_with_the_audio_cost_more() -> None:
    """Beyond the error of the prediction, the farther the more; teeth are worth something; in pauses neither counts."""
    looks = replace(looks_of(40).measures, teeth=np.zeros(40))
    shown = relative_shapes(looks.gap, looks.width, looks.gap, looks.width)
    wanted = shown[[3, 17, 31]]
    costs = audio_costs(looks, looks, np.zeros((3, 40)), wanted, np.zeros(3))
    far = np.abs(wanted[:, None] - shown[None]).max(axis=-1)
    assert (costs[far <= SHAPE_TOLERANCE] == 0).all()
    assert (costs[far > SHAPE_TOLERANCE] > 0).all()
    toothy = audio_costs(replace(looks, teeth=np.ones(40)), looks, np.zeros((3, 40)), wanted, np.zeros(3))
    np.testing.assert_allclose(costs - toothy, TEETH_GAIN)
    silent = audio_costs(looks, looks, np.zeros((3, 40)), wanted, np.ones(3))
    np.testing.assert_allclose(silent, np.repeat(rest_costs(looks)[None], 3, axis=0))


def test_a_head_that_nods_gets_no_mouth_of_another_pose_however_well_it_fits() -> None:
    """As a chin that is up does not fit a head that is down; small differences matter less than the speech."""
    looks = replace(some_looks(3).measures, pose=np.array([[0.0, 0.0], [0.0, 0.006], [0.0, 0.06]]))
    looks = replace(looks, light=np.full((3, 3), 100.0), cells=np.zeros((3, 128, 4), np.float32))
    rim = np.zeros((1, 128, 3), np.float32)[:, : len(rim_cells())]
    match = np.array([[0.0, 0.3, 0.9]])
    costs = frame_costs(looks, -match, np.zeros((1, 2)), np.full((1, 3), 100.0), rim)
    assert costs[0].argsort().tolist() == [1, 0, 2]


def opening_and_closing() -> Measures:
    """Looks whose lower lip goes down over 20 frames, up over the next 20, and twice so again, 100 frames later."""
    depth = np.tile(0.64 - 0.002 * np.abs(np.arange(-20, 20)), 2)
    points = np.tile(np.array([[0.4, 0.6], [0.6, 0.6], [0.5, 0.5], [0.5, 0.55], [0.5, 0.6], [0.5, 0.6]]), (80, 1, 1))
    points[:, 5, 1] = depth
    frame_idx = np.concatenate([np.arange(40), np.arange(140, 180)])
    return replace(some_looks(80).measures, points=points, frame_idx=frame_idx, light=np.full((80, 3), 100.0))


@pytest.mark.parametrize(("fps", "step"), [(25.0, 1), (50.0, 1), (25.0, 2)])
def test_a_jump_back_by_a_moment_costs_more_than_one_to_the_same_shape_elsewhere(fps: float, step: int) -> None:
    """A mouth that shows the last quarter of a second again stutters."""
    looks = opening_and_closing()
    jump = joins_of(looks, step, fps).jump
    reach = round(REPLAY_S * fps) * step
    assert jump[12, 10] - jump[12, 50] == pytest.approx(REPLAY_COST, abs=1e-5)
    assert (np.diag(jump, reach)[:1] - jump[0, reach + 40] > REPLAY_COST / 2).all()
    assert jump[0, reach + 1] == pytest.approx(jump[0, reach + 41], abs=1e-5)


def test_a_jump_that_turns_the_motion_of_the_lips_costs_more() -> None:
    """From lips that open, to lips as far open that close."""
    jump = joins_of(opening_and_closing(), 1, 25.0).jump
    opening, other_opening, other_closing = 10, 50, 70
    shapes = opening_and_closing().points[:, 5, 1]
    assert shapes[[other_opening, other_closing]] == pytest.approx(shapes[opening])
    more = jump[opening, other_closing] - jump[opening, other_opening]
    assert more == pytest.approx(MOTION_COST * 100 * 0.004 / 6, abs=1e-5)  # one of six points, 0.002 down or up


def test_a_face_in_two_lights_gets_the_mouths_of_its_own() -> None:
    """A lamp goes out in the middle of the source: from then on, warm lips would glow."""
    looks = looks_of(40)
    light = np.full((40, 3), 150.0)
    light[20:] *= (0.4, 0.5, 0.6)
    cells = np.zeros((40, 128, 4), np.float32)
    cells[20:, :, 0] = -35  # CIELAB lightness of all of the lower half
    measures = replace(looks.measures, light=light, cells=cells)
    plan = plan_for(300, 40)
    made = all_of(Chooser(replace(looks, measures=measures, seen=measures), plan, 0, small_expert()), 300)
    other = np.array([(look < 20) != (frame < 20) for look, frame in zip(made, plan.timeline.source)])
    assert other.mean() < 0.02
    plain = all_of(Chooser(looks, plan, 0, small_expert()), 300)
    assert np.mean([(look < 20) != (frame < 20) for look, frame in zip(plain, plan.timeline.source)]) > 0.3

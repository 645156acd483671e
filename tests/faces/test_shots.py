"""Shots: found where a picture changes for good or goes through black, not where it flashes, shakes or moves."""

import gc
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.data.prepare.clip import PrepareSettings, prepare_clip
from w2l.data.prepare.gates import GateSettings
from w2l.data.puppets import babble, draw_face
from w2l.faces import detect
from w2l.faces.detectors.base import Detection
from w2l.faces.scan import DetectSettings
from w2l.faces.shots import REACH, SMALL_WIDTH, ShotFinder, change
from w2l.features.crop import CropSpec
from w2l.media.audio import write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import probe
from w2l.media.writer import VideoWriter
from w2l.syncing.plan import make_plan
from w2l.syncing.settings import SyncSettings

HEIGHT = 54


def room(seed: int, margin: int = 0) -> Image:
    """A made scene: large shapes on a wall."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT + 2 * margin, SMALL_WIDTH + 2 * margin, 3), rng.integers(40, 216, 3), dtype=np.uint8)
    for _ in range(12):
        corner = rng.integers(0, image.shape[1], 2)
        size = rng.integers(8, 30, 2)
        colour = tuple(int(part) for part in rng.integers(0, 256, 3))
        cv2.rectangle(image, corner.tolist(), (corner + size).tolist(), colour, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), dtype=np.uint8)


def noisy(image: Image, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def shot(seed: int, n_frames: int) -> list[Image]:
    """A room with a little noise, and a ball that rolls through it."""
    scene = room(seed)
    pictures = [noisy(scene, 1000 * seed + idx) for idx in range(n_frames)]
    for idx, picture in enumerate(pictures):
        cv2.circle(picture, (10 + idx % 75, 30), 6, (200, 180, 170), -1)
    return pictures


def lit(pictures: Sequence[Image], gains: Iterable[float]) -> list[Image]:
    """The pictures with their brightness scaled, each by its own gain."""
    return [(picture * gain).astype(np.uint8) for picture, gain in zip(pictures, gains, strict=True)]


def faded(before: Sequence[Image], after: Sequence[Image], n_frames: int, n_black: int = 0) -> list[Image]:
    """One shot fading to black and another out of it, each over `n_frames`."""
    down = lit(before, np.interp(range(len(before)), [len(before) - n_frames, len(before) - 1], [1, 0]))
    up = lit(after, np.interp(range(len(after)), [0, n_frames - 1], [0, 1]))
    return down + black(n_black) + up


def black(n_frames: int) -> list[Image]:
    return [np.zeros((HEIGHT, SMALL_WIDTH, 3), np.uint8)] * n_frames


def mixed(before: Sequence[Image], after: Sequence[Image]) -> list[Image]:
    """One shot turning into another from the first picture to the last."""
    shares = np.linspace(0, 1, len(before))
    return [
        np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0), np.uint8)
        for old, new, share in zip(before, after, shares, strict=True)
    ]


def replaced(pictures: Sequence[Image], first: int, others: Sequence[Image]) -> list[Image]:
    return [*pictures[:first], *others, *pictures[first + len(others) :]]


def brighter(pictures: Sequence[Image]) -> list[Image]:
    return [np.clip(picture.astype(int) + 130, 0, 255).astype(np.uint8) for picture in pictures]


def shaken(seed: int, n_frames: int) -> list[Image]:
    wide, rng = room(seed, margin=12), np.random.default_rng(seed)
    corners = np.clip(rng.normal(12, 3, (n_frames, 2)).round().astype(int), 2, 22)
    return [noisy(wide[y : y + HEIGHT, x : x + SMALL_WIDTH], idx) for idx, (x, y) in enumerate(corners)]


def recoloured(pictures: Sequence[Image]) -> list[Image]:
    """The pictures in a light of another colour, as bright as before."""
    return [np.clip(picture * [0.92, 1.0, 1.08], 0, 255).astype(np.uint8) for picture in pictures]


def cuts_of(pictures: Sequence[Image]) -> list[int]:
    finder = ShotFinder()
    for picture in pictures:
        finder.push(picture)
    return [int(cut) for cut in finder.finish()]


MADE = {
    # Hard cuts: the rule here finds them all, AdaptiveDetector those that are 10 pictures apart.
    "hard cuts": (shot(1, 40) + shot(2, 35) + shot(3, 50), [40, 75]),
    "shots of 5 pictures": ([picture for seed in range(6) for picture in shot(seed, 5)], [5, 10, 15, 20, 25]),
    "two cuts, 7 apart": (shot(1, 40) + shot(2, 7) + shot(3, 40), [40, 47]),
    "cut of a shaken camera": (shaken(3, 40) + shaken(4, 40), [40]),
    "cut, every picture twice": (
        [picture for picture in shot(1, 20) + shot(2, 20) for _ in range(2)], [40]),
    "one picture after the last cut": (shot(0, 20) + shot(1, 1), [20]),
    # Faint cuts: AdaptiveDetector alone suspects them.
    "cut between dark rooms": (lit(shot(1, 40) + shot(2, 40), [0.1] * 80), [40]),
    "cut between rooms much alike": (shot(1, 40) + recoloured(shot(1, 40)), [40]),
    # Black: ThresholdDetector alone.
    "fade through black": (faded(shot(1, 50), shot(2, 50), 20), [50]),
    "slow fade, black for 1 s": (faded(shot(1, 60), shot(2, 60), 40, 25), [73]),
    "quick fade": (faded(shot(1, 40), shot(2, 40), 4), [40]),
    "quick fade, the same room": (faded(shot(1, 40), shot(1, 40), 4), [40]),
    "three black pictures between rooms": (shot(1, 40) + black(3) + shot(2, 40), [42]),
    "the same room after black for 1 s": (replaced(shot(1, 100), 40, black(25)), [40, 65]),
    "fade to black, then a cut": (lit(shot(1, 50), np.interp(range(50), [30, 49], [1, 0])) + shot(2, 40), [50]),
    "two fades": (faded(faded(shot(1, 40), shot(2, 60), 10), shot(3, 40), 10), [41, 100]),
    # No cuts.
    "one shot": (shot(1, 100), []),
    "out of black at the start, into it at the end": (
        lit(shot(1, 100), np.interp(range(100), [10, 30, 70, 90], [0, 1, 1, 0])), []),
    "a dark room, black at times": (lit(shot(1, 100), 0.1 + 0.02 * np.sin(np.arange(100) / 4)), []),
    **{f"flash of {n}": (replaced(shot(1, 60), 30, brighter(shot(1, 60)[30 : 30 + n])), []) for n in (1, 2, 3)},
    **{f"black for {n}": (replaced(shot(1, 60), 30, black(n)), []) for n in (1, 2, 4)},
    "white for 1": (replaced(shot(1, 60), 30, [np.full_like(shot(1, 1)[0], 250)]), []),
    "shaken camera": (shaken(3, 60), []),
    "flickering lamp": (lit(shot(6, 60), np.random.default_rng(1).uniform(0.2, 1.0, 60)), []),
    # A track is told from the next one there by its place and its look (`w2l.faces.tracker`).
    "dissolve over 20": (shot(4, 20) + mixed(shot(4, 20), shot(5, 20)) + shot(5, 20), []),
}  # fmt: skip


@pytest.mark.parametrize(("pictures", "cuts"), MADE.values(), ids=MADE)
def test_shots_of_made_videos(pictures: Sequence[Image], cuts: Sequence[int]) -> None:
    assert cuts_of(pictures) == cuts


@pytest.mark.parametrize("n_frames", [0, 1, 2, REACH, REACH + 2])
def test_short_videos_have_no_cut(n_frames: int) -> None:
    assert cuts_of(shot(0, n_frames)) == []


def test_a_lamp_that_flickers_on_every_other_picture_makes_no_cut() -> None:
    found = cuts_of(lit([room(6)] * 120, np.repeat(np.random.default_rng(1).uniform(0.2, 1.0, 60), 2)))
    assert [cut for cut in found if cut < 120 - REACH] == []  # how the end goes on cannot be known


def test_a_new_shot_is_suspected_immediately() -> None:
    finder = ShotFinder()
    suspected = [finder.push(picture) for picture in shot(0, 10) + shot(1, 10)]
    assert np.flatnonzero(suspected).tolist() == [0, 10]


def test_few_pictures_are_held() -> None:
    finder, alive = ShotFinder(), list[weakref.ref[Image]]()
    for idx in range(60):
        picture = noisy(room(idx // 20), idx) if idx // 10 != 4 else np.zeros((HEIGHT, SMALL_WIDTH, 3), np.uint8)
        alive.append(weakref.ref(picture))
        finder.push(picture)
        del picture
    gc.collect()
    assert sum(picture() is not None for picture in alive) <= 2 * REACH + 1
    assert finder.finish().tolist() == [20, 40, 50]


def test_change_is_nought_for_equal_pictures_and_grows_with_difference() -> None:
    image = room(0)
    assert change(image, image) == 0
    moved = np.roll(image, 2, axis=1)
    assert change(image, moved) < 0.5 * change(image, room(1))
    assert change(image[:6, :6], room(1)[:6, :6]) > 0  # too small to look for shifts


class Everywhere:
    """Sees one and the same face in every picture, also in a black one."""

    name = fingerprint = "everywhere"

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        points = draw_face(np.zeros((4, 4, 3), np.uint8), 80.0, 48.0, 24.0)
        return [[Detection(np.array([58.0, 24.0, 102.0, 76.0]), 0.99, points)] for _ in images]


@pytest.mark.parametrize("n_frames", [120, 540], ids=["short", "long"])
def test_preprocess_detect_and_sync_report_the_same_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    """A fade, then a cut, whatever the length of the video; each stage with a cache of its own."""
    speech, video = tmp_path / "speech.wav", tmp_path / "video.mkv"
    write_wav(speech, babble(n_frames / 25, seed=2))
    gains = np.interp(range(n_frames), [30, 39, 40, 49], [1, 0, 0, 1])
    with VideoWriter(Output(video, 160, 96, 25, speech=speech, encoding=Encoding(crf=10))) as writer:
        for idx, gain in enumerate(gains):
            image = np.full((96, 160, 3), 60 if idx < 80 else (150, 90, 120), np.uint8)
            draw_face(image, 80.0, 48.0, 24.0, mouth=0.5)
            writer.write((image * gain).astype(np.uint8))
    new_cache = partial(Cache.open, create=True)
    monkeypatch.setattr(detect, "make_detector", lambda *_: Everywhere())

    seen = detect.run(DetectSettings(), video, new_cache(tmp_path / "detect"))
    assert seen.cuts == (1.6, 3.2)

    settings = PrepareSettings(CropSpec(smooth_s=0.0), gates=GateSettings(min_track_s=0.2, min_face_px=10))
    clip = new_cache(tmp_path / "preprocess").clip("video")
    tracks = prepare_clip(clip, video, Everywhere(), settings).preprocess.tracks
    assert [track.first_frame for track in tracks] == [0, 40, 80]

    plan = make_plan(SyncSettings(), probe(video), speech, CropSpec(), new_cache(tmp_path / "sync"), Everywhere())
    drawn = [plan.faces.at(idx)[0].track for idx in range(n_frames)]
    assert (np.flatnonzero(np.diff(drawn)) + 1).tolist() == [40, 80]

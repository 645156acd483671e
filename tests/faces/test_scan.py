"""Scans in the cache: kept with the fingerprint of what made them, whichever rule found their shots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from w2l.cache.store import Cache, Clip
from w2l.core.arrays import Image
from w2l.core.files import read_arrays, write_arrays
from w2l.faces.detectors.base import Detection
from w2l.faces.follow import HAND_POINTS
from w2l.faces.scan import DetectSettings, kept_scan, merge_scans, scan_clip, scan_fingerprint, scan_span
from w2l.faces.tracker import link_tracks
from w2l.media.coded import frame_times
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

SETTINGS = DetectSettings()


class Nobody:
    """Sees no face."""

    name = fingerprint = "nobody"

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[] for _ in images]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Cache.open(tmp_path / "cache", create=True).clip("video")


def write_rooms(path: Path, *levels: int) -> Path:
    """A video with 20 frames of each grey, in stripes that the rooms share."""
    with VideoWriter(Output(path, 96, 64, 25)) as writer:
        for level in np.repeat(levels, 20):
            image = np.full((64, 96, 3), level, np.uint8)
            image[:, int(level) // 3 :: 24] = 255
            writer.write(image)
    return path


def test_a_single_shot_has_the_fingerprint_it_always_had(tmp_path: Path, clip: Clip) -> None:
    path = write_rooms(tmp_path / "one.mp4", 60)
    scan, fresh = scan_clip(clip, path, Nobody(), SETTINGS)
    assert (scan.cuts.tolist(), fresh) == ([], True)
    assert str(read_arrays(clip.faces)["mark"]) == scan_fingerprint(path, Nobody(), SETTINGS)
    assert not scan_clip(clip, path, Nobody(), SETTINGS)[1]


def test_scans_with_cuts_have_another_one_and_those_of_before_are_kept(tmp_path: Path, clip: Clip) -> None:
    path = write_rooms(tmp_path / "two.mp4", 60, 180)
    scan, _ = scan_clip(clip, path, Nobody(), SETTINGS)
    assert scan.cuts.tolist() == [20]
    kept = read_arrays(clip.faces)
    plain = scan_fingerprint(path, Nobody(), SETTINGS)
    assert str(kept["mark"]) != plain
    again, fresh = scan_clip(clip, path, Nobody(), SETTINGS)
    assert (again.cuts.tolist(), fresh) == ([20], False)

    write_arrays(clip.faces, {**kept, "mark": np.array(plain), "cuts": np.array([21])})
    before, fresh = scan_clip(clip, path, Nobody(), SETTINGS)
    assert (before.cuts.tolist(), fresh) == ([21], False)
    forced, fresh = scan_clip(clip, path, Nobody(), SETTINGS, force=True)
    assert (forced.cuts.tolist(), fresh) == ([20], True)

    write_arrays(clip.faces, {**kept, "mark": np.array("another")})
    assert scan_clip(clip, path, Nobody(), SETTINGS)[1]


class Everywhere:
    """Sees one face in every picture, and counts the pictures."""

    name = fingerprint = "everywhere"
    n_seen = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_seen += len(images)
        box = np.array([20.0, 10.0, 60.0, 50.0])
        return [[Detection(box, 0.99, box[:2] + 40 * HAND_POINTS)] for _ in images]


def test_a_span_is_scanned_alone_placed_in_the_whole_and_kept(tmp_path: Path, clip: Clip) -> None:
    path = write_rooms(tmp_path / "two.mp4", 60, 180, 60)
    times, detector = frame_times(path), Everywhere()
    scan, fresh = scan_span(clip, path, times, (12, 33), detector, SETTINGS)
    assert fresh
    assert detector.n_seen <= 21 // 5 + 3
    assert (scan.n_frames, scan.cuts.tolist()) == (60, [12, 20, 33])
    assert (scan.frame.min(), scan.frame.max()) == (12, 32)
    assert np.array_equal(scan.times, times)
    n_before = detector.n_seen
    again, fresh = scan_span(clip, path, times, (12, 33), detector, SETTINGS)
    assert (fresh, detector.n_seen) == (False, n_before)
    assert all(np.array_equal(value, vars(again)[name]) for name, value in vars(scan).items())
    assert kept_scan(clip, path, detector, SETTINGS) is None  # it is not taken for the scan of the whole video
    assert scan_span(clip, path, times, (12, 33), Nobody(), SETTINGS)[1]


def test_scans_of_two_spans_become_one(tmp_path: Path, clip: Clip) -> None:
    path = write_rooms(tmp_path / "one.mp4", 60, 60, 60)
    times = frame_times(path)
    late, early = (scan_span(clip, path, times, span, Everywhere(), SETTINGS)[0] for span in ((40, 60), (0, 10)))
    scan = merge_scans(late, early)
    assert scan.shots == [(0, 10), (10, 40), (40, 60)]
    assert sorted(set(scan.frame.tolist())) == scan.frame.tolist()
    assert not ((scan.frame >= 10) & (scan.frame < 40)).any()
    assert [(track.start, track.stop) for track in link_tracks(scan)] == [(40, 60), (0, 10)]

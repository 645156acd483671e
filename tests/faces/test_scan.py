"""Scans in the cache: kept with the fingerprint of what made them, whichever rule found their shots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from w2l.cache.store import Cache, Clip
from w2l.core.arrays import Image
from w2l.core.files import read_arrays, write_arrays
from w2l.faces.detectors.base import Detection
from w2l.faces.scan import DetectSettings, scan_clip, scan_fingerprint
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

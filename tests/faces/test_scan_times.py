"""Boxes stored with wrong times of frames are not used: those of containers that count in the order of decoding."""

from pathlib import Path

import pytest

from tests.helpers.coded_media import make_coded
from w2l.core.files import fingerprint, source_fingerprint
from w2l.faces.scan import VERSION, DetectSettings, scan_fingerprint


class Blind:
    """A detector that is asked for its fingerprint alone."""

    name, fingerprint = "blind", "blind-1"


@pytest.mark.parametrize(
    ("ending", "b_frames", "is_new"), [("avi", "2", True), ("avi", "0", False), ("mp4", "2", False)]
)
def test_only_boxes_with_wrong_times_are_looked_for_again(
    tmp_path: Path, ending: str, b_frames: str, is_new: bool
) -> None:
    path = make_coded(tmp_path / f"clip.{ending}", 30, options={"bf": b_frames, "preset": "veryfast"})
    before = fingerprint("detect", VERSION, source_fingerprint(path), Blind.fingerprint, DetectSettings().stride)
    assert (scan_fingerprint(path, Blind(), DetectSettings()) != before) == is_new  # type: ignore[arg-type]


def test_a_broken_file_has_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "junk.avi").write_bytes(b"no video" * 100)
    assert scan_fingerprint(tmp_path / "junk.avi", Blind(), DetectSettings())  # type: ignore[arg-type]

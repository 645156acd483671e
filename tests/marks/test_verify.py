"""Verifying files: which stretches carry a mark, what lies beside, what is damaged, what is not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.marks.test_mark import scene
from w2l.core.errors import ConfigError, MediaError
from w2l.marks.claims import CLAIMED, id_in_tag, id_of, tag_of
from w2l.marks.embed import Marker
from w2l.marks.label import make_label
from w2l.marks.settings import Disclosure
from w2l.marks.verdict import Stretch
from w2l.marks.verify import record_beside, verify
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.picture import Colour, Picture, RgbPicture
from w2l.media.writer import VideoWriter

SIZE, FPS = (384, 288), 2.0
"""At 2 fps, pictures are few and each counts."""
CLAIMS: dict[str, Any] = {
    "frames": 12, "frames_passed_through": {"no face": 2}, "fps": 25.0, "duration_s": 0.48, "crop": 288,
    "hashes": {"video": "ab", "speech": "cd", "model": "ef"}, "settings": {"face": "auto", "batch": 16},
    "licences": {"model": "CC BY 4.0", "data": "GRID"},
}  # fmt: skip
RECORD = id_of(CLAIMS)


def write(path: Path, marked: range, count: int = 30, comment: str = "", record: str = RECORD) -> Path:
    """A video of 15 s; the pictures `marked` carry the mark."""
    marker = Marker(record, *SIZE)
    grey = np.full((SIZE[1] // 2, SIZE[0] // 2), 128, np.uint8)
    colour = Colour("bt601")
    pictures = scene(*SIZE, 3)
    output = Output(path, *SIZE, FPS, comment=comment, encoding=Encoding(crf=20, preset="ultrafast"), colour=colour)
    with VideoWriter(output) as writer:
        for idx in range(count):
            luma = pictures[idx % 3]
            writer.write(Picture(marker.marked(luma) if idx in marked else luma, grey, grey, colour))
    return path


def keep(path: Path, content: Any) -> None:
    path.with_suffix(".w2l.json").write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 15 s whose seconds 5 to 10 are marked, with a tag."""
    return write(tmp_path_factory.mktemp("verify") / "out.mp4", range(10, 20), comment=tag_of(RECORD))


def test_stretches_tag_and_words(partly: Path) -> None:
    verdict = verify(partly)
    assert verdict.is_marked
    assert verdict.is_whole
    assert [(one.record, one.stretches) for one in verdict.marks] == [(RECORD, (Stretch(5.0, 10.0),))]
    assert verdict.tag == RECORD
    assert verdict.record == "none"
    assert f"mark of record {RECORD} in 5.0-10.0 s" in verdict.text()
    assert f"tag: record {RECORD}" in verdict.text()


@pytest.mark.parametrize(("content", "state"), [
    ({**CLAIMS, "record_id": RECORD}, "matches"),
    ({**CLAIMS, "record_id": RECORD, "took_s": 3.0, "output": "/elsewhere/x.mp4"}, "matches"),
    ({**CLAIMS, "record_id": RECORD, "hashes": {"video": "00"}}, "altered"),
    ({**CLAIMS, "frames": 13, "record_id": id_of({**CLAIMS, "frames": 13})}, "other"),
    (CLAIMS, "unchecked"),
    ("no JSON", "unreadable"),
    ("[1, 2]", "unreadable"),
    ({**CLAIMS, "record_id": 7}, "altered"),
])  # fmt: skip
def test_the_record_beside(tmp_path: Path, content: Any, state: str) -> None:
    keep(tmp_path / "out.mp4", content)
    assert record_beside(tmp_path / "out.w2l.json", {"0000000001", RECORD}) == state


def test_unmarked_file_with_a_record_that_claims_it(tmp_path: Path) -> None:
    path = write(tmp_path / "real.mkv", range(0), count=6)
    keep(path, {**CLAIMS, "record_id": RECORD})
    verdict = verify(path)
    assert not verdict.is_marked
    assert verdict.record == "unchecked"
    assert "no mark found" in verdict.text()


def test_half_a_file(partly: Path, tmp_path: Path) -> None:
    whole = write(tmp_path / "out.mkv", range(30)).read_bytes()
    half = tmp_path / "half.mkv"
    half.write_bytes(whole[: len(whole) // 2])
    verdict = verify(half)
    assert [one.record for one in verdict.marks] == [RECORD]
    assert 2.0 < verdict.duration_s < 14.0
    cut = tmp_path / "half.mp4"
    cut.write_bytes(partly.read_bytes()[:2000])
    with pytest.raises(MediaError):
        verify(cut)


@pytest.mark.parametrize("content", [b"", b"this is no video" * 100])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"junk\.mp4"):
        verify(path)


def test_ids_are_the_same_from_memory_and_from_a_file_and_after_fewer_faces_at_once() -> None:
    assert id_of(json.loads(json.dumps(CLAIMS))) == RECORD
    assert id_of({**CLAIMS, "settings": {"face": "auto", "batch": 2}}) == RECORD
    for key in CLAIMED:
        assert id_of({**CLAIMS, key: None}) != RECORD
    assert id_of({**CLAIMS, "timing": {"draw": 1.0}}) == RECORD


@pytest.mark.parametrize(
    "tag", ["", "a film", "mouth redrawn by AI (w2l), record ", "(w2l), record 12345", tag_of("x" * 10)]
)
def test_other_tags_name_no_record(tag: str) -> None:
    assert id_in_tag(tag) is None


def test_tag_among_other_words() -> None:
    assert id_in_tag(f"{tag_of(RECORD)}; holiday") == RECORD


@pytest.mark.parametrize("place", ["bottom-right", "bottom-left", "top-right", "top-left"])
@pytest.mark.parametrize("size", [(640, 360), (64, 48), (20, 16)])
def test_the_label_lies_in_its_corner(place: Any, size: tuple[int, int]) -> None:
    width, height = size
    image = np.full((height, width, 3), 90, np.uint8)
    label = make_label("AI-dubbed $1", place, width, height)
    made = label.painted(RgbPicture(image)).rgb()
    changed = np.argwhere((made != image).any(axis=2))
    assert made.shape == image.shape
    assert len(changed) > 0.2 * label.weight.size
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    if size == (640, 360):
        assert made.max() > 240
        assert (bottom < height // 2) == place.startswith("top")
        assert (top > height // 2) == place.startswith("bottom")
        assert (right < width // 2) == place.endswith("left")
        assert (left > width // 2) == place.endswith("right")


def test_settings_of_disclosure_refuse_what_cannot_be() -> None:
    Disclosure(mark="off", otherwise=True)
    for wrong in ({"mark": "off"}, {"mark": "no"}, {"label": "x" * 61}, {"label": "two\nlines"},
                  {"label_place": "middle"}, {"consent": "x" * 2001}):  # fmt: skip
        with pytest.raises(ConfigError):
            Disclosure(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="does not have: 漢"):
        make_label("漢", "top-left", 640, 360)

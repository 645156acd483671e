"""What a careless command must not cost: inputs, records, the looks of another face, a start in the dark."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.sync_runs import SIZE, Run, change, listing, one_line, pattern, pictures, support, write_pictures
from w2l.faces.follow import Faces
from w2l.syncing.record import half_done_mark, mark_of
from w2l.syncing.reference_bank import GivenLooks
from w2l.syncing.settings import SyncSettings

MASK = support(SIZE[1], SIZE[0])


def test_no_input_of_a_batch_is_written_over(sync: Run, media: Path, tmp_path: Path) -> None:
    """The result of the first would take the place of the second."""
    for name in ("one.mp4", "one-synced.mp4"):
        (tmp_path / name).write_bytes((media / "clip.mp4").read_bytes())
    before = listing(tmp_path)
    one_line(sync("-y", video=[tmp_path / "one.mp4", tmp_path / "one-synced.mp4"]), 2, "one-synced.mp4 is an input")
    assert listing(tmp_path) == before


def test_the_record_of_another_output_is_not_replaced_unasked(sync: Run, tmp_path: Path) -> None:
    assert sync("-o", "out.mp4").status == 0
    record = (tmp_path / "out.w2l.json").read_bytes()
    one_line(sync("-o", "out.mkv"), 2, "out.w2l.json is the record of")
    assert (tmp_path / "out.w2l.json").read_bytes() == record
    assert sync("-o", "out.mkv", "-y").status == 0


def test_a_video_that_begins_in_the_dark_is_copied_from_where_it_is_lit(sync: Run, tmp_path: Path) -> None:
    """With a box the first frames count as faces, too."""
    lit = [np.clip(image.astype(int) // 2 + 100, 0, 255).astype(np.uint8) for image in pattern(20)]
    dark = [np.zeros_like(image) for image in lit[:5]]
    plain = write_pictures(tmp_path / "lit.mp4", lit)
    fading = write_pictures(tmp_path / "fading.mp4", dark + lit)
    assert sync("-o", "a.mp4", "--fit", "video", video=plain).status == 0
    assert sync("-o", "b.mp4", "--fit", "video", video=fading).status == 0
    one, other = pictures(tmp_path / "a.mp4"), pictures(tmp_path / "b.mp4")
    assert np.mean([change(made, bare, MASK) for made, bare in zip(other[5:], one, strict=True)]) < 12
    assert all(made.y[MASK].mean() < 40 for made in other[:5])


def test_a_brighter_frame_does_not_wrap_around(sync: Run, tmp_path: Path) -> None:
    """White cannot get whiter: at 266 of 255 a pixel would turn black."""
    levels = [120] * 8 + [235] * 8
    flash = write_pictures(tmp_path / "flash.mp4", [level + image // 16 for level, image in zip(levels, pattern(16))])
    assert sync("-o", "out.mp4", "--fit", "video", "--blend", "hard", video=flash, model="box").status == 0
    bright = [picture.rgb().astype(int) for picture in pictures(tmp_path / "out.mp4")[8:]]
    assert min(float(np.percentile(image, 1)) for image in bright) > 60


@pytest.mark.parametrize("negative", ["-3", "-0.1"])
def test_a_negative_start_is_called_so(sync: Run, tmp_path: Path, negative: str) -> None:
    one_line(sync("--start", negative, "-o", "out.mp4"), 2, "must not be negative")
    assert listing(tmp_path) == {}


def test_given_looks_are_those_of_the_same_face(tmp_path: Path) -> None:
    face_of = [Faces(np.array([0, 1]), np.array([track]), np.zeros((1, 4)), np.zeros((1, 5, 2)), np.ones(1),
                     np.zeros(1, np.int8)).at(0)[0] for track in (0, 1, 2)]  # fmt: skip
    looks = GivenLooks({track: np.full((4, 4, 3), 10 * track, np.uint8) for track in (1, 2)})
    crop = np.full((4, 4, 3), 99, np.uint8)
    assert [int(looks.at(0, 0, face, crop)[0, 0, 0]) for face in face_of] == [99, 10, 20]


def test_what_a_half_done_job_depends_on(media: Path, tmp_path: Path) -> None:
    """A picture that changed under the same name throws finished parts away; another batch does not."""
    portrait = tmp_path / "ann.png"
    portrait.write_bytes(b"one")

    def mark(device: str = "cpu", preview_s: float | None = None, **given: Any) -> str:
        settings = SyncSettings(reference=str(portrait), **given)
        sources = media / "clip.mp4", media / "speech.wav", media / "aligned.safetensors"
        return half_done_mark(mark_of(settings, *sources, preview_s), device)

    first = mark()
    assert mark(batch=3) == first
    assert mark(silence="model") != first
    assert mark(preview_s=1.0) != first
    assert mark("cuda") != first
    portrait.write_bytes(b"another")
    assert mark() != first

"""`w2l.embed`: embeddings of picture and sound, the same numbers as `w2l score` prints."""

from pathlib import Path

import numpy as np
import pytest

import w2l
from tests.helpers.puppet_clips import make_clip
from w2l.errors import CheckpointError, MediaError


def test_numbers_are_those_of_score(here: Path) -> None:
    clip = make_clip(here / "clip.mp4")
    found = w2l.embed(clip, device="cpu")
    (row,) = [row for row in w2l.score(clip, device="cpu").rows if row["path"] == str(clip)]
    assert {name: found.values[name] for name in ("lse_d", "lse_c")} == {name: row[name] for name in ("lse_d", "lse_c")}
    assert found.video.shape == found.speech.shape == (len(found), found.video.shape[1])
    assert found.distances.shape == (len(found), 31)
    assert found.shifts[int(np.argmin(found.curve))] == found.values["offset_corrected"]
    assert found.times[1] - found.times[0] == pytest.approx(0.04)


def test_another_speech_and_the_expert(here: Path) -> None:
    clip, other = make_clip(here / "clip.mp4"), make_clip(here / "other.mp4", seed=1)
    own, changed = w2l.embed(clip, network="expert", device="cpu", max_shift=3), w2l.embed(
        clip, other, network="expert", device="cpu"
    )  # fmt: skip
    assert np.array_equal(own.video, changed.video)
    assert not np.array_equal(own.speech, changed.speech)
    assert own.shifts.tolist() == [3, 2, 1, 0, -1, -2, -3]


def test_what_cannot_be_embedded(here: Path, media: Path) -> None:
    with pytest.raises(CheckpointError, match="nobody"):
        w2l.embed(media / "clip.mp4", network="expert", model="nobody", device="cpu")
    with pytest.raises(MediaError, match="sound"):
        w2l.embed(media / "clip.mp4", device="cpu")

"""Names, records and places that others chose: nothing is lost, the terminal is safe, all is said before work."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sync_runs import Run, listing, one_line
from w2l.core.locks import claim
from w2l.media.audio import write_wav

ODD = "a\x1b[31m\x1b]0;owned\x07b"
"""A name that would colour the terminal and rename its window."""


@pytest.mark.parametrize("content", ["my notes", "{}", '{"a": 1}', "[1]", "[" * 2000, ""])
def test_a_sidecar_that_is_not_ours_is_kept_unless_asked(sync: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "out.w2l.json").write_text(content)
    one_line(sync("-o", "out.mp4"), 1, "out.w2l.json is not a record of w2l", "-y")
    assert listing(tmp_path) == {"out.w2l.json": content.encode()}
    if content == "my notes":
        assert sync("-o", "out.mp4", "-y").status == 0
        assert json.loads((tmp_path / "out.w2l.json").read_text())["stage"] == "sync"


def test_what_is_known_at_once_is_said_before_the_work(sync: Run, tmp_path: Path) -> None:
    (tmp_path / "out.w2l.json").mkdir()
    one_line(sync("-o", "out.mp4"), 1, "out.w2l.json cannot be written", "folder")
    long = "n" * 248
    one_line(sync("-o", f"{long}.mp4"), 1, "cannot be written (File name too long)")
    (tmp_path / "cache" / "runs").write_text("")
    one_line(sync("-o", "other.mp4"), 1, "cannot be written (Not a directory)")
    assert listing(tmp_path) == {"out.w2l.json": None}


def test_the_longest_name_that_has_a_record(sync: Run, tmp_path: Path) -> None:
    long = "n" * 246
    assert sync("-o", f"{long}.mp4").status == 0
    assert set(listing(tmp_path)) == {f"{long}.mp4", f"{long}.w2l.json"}
    assert len(list((tmp_path / "cache" / "runs").iterdir())) == 1


def test_two_outputs_of_one_record_are_not_made_at_once(sync: Run, tmp_path: Path) -> None:
    with claim(tmp_path / ".o.w2l.json.w2l-lock") as mine:
        assert mine
        one_line(sync("-o", "o.mkv"), 1, "another process is writing this output or its record o.w2l.json")
    assert listing(tmp_path) == {}
    assert sync("-o", "o.mp4").status == 0
    one_line(sync("-o", "o.mkv"), 2, "is the record of", "o.mp4")


def test_a_record_is_not_written_over_an_input(sync: Run, media: Path, tmp_path: Path) -> None:
    speech = tmp_path / "out.w2l.json"
    speech.write_bytes((media / "speech.wav").read_bytes())
    one_line(sync("-o", "out.mp4", "-y", speech=speech), 2, "out.w2l.json", "is an input")


def test_names_do_not_control_the_terminal(sync: Run, w2l: Run, media: Path, tmp_path: Path) -> None:
    video = tmp_path / f"{ODD}.mp4"
    video.write_bytes((media / "clip.mp4").read_bytes())
    for outcome in (
        sync(video=video),
        sync(video=video, speech=tmp_path / f"{ODD}.wav"),
        w2l("detect", video),
        w2l("score", video),
        w2l("score", tmp_path / ODD),
        w2l("sync", video, media / "speech.wav", "--set", f"model={ODD}"),
        w2l("train", "--config", tmp_path / ODD),
        w2l("preprocess", tmp_path / ODD),
    ):
        assert "\\x1b" in outcome.out + outcome.err
        assert not {"\x1b", "\x07"} & set(outcome.out + outcome.err)


def test_a_path_in_a_circle_is_a_line(sync: Run, w2l: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    write_wav(tmp_path / "speech.wav", np.zeros(9, np.float32))
    one_line(sync(video=tmp_path / "loop.mp4"), 1, "loop.mp4")
    one_line(w2l("score", tmp_path / "loop.mp4"), 2, "loop.mp4")
    one_line(w2l("sync", tmp_path / "loop.mp4", tmp_path / "speech.wav", "-o", tmp_path / "loop.mp4"), 2, "is an input")
    record = {"output": str(tmp_path / "loop.mp4"), "video": str(tmp_path / "loop.mp4"), "stage": "sync"}
    (tmp_path / "cache" / "runs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "runs" / "a.json").write_text(json.dumps(record))
    one_line(w2l("score"), 1, "outputs of its runs are missing")
    assert os.path.islink(tmp_path / "loop.mp4")

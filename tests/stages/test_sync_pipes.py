"""Speech of sync through standard input and pipes."""

import io
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.sync_runs import Run, one_line


class Stdin:
    """Standard input with this content."""

    def __init__(self, content: bytes, is_terminal: bool = False) -> None:
        self.buffer, self._is_terminal = io.BytesIO(content), is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, in which nothing is left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_speech_from_standard_input(sync: Run, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sync("-o", "file.mp4").status == 0
    content = (media / "speech.wav").read_bytes()
    for options in ([], ["-y", "--resume"]):
        monkeypatch.setattr("sys.stdin", Stdin(content))
        outcome = sync("-o", "pipe.mp4", *options, speech=Path("-"))
        assert (outcome.status, outcome.out) == (0, "pipe.mp4\n"), outcome.err
        assert ("is up to date" in outcome.err) == bool(options), "the same content is the same speech"
    assert (tmp_path / "pipe.mp4").read_bytes() == (tmp_path / "file.mp4").read_bytes()
    piped, from_file = (json.loads((tmp_path / f"{name}.w2l.json").read_text()) for name in ("pipe", "file"))
    assert piped["speech"] == "standard input"
    assert piped["hashes"] == from_file["hashes"]


def test_speech_from_a_named_pipe_for_several_videos(sync: Run, media: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = (media / "speech.wav").read_bytes()
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.mp4").write_bytes((media / "clip.mp4").read_bytes())
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    outcome = sync("-o", "made", video=tmp_path / "in", speech=tmp_path / "pipe")
    writer.join()
    assert (outcome.status, outcome.out) == (0, "".join(f"{tmp_path}/made/{name}-synced.mp4\n" for name in "ab")), (
        outcome.err
    )
    record = json.loads((tmp_path / "made" / "b-synced.w2l.json").read_text())
    assert record["speech"] == str(tmp_path / "pipe")


@pytest.mark.parametrize(("stdin", "limit", "status", "said"), [
    (Stdin(b"", is_terminal=True), "1", 2, "- is standard input, which is a terminal; pipe the speech into w2l"),
    (Stdin(b""), "1", 1, "standard input: nothing came through it"),
    (Stdin(bytes(3000)), "0.002", 1, "standard input: is larger than 0.002 MB; write it to a file"),
    (Stdin(bytes(3000)), "1", 1, "error: standard input: not a"),
])  # fmt: skip
@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_what_cannot_be_used_is_one_line(
    sync: Run,
    monkeypatch: pytest.MonkeyPatch,
    stdin: Stdin,
    limit: str,
    status: int,
    said: str,
    option: tuple[str, ...],
) -> None:
    stdin.buffer.seek(0)
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setenv("W2L_MAX_STREAM_MEGABYTES", limit)
    one_line(sync("-o", "out.mp4", *option, speech=Path("-")), status, said)


def test_a_cluster_does_not_get_a_pipe(sync: Run) -> None:
    one_line(
        sync("-o", "out.mp4", "--ray", "local", speech=Path("-")), 2, "standard input does not reach other machines"
    )

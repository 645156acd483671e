"""Fetching a pack from a server that is right, cut, wrong, slow or gone: a whole pack, or nothing at all."""

import dataclasses
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from w2l.cache.store import Cache
from w2l.core.errors import CacheError, CheckpointError
from w2l.models import fetch as fetching
from w2l.models import packs
from w2l.models.fetch import MARKER, fetch, fetched, file_of, take
from w2l.models.packs import PACKS, Pack, PackFile

DETECTOR = np.random.default_rng(1).bytes(300_000)
POINTS = np.random.default_rng(2).bytes(50_000)
Answer = Callable[[BaseHTTPRequestHandler], None]


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped({"pack/recognition.onnx": b"large" * 1000, "pack/det.onnx": DETECTOR, "pack/points.onnx": POINTS})


def pack_of(archive: bytes, url: str) -> Pack:
    """What the table would say of `archive`."""
    contents = (("det.onnx", DETECTOR), ("points.onnx", POINTS))
    files = tuple(PackFile(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in contents)
    digest = hashlib.sha256(archive).hexdigest()
    return Pack("made", "a made pack", url, len(archive), digest, "research only", "for research only", files)


class Server(ThreadingHTTPServer):
    """Answers everything in the way it was told."""

    daemon_threads = True
    block_on_close = False
    answer: Answer
    n_asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/made.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.n_asked += 1
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def sends(content: bytes, stated: int | None = None, status: int = 200) -> Answer:
    """Sends `content`, having stated another length where that is given."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        if stated != -1:
            request.send_header("Content-Length", str(len(content) if stated is None else stated))
        request.end_headers()
        request.wfile.write(content)

    return answer


def redirects(request: BaseHTTPRequestHandler) -> None:
    if request.path == "/elsewhere":
        sends(ARCHIVE)(request)
        return
    request.send_response(302)
    request.send_header("Location", "/elsewhere")
    request.end_headers()


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "models"


RIGHT = {"plain": sends(ARCHIVE), "no length": sends(ARCHIVE, stated=-1), "moved": redirects}


@pytest.mark.parametrize("answer", RIGHT.values(), ids=RIGHT)
def test_a_right_pack_is_kept_and_nothing_else(
    server: Server, models: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = answer
    pack = pack_of(ARCHIVE, server.url)
    monkeypatch.setattr(packs, "PACKS", {"made": pack})
    assert fetched(models) == {}
    came: list[int] = []
    folder = fetch(pack, models, on_progress=came.append)
    assert folder == models / "made"
    assert sum(came) == len(ARCHIVE)
    assert everything_in(models) == ["made/det.onnx", f"made/{MARKER}", "made/points.onnx"]
    assert (folder / "det.onnx").read_bytes() == DETECTOR
    assert (folder / "points.onnx").read_bytes() == POINTS
    assert "for research only" in (folder / MARKER).read_text()
    assert fetched(models) == {"made": folder}
    assert pack.kept == len(DETECTOR) + len(POINTS)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(("answer", "said"), [
    (sends(ARCHIVE[:-1], stated=len(ARCHIVE)), r"\d+ of \d+ bytes arrived"),
    (sends(ARCHIVE[: len(ARCHIVE) // 2], stated=-1), r"\d+ of \d+ bytes arrived"),
    (sends(b"", stated=0), "0 of"),
    (sends(ARCHIVE + b"x"), "more of"),
    (sends(flipped(ARCHIVE, len(ARCHIVE) // 2)), "its sha256 is"),
    (sends(b"<html>sign in</html>" * 20_000), "arrived|sha256"),
    (sends(b"gone", status=404), "404"),
    (sends(b"", status=503), "503"),
], ids=["last byte", "half", "nothing", "more", "flipped bit", "sign-in page", "404", "503"])  # fmt: skip
def test_what_came_wrong_leaves_nothing(server: Server, models: Path, answer: Answer, said: str) -> None:
    server.answer = answer
    with pytest.raises(CheckpointError, match=said) as error:
        fetch(pack_of(ARCHIVE, server.url), models)
    assert everything_in(models) == []
    assert "w2l weights fetch made --from made.zip" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_fetch_leaves_the_pack_that_was_there(
    server: Server, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = pack_of(ARCHIVE, server.url)
    monkeypatch.setattr(packs, "PACKS", {"made": pack})
    server.answer = sends(ARCHIVE)
    fetch(pack, models)
    server.answer = sends(ARCHIVE[:-1])
    with pytest.raises(CheckpointError):
        fetch(pack, models)
    assert list(fetched(models)) == ["made"]
    server.answer = sends(ARCHIVE)
    assert fetch(pack, models) == models / "made"


def test_a_silent_server_is_left_after_the_timeout(server: Server, models: Path) -> None:
    go_on = threading.Event()

    def stops_in_the_middle(request: BaseHTTPRequestHandler) -> None:
        sends(ARCHIVE[:1000], stated=len(ARCHIVE))(request)
        go_on.wait(20)

    def never_answers(request: BaseHTTPRequestHandler) -> None:
        go_on.wait(20)

    for answer in (stops_in_the_middle, never_answers):
        server.answer = answer
        with pytest.raises(CheckpointError, match=r"for 0\.3 s"):
            fetch(pack_of(ARCHIVE, server.url), models, timeout_s=0.3)
    go_on.set()
    assert everything_in(models) == []


def test_a_trickle_is_a_stall(server: Server, models: Path) -> None:
    stop = threading.Event()

    def trickles(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for idx in range(400):
            if stop.wait(0.02):
                return
            request.wfile.write(ARCHIVE[idx : idx + 1])

    server.answer = trickles
    with pytest.raises(CheckpointError, match="stalled"):
        fetch(pack_of(ARCHIVE, server.url), models, timeout_s=0.2)
    stop.set()
    assert everything_in(models) == []


def test_without_a_network_one_line_says_what_to_do_by_hand(models: Path) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{closed.server_address[1]}/made.zip"
    closed.server_close()
    for gone in (url, "http://no-such-host.invalid/made.zip"):
        with pytest.raises(CheckpointError, match=r"made could not be downloaded.*--from made\.zip"):
            fetch(pack_of(ARCHIVE, gone), models, timeout_s=5)
    assert everything_in(models) == []


@pytest.mark.parametrize(("name", "kept"), [
    ("../../outside/det.onnx", True),
    ("/tmp/det.onnx", True),
    ("a/b/c/det.onnx", True),
    ("..\\..\\det.onnx", False),
    ("det.onnx.exe", False),
])  # fmt: skip
def test_names_inside_the_archive_decide_nothing(
    server: Server, models: Path, tmp_path: Path, name: str, kept: bool
) -> None:
    """Files are known by their content and come to lie in the pack's folder, whatever path the archive says."""
    archive = zipped({name: DETECTOR, "points.onnx": POINTS, "../evil.txt": b"evil"})
    server.answer = sends(archive)
    pack = pack_of(archive, server.url)
    if kept:
        fetch(pack, models)
        assert everything_in(tmp_path) == [f"cache/models/made/{name}" for name in ("det.onnx", MARKER, "points.onnx")]
        return
    with pytest.raises(CheckpointError, match=r"does not contain the expected det\.onnx"):
        fetch(pack, models)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(("archive", "said"), [
    (zipped({"det.onnx": DETECTOR}), r"does not contain the expected points\.onnx"),
    (zipped({"det.onnx": flipped(DETECTOR, 7), "points.onnx": POINTS}), r"does not contain the expected det\.onnx"),
    (zipped({"det.onnx": DETECTOR[:-1], "points.onnx": POINTS}), r"does not contain the expected det\.onnx"),
    (b"no archive" * 1000, "cannot be unpacked"),
    (flipped(ARCHIVE, len(ARCHIVE) // 2), "cannot be unpacked"),
], ids=["one missing", "other content", "other size", "no zip", "damaged zip"])  # fmt: skip
def test_an_archive_that_was_brought_is_checked_as_well(
    tmp_path: Path, models: Path, archive: bytes, said: str
) -> None:
    file = tmp_path / "made.zip"
    file.write_bytes(archive)
    with pytest.raises(CheckpointError, match=said):
        take(pack_of(ARCHIVE, "http://nowhere.invalid/made.zip"), file, models)
    assert everything_in(tmp_path) == ["made.zip"]


def test_archives_and_folders_can_be_brought(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_of(ARCHIVE, "http://nowhere.invalid/made.zip")
    monkeypatch.setattr(packs, "PACKS", {"made": pack})
    (tmp_path / "repacked.zip").write_bytes(zipped({"det.onnx": DETECTOR, "points.onnx": POINTS}))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "det.onnx").write_bytes(DETECTOR)
    with pytest.raises(CheckpointError, match=r"points\.onnx cannot be read"):
        take(pack, folder, models)
    (folder / "points.onnx").write_bytes(DETECTOR)
    with pytest.raises(CheckpointError, match=r"points\.onnx is not the file of made"):
        take(pack, folder, models)
    assert fetched(models) == {}
    (folder / "points.onnx").write_bytes(POINTS)
    for source in (tmp_path / "repacked.zip", folder):
        assert fetched(models / source.name) == {}
        assert fetched(take(pack, source, models / source.name).parent) == {"made": models / source.name / "made"}
    with pytest.raises(CheckpointError, match=r"none\.zip cannot be read"):
        take(pack, tmp_path / "none.zip", models)


@pytest.mark.parametrize("harm", ["missing", "cut", "no marker", "damaged marker", "of another release"])
def test_a_pack_that_is_not_whole_is_not_there(
    tmp_path: Path, models: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = pack_of(ARCHIVE, "http://nowhere.invalid/made.zip")
    monkeypatch.setattr(packs, "PACKS", {"made": pack})
    (tmp_path / "made.zip").write_bytes(ARCHIVE)
    folder = take(pack, tmp_path / "made.zip", models)
    assert list(fetched(models)) == ["made"]
    if harm == "missing":
        (folder / "points.onnx").unlink()
    elif harm == "cut":
        (folder / "det.onnx").write_bytes(DETECTOR[:-1])
    elif harm == "no marker":
        (folder / MARKER).unlink()
    elif harm == "damaged marker":
        (folder / MARKER).write_text("{")
    else:
        monkeypatch.setattr(packs, "PACKS", {"made": dataclasses.replace(pack, sha256="0" * 64)})
    assert fetched(models) == {}


def test_a_full_disk_and_a_folder_that_cannot_be_made_are_one_line(
    server: Server, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = sends(ARCHIVE)
    pack = pack_of(ARCHIVE, server.url)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    class FullDisk(io.BytesIO):
        write = full  # type: ignore[assignment]

    with monkeypatch.context() as patched:
        patched.setattr(fetching, "_nameless_file", lambda _folder: FullDisk())
        with pytest.raises(CacheError, match="cannot be stored: No space left"):
            fetch(pack, models)

    def full_for_points(file: IO[bytes], content: bytes) -> None:
        file.write(content) if content == DETECTOR else full()

    with monkeypatch.context() as patched:
        patched.setattr(fetching, "_write_all", full_for_points)
        with pytest.raises(CacheError, match="No space left"):
            fetch(pack, models)
    assert everything_in(models) == []
    models.rmdir() if not any(models.iterdir()) else (models / "made").rmdir()
    (models.parent / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        fetch(pack, models.parent / "file" / "models")


def test_the_table_of_packs_is_sound() -> None:
    for name, pack in PACKS.items():
        assert pack.name == name
        assert pack.url.startswith("https://")
        assert pack.licence
        assert pack.terms
        assert pack.size > pack.kept or pack.is_plain
        assert (pack.kind == "detector") == any(file.name.startswith("det_") for file in pack.files)
        assert pack.is_plain == (pack.kind != "detector")
        for digest in (pack.sha256, *(file.sha256 for file in pack.files)):
            assert len(bytes.fromhex(digest)) == 32


def test_a_pack_of_one_file_is_that_file(server: Server, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(DETECTOR).hexdigest()
    file = PackFile("made.model", len(DETECTOR), digest)
    pack = Pack("made", "a judge", server.url, len(DETECTOR), digest, "none", "none", (file,), "judge")
    monkeypatch.setattr(packs, "PACKS", {"made": pack})
    with pytest.raises(CheckpointError, match="w2l weights fetch made"):
        file_of("made", "judge", models)
    server.answer = sends(DETECTOR[:-1] + b"x")
    with pytest.raises(CheckpointError, match="sha256"):
        fetch(pack, models)
    server.answer = sends(DETECTOR)
    assert fetch(pack, models) == models / "made"
    found = file_of("made", "judge", models)
    assert found is not None
    assert found.read_bytes() == DETECTOR
    assert fetched(models, "detector") == {}
    assert file_of("made", "inception", models) is None
    (models.parent / "other.model").write_bytes(DETECTOR[::-1])
    with pytest.raises(CheckpointError, match=r"not made\.model"):
        take(pack, models.parent / "other.model", models / "elsewhere")


def test_what_a_killed_fetch_left_is_swept(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "cache", create=True)
    left = cache.models / "made" / ".tmp-000000-1-det.onnx"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    Cache.open(cache.root)
    assert not left.exists()

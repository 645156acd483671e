"""Files that w2l makes for itself are never written through a link that somebody put in their place."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.made_media import square_image
from w2l.cache.store import Cache
from w2l.core import files, locks
from w2l.core.errors import CacheError, MediaError
from w2l.core.files import Draft, drafts, remove_drafts, write_atomic, write_json
from w2l.core.locks import claim
from w2l.core.own_files import append, create, reopen
from w2l.media.audio import write_wav
from w2l.media.encoders import rgb_colour
from w2l.media.output import Output
from w2l.media.parts import Parts
from w2l.media.writer import VideoWriter
from w2l.training.run_folder import RunFolder

SECRET = "somebody's file, older than any lock"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file elsewhere that must stay as it is."""
    path = tmp_path / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_text(SECRET)
    os.utime(path, (time.time() - 1000,) * 2)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where others may put links."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def video(path: Path) -> None:
    with VideoWriter(Output(path, 64, 48, 25.0)) as writer:
        writer.write(square_image(0))


def parts(path: Path) -> None:
    with Parts(Output(path, 64, 48, 25.0, colour=rgb_colour(48)), np.arange(4) / 25, (0, 2, 4), "mark") as made:
        for part in range(2):
            with made.writer(part) as writer:
                for idx in made.pictures(part):
                    writer.write(square_image(idx))
        made.assemble()


WRITERS: dict[str, Callable[[Path], None]] = {
    "out.json": lambda path: write_json(path, {}),
    "out.bin": lambda path: write_atomic(path, lambda file: file.write(b"x")),
    "out.wav": lambda path: write_wav(path, np.zeros(9, np.float32)),
    "out.mp4": video,
    "out.mkv": parts,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("hard", [False, True])
def test_a_temporary_file_is_not_written_through_a_link(victim: Path, folder: Path, name: str, hard: bool) -> None:
    temporary = Draft(folder / name).temporary
    (temporary.hardlink_to if hard else temporary.symlink_to)(victim)
    WRITERS[name](folder / name)
    assert victim.read_text() == SECRET
    assert (folder / name).is_file()
    assert not (folder / name).is_symlink()
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_result_takes_the_place_of_a_link_and_not_of_its_target(victim: Path, folder: Path, name: str) -> None:
    (folder / name).symlink_to(victim)
    WRITERS[name](folder / name)
    assert victim.read_text() == SECRET
    assert not (folder / name).is_symlink()


@pytest.mark.parametrize("how", ["symbolic", "hard", "dangling", "pipe", "folder"])
def test_a_lock_is_not_written_through_a_link(victim: Path, folder: Path, how: str) -> None:
    lock = folder / ".lock"
    match how:
        case "symbolic":
            lock.symlink_to(victim)
        case "hard":
            lock.hardlink_to(victim)
        case "dangling":
            lock.symlink_to(victim.with_name("new"))
        case "pipe":
            os.mkfifo(lock)
        case "folder":
            lock.mkdir()
    with pytest.raises(CacheError, match="the lock cannot be created"), claim(lock):
        pass
    assert victim.read_text() == SECRET
    assert os.listdir(victim.parent) == ["victim"]


def test_a_lock_that_becomes_a_link_is_left_alone(victim: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.01)
    lock, before = folder / ".lock", victim.stat().st_mtime_ns
    with claim(lock):
        lock.unlink()
        lock.symlink_to(victim)
        time.sleep(0.05)
    assert victim.read_text() == SECRET
    assert victim.stat().st_mtime_ns == before


def test_the_parts_of_a_video_are_not_written_into_a_linked_folder(victim: Path, folder: Path) -> None:
    (folder / ".out.mkv.w2l-parts").symlink_to(victim.parent)
    with pytest.raises(MediaError, match="is a link"):
        parts(folder / "out.mkv")
    assert os.listdir(victim.parent) == ["victim"]


def test_a_clip_of_the_cache_is_not_worked_on_through_a_link(victim: Path, folder: Path) -> None:
    cache = Cache.open(folder / "cache", create=True)
    (cache.root / "clips").mkdir()
    (cache.root / "clips" / "a").symlink_to(victim.parent)
    with pytest.raises(CacheError, match="is a link"), cache.clip("a").claim():
        pass
    (cache.root / "clips" / "b").mkdir()
    (cache.root / "clips" / "b" / "tracks").symlink_to(victim.parent)
    cache.clip("b").clear_tracks()
    cache.clip("b").write_track(0, [square_image(0)], (1, 48, 64, 3), {})
    assert os.listdir(victim.parent) == ["victim"]


def test_the_log_of_a_run_is_not_written_through_a_link(victim: Path, folder: Path) -> None:
    (folder / "log.jsonl").symlink_to(victim)
    with pytest.raises(CacheError, match=r"log.jsonl cannot be written"):
        RunFolder(folder, "").append({"step": 1})
    assert victim.read_text() == SECRET


def test_what_is_ours_is_made_opened_and_added_to(folder: Path) -> None:
    with create(folder / "a") as file:
        file.write(b"one")
    with pytest.raises(FileExistsError):
        create(folder / "a")
    append(folder / "a", " two")
    with reopen(folder / "a", sole=True) as file:
        assert file.read() == b"one two"


@pytest.mark.parametrize("part", ["hostname", "_boot", "_namespace"])
def test_the_files_of_another_container_are_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Containers of one image may share the host's name, and number their processes alike."""
    theirs = Draft(folder / "out.mp4").temporary.name.replace(f"-{os.getpid()}-", "-99999999-")
    (folder / theirs).touch()
    with claim(folder / ".lock"):
        monkeypatch.setattr(locks.socket if part == "hostname" else locks, part.replace("host", "gethost"), lambda: "x")
        with claim(folder / ".lock") as mine:
            assert not mine
        monkeypatch.setattr(locks, "is_alive", lambda pid: False)
        monkeypatch.setattr(files, "is_alive", lambda pid: False)
        with claim(folder / ".lock") as mine:
            assert not mine
        remove_drafts(folder / "out.mp4")
        assert [path.name for path in drafts(folder / "out.mp4")] == [theirs]


def test_nothing_is_swept_before_the_lock_is_held(folder: Path) -> None:
    path = folder / "out.mkv"
    theirs = Draft(path).temporary.name.replace(f"-{os.getpid()}-", "-99999999-")
    (folder / theirs).touch()
    with claim(folder / ".out.mkv.w2l-lock"), pytest.raises(MediaError, match="another process is writing it"):
        parts(path)
    assert (folder / theirs).exists()
    parts(path)
    assert os.listdir(folder) == ["out.mkv"]

"""The cache: whole files or none, an index that is never behind, leftovers of the dead alone removed."""

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from w2l.cache import store as cache_module
from w2l.cache.place import default_root
from w2l.cache.records import AuditOutcome, PreprocessOutcome, TrackRecord, TrackVerdict
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.cache.typed_json import from_json
from w2l.core import files as files_module
from w2l.core.errors import CacheError
from w2l.core.files import (
    TEMPORARY,
    fingerprint,
    read_array,
    read_arrays,
    read_json,
    remove_leftovers,
    source_fingerprint,
    write_arrays,
    write_atomic,
    write_json,
    write_text,
)

NOISE = np.random.default_rng(0).integers(0, 256, (9, 96, 96, 3), dtype=np.uint8)
DEAD = 99999999
"""The number of no process."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A new cache."""
    return Cache.open(tmp_path / "cache", create=True)


def add_track(cache: Cache, clip_id: str, n_frames: int = 6, split: str = "") -> Clip:
    clip = cache.clip(clip_id)
    frames = np.arange(n_frames * 48, dtype=np.uint8).reshape(n_frames, 4, 4, 3)
    clip.write_track(0, iter(frames), frames.shape, {"mel": np.ones((80, 20), np.float32)})
    clip.note(PreprocessOutcome("f", tracks=(TrackRecord(n_frames, 20),)), split=split)
    cache.invalidate_index()
    return clip


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_opening_makes_a_cache_only_when_asked(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "cache"
    with pytest.raises(CacheError, match="does not exist"):
        Cache.open(root)
    assert not root.exists()
    Cache.open(root, create=True)
    assert names(root) == {"cache.json"}
    assert Cache.open(root) == Cache.open(root, create=True)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("W2L_CACHE", raising=False)
    assert default_root() == Path("w2l-cache")
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "x"))
    assert Cache.open(create=True).root == tmp_path / "x"


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory that cannot be written, and a user's cache folder that can: `tmp_path / "user"`."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("W2L_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    allowed = os.access

    def access(path: Path, mode: int) -> bool:
        is_refused = mode & os.W_OK and path.absolute().is_relative_to(here)
        return not is_refused and allowed(path, mode)

    monkeypatch.setattr(os, "access", access)
    return here


def test_a_read_only_folder_leaves_the_cache_to_the_users_folder(
    read_only: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Cache.open(create=True).root == Cache.open().root == tmp_path / "user" / "w2l"
    assert names(read_only) == set()
    said = f"{read_only}/w2l-cache cannot be written; the cache is {tmp_path}/user/w2l (see --cache and $W2L_CACHE)"
    assert caplog.messages == [said]


def test_a_read_only_cache_is_read_but_not_written(read_only: Path, tmp_path: Path) -> None:
    Cache.open(Path("w2l-cache"), create=True)
    assert Cache.open().root == read_only / "w2l-cache"
    assert Cache.open(create=True).root == tmp_path / "user" / "w2l"


def test_folders_that_are_no_cache_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CacheError, match="contains other files"):
        Cache.open(tmp_path, create=True)
    assert names(tmp_path) == {"mine.txt"}
    with pytest.raises(CacheError, match=r"mine\.txt"):
        Cache.open(tmp_path / "mine.txt", create=True)
    with pytest.raises(CacheError, match="cannot be written"):
        Cache.open(tmp_path / "mine.txt" / "below", create=True)


@pytest.mark.parametrize(("content", "said"), [
    ('{"format": 99}', "format 99"),
    ("{}", "format None"),
    ('{"form', "is damaged; replace"),
    ("[]", "is damaged; replace"),
    ("", "is damaged; replace"),
])  # fmt: skip
def test_other_versions_and_damage_are_refused(cache: Cache, content: str, said: str) -> None:
    (cache.root / "cache.json").write_text(content)
    for create in (False, True):
        with pytest.raises(CacheError, match=said):
            Cache.open(cache.root, create)


def test_a_damaged_marker_can_be_repaired_as_the_message_says(cache: Cache) -> None:
    add_track(cache, "a")
    marker = cache.root / "cache.json"
    marker.write_text("")
    with pytest.raises(CacheError) as caught:
        Cache.open(cache.root)
    marker.write_text(str(caught.value).partition("replace its content by ")[2].partition(", or use another")[0])
    assert len(Cache.open(cache.root).tracks()) == 1


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text(path, "old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CacheError, match=r"file\.txt cannot be written: No space left on device"):
        write_atomic(path, fail)
    assert path.read_text() == "old"
    with pytest.raises(KeyError):
        write_atomic(path, lambda file: {}["bug"])
    assert names(tmp_path) == {"new/file.txt"}


def test_threads_may_read_arrays_at_once(tmp_path: Path) -> None:
    """A thread gives way in the middle of NumPy's parsing: with `np.load` alone Python 3.11 breaks within 40 reads."""
    np.save(tmp_path / "a.npy", NOISE)
    write_arrays(tmp_path / "b.npz", {"noise": NOISE})
    done: list[bool] = []

    def read() -> None:
        for _ in range(40):
            one, two = read_array(tmp_path / "a.npy", mapped=True), read_arrays(tmp_path / "b.npz")["noise"]
            assert one.shape == two.shape == NOISE.shape
        done.append(True)

    def give_way(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    gc.callbacks.append(give_way)
    before = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(5)
    sys.setswitchinterval(1e-6)
    readers = [threading.Thread(target=read) for _ in range(4)]
    try:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    finally:
        gc.callbacks.remove(give_way)
        gc.set_threshold(*before[0])
        sys.setswitchinterval(before[1])
    assert done == [True] * len(readers)


WRITES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, "x" * 100000),
    "json": lambda path: write_json(path, ["x" * 100000]),
    "arrays": lambda path: write_arrays(path, {"a": np.ones(100000), "b": np.ones(100000)}),
    "track": lambda path: Clip("a", path).write_track(
        0, iter(np.zeros((9, 96, 96, 3), np.uint8)), (9, 96, 96, 3), {"mel": np.ones((80, 20), np.float32)}
    ),
    "pictures": lambda path: Clip("a", path).write_track(
        0, iter(NOISE), NOISE.shape, {"mel": np.ones((80, 20), np.float32)}, "jpeg"
    ),
    "sound": lambda path: Clip("a", path).write_track(
        0, iter(np.zeros((1, 4, 4, 3), np.uint8)), (1, 4, 4, 3), {"mel": np.ones((80, 2000), np.float32)}
    ),
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, hard))
    try:
        with pytest.raises(CacheError, match=r"cannot be written: .*check space and permissions"):
            WRITES[kind](tmp_path / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [name for name in names(tmp_path) if TEMPORARY in name or name == "target"]


def test_names_that_no_disk_takes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="cannot be written"):
        write_text(tmp_path / ("x" * 300), "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        write_text(tmp_path / "file" / "below", "x")


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_damaged_json_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "clip.json"
    path.write_text(content)
    with pytest.raises(CacheError, match=r"clip\.json .*delete it"):
        read_json(path)


def test_fingerprints(tmp_path: Path) -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(1, 2) != fingerprint(2, 1)
    path = tmp_path / "source"
    gone = source_fingerprint(path)
    path.write_text("x")
    before = source_fingerprint(path)
    os.utime(path, ns=(1, 1))
    assert len({gone, before, source_fingerprint(path)}) == 3


@pytest.mark.parametrize("size", [1, 4096, 4097, 65536, 1_000_003])
def test_a_source_is_known_by_its_content_too(tmp_path: Path, size: int) -> None:
    """Of the same size and time: other throughout, or at its beginning or its end alone."""
    path, content = tmp_path / "source", os.urandom(size)
    marks, by_status = set(), set()
    for other in (content, os.urandom(size), bytes(255 - byte for byte in content[:1]) + content[1:],
                  content[:-1] + bytes(255 - byte for byte in content[-1:])):  # fmt: skip
        path.write_bytes(other)
        os.utime(path, ns=(1, 1))
        marks.add(source_fingerprint(path))
        by_status.add(source_fingerprint(path, content=False))
    assert len(by_status) == 1
    assert len(marks) == (4 if size > 1 else len(marks))
    assert by_status == {fingerprint(size, 1)}  # as w2l 0.2 wrote it


def test_a_track_is_read_as_it_was_written(cache: Cache) -> None:
    add_track(cache, "s1/a b")
    row = cache.tracks()[0]
    frames, mel = cache.load_track(row)
    np.testing.assert_array_equal(frames.ravel(), np.arange(6 * 48, dtype=np.uint8))
    assert isinstance(frames, np.memmap)
    assert mel.shape == (80, 20)
    with pytest.raises(CacheError, match=r"mfcc\.npy cannot be read"):
        cache.load_mfcc(row)


@pytest.mark.parametrize("n_given", [2, 4])
def test_a_wrong_number_of_crops_is_not_kept(cache: Cache, n_given: int) -> None:
    with pytest.raises(CacheError, match="crops"):
        cache.clip("a").write_track(0, iter(np.zeros((n_given, 4, 4, 3), np.uint8)), (3, 4, 4, 3), {})
    assert names(cache.root) == {"cache.json"}


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\x03\x04", None])
def test_damaged_tracks_are_one_line(cache: Cache, damage: bytes | None) -> None:
    clip = add_track(cache, "a")
    row = cache.tracks()[0]
    for name in ("frames", "mel"):
        path = clip.folder / "tracks" / "0" / f"{name}.npy"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] if damage is None else damage)
        with pytest.raises(CacheError, match="run w2l preprocess --force"):
            cache.load_track(row)
        path.write_bytes(whole)


def test_the_index_follows_the_clips(cache: Cache) -> None:
    assert cache.all_tracks() == []
    with pytest.raises(CacheError, match="contains no face track"):
        cache.tracks()
    add_track(cache, "s1/b", 7, "train")
    add_track(cache, "s1/a", 6)
    assert cache.tracks() == [TrackRow("s1/a", 0, 6, 20, ""), TrackRow("s1/b", 0, 7, 20, "train")]
    assert cache.tracks() == cache.build_index()
    cache.clip("s1/b").reopen()
    cache.invalidate_index()
    assert [row.clip for row in cache.tracks()] == ["s1/a"]
    cache.clip("s1/a").note(PreprocessOutcome("f", reason="no face"))
    cache.invalidate_index()
    assert cache.all_tracks() == cache.all_tracks() == []


def test_a_damaged_index_is_built_anew(cache: Cache) -> None:
    add_track(cache, "a")
    expected = cache.tracks()
    whole = (cache.root / "index.npz").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"text", b"PK\x03\x04"):
        (cache.root / "index.npz").write_bytes(damaged)
        assert cache.tracks() == expected
        assert (cache.root / "index.npz").read_bytes() == whole


def test_an_index_built_during_a_change_does_not_stay(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    add_track(cache, "a")
    rows_of = cache_module.rows_of

    def add_meanwhile(clip_id: str, record: dict[str, Any]) -> Any:
        monkeypatch.setattr(cache_module, "rows_of", rows_of)
        found = list(rows_of(clip_id, record))
        add_track(cache, "b")  # as another process would, after the list of clips was read
        return found

    monkeypatch.setattr(cache_module, "rows_of", add_meanwhile)
    cache.build_index()
    assert [row.clip for row in cache.tracks()] == ["a", "b"]
    assert not list(cache.root.glob(f"{TEMPORARY}*"))


def age_records(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes the records that there are now old enough to be believed; gives a list of the clips read from now on."""
    monkeypatch.setattr(cache_module, "UNSURE_NS", 0)
    read: list[str] = []
    record = Clip.record

    def watch(clip: Clip) -> dict[str, Any]:
        read.append(clip.id)
        return record(clip)

    monkeypatch.setattr(Clip, "record", watch)
    time.sleep(0.02)  # more than a tick of the disk's clock
    return read


def test_only_clips_that_changed_are_read_again(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s1/b", "s1/c", "s2/a", "s2/d"):
        add_track(cache, name, split="train")
    cache.clip("s1/empty").note(PreprocessOutcome("f", reason="no face"))
    read = age_records(cache, monkeypatch)
    cache.build_index()
    add_track(cache, "s1/a", 9, "val")
    add_track(cache, "s2/a", 7, "train")
    shutil.rmtree(cache.clip("s1/c").folder)
    time.sleep(0.02)
    read.clear()
    rows = list(cache.tracks())
    assert sorted(read) == ["s1/a", "s2/a"]
    assert [(row.clip, row.n_frames) for row in rows] == [("s1/a", 9), ("s1/b", 6), ("s2/a", 7), ("s2/d", 6)]
    quick = (cache.root / "index.npz").read_bytes()
    (cache.root / "index.npz").unlink()
    assert list(cache.tracks()) == rows
    assert (cache.root / "index.npz").read_bytes() == quick  # no trace of how it was made
    assert names(cache.root) & {"index.npz", "index.old.npz"} == {"index.npz"}


def test_a_record_that_changed_just_before_is_read_again(cache: Cache) -> None:
    """A disk that rounds times cannot tell a change before the index was begun from one after it."""
    add_track(cache, "a", 6)
    cache.build_index()
    add_track(cache, "a", 7)
    assert cache.tracks()[0].n_frames == 7


@pytest.mark.parametrize("damage", [b"", b"text", b"PK\x03\x04"])
def test_a_damaged_old_index_is_not_used(cache: Cache, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    add_track(cache, "a")
    age_records(cache, monkeypatch)
    rows = list(cache.build_index())
    cache.invalidate_index()
    (cache.root / "index.old.npz").write_bytes(damage)
    assert list(cache.tracks()) == rows


def test_clips_are_found_below_clips_and_beside_leftovers(cache: Cache) -> None:
    for name in ("a", "a/b", "a/z", "b c/d/e", "a-b", "tracks"):
        add_track(cache, name)
    (cache.root / "clips" / "file").write_text("")
    (cache.root / "clips" / "begun" / "tracks").mkdir(parents=True)
    assert [clip.id for clip in cache.clips()] == ["a", "a/b", "a/z", "a-b", "b c/d/e", "tracks"]
    assert [row.clip for row in cache.tracks()] == [clip.id for clip in cache.clips()]


def test_what_the_audit_set_aside_is_not_given(cache: Cache) -> None:
    for name in ("a", "b"):
        add_track(cache, name)
    verdict = TrackVerdict("set aside", reason="nobody speaks", offset=3)
    cache.clip("a").note(AuditOutcome(of="f", tracks=(verdict,)))
    cache.invalidate_index()
    assert [row.clip for row in cache.tracks()] == ["b"]
    assert [row.status for row in cache.all_tracks()] == ["nobody speaks", ""]
    cache.clip("b").note(AuditOutcome(of="f", tracks=(verdict,)))
    cache.invalidate_index()
    with pytest.raises(CacheError, match=r"excluded all 2 tracks \(nobody speaks\)"):
        cache.tracks()


def test_reopening_forgets_before_it_removes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = add_track(cache, "a", split="val")
    clip.note(AuditOutcome("o"))
    monkeypatch.setattr(cache_module, "remove_folder", lambda *_, **__: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        clip.reopen()
    assert clip.record().preprocess.is_empty
    assert clip.record().audit == AuditOutcome("o")
    assert clip.record().split == "val"


def test_only_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seen: list[str] = []

    def look(file: BinaryIO) -> None:
        remove_leftovers(tmp_path)
        seen.extend(names(tmp_path))

    write_atomic(path, look)
    assert len(seen) == 1
    living = seen[0]
    assert names(tmp_path) == {"file"}
    dead = living.replace(f"-{os.getpid()}-", f"-{DEAD}-")
    foreign = f"{TEMPORARY}000000-{DEAD}-1-file"
    forgotten = f"{TEMPORARY}000000-{DEAD}-2-file"
    assert dead != living
    for name in (living, dead, foreign, forgotten):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / forgotten, (time.time() - 2 * files_module.LEFTOVER_S,) * 2)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {"file", living, foreign}


@pytest.mark.parametrize("folder", ["", "runs", "checkpoints/run", "checkpoints/run/samples"])
def test_opening_removes_what_killed_processes_left(cache: Cache, folder: str) -> None:
    place = cache.root / folder
    place.mkdir(parents=True, exist_ok=True)
    script = "import os, sys, pathlib\nfrom w2l.core.files import write_atomic\n"
    script += "write_atomic(pathlib.Path(sys.argv[1]), lambda file: os.kill(os.getpid(), 9))"
    subprocess.run([sys.executable, "-c", script, str(place / "file")], check=False)
    assert len(list(place.glob(f"{TEMPORARY}*"))) == 1
    Cache.open(cache.root)
    assert names(cache.root) == {"cache.json"}


def test_clip_records_keep_what_others_noted(cache: Cache) -> None:
    clip = cache.clip("a")
    assert clip.record().is_empty
    clip.note(from_json(PreprocessOutcome, {"fingerprint": "1"}), fps=25.0)
    clip.note(AuditOutcome("2"), size=(1, 2))
    record = json.loads((clip.folder / "clip.json").read_text())
    assert record == {
        "id": "a", "fps": 25.0, "size": [1, 2],
        "stages": {"preprocess": {"fingerprint": "1"}, "audit": {"fingerprint": "2"}},
    }  # fmt: skip

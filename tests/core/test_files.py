"""Drafts: files under temporary names, of which only what the dead left is removed, and nothing of anybody else."""

import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from w2l.core.files import (
    DAMAGED,
    LEFTOVER_S,
    TEMPORARY,
    Draft,
    drafts,
    read_array,
    read_arrays,
    remove_drafts,
    remove_leftovers,
    write_text,
)

DEAD = 99999999
"""The number of no process."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def touch(folder: Path, *files: str, age_s: float = 0.0) -> None:
    for name in files:
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age_s,) * 2)


def test_a_draft_is_finished_or_discarded(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with Draft(path) as draft:
        draft.temporary.write_text("whole")
        assert not path.exists()
        assert drafts(path) == [draft.temporary]
    assert path.read_text() == "whole"
    draft = Draft(path)
    draft.temporary.write_text("half")
    with pytest.raises(RuntimeError), draft:
        raise RuntimeError
    assert path.read_text() == "whole"
    assert names(tmp_path) == {"out.mp4"}


def test_the_content_is_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bool]] = []
    path = tmp_path / "out.mp4"
    monkeypatch.setattr("os.fsync", lambda handle: seen.append((os.pread(handle, 99, 0), path.exists())))
    with Draft(path) as draft:
        draft.temporary.write_text("whole")
    assert seen == [(b"whole", False)]


@pytest.mark.parametrize("length", [20, 200, 201, 255])
def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("n" * (length - 4) + ".mp4")
    write_text(path, "whole")
    assert names(tmp_path) == {path.name}
    draft = Draft(path)
    draft.temporary.touch()
    assert drafts(path) == [draft.temporary]


def test_only_drafts_of_that_very_file_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    living = Draft(path).temporary.name
    dead = living.replace(f"-{os.getpid()}-", f"-{DEAD}-")
    other = dead.replace("out.mp4", "my-out.mp4")
    foreign, forgotten = (f"{TEMPORARY}000000-{DEAD}-{thread}-out.mp4" for thread in (1, 2))
    somebodys = (f"{TEMPORARY}notes-out.mp4", f"{TEMPORARY}1-out.mp4", ".out.mp4")
    touch(tmp_path, living, dead, other, foreign)
    touch(tmp_path, forgotten, *somebodys, age_s=2 * LEFTOVER_S)
    remove_drafts(path)
    assert names(tmp_path) == {living, other, foreign, *somebodys}


def test_in_a_folder_that_is_held_all_drafts_are_leftovers(tmp_path: Path) -> None:
    living = Draft(tmp_path / "frames.npy").temporary.name
    touch(tmp_path, living, f"{TEMPORARY}000000-{DEAD}-1-a", f"{TEMPORARY}1-a", "a")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {living, f"{TEMPORARY}000000-{DEAD}-1-a", f"{TEMPORARY}1-a", "a"}
    remove_leftovers(tmp_path, held=True)
    assert names(tmp_path) == {"a"}


def test_the_draft_of_a_living_process_is_kept_however_old(tmp_path: Path) -> None:
    """A process that was stopped over night goes on with its file."""
    draft = Draft(tmp_path / "out.mp4")
    touch(tmp_path, draft.temporary.name, age_s=2 * LEFTOVER_S)
    remove_drafts(draft.path)
    assert names(tmp_path) == {draft.temporary.name}


def npy(shape: tuple[int, ...], data: bytes = b"", kind: str = "<f4") -> bytes:
    """An array file with any header and any content."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


LIES = {
    "too large": npy((10**12,)),
    "overflow": npy((2**62, 2**62)),
    "negative": npy((-1, 4), b"x" * 16),
    "short": npy((4,), b"x" * 12),
    "objects": npy((1,), b"x" * 8, "|O"),
    "other": b"no array at all",
    "empty": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_an_array_that_is_not_what_it_says_takes_no_memory(tmp_path: Path, lie: str) -> None:
    for packed in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", packed) as archive:
            archive.writestr("x.npy", LIES[lie])
        with pytest.raises(DAMAGED):
            read_arrays(tmp_path / "a.npz")
    (tmp_path / "a.npy").write_bytes(LIES[lie])
    for mapped in (False, True):
        with pytest.raises(DAMAGED):
            read_array(tmp_path / "a.npy", mapped)


def test_arrays_are_bounded_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2_000_000, np.float32), y=np.arange(3))
    np.save(tmp_path / "a.npy", np.zeros(2_000_000, np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 20_000
    assert read_arrays(tmp_path / "a.npz")["y"].tolist() == [0, 1, 2]
    monkeypatch.setenv("W2L_MAX_ARRAY_MEGABYTES", "7")
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match="W2L_MAX_ARRAY_MEGABYTES"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="W2L_MAX_ARRAY_MEGABYTES"):
        read_array(tmp_path / "a.npy")
    assert read_array(tmp_path / "a.npy", mapped=True).shape == (2_000_000,)

"""Downloadable model packs, and a downloader that leaves either a complete, verified pack or nothing.

A pack exists if its `pack.json` does, which is written last. Only the files listed here are extracted from the archive,
by content: names and paths inside it do not matter. pooch is not used: it bounds neither the size nor the average rate
of a download, and a killed process leaves its temporary file behind.
"""

import functools
import hashlib
import http.client
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from w2l.core.errors import CacheError, CheckpointError
from w2l.core.files import read_json, write_atomic, write_json
from w2l.core.reading import Unreadable, read_bytes
from w2l.models import packs
from w2l.models.packs import Pack, PackFile, PackKind

TIMEOUT_S = 30.0
"""Longest wait in seconds for a connection, and for each following piece."""
LEAST_RATE = 20_000
"""Bytes per second below which a download counts as stalled, on average."""
PIECE = 1 << 18
"""Bytes per read."""
LARGEST_MEGABYTES = 1024.0
"""Largest file that is checked when the user names a folder."""
MARKER = "pack.json"
Progress = Callable[[int], None]
"""Called with the number of bytes received since the last call."""


def fetched(models: Path, kind: PackKind | None = None) -> dict[str, Path]:
    """Return the folders of the complete packs (of one kind) in `models`, by name, the better ones first."""
    asked = {name: pack for name, pack in packs.PACKS.items() if kind in (None, pack.kind)}
    return {name: models / name for name, pack in asked.items() if _is_whole(models / name, pack)}


def file_of(name: str, kind: PackKind, models: Path) -> Path | None:
    """Return the file of a single-file pack; None if no such pack exists; raise CheckpointError if not downloaded."""
    pack = packs.PACKS.get(name)
    if pack is None or pack.kind != kind or not pack.is_plain:
        return None
    if name not in fetched(models):
        raise CheckpointError(f"{name} is not installed yet; download it with: w2l weights fetch {name}")
    return models / name / pack.files[0].name


def _is_whole(folder: Path, pack: Pack) -> bool:
    try:
        marked = read_json(folder / MARKER).get("sha256") == pack.sha256
        return marked and all((folder / file.name).stat().st_size == file.size for file in pack.files)
    except (CacheError, OSError):
        return False


def fetch(pack: Pack, models: Path, timeout_s: float = TIMEOUT_S, on_progress: Progress | None = None) -> Path:
    """Download `pack` into a folder of its name in `models` and return the folder; an existing one is replaced.

    The archive is verified while downloading and never has a name on the disk; a truncated, wrong or too slow download
    leaves nothing. The caller asks the user for consent. Raises CheckpointError, or CacheError if the disk is full.
    """
    with _nameless_file(models) as archive:
        _download(pack, archive, timeout_s, on_progress)
        return _keep(pack, archive, models, pack.url)


def take(pack: Pack, source: Path, models: Path) -> Path:
    """Run `fetch` on the user's own archive, or folder of its files; only those files are verified."""
    if not source.is_dir():
        try:
            with source.open("rb") as archive:
                return _keep(pack, archive, models, str(source))
        except OSError as error:
            raise CheckpointError(f"{source} cannot be read ({error.strerror}); check the path") from error
    contents = {}
    for file in pack.files:
        try:
            contents[file.name] = read_bytes(source / file.name, LARGEST_MEGABYTES)
        except Unreadable as error:
            raise CheckpointError(f"{source / file.name} cannot be read ({error}); check the path") from error
        if hashlib.sha256(contents[file.name]).hexdigest() != file.sha256:
            raise CheckpointError(f"{source / file.name} is not the file of {pack.name}; download {pack.url}")
    return _write(pack, contents, models, str(source))


def _nameless_file(folder: Path) -> IO[bytes]:
    """Return an unnamed temporary file on the disk of `folder`: removed with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise CacheError(f"{folder} cannot be written: {error.strerror}; check space and permissions") from error


def _download(pack: Pack, archive: IO[bytes], timeout_s: float, on_progress: Progress | None) -> None:
    """Fill `archive`; raise CheckpointError unless every byte arrived and is right."""
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    try:
        with urllib.request.urlopen(_request(pack.url), timeout=timeout_s) as response:
            while piece := response.read1(PIECE):
                size += len(piece)
                if size > pack.size:
                    break
                if time.monotonic() - began > timeout_s + size / LEAST_RATE:
                    raise CheckpointError(_failed(pack, f"it stalled after {size / 1e6:.1f} MB"))
                _store(archive, piece)
                digest.update(piece)
                if on_progress:
                    on_progress(len(piece))
    except urllib.error.HTTPError as error:
        raise CheckpointError(_failed(pack, f"the server responded {error.code} {error.reason}")) from error
    except TimeoutError as error:
        raise CheckpointError(_failed(pack, f"no data for {timeout_s:g} s")) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        slow = isinstance(reason, TimeoutError)
        raise CheckpointError(_failed(pack, f"no answer for {timeout_s:g} s" if slow else str(reason))) from error
    if size != pack.size:
        came = "more" if size > pack.size else f"{size}"
        raise CheckpointError(_failed(pack, f"only {came} of {pack.size} bytes arrived"))
    if digest.hexdigest() != pack.sha256:
        raise CheckpointError(_failed(pack, f"its sha256 is {digest.hexdigest()[:12]}…, not {pack.sha256[:12]}…"))


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": "w2l", "Accept-Encoding": "identity"})


def _failed(pack: Pack, reason: str) -> str:
    return (
        f"{pack.name} could not be downloaded from {pack.url}: {reason}; nothing was kept. Try again, or get the file "
        f"by other means and run w2l weights fetch {pack.name} --from {PurePosixPath(pack.url).name}"
    )


def _store(archive: IO[bytes], piece: bytes) -> None:
    try:
        archive.write(piece)
    except OSError as error:
        reason = f"{error.strerror}; free some space or choose another --cache"
        raise CacheError(f"the download cannot be stored: {reason}") from error


def _keep(pack: Pack, archive: IO[bytes], models: Path, origin: str) -> Path:
    return _write(pack, {file.name: _member(pack, archive, file) for file in pack.files}, models, origin)


def _write(pack: Pack, contents: Mapping[str, bytes], models: Path, origin: str) -> Path:
    """Write the verified files of `pack` into its folder, the marker last."""
    folder = models / pack.name
    (folder / MARKER).unlink(missing_ok=True)
    try:
        for name, content in contents.items():
            write_atomic(folder / name, functools.partial(_write_all, content=content))
        facts = {"name": pack.name, "from": origin, "sha256": pack.sha256, "licence": pack.licence, "terms": pack.terms}
        write_json(folder / MARKER, facts)
    except CacheError:
        for name in contents:
            (folder / name).unlink(missing_ok=True)
        raise
    return folder


def _write_all(file: IO[bytes], content: bytes) -> None:
    file.write(content)


def _member(pack: Pack, archive: IO[bytes], wanted: PackFile) -> bytes:
    """Return the content of one file of the archive; raise CheckpointError unless it matches the table."""
    if pack.is_plain:
        archive.seek(0)
        content = archive.read(wanted.size + 1)
        if hashlib.sha256(content).hexdigest() == wanted.sha256:
            return content
        raise CheckpointError(f"the file is not {wanted.name} of {pack.name}; download {pack.url}")
    try:
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                if PurePosixPath(entry.filename).name == wanted.name and entry.file_size == wanted.size:
                    content = zipped.read(entry)
                    if hashlib.sha256(content).hexdigest() == wanted.sha256:
                        return content
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"the archive of {pack.name} cannot be unpacked ({error}); download it again") from error
    raise CheckpointError(f"the archive of {pack.name} does not contain the expected {wanted.name}; download it again")

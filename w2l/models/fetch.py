"""Model packs that a user may fetch: what they are, and a fetcher that leaves a whole, checked pack or nothing.

A pack is there when its `pack.json` is, which is written last. Nothing is taken from the archive but the files named
here, by content: their names and paths inside it decide nothing.
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
"""Longest wait in seconds for a connection, and for each next piece."""
LEAST_RATE = 20_000
"""Bytes a second below which a download, on the average, has stalled."""
PIECE = 1 << 18
"""Bytes read at once."""
LARGEST_MEGABYTES = 1024.0
"""Size of a file that is looked at when the user names a folder of them."""
MARKER = "pack.json"
Progress = Callable[[int], None]
"""Called with the number of bytes that came since the last call."""


def fetched(models: Path, kind: PackKind | None = None) -> dict[str, Path]:
    """The folders of the packs (of one kind) that are whole in `models`, by name, the better ones first."""
    asked = {name: pack for name, pack in packs.PACKS.items() if kind in (None, pack.kind)}
    return {name: models / name for name, pack in asked.items() if _is_whole(models / name, pack)}


def file_of(name: str, kind: PackKind, models: Path) -> Path | None:
    """The file of a pack of one file; None where no such pack has the name. CheckpointError where it is not fetched."""
    pack = packs.PACKS.get(name)
    if pack is None or pack.kind != kind or not pack.is_plain:
        return None
    if name not in fetched(models):
        raise CheckpointError(f"{name} is not here yet; fetch it with: w2l weights fetch {name}")
    return models / name / pack.files[0].name


def _is_whole(folder: Path, pack: Pack) -> bool:
    try:
        marked = read_json(folder / MARKER).get("sha256") == pack.sha256
        return marked and all((folder / file.name).stat().st_size == file.size for file in pack.files)
    except (CacheError, OSError):
        return False


def fetch(pack: Pack, models: Path, timeout_s: float = TIMEOUT_S, on_progress: Progress | None = None) -> Path:
    """Fetches `pack` into a folder of its name in `models` and gives that; what was there is replaced.

    The archive is checked as it comes and never lies on the disk under a name; what is cut, wrong or too slow leaves
    nothing. Asking the user is the caller's business. Raises CheckpointError, or CacheError when the disk is full.
    """
    with _nameless_file(models) as archive:
        _download(pack, archive, timeout_s, on_progress)
        return _keep(pack, archive, models, pack.url)


def take(pack: Pack, source: Path, models: Path) -> Path:
    """As `fetch`, from an archive, or a folder with its files, that the user has; only those files are checked."""
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
            raise CheckpointError(f"{source / file.name} is not the one of {pack.name}; fetch {pack.url}")
    return _write(pack, contents, models, str(source))


def _nameless_file(folder: Path) -> IO[bytes]:
    """A file without a name on the disk of `folder`: gone with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise CacheError(f"{folder} cannot be written: {error.strerror}; check space and permissions") from error


def _download(pack: Pack, archive: IO[bytes], timeout_s: float, on_progress: Progress | None) -> None:
    """Fills `archive`; raises CheckpointError unless every byte came and is right."""
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
        raise CheckpointError(_failed(pack, f"the server says {error.code} {error.reason}")) from error
    except TimeoutError as error:
        raise CheckpointError(_failed(pack, f"nothing came for {timeout_s:g} s")) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        slow = isinstance(reason, TimeoutError)
        raise CheckpointError(_failed(pack, f"no answer for {timeout_s:g} s" if slow else str(reason))) from error
    if size != pack.size:
        came = "more" if size > pack.size else f"{size}"
        raise CheckpointError(_failed(pack, f"{came} of {pack.size} bytes came"))
    if digest.hexdigest() != pack.sha256:
        raise CheckpointError(_failed(pack, f"its sha256 is {digest.hexdigest()[:12]}…, not {pack.sha256[:12]}…"))


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": "w2l", "Accept-Encoding": "identity"})


def _failed(pack: Pack, reason: str) -> str:
    return (
        f"{pack.name} could not be fetched from {pack.url}: {reason}; nothing was kept. Try again, or fetch the file "
        f"by other means and run w2l weights fetch {pack.name} --from {PurePosixPath(pack.url).name}"
    )


def _store(archive: IO[bytes], piece: bytes) -> None:
    try:
        archive.write(piece)
    except OSError as error:
        reason = f"{error.strerror}; make space or name another --cache"
        raise CacheError(f"the download cannot be stored: {reason}") from error


def _keep(pack: Pack, archive: IO[bytes], models: Path, origin: str) -> Path:
    return _write(pack, {file.name: _member(pack, archive, file) for file in pack.files}, models, origin)


def _write(pack: Pack, contents: Mapping[str, bytes], models: Path, origin: str) -> Path:
    """Writes the checked files of `pack` into its folder, the marker last."""
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
    """The content of one file of the archive; CheckpointError unless it is what the table says."""
    if pack.is_plain:
        archive.seek(0)
        content = archive.read(wanted.size + 1)
        if hashlib.sha256(content).hexdigest() == wanted.sha256:
            return content
        raise CheckpointError(f"the file is not the {wanted.name} of {pack.name}; fetch {pack.url}")
    try:
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                if PurePosixPath(entry.filename).name == wanted.name and entry.file_size == wanted.size:
                    content = zipped.read(entry)
                    if hashlib.sha256(content).hexdigest() == wanted.sha256:
                        return content
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"the archive of {pack.name} cannot be unpacked ({error}); fetch it again") from error
    raise CheckpointError(f"the archive of {pack.name} does not hold the {wanted.name} that it should; fetch it again")

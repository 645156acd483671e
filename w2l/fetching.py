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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from w2l.errors import CacheError, CheckpointError
from w2l.files import read_json, write_atomic, write_json

TIMEOUT_S = 30.0
"""Longest wait in seconds for a connection, and for each next piece."""
LEAST_RATE = 20_000
"""Bytes a second below which a download, on the average, has stalled."""
PIECE = 1 << 18
"""Bytes read at once."""
MARKER = "pack.json"
RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
INSIGHTFACE_LICENCE = "InsightFace model zoo: non-commercial research only"
INSIGHTFACE_TERMS = (
    "The InsightFace authors publish these models for non-commercial research purposes only; any commercial use needs "
    "a licence from them (see https://github.com/deepinsight/insightface, section License)."
)

Progress = Callable[[int], None]
"""Called with the number of bytes that came since the last call."""


@dataclass(frozen=True)
class PackFile:
    """One file that is kept from a pack."""

    name: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Pack:
    """An archive on the network and what is kept from it."""

    name: str
    summary: str
    url: str
    size: int
    """Bytes of the archive."""
    sha256: str
    licence: str
    """In a few words."""
    terms: str
    """What the user agrees to."""
    files: tuple[PackFile, ...]

    @property
    def kept(self) -> int:
        """Bytes that stay on the disk."""
        return sum(file.size for file in self.files)


_POINTS = PackFile("2d106det.onnx", 5_030_888, "f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf")
# The sums were established from public records, each from several projects that pin the release files and agree.
PACKS = {
    "buffalo_l": Pack(
        "buffalo_l",
        "SCRFD-10GF face detector and 106 face points",
        f"{RELEASE}/buffalo_l.zip",
        288_621_354,
        "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        INSIGHTFACE_LICENCE,
        INSIGHTFACE_TERMS,
        (
            PackFile("det_10g.onnx", 16_923_827, "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"),
            _POINTS,
        ),
    ),
    "buffalo_s": Pack(
        "buffalo_s",
        "SCRFD-500MF face detector, quick on a CPU, and 106 face points",
        f"{RELEASE}/buffalo_s.zip",
        127_607_557,
        "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
        INSIGHTFACE_LICENCE,
        INSIGHTFACE_TERMS,
        (
            PackFile("det_500m.onnx", 2_524_817, "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"),
            _POINTS,
        ),
    ),
}
"""The packs by name, the better ones first."""


def fetched(models: Path) -> dict[str, Path]:
    """The packs that are whole in the folder `models`, by name, the better ones first, and where they are."""
    return {name: models / name for name, pack in PACKS.items() if _is_whole(models / name, pack)}


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
            contents[file.name] = (source / file.name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{source / file.name} cannot be read ({error.strerror}); check the path") from error
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

"""A cache by others: arrays of other shapes than their names say are damage, and not a crash in a training."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_cache import noise_clip, talking_cache
from w2l.cache.crops import MAGIC, TAIL
from w2l.cache.index import Rows
from w2l.cache.store import Cache
from w2l.core.errors import CacheError
from w2l.core.files import read_arrays, write_arrays
from w2l.faces import scan as scanning
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache.open(tmp_path, create=True)
    noise_clip(made, "a", CropSpec("aligned", 32))
    return made


@pytest.mark.parametrize("shape", [(), (80,), (79, 90), (80, 9, 2), (0, 0)])
@pytest.mark.parametrize("name", ["mel", "mfcc", "frames"])
def test_arrays_of_another_shape(cache: Cache, name: str, shape: tuple[int, ...]) -> None:
    row = cache.tracks()[0]
    path = cache.clip("a").folder / "tracks" / "0" / f"{name}.npy"
    load = {"mel": cache.load_mel, "mfcc": cache.load_mfcc, "frames": cache.load_crops}[name]
    load(row)
    np.save(path, np.zeros(shape, np.uint8 if name == "frames" else np.float32))
    with pytest.raises(CacheError):
        load(row)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_sound_that_is_no_numbers(cache: Cache, value: float) -> None:
    row = cache.tracks()[0]
    mel = np.array(cache.load_mel(row))
    mel[3, 4] = value
    np.save(cache.clip("a").folder / "tracks" / "0" / "mel.npy", mel)
    with pytest.raises(CacheError):
        cache.load_mel(row)


def jpegs(ends: list[int], side: tuple[int, int] = (32, 32), n_frames: int | None = None) -> bytes:
    """A store whose table says what it likes."""
    table = np.array(ends, "<i8").tobytes()
    place = len(MAGIC) + 64
    count = len(ends) - 1 if n_frames is None else n_frames
    return MAGIC + bytes(64) + table + TAIL.pack(count, *side, place, zlib.crc32(table), MAGIC)


@pytest.mark.parametrize("content", [
    jpegs([8, 40, 72], (2**31, 2**31)), jpegs([8, 40, 72], (0, 32)), jpegs([8, 40, 72], (-1, 32)),
    jpegs([8, 8, 72]), jpegs([72, 40, 8]), jpegs([8, 40, 10**12]), jpegs([-5, 40, 72]),
    jpegs([8, 40, 72], (32, 32), 2**40), jpegs([]), MAGIC, b"", struct.pack("<8s", MAGIC) * 9,
])  # fmt: skip
def test_pictures_that_lie_where_none_can(cache: Cache, content: bytes) -> None:
    row = cache.tracks()[0]
    (cache.clip("a").folder / "tracks" / "0" / "frames.jpegs").write_bytes(content)
    with pytest.raises(CacheError):
        cache.load_crops(row)


@pytest.mark.parametrize(("name", "value"), [
    ("track", np.zeros(9, np.int32)), ("offset", np.zeros((2, 2), np.int32)), ("clip", np.array([0, 7], np.int32)),
    ("clip", np.array([-1, 0], np.int32)), ("clip_ends", np.array([5, 3])), ("clip_ends", np.array([5, 10**9])),
    ("n_frames", np.array([1.5, 2.5])), ("crop_text", np.zeros(3, np.uint8)), ("format", np.zeros(2, np.int64)),
])  # fmt: skip
def test_a_damaged_index_is_built_anew(tmp_path: Path, name: str, value: np.ndarray) -> None:  # type: ignore[type-arg]
    cache = talking_cache(tmp_path, n_clips=2)
    expected = list(cache.tracks())
    path = tmp_path / "index.npz"
    write_arrays(path, {**read_arrays(path), name: value})
    with pytest.raises((ValueError, TypeError, KeyError)):
        Rows.read(path)
    assert list(cache.tracks()) == expected


GOOD = Scan(
    3, 25.0, 64, 48, np.arange(3) / 25, np.array([0, 2]), np.zeros((2, 4)), np.ones(2), np.zeros((2, 5, 2)), "x", 1
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [
    ("box", np.zeros((2, 3))), ("box", np.zeros((9, 4))), ("box", np.full((2, 4), np.nan)), ("score", np.zeros(0)),
    ("points", np.zeros((2, 5))), ("frame", np.array([0, 3])), ("frame", np.array([-1, 2])),
    ("frame", np.array([2, 0])), ("frame", np.array([0.0, 2.0])), ("times", np.zeros(10**6)), ("cuts", np.array([99])),
    ("n_frames", np.array(10**9)), ("n_frames", np.zeros(2)), ("wings", np.zeros(2)), ("times", np.array(1.0)),
])  # fmt: skip
def test_boxes_that_cannot_be_are_found_anew(tmp_path: Path, name: str, value: np.ndarray) -> None:  # type: ignore[type-arg]
    path = tmp_path / "faces.npz"
    arrays = {key: np.asarray(one) for key, one in vars(GOOD).items()} | {"mark": np.array("m")}
    write_arrays(path, arrays)
    assert scanning._load(path, ("m",)) is not None
    write_arrays(path, {**arrays, name: value})
    assert scanning._load(path, ("m",)) is None

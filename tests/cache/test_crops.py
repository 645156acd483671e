"""Crops on disk: one suite for both stores; whole files or none, and damage that is named."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from w2l.cache.crops import FILES, STORES, JpegCrops, Store, open_crops, skip, write_crops
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.core.arrays import Image
from w2l.core.errors import CacheError

MEL = {"mel": np.zeros((80, 40), np.float32)}


def faces(n_frames: int = 12, height: int = 40, width: int = 32, seed: int = 0) -> Image:
    """Smooth coloured pictures (frames, height, width, 3), each another one."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n_frames, 5, 4, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse])


def written(folder: Path, store: Store, frames: Image) -> Path:
    with write_crops(folder, frames.shape, store) as writer:
        for frame in frames:
            writer.write(frame)
    return folder


def one_then_an_error() -> Iterator[Image]:
    yield faces(1)[0]
    raise ZeroDivisionError


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("store", STORES)
class TestEachStore:
    def test_frames_come_back(self, tmp_path: Path, store: Store) -> None:
        frames = faces()
        crops = open_crops(written(tmp_path, store, frames))
        assert crops.shape == frames.shape
        assert len(crops) == 12
        difference = np.abs(np.asarray(crops[0:12]).astype(int) - frames)
        assert difference.max() <= (0 if store == "raw" else 12)
        assert difference.mean() < 1.5
        assert files(tmp_path) == [FILES[store]]

    def test_slices_are_those_of_an_array(self, tmp_path: Path, store: Store) -> None:
        crops = open_crops(written(tmp_path, store, faces()))
        whole = np.asarray(crops[:])
        for where in (slice(3, 8), slice(0, 0), slice(10, 99), slice(-2, None), slice(None, None, 5), slice(5, 2)):
            np.testing.assert_array_equal(np.asarray(crops[where]), whole[where])
            np.testing.assert_array_equal(np.asarray(skip(crops, 4)[where]), whole[4:][where])
        assert skip(crops, 4).shape == (8, 40, 32, 3)
        assert crops[3:8].dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(crops), whole)

    @pytest.mark.parametrize("n_given", [0, 11, 13])
    def test_a_wrong_number_of_frames_leaves_nothing(self, tmp_path: Path, store: Store, n_given: int) -> None:
        frames = faces(13)[:n_given]
        with pytest.raises(CacheError, match=f"{n_given} of 12 crops could be made"):
            Clip("a", tmp_path).write_track(0, iter(frames), (12, 40, 32, 3), MEL, store)
        assert files(tmp_path) == []

    def test_a_wrong_shape_leaves_nothing(self, tmp_path: Path, store: Store) -> None:
        with pytest.raises(CacheError, match="shape"), write_crops(tmp_path, (1, 8, 8, 3), store) as writer:
            writer.write(np.zeros((8, 9, 3), np.uint8))
        assert files(tmp_path) == []

    def test_what_fails_meanwhile_leaves_the_old_file(self, tmp_path: Path, store: Store) -> None:
        tmp_path = tmp_path / "tracks" / "0"
        written(tmp_path, store, faces())
        before = (tmp_path / FILES[store]).read_bytes()
        clip, shape = Clip("a", tmp_path.parent.parent), (2, 40, 32, 3)
        with pytest.raises(ZeroDivisionError):
            clip.write_track(0, one_then_an_error(), shape, MEL, store)
        assert (tmp_path / FILES[store]).read_bytes() == before
        assert files(tmp_path) == [FILES[store]]

    def test_the_other_store_goes(self, tmp_path: Path, store: Store) -> None:
        other: Store = "jpeg" if store == "raw" else "raw"
        written(tmp_path, other, faces(seed=1))
        written(tmp_path, store, faces())
        assert files(tmp_path) == [FILES[store]]

    def test_equal_frames_make_equal_bytes(self, tmp_path: Path, store: Store) -> None:
        one, two = (written(tmp_path / name, store, faces()) / FILES[store] for name in "ab")
        assert one.read_bytes() == two.read_bytes()

    @pytest.mark.parametrize("cut", [0, 1, 7, 500, -1, -8, -40], ids=str)
    def test_a_cut_file_is_one_line(self, tmp_path: Path, store: Store, cut: int) -> None:
        path = written(tmp_path, store, faces()) / FILES[store]
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(CacheError, match=r"track .* cannot be read.*run w2l preprocess --force"):
            open_crops(tmp_path)

    def test_a_missing_file_is_one_line(self, tmp_path: Path, store: Store) -> None:
        with pytest.raises(CacheError, match="run w2l preprocess --force"):
            open_crops(tmp_path / store)

    def test_several_tracks_are_filled_in_turns(self, tmp_path: Path, store: Store) -> None:
        clip = Clip("a", tmp_path)
        one, two = faces(seed=1), faces(6, 48, 48, seed=2)
        with clip.open_track(0, one.shape, store, MEL) as first, clip.open_track(1, two.shape, store, MEL) as second:
            for k in range(12):
                first.write(one[k])
                if k % 2:
                    second.write(two[k // 2])
            assert first.written == 12
        for number, frames in enumerate((one, two)):
            kept = np.asarray(open_crops(tmp_path / "tracks" / str(number))[:])
            assert np.abs(kept.astype(int) - frames).mean() < 1.5
            assert files(tmp_path / "tracks" / str(number)) == [FILES[store], "mel.npy"]

    def test_a_track_is_loaded_through_the_cache(self, tmp_path: Path, store: Store) -> None:
        cache = Cache.open(tmp_path / "cache", create=True)
        frames = faces()
        cache.clip("a/b").write_track(3, iter(frames), frames.shape, MEL, store)
        crops, mel = cache.load_track(TrackRow("a/b", 3, 12, 40, ""))
        assert crops[2:7].shape == (5, 40, 32, 3)
        assert mel.shape == (80, 40)


def test_jpegs_keep_the_colours_of_lips(tmp_path: Path) -> None:
    """Red stripes one pixel wide on skin: at half the colour resolution they would run together."""
    frames = np.full((1, 32, 32, 3), (200, 150, 130), np.uint8)
    frames[:, ::2] = (170, 40, 50)
    kept = np.asarray(open_crops(written(tmp_path, "jpeg", frames))[:]).astype(int)
    assert np.abs(kept - frames).mean() < 4


def test_jpegs_are_smaller(tmp_path: Path) -> None:
    for store in STORES:
        written(tmp_path / store, store, faces(12, 96, 96))  # type: ignore[arg-type]
    sizes = {store: (tmp_path / store / name).stat().st_size for store, name in FILES.items()}
    assert sizes["jpeg"] < sizes["raw"] / 4


def test_only_the_pictures_that_are_asked_for_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = open_crops(written(tmp_path, "jpeg", faces()))
    decoded: list[int] = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, how: decoded.append(len(data)) or decode(data, how))
    crops[4:9]
    assert len(decoded) == 5
    skip(crops, 6)
    assert len(decoded) == 5


@pytest.mark.parametrize("place", [0, 3, 11])
def test_a_damaged_picture_is_named(tmp_path: Path, place: int) -> None:
    path = written(tmp_path, "jpeg", faces()) / FILES["jpeg"]
    crops = JpegCrops.open(path)
    content = bytearray(path.read_bytes())
    begin = int(crops._ends[place])
    content[begin : begin + 4] = b"none"
    path.write_bytes(content)
    damaged = open_crops(tmp_path)
    with pytest.raises(CacheError, match=f"image {place} is damaged.*run w2l preprocess --force"):
        damaged[:]
    assert damaged[place + 1 :].shape[0] == 11 - place

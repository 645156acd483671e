"""Reading WAV and FLAC with soundfile and with PyAV: the same samples, times, speakers and limits from both."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.helpers.made_media import click_wave, make_sound
from w2l.core.errors import MediaError
from w2l.media import sound_blocks
from w2l.media.audio import read_audio, write_wav
from w2l.media.container import ReadStats, open_input
from w2l.media.sound_blocks import SoundBlock

READERS = ("soundfile", "PyAV")
Read = Callable[[Path], list[SoundBlock]]


def blocks_of(path: Path) -> Iterator[SoundBlock]:
    with open_input(path) as container:
        yield from sound_blocks.sound_blocks(container, container.streams.audio[0], ReadStats())


@pytest.fixture
def plain_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of samples that soundfile reads from now on, one for each block."""
    read, sizes = sound_blocks.plain_samples, []

    def counted(*given: object) -> Iterator[NDArray[np.float32]]:
        for samples in read(*given):  # type: ignore[arg-type]
            sizes.append(samples.shape[1])
            yield samples

    monkeypatch.setattr(sound_blocks, "plain_samples", counted)
    return sizes


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that reads."""
    if request.param == "PyAV":
        monkeypatch.setattr(sound_blocks, "is_plain", lambda container: False)
    return str(request.param)


def joined(path: Path) -> NDArray[np.float32]:
    return np.concatenate([block.samples for block in blocks_of(path)], axis=1)


def by_pyav(path: Path) -> NDArray[np.float32]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_blocks, "is_plain", lambda container: False)
        return joined(path)


def noise(n_channels: int, n_samples: int = 30_000) -> NDArray[np.float64]:
    return np.random.default_rng(n_channels).uniform(-1, 1, (n_samples, n_channels))


STEPS = {
    "PCM_U8": 2.0**-7,
    "PCM_16": 2.0**-15,
    "PCM_24": 2.0**-23,
    "PCM_32": 2.0**-23,
    "FLOAT": 0.0,
    "DOUBLE": 2.0**-24,
}
"""Encoding -> its least step as float32."""


@pytest.mark.parametrize(("rate", "n_channels"), [(8000, 1), (16000, 2), (44100, 6), (96000, 1)])
@pytest.mark.parametrize("form", [f"WAV {name}" for name in STEPS] + ["WAVEX FLOAT", "RF64 PCM_16", "FLAC PCM_24"])
def test_samples_are_those_of_the_file(
    tmp_path: Path, reader: str, plain_reads: list[int], form: str, rate: int, n_channels: int
) -> None:
    kind, encoding = form.split()
    path, wave = tmp_path / f"a.{'flac' if kind == 'FLAC' else 'wav'}", noise(n_channels)
    if encoding == "FLOAT":
        wave = 3 * wave.astype(np.float32)  # beyond full scale, which only floating point stores
    soundfile.write(path, wave, rate, encoding, format=kind)
    blocks = list(blocks_of(path))
    read = np.concatenate([block.samples for block in blocks], axis=1)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, wave.T, atol=STEPS[encoding], rtol=0)
    assert {block.rate for block in blocks} == {rate}
    starts = np.cumsum([0] + [block.samples.shape[1] for block in blocks[:-1]]) / rate
    np.testing.assert_allclose([block.time_s for block in blocks], starts, atol=1e-9)
    assert {block.speakers[:2] for block in blocks} <= {("NONE",), ("FC",), ("FL", "FR")}
    assert {len(block.speakers) for block in blocks} == {n_channels}
    assert sum(plain_reads) == (len(wave) if reader == "soundfile" and n_channels <= 2 else 0)


def test_speakers_are_those_that_the_file_names(tmp_path: Path, reader: str) -> None:
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac")):
        path = make_sound(tmp_path / name, noise(6, 4000).T.astype(np.float32), 16000, codec, "5.1(side)")
        assert next(blocks_of(path)).speakers == ("FL", "FR", "FC", "LFE", "SL", "SR")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def no_size(content: bytes) -> bytes:
    return content[:40] + struct.pack("<I", 0) + content[44:]


def unknown_size(content: bytes) -> bytes:
    return content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:]


def smaller_size(content: bytes) -> bytes:
    return content[:40] + struct.pack("<I", 20_000) + content[44:]


def more_chunks(content: bytes) -> bytes:
    return content + b"LIST" + struct.pack("<I", 20) + b"x" * 20


def zeros_inside(content: bytes) -> bytes:
    middle = len(content) * 2 // 5
    return content[:middle] + bytes(2000) + content[middle + 2000 :]


def one_byte_changed(content: bytes) -> bytes:
    middle = len(content) * 2 // 5
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def bytes_missing(content: bytes) -> bytes:
    middle = len(content) * 2 // 5
    return content[:middle] + content[middle + 9000 :]


def no_total(content: bytes) -> bytes:
    return content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:]


@pytest.mark.parametrize(
    ("name", "damage"),
    [("a.wav", one) for one in (cut, no_size, unknown_size, smaller_size, more_chunks)]
    + [("a.flac", one) for one in (cut, zeros_inside, one_byte_changed, bytes_missing, no_total)],
)
def test_damaged_files_give_what_pyav_gives(
    tmp_path: Path, plain_reads: list[int], name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(1, 150_000), 16000, "PCM_16")
    whole = joined(path).shape[1]
    path.write_bytes(damage(path.read_bytes()))
    plain_reads.clear()
    read, theirs = joined(path), by_pyav(path)
    # PyAV 17 leaves out the block before the gap, which libsndfile and PyAV 18 read.
    kept = theirs.any(axis=0) if damage is bytes_missing and av.__version__ < "18" else slice(None)
    np.testing.assert_array_equal(read[:, kept], theirs[:, kept])
    assert 0 < read.shape[1] <= whole
    if damage in (cut, zeros_inside):
        assert sum(plain_reads) > 0, "soundfile reads up to the damage"


@pytest.mark.parametrize(("codec", "ending"), [("adpcm_ms", "wav"), ("pcm_s16le", "mka"), ("pcm_s16be", "aiff")])
def test_other_forms_are_read_by_pyav(tmp_path: Path, plain_reads: list[int], codec: str, ending: str) -> None:
    path = make_sound(tmp_path / f"a.{ending}", click_wave(16000), 16000, codec)
    assert joined(path).shape[1] >= 32000
    assert not plain_reads


def test_files_without_samples_are_refused(tmp_path: Path, reader: str) -> None:
    write_wav(tmp_path / "none.wav", np.zeros(0, np.float32))
    (tmp_path / "empty.wav").touch()
    for name, says in (("none.wav", "no sound can be decoded"), ("empty.wav", "the file is empty")):
        with pytest.raises(MediaError, match=f"{name}: {says}"):
            read_audio(tmp_path / name)


def test_long_files_are_read_in_little_memory(tmp_path: Path, reader: str) -> None:
    rate = 1000
    n_samples = {"soundfile": 36_000, "PyAV": 600}[reader] * rate  # PyAV needs a minute for ten hours
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(0, np.int16), rate, "PCM_16")
    head = path.read_bytes()
    with path.open("wb") as file:  # the samples are a hole in the file
        file.write(head[:4] + struct.pack("<I", 36 + 2 * n_samples) + head[8:40] + struct.pack("<I", 2 * n_samples))
        file.truncate(44 + 2 * n_samples)
    next(blocks_of(path))
    tracemalloc.start()
    n_read = sum(block.samples.shape[1] for block in blocks_of(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_read == n_samples
    assert peak < 4 * 2**20


def test_a_file_is_found_by_an_odd_name(
    tmp_path: Path, plain_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "c:\udcff %d [1].wav"
    write_wav(tmp_path / name, click_wave(16000)[0])
    monkeypatch.chdir(tmp_path)
    assert len(read_audio(Path(name))) == 32000
    assert sum(plain_reads) == 32000

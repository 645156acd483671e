"""Reading sound: formats, channels, the picture's clock, damage; writing WAV."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.made_media import EVENT_S, click_times, click_wave, flash_images, make_sound, make_video
from w2l.core.errors import MediaError
from w2l.media import sound_blocks
from w2l.media.audio import read_audio, read_speech, write_wav
from w2l.media.video import probe


@pytest.mark.parametrize(
    ("ending", "codec", "rate", "n_channels"),
    [
        ("wav", "pcm_u8", 8000, 1),
        ("wav", "pcm_s16le", 16000, 1),
        ("wav", "pcm_s24le", 44100, 2),
        ("wav", "pcm_f32le", 48000, 6),
        ("flac", "flac", 22050, 1),
        ("mp3", "libmp3lame", 44100, 2),
        ("m4a", "aac", 16000, 1),
        ("m4a", "aac", 48000, 2),
        ("m4a", "alac", 44100, 2),
        ("ogg", "libopus", 48000, 1),
        ("mka", "aac", 44100, 2),
        ("mp4", "libmp3lame", 44100, 1),
    ],
)
def test_clicks_of_any_format_are_where_they_were(
    tmp_path: Path, ending: str, codec: str, rate: int, n_channels: int
) -> None:
    path = make_sound(tmp_path / f"sound.{ending}", click_wave(rate, n_channels), rate, codec)
    wave = read_audio(path)
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    np.testing.assert_allclose(click_times(wave), EVENT_S, atol=1e-3)
    assert 2.0 <= len(wave) / 16000 < 2.07
    assert np.abs(wave).max() == pytest.approx(0.7, abs=0.12)


def test_plain_wav_comes_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wave = (rng.integers(-32768, 32768, 5000) / 32768).astype(np.float32)
    write_wav(tmp_path / "a.wav", wave)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), wave)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_resampling_keeps_length_and_tone(tmp_path: Path) -> None:
    times = np.arange(44100 * 3) / 44100
    tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    wave = read_audio(make_sound(tmp_path / "tone.wav", tone[None], 44100, "pcm_f32le"))
    assert abs(len(wave) - 48000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(wave)) / 16000)
    np.testing.assert_allclose(wave[100:-100], expected[100:-100], atol=2e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    wave = np.stack([np.full(16000, 0.8, np.float32), np.full(16000, -0.2, np.float32)])
    mono = read_audio(make_sound(tmp_path / "two.wav", wave, 16000, "pcm_f32le"))
    np.testing.assert_allclose(mono, 0.3, atol=1e-4)


def test_too_loud_is_clipped_on_writing(tmp_path: Path) -> None:
    write_wav(tmp_path / "loud.wav", np.array([2.0, -2.0, 0.5], np.float32))
    np.testing.assert_allclose(read_audio(tmp_path / "loud.wav"), [1.0, -1.0, 0.5], atol=1e-4)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(("video_start_s", "sound_start_s"), [(0.0, 0.0), (0.0, 0.32), (0.3, 0.0), (0.48, 0.2)])
def test_origin_puts_sample_zero_at_the_first_picture(
    tmp_path: Path, ending: str, video_start_s: float, sound_start_s: float
) -> None:
    path = make_video(
        tmp_path / f"late.{ending}",
        flash_images(),
        [video_start_s + i / 25 for i in range(50)],
        wave=click_wave(48000, 1, video_start_s - sound_start_s),
        sound_start_s=sound_start_s,
    )
    wave = read_audio(path, origin_s=probe(path).start_s)
    # Matroska counts in milliseconds: half of one for the sound, half for the picture.
    tolerance_s = 1e-3 if ending == "mp4" else 1.1e-3
    np.testing.assert_allclose(click_times(wave), EVENT_S, atol=tolerance_s)


@pytest.mark.parametrize("origin_s", [None, -0.5, 0.0, 0.7, 1.9999, 3.0])
def test_pieces_are_the_sound(tmp_path: Path, origin_s: float | None) -> None:
    path = make_sound(tmp_path / "a.flac", click_wave(44100), 44100, "flac")
    whole, pieces = read_audio(path), read_speech(path, list, origin_s=origin_s)[0]
    assert len(pieces) > 3 or (origin_s or 0) > 1
    n_before = -round((origin_s or 0.0) * 16000)
    expected = np.concatenate([np.zeros(max(0, n_before), np.float32), whole[max(0, -n_before) :]])
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, np.float32), *pieces]), expected)
    np.testing.assert_array_equal(read_audio(path, origin_s=origin_s), expected)


def test_a_sound_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_sound(tmp_path / "a.flac", click_wave(16000), 16000, "flac")
    monkeypatch.setenv("W2L_MAX_SOUND_HOURS", str(1.5 / 3600))
    for origin_s in (None, 0.0, -1e9):  # the last one would put years of silence before it
        with pytest.raises(MediaError, match=r"a\.flac: has more than .* hours of sound"):
            read_audio(path, origin_s=origin_s)
    assert len(read_audio(path, origin_s=1.0)) == 16000


def test_lost_packets_leave_silence_and_not_a_shift(tmp_path: Path) -> None:
    source = make_sound(tmp_path / "whole.mka", click_wave(48000), 48000, "aac")
    path = tmp_path / "holed.mka"
    with av.open(str(source)) as whole, av.open(str(path), "w") as holed:
        stream = holed.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.size and not 0.6 < float(packet.pts * packet.time_base) < 0.9:
                packet.stream = stream
                holed.mux(packet)
    np.testing.assert_allclose(click_times(read_audio(path)), EVENT_S, atol=1e-3)


def test_damaged_sound_goes_on_in_time(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (1, 96000)).astype(np.float32)
    path = make_sound(tmp_path / "sound.flac", click_wave(48000) + noise, 48000, "flac")
    content = bytearray(path.read_bytes())
    middle = int(len(content) * 0.42)
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    np.testing.assert_allclose(click_times(read_audio(path))[1:], EVENT_S[1:], atol=1e-3)


def test_truncated_sound_gives_what_it_has(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "sound.wav", click_wave(16000), 16000, "pcm_s16le")
    path.write_bytes(path.read_bytes()[:32044])
    assert len(read_audio(path)) == pytest.approx(16000, abs=40)


def silent_video(path: Path) -> Path:
    return make_video(path.with_suffix(".mp4"), flash_images())


def no_samples(path: Path) -> Path:
    write_wav(path, np.zeros(0, np.float32))
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def text(path: Path) -> Path:
    path.write_text("no sound " * 200)
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: path, "no such file", id="missing"),
        pytest.param(empty, "empty", id="empty"),
        pytest.param(text, "not a readable", id="text"),
        pytest.param(silent_video, "no sound", id="silent-video"),
        pytest.param(no_samples, "no sound", id="no-samples"),
    ],
)
def test_unusable_sound_is_named_in_one_line(tmp_path: Path, make: object, says: str) -> None:
    path = make(tmp_path / "sound.wav")  # type: ignore[operator]
    with pytest.raises(MediaError, match=says) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wav_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be written"):
        write_wav(tmp_path / "none" / "a.wav", np.zeros(3, np.float32))


@pytest.mark.parametrize("rate", [1, 655_350_000])
def test_a_damaged_packet_that_claims_an_impossible_rate_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    path = make_sound(tmp_path / "sound.mka", click_wave(16000), 16000, "pcm_s16le")
    whole = read_audio(path)
    decoded = sound_blocks.decode

    def damaged(*given: Any) -> Iterator[Any]:
        for frame in decoded(*given):
            if frame.time <= EVENT_S[0] < frame.time + frame.samples / 16000:
                frame.sample_rate = rate
            yield frame

    monkeypatch.setattr(sound_blocks, "decode", damaged)
    heard = read_audio(path)
    assert len(heard) == len(whole), "what is missing is silent, and what follows keeps its time"
    assert 0 < np.count_nonzero(heard != whole) < len(whole) / 4


def test_a_time_far_behind_the_end_of_the_file_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_sound(tmp_path / "sound.mka", click_wave(16000), 16000, "pcm_s16le")
    decoded = sound_blocks.decode

    def damaged(*given: Any) -> Iterator[Any]:
        for number, frame in enumerate(decoded(*given)):
            if number == 3:
                frame.pts += 500 * 16000
            yield frame

    whole = read_audio(path)
    monkeypatch.setattr(sound_blocks, "decode", damaged)
    np.testing.assert_array_equal(read_audio(path), whole)


def test_a_block_that_was_there_before_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_sound(tmp_path / "sound.mka", click_wave(48000), 48000, "pcm_s16le")
    decoded = sound_blocks.decode

    def twice(*given: Any) -> Iterator[Any]:
        for number, frame in enumerate(decoded(*given)):
            yield frame
            if number == 3:
                yield frame

    whole = read_audio(path)
    monkeypatch.setattr(sound_blocks, "decode", twice)
    np.testing.assert_array_equal(read_audio(path), whole)

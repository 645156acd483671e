"""Which channels and tracks are read as speech: of stereo, of surround sound, and of files with several tracks."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import flash_images, make_sound, make_tracks
from w2l.core.errors import ConfigError, MediaError
from w2l.data.puppets import babble
from w2l.media import audio
from w2l.media.audio import Wave, read_audio, read_speech
from w2l.media.video import probe

RATE = 16000
SECONDS = 3.0
SPEECH = babble(SECONDS)
OTHER = babble(SECONDS, seed=5)
TIMES = np.arange(len(SPEECH)) / RATE
SILENCE = np.zeros_like(SPEECH)
RNG = np.random.default_rng(3)
HISS = RNG.normal(0, 0.05, len(SPEECH)).astype(np.float32)
ROOM = RNG.normal(0, 2e-4, (2, len(SPEECH))).astype(np.float32)
HUM = (0.3 * np.sin(2 * np.pi * 50 * TIMES) + 0.1 * np.sin(2 * np.pi * 150 * TIMES)).astype(np.float32)
TONE = (0.3 * np.sin(2 * np.pi * 1000 * TIMES)).astype(np.float32)
MUSIC = (HUM + 0.2 * np.sin(2 * np.pi * (300 + 40 * np.floor(TIMES * 2)) * TIMES)).astype(np.float32)
BUMPS = (ROOM[0] + 0.9 * np.sin(2 * np.pi * 300 * TIMES) * (TIMES % 1.5 < 0.04)).astype(np.float32)
"""Somebody touches the microphone now and then."""
LATER = np.roll(SPEECH, 6)
"""The same 0.4 ms later, as at a second microphone."""
HALF = len(SPEECH) // 2


def heard_of(tmp_path: Path, *channels: NDArray[np.float32], layout: str | None = None) -> Wave:
    path = make_sound(tmp_path / "some.wav", np.stack(channels).astype(np.float32), RATE, "pcm_f32le", layout)
    return read_audio(path)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param(SPEECH, SPEECH, id="the-same"),
        pytest.param(SPEECH, 0.3 * SPEECH, id="panned"),
        pytest.param(SPEECH + 0.3 * HISS, SPEECH - 0.3 * HISS, id="wide"),
        pytest.param(SPEECH, LATER, id="two-microphones"),
        pytest.param(SPEECH, OTHER, id="a-speaker-each"),
        pytest.param(SPEECH, np.where(TIMES > 2.4, OTHER, ROOM[0]).astype(np.float32), id="one-who-says-little"),
        pytest.param(SPEECH + MUSIC, SPEECH - 0.5 * MUSIC, id="music"),
        pytest.param(SPEECH, BUMPS, id="bumps-in-one"),
        pytest.param(SILENCE, SILENCE, id="silence"),
        pytest.param(TONE, TONE, id="tone"),
    ],
)
def test_ordinary_stereo_is_averaged_to_the_last_bit(
    tmp_path: Path, left: Wave, right: Wave, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_decodings = count_decodings(monkeypatch)
    mono = heard_of(tmp_path, left, right)
    expected = np.stack([left, right]).astype(np.float32).mean(axis=0)
    np.testing.assert_array_equal(mono, expected)
    assert n_decodings() == 1
    assert not caplog.records


def count_decodings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often a sound is decoded from here on."""
    counts: list[int] = []
    blocks = audio.sound_blocks

    def counted(*given: object) -> Iterator[audio.SoundBlock]:
        counts.append(1)
        return blocks(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "sound_blocks", counted)
    return lambda: len(counts)


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        pytest.param(SPEECH, -SPEECH, 0, id="inverted"),
        pytest.param(-SPEECH, 0.9 * SPEECH, 0, id="nearly-inverted"),
        pytest.param(-0.5 * SPEECH, SPEECH, 1, id="partly-cancelled"),
        pytest.param(SPEECH + ROOM[0], -SPEECH + ROOM[1], None, id="inverted-in-a-room"),
        pytest.param(SPEECH, -np.roll(SPEECH, 1), None, id="inverted-and-late"),
        pytest.param(SPEECH + 0.2 * OTHER, -SPEECH + 0.2 * OTHER, None, id="one-of-two-inverted"),
        pytest.param(SPEECH, np.where(TIMES > 1.8, -SPEECH, SPEECH).astype(np.float32), None, id="inverted-later-on"),
    ],
)
def test_channels_that_cancel_each_other_out_are_read_one_by_one(
    tmp_path: Path, left: Wave, right: Wave, wanted: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    mono = heard_of(tmp_path, left, right)
    alone = [np.array_equal(mono, channel.astype(np.float32)) for channel in (left, right)]
    assert any(alone) if wanted is None else alone[wanted]
    (record,) = caplog.records
    assert "cancel each other out" in record.getMessage()
    assert "some.wav" in record.getMessage()


@pytest.mark.parametrize("speaks", [0, 1])
@pytest.mark.parametrize(
    "mute", [SILENCE, ROOM[0], HUM, 0.2 * HISS, 0.003 * SPEECH], ids=["silence", "room", "hum", "hiss", "crosstalk"]
)
def test_a_channel_without_speech_does_not_halve_the_other(tmp_path: Path, speaks: int, mute: Wave) -> None:
    channels = [mute, SPEECH] if speaks else [SPEECH, mute]
    np.testing.assert_array_equal(heard_of(tmp_path, *channels), SPEECH)


@pytest.mark.parametrize(
    ("layout", "place"),
    [("3.0", 2), ("3.1", 2), ("4.0", 2), ("5.0", 2), ("5.1", 2), ("5.1(side)", 2), ("7.1", 2), ("6.1", 2)],
)
@pytest.mark.parametrize("around", ["silence", "music", "inverted"])
def test_dialogue_is_in_the_centre(tmp_path: Path, layout: str, place: int, around: str) -> None:
    n_channels = {"3.0": 3, "3.1": 4, "4.0": 4, "5.0": 5, "5.1": 6, "5.1(side)": 6, "7.1": 8, "6.1": 7}[layout]
    channels = {"silence": [SILENCE], "music": [MUSIC, OTHER * 0.8], "inverted": [-SPEECH]}[around]
    wave = np.stack([channels[k % len(channels)] for k in range(n_channels)])
    wave[place] = SPEECH
    np.testing.assert_array_equal(heard_of(tmp_path, *wave, layout=layout), SPEECH)


@pytest.mark.parametrize(
    ("layout", "speech_in", "wanted"),
    [
        pytest.param("5.1", {0: SPEECH, 1: SPEECH, 4: MUSIC, 5: MUSIC}, (0, 1), id="no-centre"),
        pytest.param("5.1", {0: SPEECH, 1: -SPEECH}, (0,), id="no-centre-inverted"),
        pytest.param("5.1", {4: SPEECH}, (4,), id="behind"),
        pytest.param("quad", {0: SPEECH, 1: SPEECH}, (0, 1), id="four"),
        pytest.param("quad", {3: SPEECH}, (3,), id="fourth-microphone"),
        pytest.param("2.1", {2: SPEECH}, (2,), id="three-unnamed"),
        pytest.param("3.0", {0: SPEECH}, (0,), id="left-alone"),
    ],
)
def test_without_a_centre_speech_is_looked_for(
    tmp_path: Path, layout: str, speech_in: dict[int, Wave], wanted: tuple[int, ...]
) -> None:
    n_channels = {"5.1": 6, "quad": 4, "2.1": 3, "3.0": 3}[layout]
    wave = np.stack([speech_in.get(k, SILENCE) for k in range(n_channels)])
    np.testing.assert_array_equal(heard_of(tmp_path, *wave, layout=layout), wave[list(wanted)].mean(axis=0))


def test_the_time_of_a_channel_read_alone_is_that_of_the_sound(tmp_path: Path) -> None:
    wave = np.stack([SPEECH, -SPEECH])
    path = make_sound(tmp_path / "a.flac", wave, RATE, "flac")
    whole = read_audio(path)
    np.testing.assert_array_equal(read_audio(path, origin_s=-0.5)[8000:], whole)
    np.testing.assert_array_equal(read_audio(path, origin_s=1.0), whole[16000:])


def film(path: Path, *tracks: Wave) -> Path:
    """A video with tracks of sound at 48 kHz."""
    waves = [np.repeat(one, 3, axis=-1).reshape(-1, 3 * len(SPEECH)) for one in tracks]
    return make_tracks(path, flash_images(), waves)


@pytest.mark.parametrize(
    "main", [SILENCE, ROOM[0], HUM, HISS, 0.0005 * OTHER], ids=["none", "room", "hum", "hiss", "trace"]
)
def test_a_track_that_speaks_is_read_in_place_of_one_that_does_not(
    tmp_path: Path, main: Wave, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(tmp_path / "film.mkv", main, SPEECH)
    heard, track = read_speech(path, list, origin_s=probe(path).start_s)
    assert track.stream_idx == 2
    assert not track.is_silent
    mono = np.concatenate(heard)
    n_both = min(len(mono), len(SPEECH))
    assert np.corrcoef(mono[:n_both], SPEECH[:n_both])[0, 1] > 0.9
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no speech" in caplog.text


def test_the_main_track_is_read_where_it_speaks_and_others_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(tmp_path / "film.mkv", 0.1 * SPEECH, OTHER)
    n_decodings = count_decodings(monkeypatch)
    assert read_speech(path, list)[1].stream_idx == 1
    assert n_decodings() == 1
    assert not caplog.records


@pytest.mark.parametrize(("track", "stream_idx"), [(0, 1), (1, 2), (2, 3)])
def test_a_track_can_be_named(tmp_path: Path, track: int, stream_idx: int) -> None:
    path = film(tmp_path / "film.mkv", SILENCE, SPEECH, np.stack([OTHER, -OTHER]))
    heard = read_speech(path, list, track=track)
    assert heard[1].stream_idx == stream_idx
    assert heard[1].is_silent == (track == 0)
    assert np.abs(np.concatenate(heard[0])).max() > 0.1 or track == 0


@pytest.mark.parametrize("track", [3, -1])
def test_a_track_that_is_not_there_is_named(tmp_path: Path, track: int) -> None:
    path = film(tmp_path / "film.mkv", SILENCE, SPEECH, OTHER)
    with pytest.raises(ConfigError, match=rf"film\.mkv: there is no sound track {track}; it has 3, counted from 0"):
        read_speech(path, list, track=track)


def test_silence_that_is_not_at_zero_is_silence_too(tmp_path: Path) -> None:
    """A sound card with an offset."""
    path = make_sound(tmp_path / "some.wav", (SILENCE + np.float32(0.3))[None], RATE, "pcm_s16le")
    assert read_speech(path, list)[1].is_silent
    assert not read_speech(make_sound(path, SPEECH[None] + 0.3, RATE, "pcm_s16le"), list)[1].is_silent


def test_silence_in_all_tracks_is_read_as_silence(tmp_path: Path) -> None:
    heard, track = read_speech(film(tmp_path / "film.mkv", SILENCE, SILENCE), list)
    assert track.is_silent
    assert not np.concatenate(heard).any()


def test_a_main_track_that_cannot_be_decoded_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "film.mkv", OTHER, SPEECH)
    blocks = audio.sound_blocks

    def damaged(container: object, stream: object, stats: object) -> Iterator[audio.SoundBlock]:
        return iter(()) if stream.index in broken else blocks(container, stream, stats)  # type: ignore

    broken = {1}
    monkeypatch.setattr(audio, "sound_blocks", damaged)
    assert read_speech(path, list)[1].stream_idx == 2
    broken.add(2)
    with pytest.raises(MediaError, match="no sound can be decoded"):
        read_speech(path, list)

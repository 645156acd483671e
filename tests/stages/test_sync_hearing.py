"""Which sound moves the mouth in sync: channels, tracks and stems; and that the output keeps the sound it should."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import make_sound, make_tracks
from tests.helpers.sync_runs import SIZE, Run, change, one_line, pattern, pictures, support, voice
from w2l.media.audio import read_audio, read_speech, write_wav
from w2l.media.picture import Picture
from w2l.syncing.hearing import hear

MASK = support(SIZE[1], SIZE[0])
VOICE = voice(1.0)
MUSIC = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.float32)
SILENCE = np.zeros(16000, np.float32)


def at_48k(*channels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.repeat(np.stack(channels), 3, axis=1)


def alike(ours: list[Picture], theirs: list[Picture]) -> bool:
    """Whether two outputs have the same mouths, up to the encoding of their sound."""
    return max(change(*pair, MASK) for pair in zip(ours, theirs, strict=True)) < 0.5


@pytest.fixture(scope="module")
def kept() -> list[Picture]:
    """What `plain` once made."""
    return []


@pytest.fixture
def plain(sync: Run, tmp_path: Path, kept: list[Picture]) -> list[Picture]:
    """What comes of the mono speech."""
    if not kept:
        assert sync("-o", "plain.mp4").status == 0
        kept += pictures(tmp_path / "plain.mp4")
    return kept


def test_an_inverted_channel_does_not_shut_the_mouth(sync: Run, tmp_path: Path, plain: list[Picture]) -> None:
    speech = make_sound(tmp_path / "p.wav", np.stack([VOICE, -VOICE]), 16000, "pcm_s16le")
    outcome = sync("-o", "out.mp4", speech=speech)
    assert outcome.status == 0, outcome.err
    assert "p.wav: channel FL is read alone: FR and FL cancel each other out" in outcome.err
    assert alike(pictures(tmp_path / "out.mp4"), plain)


def test_silence_throughout_is_said(sync: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mute.wav", SILENCE)
    outcome = sync("-o", "out.mp4", speech=tmp_path / "mute.wav")
    assert outcome.status == 0
    assert "mute.wav: the audio is silent, so the mouth stays closed" in outcome.err


class TestTracks:
    """A film whose first track is silent and whose second speaks."""

    @pytest.fixture
    def film(self, tmp_path: Path) -> Path:
        return make_tracks(tmp_path / "film.mkv", pattern(25), [at_48k(SILENCE), at_48k(VOICE)])

    @pytest.mark.parametrize("named", [(), ("--speech-track", "1")])
    def test_the_one_that_speaks_is_heard_and_stays(
        self, sync: Run, tmp_path: Path, film: Path, plain: list[Picture], named: tuple[str, ...]
    ) -> None:
        outcome = sync("-o", "out.mp4", *named, speech=film)
        assert outcome.status == 0, outcome.err
        assert ("no speech" in outcome.err) == (not named)
        assert alike(pictures(tmp_path / "out.mp4")[: len(plain)], plain)
        assert np.abs(read_audio(tmp_path / "out.mp4")).max() > 0.2

    def test_a_silent_one_is_heard_where_it_is_asked_for(self, sync: Run, tmp_path: Path, film: Path) -> None:
        outcome = sync("-o", "out.mp4", "--speech-track", "0", speech=film)
        assert outcome.status == 0, outcome.err
        assert "the audio is silent" in outcome.err
        assert np.abs(read_audio(tmp_path / "out.mp4")).max() < 0.01

    def test_kept_streams_are_the_others(self, sync: Run, tmp_path: Path, film: Path) -> None:
        assert sync("-o", "out.mkv", "--keep-streams", video=film, speech=film).status == 0
        loud = [not read_speech(tmp_path / "out.mkv", list, track=track)[1].is_silent for track in (0, 1)]
        assert loud == [True, False]

    def test_one_that_is_not_there_is_named(self, sync: Run, film: Path) -> None:
        one_line(sync("-o", "out.mp4", "--speech-track", "2", speech=film), 2, "film.mkv", "no sound track 2; it has 2")
        one_line(sync("-o", "out.mp4", "--speech-track", "-1", speech=film), 2, "--speech-track must not be negative")


class TestDrive:
    """A mix of voice and music, and the voice alone."""

    @pytest.fixture
    def mix(self, tmp_path: Path) -> Path:
        write_wav(tmp_path / "mix.wav", MUSIC + 0.2 * VOICE)
        return tmp_path / "mix.wav"

    def test_the_stem_moves_the_mouth_and_the_mix_is_heard(
        self, sync: Run, media: Path, tmp_path: Path, mix: Path, plain: list[Picture]
    ) -> None:
        outcome = sync("-o", "out.mp4", "--drive", media / "speech.wav", speech=mix)
        assert outcome.status == 0, outcome.err
        heard = read_audio(tmp_path / "out.mp4", origin_s=0.0)[:15000]
        assert np.corrcoef(heard, (MUSIC + 0.2 * VOICE)[: len(heard)])[0, 1] > 0.97
        assert sync("-o", "mixed.mp4", speech=mix).status == 0
        by_stem, by_mix = (
            [change(*pair, MASK) for pair in zip(pictures(tmp_path / name), plain, strict=True)]
            for name in ("out.mp4", "mixed.mp4")
        )
        assert max(by_stem) == 0.0 < max(by_mix)

    def test_another_stem_makes_another_output(self, sync: Run, media: Path, tmp_path: Path, mix: Path) -> None:
        stem = tmp_path / "stem.wav"
        write_wav(stem, VOICE)
        given = ("-o", "out.mp4", "--resume", "--drive", stem)
        assert sync(*given, speech=mix).status == 0
        before = (tmp_path / "out.mp4").stat().st_mtime_ns
        assert sync(*given, speech=mix).status == 0
        assert (tmp_path / "out.mp4").stat().st_mtime_ns == before
        write_wav(stem, np.roll(VOICE, 4000))
        assert sync(*given, "-y", speech=mix).status == 0
        assert (tmp_path / "out.mp4").stat().st_mtime_ns > before

    @pytest.mark.parametrize(("seconds", "is_said"), [(0.5, False), (2.5, True)])
    def test_the_length_is_that_of_the_mix(
        self, sync: Run, tmp_path: Path, mix: Path, seconds: float, is_said: bool
    ) -> None:
        write_wav(tmp_path / "stem.wav", voice(seconds))
        outcome = sync("-o", "out.mp4", "--drive", tmp_path / "stem.wav", speech=mix)
        assert outcome.status == 0, outcome.err
        assert len(pictures(tmp_path / "out.mp4")) == 25
        assert ("stem.wav: lasts 2.50 s, not the 1.00 s" in outcome.err) == is_said

    def test_a_stem_begins_with_the_sound_of_a_film(self, sync: Run, tmp_path: Path) -> None:
        film = make_tracks(tmp_path / "film.mkv", pattern(25), [at_48k(MUSIC)])
        write_wav(tmp_path / "stem.wav", VOICE)
        plain = hear(tmp_path / "stem.wav").mel
        late = hear(film, -0.25, drive=tmp_path / "stem.wav").mel
        np.testing.assert_allclose(late[:, 22:100], plain[:, 2:80], atol=0.02)
        early = hear(film, 0.25, drive=tmp_path / "stem.wav").mel
        np.testing.assert_allclose(early[:, 2:60], plain[:, 22:80], atol=0.02)

    def test_what_cannot_be_is_refused(self, sync: Run, w2l: Run, tmp_path: Path, mix: Path) -> None:
        one_line(sync("-o", "out.mp4", "--drive", "none.wav", speech=mix), 1, "none.wav: no such file")
        write_wav(tmp_path / "stem.mkv", VOICE)
        one_line(sync("-o", "stem.mkv", "-y", "--drive", "stem.mkv", speech=mix), 2, "stem.mkv is an input")
        (tmp_path / "list.txt").write_text("a.wav b.mp4\n")
        one_line(w2l("sync", "--pairs", "list.txt", "--drive", "stem.mkv", "-o", "made"), 2, "--drive")

"""sync with what lies beside the picture: kept streams of a part and of a video longer than the speech, lengths."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import make_tracks, make_video, risen_s, rising_wave
from tests.helpers.sync_runs import Run, frame_times, pattern, pictures, voice, write_pictures
from w2l.media.audio import Resampler, sound_blocks, write_wav
from w2l.media.container import ReadStats
from w2l.media.video import probe

SOURCE_S = 4.0
"""How long the source with two streams of sound is."""


def track(path: Path, idx: int) -> NDArray[np.float32]:
    """(samples,) One stream of sound at 16 kHz from the first picture on."""
    resampler, start_s = Resampler(16000), probe(path).start_s
    with av.open(str(path)) as container:
        blocks = list(sound_blocks(container, container.streams.audio[idx], ReadStats()))
    pieces = [resampler.push(block.samples, block.rate) for block in blocks]
    wave = np.concatenate([*pieces, resampler.flush()], axis=1)[0]
    n_before = round((blocks[0].time_s - start_s) * 16000)
    return np.concatenate([np.zeros(max(0, n_before), np.float32), wave[max(0, -n_before) :]])


@pytest.fixture(params=["mp4", "mkv"])
def ending(request: pytest.FixtureRequest) -> str:
    """Of the output."""
    return str(request.param)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film in two containers, whose second track grows louder, so that it says what time it is."""
    folder, waves = tmp_path_factory.mktemp("films"), [voice(SOURCE_S, 48000)[None], rising_wave(SOURCE_S)]
    for ending in ("mp4", "mkv"):
        make_tracks(folder / f"film.{ending}", pattern(100), waves)
    return folder


@pytest.fixture
def source(films: Path, ending: str) -> Path:
    """The film in the container that the output is not."""
    return films / ("film.mkv" if ending == "mp4" else "film.mp4")


def test_a_preview_has_the_other_sound_of_its_own_time(sync: Run, tmp_path: Path, source: Path, ending: str) -> None:
    write_wav(tmp_path / "speech.wav", voice(SOURCE_S))
    path = tmp_path / f"out.{ending}"
    for speech in (tmp_path / "speech.wav", source):
        outcome = sync("--preview", 2.5, "--keep-streams", "-o", path.name, "-y", video=source, speech=speech)
        assert outcome.status == 0, outcome.err
        assert len(pictures(path)) == 25
        assert probe(path).start_s == pytest.approx(0.0, abs=1e-3)
        heard = track(path, 1)
        assert len(heard) / 16000 == pytest.approx(1.0, abs=0.05)
        for at_s in (0.2, 0.7):
            assert risen_s(heard, SOURCE_S, at_s) == pytest.approx(2.0 + at_s, abs=0.03)


def test_kept_sound_goes_on_behind_the_speech(sync: Run, tmp_path: Path, source: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    outcome = sync("--fit", "video", "--keep-streams", "-o", path.name, video=source)
    assert outcome.status == 0, outcome.err
    assert len(pictures(path)) == 100
    heard = track(path, 1)
    assert len(heard) / 16000 == pytest.approx(SOURCE_S, abs=0.05)
    assert risen_s(heard, SOURCE_S, 3.5) == pytest.approx(3.5, abs=0.08)
    assert len(track(path, 0)) / 16000 == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("fit", ["video", "shortest"])
@pytest.mark.parametrize("rate", [Fraction(30), Fraction(30000, 1001)])
def test_rounded_times_add_no_frame(sync: Run, tmp_path: Path, fit: str, rate: Fraction) -> None:
    """Of a Matroska file, whose clock ticks in milliseconds."""
    source = write_pictures(tmp_path / "film.mkv", pattern(33), fps=rate)  # type: ignore[arg-type]
    write_wav(tmp_path / "speech.wav", voice(3.0))
    outcome = sync("--fit", fit, "--extend", "loop", "-o", "out.mp4", video=source, speech=tmp_path / "speech.wav")
    assert outcome.status == 0, outcome.err
    assert len(pictures(tmp_path / "out.mp4")) == 33


def test_the_last_picture_of_a_variable_rate_outlasts_the_speech(sync: Run, tmp_path: Path) -> None:
    times = np.array([0.0, 0.1, 0.5, 0.9])
    make_video(tmp_path / "uneven.mp4", pattern(len(times)), times.tolist())
    assert sync("-o", "out.mp4", "--fit", "video", video=tmp_path / "uneven.mp4").status == 0
    assert frame_times(tmp_path / "out.mp4") == pytest.approx(times)
    assert probe(tmp_path / "out.mp4").duration_s == pytest.approx(1.2, abs=2e-3)


def test_twice_the_same_gives_the_same_bytes(sync: Run, tmp_path: Path, ending: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        assert sync("-o", f"{folder}/out.{ending}").status == 0
    assert (tmp_path / "one" / f"out.{ending}").read_bytes() == (tmp_path / "two" / f"out.{ending}").read_bytes()

"""Further voices of a clip: made beside what is there, redone alone, and never half."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.rooms import SPEC, Usher
from w2l.cache import voices as cache_voices
from w2l.cache.index import NO_VOICES
from w2l.cache.store import INDEX, Cache
from w2l.cache.voices import load_voice
from w2l.core.config import load
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import read_arrays, write_arrays
from w2l.core.timing import SAMPLES_PER_FRAME
from w2l.data.prepare import voices as prepare_voices
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.prepare.run import prepare_one
from w2l.data.prepare.sounds import sound_features
from w2l.data.prepare.voices import VoiceSettings
from w2l.data.sources.listing import Source
from w2l.features.voices import shifted_stretch
from w2l.media.audio import read_audio
from w2l.media.video import probe

PLAIN = PrepareSettings(SPEC)
Prepare = Callable[..., bool]


def voiced(*semitones: float) -> PrepareSettings:
    return replace(PLAIN, voices=VoiceSettings(semitones))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


@pytest.fixture
def prepare(cache: Cache, film: Path) -> Prepare:
    """Prepares the film; gives whether anything was done."""
    return lambda settings, force=False, by=None: (
        prepare_one((cache, by or Usher()), Source("film", film), settings, force).is_new
    )


def files(cache: Cache) -> dict[str, bytes]:
    folder = cache.clip("film").folder / "tracks"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(cache: Cache) -> set[str]:
    return {name for name in files(cache) if "voice" in name}


def test_voices_are_added_to_what_is_there(cache: Cache, prepare: Prepare) -> None:
    assert prepare(PLAIN)
    before, detector = files(cache), Usher()
    assert [row.voices for row in cache.tracks()] == [(), ()]
    assert prepare(voiced(-3, 2.5), by=detector)
    assert detector.n_shown == 0
    assert names(cache) == {f"{track}/mel.voice{shift}.npy" for track in (0, 1) for shift in ("-3", "+2.5")}
    assert {name: data for name, data in files(cache).items() if "voice" not in name} == before
    assert [row.voices for row in cache.tracks()] == [(-3, 2.5), (-3, 2.5)]
    assert not prepare(voiced(-3, 2.5))


def test_each_is_the_shifted_audio_of_its_track(cache: Cache, film: Path, prepare: Prepare) -> None:
    """Without a shift, the same steps give the track's own mel, bit for bit."""
    prepare(voiced(4))
    wave = read_audio(film, origin_s=probe(film).start_s)
    for row, (first, count) in zip(cache.tracks(), [(0, 40), (40, 35)]):
        begin, end = first * SAMPLES_PER_FRAME, (first + count) * SAMPLES_PER_FRAME
        own = cache.load_mel(row)
        np.testing.assert_array_equal(sound_features(shifted_stretch(wave, begin, end, 0), "aligned")["mel"], own)
        shifted = load_voice(cache, row, "mel", 80, 4)
        expected = sound_features(shifted_stretch(wave, begin, end, 4), "aligned")["mel"]
        np.testing.assert_array_equal(shifted, expected)
        assert shifted.shape == own.shape
        assert np.abs(shifted - own).mean() > 0.05


def test_other_voices_replace_them_and_none_keep_them(cache: Cache, prepare: Prepare) -> None:
    prepare(voiced(-3, 3))
    assert not prepare(PLAIN)
    assert len(names(cache)) == 4
    assert prepare(voiced(5))
    assert names(cache) == {"0/mel.voice+5.npy", "1/mel.voice+5.npy"}
    assert cache.tracks()[0].voices == (5,)


def test_new_crops_have_none_unless_asked_for(cache: Cache, prepare: Prepare) -> None:
    prepare(voiced(3))
    assert prepare(PLAIN, force=True)
    assert not names(cache)
    assert cache.tracks()[0].voices == ()
    assert prepare(voiced(3), force=True)
    assert len(names(cache)) == 2


def test_an_interruption_leaves_none(cache: Cache, prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(voiced(3))
    with monkeypatch.context() as patched:
        write = cache_voices.write_voice

        def stop(*arguments: object) -> None:
            write(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patched.setattr(prepare_voices, "write_voice", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(voiced(-3))
    assert cache.tracks()[0].voices == ()
    assert prepare(voiced(-3))
    assert names(cache) == {"0/mel.voice-3.npy", "1/mel.voice-3.npy"}
    assert [row.voices for row in cache.tracks()] == [(-3,), (-3,)]


def test_a_judge_has_both_features(cache: Cache, prepare: Prepare) -> None:
    prepare(replace(voiced(3), crop=replace(SPEC, kind="judge", size=112)))
    row = cache.tracks()[0]
    assert load_voice(cache, row, "mfcc", 13, 3).shape == cache.load_mfcc(row).shape
    assert "0/mel.voice+3.npy" in names(cache)


def test_an_index_of_an_older_version_is_rebuilt(cache: Cache, prepare: Prepare) -> None:
    prepare(voiced(3))
    rows = cache.tracks()
    arrays = {name: array for name, array in read_arrays(cache.root / INDEX).items() if "voices" not in name}
    write_arrays(cache.root / INDEX, arrays)
    assert cache.tracks() == rows
    assert not cache.tracks().has("voices", NO_VOICES).any()


def test_a_damaged_voice_is_named(cache: Cache, prepare: Prepare) -> None:
    prepare(voiced(3))
    path = cache.clip("film").folder / "tracks" / "0" / "mel.voice+3.npy"
    path.write_bytes(b"short")
    with pytest.raises(CacheError, match=r"mel\.voice\+3\.npy cannot be read .*preprocess --force"):
        load_voice(cache, cache.tracks()[0], "mel", 80, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [("[0, 3]", "must lie between -12 and 12 and not be 0, which is the recorded voice; got 0, 3"),
     ("[13]", "must lie between -12 and 12"), ("[3, 3]", "names a shift twice"), ("3", "must be a list such as")],
)  # fmt: skip
def test_what_is_no_voice_is_refused(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(PrepareSettings, "preprocess", None, [f"voices.semitones={given}"])

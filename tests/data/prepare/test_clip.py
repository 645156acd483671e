"""From a clip to samples: every face of every shot, cut exactly, with its own sound."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import w2l.data.prepare.cut
from tests.helpers.rooms import ONE, SPEC, TWO, Face, Usher, make_film
from w2l.cache.records import ClipRecord
from w2l.cache.store import Cache, Clip, TrackRow
from w2l.core.arrays import Image
from w2l.core.errors import ConfigError, MediaError
from w2l.core.files import read_arrays, write_arrays
from w2l.data.prepare.clip import PrepareSettings, prepare_clip, prepare_fingerprint
from w2l.data.prepare.gates import GateSettings
from w2l.data.prepare.run import prepare_one
from w2l.data.puppets import babble, draw_face
from w2l.data.sources.listing import Source
from w2l.faces.scan import scan_clip, scan_fingerprint
from w2l.features.crop import cut_from
from w2l.features.mel import mel_spectrogram
from w2l.features.windows import nearest_frames
from w2l.media.audio import read_audio, write_wav
from w2l.media.coded import read_coded
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Cache.open(tmp_path / "cache", create=True).clip("film")


def prepare(
    clip: Clip, path: Path, settings: PrepareSettings, detector: Usher | None = None, force: bool = False
) -> ClipRecord:
    """As the stage does it: the outcome is noted."""
    who = detector or Usher()
    prepared = prepare_clip(clip, path, who, settings, force)
    clip.write(prepared)
    return prepared


def stored(clip: Clip, number: int, n_frames: int = 1) -> tuple[Image, NDArray[np.float32]]:
    cache = Cache(clip.folder.parent.parent)
    row = TrackRow(clip.id, number, n_frames, 0, "")
    crops, mel = cache.load_track(row)
    return np.asarray(crops[0 : len(crops)]), mel


def contents(clip: Clip) -> dict[str, bytes]:
    return {str(p.relative_to(clip.folder)): p.read_bytes() for p in clip.folder.rglob("*") if p.is_file()}


def test_each_talking_face_of_each_shot_is_a_sample(clip: Clip, film: Path) -> None:
    outcome = prepare(clip, film, PrepareSettings(SPEC)).preprocess
    assert [(track.first_frame, track.n_frames) for track in outcome.tracks] == [(0, 40), (40, 35)]
    assert [(track.quality or {})["n_faces"] for track in outcome.tracks] == [2, 1]
    (still,) = outcome.rejected
    assert (still.gate, still.start_s, still.end_s) == ("not speaking", 0.0, 1.6)
    assert sorted(path.name for path in (clip.folder / "tracks").iterdir()) == ["0", "1"]


def test_crops_and_sound_are_those_of_the_track(clip: Clip, film: Path) -> None:
    prepare(clip, film, PrepareSettings(SPEC))
    frames = list(read_coded(film))
    wave = read_audio(film, origin_s=probe(film).start_s)
    for number, (first, count, face) in enumerate([(0, 40, TWO[0]), (40, 35, ONE[0])]):
        crops, mel = stored(clip, number)
        seen = Usher._face(*face)
        expected = [cut_from(frame.picture, seen.box, seen.points, SPEC) for frame in frames[first : first + count]]
        assert np.array_equal(crops, np.stack(expected))
        assert np.array_equal(mel, mel_spectrogram(wave[first * 640 : (first + count) * 640]))


def test_all_faces_come_with_the_gate_open_and_none_of_two_with_it_closed(clip: Clip, film: Path) -> None:
    everyone = prepare(clip, film, PrepareSettings(SPEC, gates=GateSettings(min_mouth=-1.0))).preprocess
    assert [track.first_frame for track in everyone.tracks] == [0, 0, 40]
    alone = prepare(clip, film, PrepareSettings(SPEC, gates=GateSettings(one_face=True))).preprocess
    assert [track.first_frame for track in alone.tracks] == [40]
    assert [track.gate for track in alone.rejected] == ["several faces"] * 2
    assert [path.name for path in (clip.folder / "tracks").iterdir()] == ["0"]


def test_long_tracks_are_split_evenly_and_lose_nothing(tmp_path: Path, clip: Clip) -> None:
    video = tmp_path / "long.mkv"
    make_film(video, [(60, 110)])
    whole = prepare(clip, video, PrepareSettings(SPEC)).preprocess
    crops, _ = stored(clip, 0)
    assert len(whole.tracks) == 1
    parts = prepare(clip, video, PrepareSettings(SPEC, max_track_s=2.0)).preprocess.tracks
    assert [part.n_frames for part in parts] == [37, 37, 36]
    assert np.array_equal(np.concatenate([stored(clip, number)[0] for number in range(3)]), crops)
    with pytest.raises(ConfigError, match="at least twice"):
        PrepareSettings(max_track_s=1.5)


@pytest.mark.parametrize("fps", [60.0, 20.0])
def test_other_rates_come_at_25_fps_by_their_times(tmp_path: Path, clip: Clip, fps: float) -> None:
    video = tmp_path / "rate.mkv"
    make_film(video, [(60, round(1.6 * fps))], fps)
    (track,) = prepare(clip, video, PrepareSettings(SPEC)).preprocess.tracks
    assert track.n_frames == 40
    frames = list(read_coded(video))
    wanted = nearest_frames(np.array([frame.time_s for frame in frames]), 25)
    seen = Usher._face(*ONE[0])
    expected = [cut_from(frames[idx].picture, seen.box, seen.points, SPEC) for idx in wanted]
    assert np.array_equal(stored(clip, 0)[0], np.stack(expected))


def test_crops_that_do_not_fit_into_memory_are_the_same(
    clip: Clip, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(clip, film, PrepareSettings(SPEC))
    before = contents(clip)
    monkeypatch.setattr(w2l.data.prepare.cut, "IN_MEMORY", 1000)
    prepare(clip, film, PrepareSettings(SPEC), force=True)
    assert contents(clip) == before


@pytest.mark.parametrize("gates", [
    GateSettings(min_face_px=20.0), GateSettings(min_mouth=0.012), GateSettings(max_yaw=20.0, min_sharpness=0.01),
    GateSettings(one_face=True), GateSettings(min_mouth=-1.0), GateSettings(max_silent=0.001),
    GateSettings(min_face_px=500.0), GateSettings(min_track_s=1.5),
], ids=str)  # fmt: skip
def test_other_gates_give_what_a_fresh_run_gives_without_a_new_search(
    clip: Clip, film: Path, tmp_path: Path, gates: GateSettings
) -> None:
    usher = Usher()
    prepare(clip, film, PrepareSettings(SPEC), usher)
    n_shown = usher.n_shown
    prepare(clip, film, PrepareSettings(SPEC, gates=gates), usher)
    assert usher.n_shown == n_shown
    fresh = Cache.open(tmp_path / "fresh", create=True).clip("film")
    prepare(fresh, film, PrepareSettings(SPEC, gates=gates))
    assert contents(clip) == contents(fresh)
    prepare(clip, film, PrepareSettings(SPEC), usher)
    prepare(fresh, film, PrepareSettings(SPEC), usher)
    assert contents(clip) == contents(fresh)


def test_other_gates_leave_crops_alone_where_the_same_tracks_pass(
    clip: Clip, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PrepareSettings(SPEC)
    before = prepare(clip, film, settings).preprocess
    monkeypatch.setattr("w2l.data.prepare.sounds.read_audio", None)  # neither sound nor picture is opened
    monkeypatch.setattr("w2l.data.prepare.clip.probe", None)
    after = prepare(clip, film, replace(settings, gates=GateSettings(min_face_px=30.0, min_mouth=0.012))).preprocess
    assert after.tracks == before.tracks
    assert after.rejected == (replace(before.rejected[0], reason=after.rejected[0].reason),)
    assert "less than 0.012" in str(after.rejected[0].reason)


def test_a_clip_without_a_kept_track_says_which_gate_and_where(clip: Clip, film: Path) -> None:
    outcome = prepare(clip, film, PrepareSettings(SPEC, gates=GateSettings(min_face_px=500.0))).preprocess
    assert (outcome.outcome, outcome.gate, outcome.tracks) == ("set aside", "small face", ())
    said = "small face: from 0.0 s on the face is 79 px wide, less than 500 px (3 face tracks rejected)"
    assert said in str(outcome.reason)
    assert not (clip.folder / "tracks").exists()


def test_media_that_cannot_be_used_have_a_word_and_a_reason(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    make_film(tmp_path / "room.mkv", [(220, 30)])
    make_film(tmp_path / "blink.mkv", [(220, 30), (60, 3)])
    with VideoWriter(Output(tmp_path / "mute.mkv", 64, 48, 25)) as writer:
        for _ in range(30):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    for name, gate in [
        ("empty.mp4", "unreadable"), ("room.mkv", "no face"), ("mute.mkv", "no sound"), ("gone.mkv", "unreadable"),
        ("blink.mkv", "no face"),
    ]:  # fmt: skip
        outcome = prepare(clip, tmp_path / name, PrepareSettings(SPEC)).preprocess
        assert (outcome.outcome, outcome.gate) == ("set aside", gate), name
        assert name in str(outcome.reason)
        assert "\n" not in str(outcome.reason)
        assert not (clip.folder / "tracks").exists()


def test_a_video_that_cannot_be_read_now_is_not_set_aside_for_ever(
    clip: Clip, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        try:
            raise PermissionError(errno.EACCES, "Permission denied")
        except PermissionError as error:
            raise MediaError(f"{path}: not readable") from error

    with monkeypatch.context() as patch:
        patch.setattr("w2l.data.prepare.clip.probe", refuse)
        with pytest.raises(MediaError, match="not readable"):
            prepare_clip(clip, film, Usher(), PrepareSettings(SPEC))
    assert clip.record().preprocess.is_empty
    assert prepare(clip, film, PrepareSettings(SPEC)).preprocess.outcome == "done"


@pytest.mark.parametrize("where", ["dev/aac/id00012/x", "dev/mp4/id00012/x"])
def test_a_video_without_sound_has_that_of_the_file_beside_it(clip: Clip, tmp_path: Path, where: str) -> None:
    video, sound = tmp_path / "dev/mp4/id00012/x/00001.mp4", tmp_path / where / "00001.wav"
    for path in (video, sound):
        path.parent.mkdir(parents=True, exist_ok=True)
    wave = make_film(tmp_path / "both.mkv", [(60, 35)])
    with VideoWriter(Output(video, 320, 180, 25, encoding=Encoding(crf=10))) as writer:
        for frame in read_frames(tmp_path / "both.mkv"):
            writer.write(frame.image)
    settings = PrepareSettings(SPEC)
    mute, mark = prepare(clip, video, settings).preprocess, prepare_fingerprint(video, Usher(), settings)
    assert (mute.outcome, mute.gate) == ("set aside", "no sound")
    write_wav(sound, wave)
    assert prepare_fingerprint(video, Usher(), settings) != mark
    found = prepare(clip, video, settings)
    assert ([track.n_frames for track in found.preprocess.tracks], found.sound) == ([35], str(sound))
    np.testing.assert_array_equal(stored(clip, 0, 35)[1], mel_spectrogram(read_audio(sound)[: 35 * 640]))
    mark = prepare_fingerprint(video, Usher(), settings)
    write_wav(sound, wave[:8000])
    assert prepare_fingerprint(video, Usher(), settings) != mark
    assert prepare(clip, tmp_path / "both.mkv", settings).sound == ""


def faces_in(record: ClipRecord) -> float:
    return (record.preprocess.tracks[0].quality or {})["n_faces"]


def test_another_video_of_the_same_size_and_time_is_looked_at_anew(clip: Clip, tmp_path: Path) -> None:
    video, other, settings = tmp_path / "a.mkv", tmp_path / "b.mkv", PrepareSettings(SPEC)
    make_film(video, [(60, 30)])
    make_film(other, [(150, 30)])
    length = max(path.stat().st_size for path in (video, other))
    for path in (video, other):
        path.write_bytes(path.read_bytes().ljust(length, b"\0"))
        os.utime(path, ns=(1, 1))
    detector = Usher()
    assert faces_in(prepare(clip, video, settings, detector)) == 1
    n_shown = detector.n_shown
    prepare(clip, video, settings, detector)
    assert scan_clip(clip, video, detector, settings.detect)[1] is False
    assert detector.n_shown == n_shown
    other.replace(video)
    assert faces_in(prepare(clip, video, settings, detector)) == 2
    assert detector.n_shown > n_shown


def test_what_an_earlier_version_prepared_stays_ready(clip: Clip, film: Path) -> None:
    """It knew a source by size and time alone."""
    settings, detector = PrepareSettings(SPEC), Usher()
    made = prepare(clip, film, settings, detector)
    old = prepare_fingerprint(film, detector, settings, content=False)
    arrays = read_arrays(clip.faces)
    marked = scan_fingerprint(film, detector, settings.detect, content=False)
    write_arrays(clip.faces, {**arrays, "mark": np.array(marked)})
    assert scan_clip(clip, film, detector, settings.detect)[1] is False
    clip.write(made.noted(replace(made.preprocess, fingerprint=old)))
    cache = Cache(clip.folder.parent.parent)
    n_shown = detector.n_shown
    assert not prepare_one((cache, detector), Source("film", film), settings, False).is_new
    assert detector.n_shown == n_shown


def test_a_fade_through_black_parts_two_people_at_one_place(tmp_path: Path, clip: Clip) -> None:
    video = tmp_path / "fade.mkv"
    write_wav(tmp_path / "s.wav", babble(4.0, seed=2))
    gains = [1.0] * 40 + np.linspace(1, 0, 10).tolist() + np.linspace(0, 1, 10).tolist() + [1.0] * 40
    with VideoWriter(Output(video, 320, 180, 25, speech=tmp_path / "s.wav", encoding=Encoding(crf=10))) as writer:
        for gain in gains:
            image = np.full((180, 320, 3), 60, np.uint8)
            draw_face(image, *ONE[0], mouth=0.5)
            writer.write((image * gain).astype(np.uint8))

    class Everywhere(Usher):
        @staticmethod
        def _room(image: Image) -> tuple[Face, ...]:
            return ONE

    first, second = prepare(clip, video, PrepareSettings(SPEC), Everywhere()).preprocess.tracks
    assert abs((second.first_frame or 0) - 50) <= 3
    assert first.n_frames + second.n_frames == 100

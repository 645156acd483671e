"""Videos before a judge that compares brightness with loudness, so that a shift of three is known to score three."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.core.errors import ConfigError, MediaError, NoFaceError
from w2l.core.timing import SAMPLE_RATE, SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.data.sources.word_times import read_words
from w2l.faces.detectors.base import Detection
from w2l.features.crop import CropSpec
from w2l.media.audio import read_audio, write_wav
from w2l.media.output import Output
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter
from w2l.models.checkpoint import Model, ModelCard
from w2l.scoring.clip import MeasuredClip, measure_clip
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.embed import Embeddings
from w2l.scoring.metrics.view import Hearing, View
from w2l.scoring.results import REAL, Sample
from w2l.scoring.settings import ScoreSettings, Variant
from w2l.scoring.tools import Bench, Embedder

MakeClip = Callable[..., Path]
FACE = np.array([50.0, 30.0, 90.0, 70.0])
"""Box of the pretended face; the judge's square around it lies within the lit part of the picture."""
LOUDEST, STEPS = 0.5, 2.0
"""Amplitude of the loudest frame, and how far (natural logarithm) the quietest lies under it."""
TONE_HZ = 1000


def levels(n_frames: int) -> NDArray[np.float64]:
    """(frames,) How bright and loud each frame is, 0..1."""
    return np.random.default_rng(7).uniform(0.1, 1.0, n_frames)


def windows_of(values: Sequence[float]) -> Embeddings:
    """(windows, 1): means of five neighbours, around 0."""
    if len(values) < WINDOW_FRAMES:
        return np.empty((0, 1), np.float32)
    mean = np.convolve(values, np.ones(WINDOW_FRAMES) / WINDOW_FRAMES, mode="valid")
    return (mean - 0.55).astype(np.float32)[:, None]


class Eyes:
    """Sees how bright a picture is."""

    def __init__(self) -> None:
        self._seen: list[float] = []

    def add(self, image: Image) -> None:
        self._seen.append(float(image.mean()) / 255)

    def finish(self) -> Embeddings:
        seen, self._seen = self._seen, []
        return windows_of(seen)


ENDS = (slice(8), slice(-8, None))
"""The first and the last rows or columns of a picture."""


class OneFace:
    """Sees one face at the same place in every picture without a black corner, however it is turned."""

    name = fingerprint = "one face"

    def __init__(self) -> None:
        self.n_seen = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_seen += len(images)
        points = FACE[:2] + 40 * np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        return [[Detection(FACE, 0.99, points)] if _darkest_corner(image) > 8 else [] for image in images]


def _darkest_corner(image: Image) -> float:
    return min(float(image[rows, columns].mean()) for rows in ENDS for columns in ENDS)


class BrightBench(Bench):
    """A bench whose judge compares brightness with loudness."""

    def embedder(self) -> Embedder:
        return Eyes()

    def hear(self, wave: NDArray[np.floating[Any]], n_frames: int) -> Embeddings:
        count = min(n_frames, len(wave) // SAMPLES_PER_FRAME)
        frames = np.asarray(wave[: count * SAMPLES_PER_FRAME], np.float64).reshape(count, -1)
        loud = np.sqrt(2 * (frames**2).mean(axis=1))
        return windows_of([1 + np.log(max(value, 1e-6) / LOUDEST) / STEPS for value in loud])


@dataclass
class Watching:
    """A measure that only keeps what it was shown."""

    views: list[View]
    hearing: list[Hearing]
    blank: dict[str, str] = field(default_factory=dict)
    columns = (Column("n", "n", "quality", "", "count"),)

    def add(self, view: View) -> None:
        self.views.append(view)

    def finish(self, hearing: Hearing) -> Mapping[str, float | str]:
        self.hearing.append(hearing)
        return {"n": float(len(self.views)), **self.blank}


@pytest.fixture
def watching() -> Watching:
    return Watching([], [])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    card = ModelCard("judge", {}, CropSpec("judge", 64, smooth_s=0.0), "bgr")
    judge = Model(nn.Parameter(torch.zeros(1)), card, Path("brightness"))  # type: ignore[arg-type]
    cache = Cache.open(tmp_path / "cache", create=True)
    return BrightBench(ScoreSettings(), cache, judge, OneFace(), (), (), None, {})


@pytest.fixture(scope="module")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Makes a video whose picture is as bright as its sound is loud `lag` frames (1/25 s) later."""

    def make(
        name: str = "clip.mp4", n_frames: int = 60, lag: int = 0, *, fps: float = 25.0, sound: bool = True,
        face_from: int = 0, size: tuple[int, int] = (160, 120),
    ) -> Path:  # fmt: skip
        folder = tmp_path_factory.mktemp("clips")
        level = levels(200)
        loud = np.repeat(level[100 - lag : 100 - lag + n_frames], SAMPLE_RATE // 25)
        amplitude = LOUDEST * np.exp(STEPS * (loud - 1))
        tone = np.sin(2 * np.pi * TONE_HZ * np.arange(len(loud)) / SAMPLE_RATE)
        write_wav(folder / "sound.wav", (amplitude * tone).astype(np.float32))
        flicker = np.random.default_rng(1).integers(40, 200, n_frames * 2)
        speech = folder / "sound.wav" if sound else None
        with VideoWriter(Output(folder / name, *size, fps, speech=speech)) as writer:
            for idx in range(round(n_frames * fps / 25)):
                image = np.full((size[1], size[0], 3), flicker[idx], np.uint8)
                image[:112, 16:128] = round(255 * level[100 + int(idx * 25 / fps + 1e-6)])
                if idx < face_from:
                    image[-16:, -16:] = 0
                writer.write(image)
        return folder / name

    return make


def scored(path: Path, bench: Bench, variant: Variant = "face", **named: Any) -> MeasuredClip:
    bench.settings = replace(bench.settings, variant=variant)
    return measure_clip(Sample(path, "outputs", path.stem, **named), bench)


@pytest.mark.parametrize("lag", [0, 3, -4])
def test_a_shift_scores_itself(make_clip: MakeClip, bench: Bench, lag: int) -> None:
    """Sound that comes three frames late has the offset -3."""
    score = scored(make_clip(lag=lag), bench).scores[0]
    assert score.values["offset"] == -lag
    assert score.windows == score.values["windows"] == len(score.over_time) == len(score.distances) == 55
    assert score.start_s == 0
    assert score.values["lse_d"] == pytest.approx(min(score.curve), abs=1e-5)
    assert score.values["lse_d"] + score.values["lse_c"] == pytest.approx(np.median(score.curve), abs=1e-5)


def test_only_the_face_is_judged(make_clip: MakeClip, bench: Bench) -> None:
    """What flickers around the face spoils the score of whole frames alone."""
    path = make_clip()
    face, frame = (scored(path, bench, variant).scores[0].values["lse_d"] for variant in ("face", "lrs"))
    assert face < 0.05 < frame


def test_long_tracks_are_scored_one_by_one_and_short_ones_refused(make_clip: MakeClip, bench: Bench) -> None:
    bench.settings = replace(bench.settings, min_track=50, min_track_px=30.0)
    assert [score.values["offset"] for score in scored(make_clip(lag=2), bench, "real").scores] == [-2]
    bench.settings = replace(bench.settings, min_track=60)
    with pytest.raises(NoFaceError, match="no face track of more than 60 frames"):
        scored(make_clip(), bench, "real")


def test_other_frame_rates_are_brought_to_25(make_clip: MakeClip, bench: Bench) -> None:
    for variant in ("face", "lrs"):
        score = scored(make_clip(lag=3, fps=50.0), bench, variant).scores[0]
        assert (score.values["offset"], score.windows) == (-3, 55)


def test_a_face_that_comes_late_keeps_its_time(make_clip: MakeClip, bench: Bench) -> None:
    score = scored(make_clip(lag=2, face_from=18), bench).scores[0]
    assert score.start_s == pytest.approx(20 / 25)
    assert (score.values["offset"], score.windows) == (-2, 35)


def test_detections_are_kept_and_two_runs_are_identical(make_clip: MakeClip, bench: Bench) -> None:
    path = make_clip()
    first = scored(path, bench).scores
    n_seen = bench.detector.n_seen  # type: ignore[union-attr]
    assert scored(path, bench).scores == first
    assert bench.detector.n_seen == n_seen > 0  # type: ignore[union-attr]


def test_another_sound_is_judged_where_one_is_named(make_clip: MakeClip, bench: Bench) -> None:
    shifted = make_clip(lag=5)
    assert scored(make_clip(sound=False), bench, speech=shifted).scores[0].values["offset"] == -5


def test_what_cannot_be_scored_says_why(make_clip: MakeClip, bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"silent\.mp4.*no sound"):
        scored(make_clip("silent.mp4", sound=False), bench)
    with pytest.raises(NoFaceError, match=r"faceless\.mp4: no face visible"):
        scored(make_clip("faceless.mp4", n_frames=20, face_from=20), bench)
    with pytest.raises(MediaError, match=r"short\.mp4: the clip is too short.*picture lasts 5"):
        scored(make_clip("short.mp4", n_frames=5), bench, "lrs")
    with pytest.raises(MediaError, match=r"short\.mp4: the clip is too short.*picture lasts 5"):
        scored(make_clip("short.mp4", n_frames=5), bench)
    with pytest.raises(MediaError, match=r"missing\.mp4"):
        scored(tmp_path / "missing.mp4", bench)


def test_what_makes_numbers_doubtful_is_noted(make_clip: MakeClip, bench: Bench, tmp_path: Path) -> None:
    """A file with a damaged part, and one whose sound is silence; a whole one has no note."""
    whole = make_clip()
    assert scored(whole, bench).scores[0].notes == ()
    write_wav(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE * 2, np.float32))
    silent = scored(make_clip("mute.mp4", sound=False), bench, speech=tmp_path / "silence.wav").scores[0]
    assert "silent throughout" in silent.notes[0]
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w", options={"movflags": "faststart"}) as target:
        streams = [target.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    data = cut.read_bytes()
    cut.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    assert any("damaged or truncated" in note for note in scored(cut, bench).scores[0].notes)


def test_measures_see_output_and_reference_of_the_same_moment(
    make_clip: MakeClip, bench: Bench, watching: Watching
) -> None:
    """Though the rates differ: the reference has every other frame of the output."""
    bench.makers = (lambda: watching,)
    made, real = make_clip("made.mp4", fps=50.0), make_clip("real.mp4")
    score = scored(made, bench, reference=real).scores[0]
    assert score.values["n"] == len(watching.views) == 120
    for view in watching.views:
        assert view.reference is not None
        ours, theirs = (float(image[30:70, 50:90].mean()) for image in (view.output, view.reference))
        assert ours == pytest.approx(theirs, abs=12)
        np.testing.assert_allclose(view.box, FACE, atol=1)
    assert watching.views[-1].time_s == pytest.approx(119 / 50)
    assert watching.hearing[0].own_speech
    assert watching.hearing[0].fps == pytest.approx(50)


def test_other_speech_is_told_from_the_own(make_clip: MakeClip, bench: Bench, watching: Watching) -> None:
    bench.makers = (lambda: watching,)
    scored(make_clip("made.mp4"), bench, reference=make_clip("real.mp4", lag=20))
    scored(make_clip("made.mp4"), bench, reference=make_clip("real.mp4", sound=False))
    assert [hearing.own_speech for hearing in watching.hearing] == [False, False]


def test_a_larger_reference_is_brought_to_size(make_clip: MakeClip, bench: Bench, watching: Watching) -> None:
    bench.makers = (lambda: watching,)
    score = scored(make_clip("made.mp4"), bench, reference=make_clip("real.mp4", size=(320, 240))).scores[0]
    view = watching.views[0]
    assert view.reference is not None
    assert view.reference.shape == view.output.shape
    np.testing.assert_allclose(view.box, FACE / 2, atol=1)
    assert "resized from 320x240" in score.notes[0]


def test_a_reference_of_another_shape_is_not_compared(make_clip: MakeClip, bench: Bench, watching: Watching) -> None:
    bench.makers = (lambda: watching,)
    score = scored(make_clip("made.mp4"), bench, reference=make_clip("real.mp4", size=(160, 160))).scores[0]
    assert all(view.reference is None for view in watching.views)
    assert "160x160, the output 160x120" in score.notes[0]
    assert "lse_d" in score.values


def test_a_shorter_reference_is_compared_as_far_as_it_goes(
    make_clip: MakeClip, bench: Bench, watching: Watching
) -> None:
    bench.makers = (lambda: watching,)
    score = scored(make_clip("made.mp4"), bench, reference=make_clip("real.mp4", n_frames=30)).scores[0]
    assert score.values["n"] == 31  # the last one is shown for its own time
    assert "31 of 60 frames" in score.notes[0]


def test_measures_that_ask_for_it_see_the_rest_of_a_longer_reference(
    make_clip: MakeClip, bench: Bench, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest: list[View] = []
    monkeypatch.setattr(Watching, "add_rest", lambda self, view: rest.append(view), raising=False)
    bench.makers = (lambda: watching,)
    real = make_clip("real.mp4", n_frames=60, size=(320, 240))
    scored(make_clip("made.mp4", n_frames=24), bench, reference=real)
    assert len(watching.views) == 24
    assert len(rest) == 36
    assert all(view.output.shape == (120, 160, 3) and view.output is view.reference for view in rest)
    np.testing.assert_allclose(rest[0].box, FACE / 2, atol=1)


def test_a_still_is_compared_throughout(make_clip: MakeClip, bench: Bench, watching: Watching, tmp_path: Path) -> None:
    bench.makers = (lambda: watching,)
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), np.full((120, 160, 3), 90, np.uint8))
    score = scored(make_clip("made.mp4"), bench, reference=still).scores[0]
    assert score.values["n"] == 60
    assert all(view.reference is not None and view.reference[60, 80, 0] == 90 for view in watching.views)


def test_measures_know_the_real_video_and_say_why_a_number_is_missing(
    make_clip: MakeClip, bench: Bench, watching: Watching
) -> None:
    watching.blank = {"one": "it is dark", "two": "it is dark", "three": "it is late"}
    bench.makers = (lambda: watching,)
    clip = make_clip()
    score = scored(clip, bench).scores[0]
    assert score.notes == (f"{clip}: no one, two: it is dark", f"{clip}: no three: it is late")
    assert not {"one", "two", "three"} & set(score.values)
    measure_clip(Sample(clip, REAL, "clip"), bench)
    assert [hearing.is_real for hearing in watching.hearing] == [False, True]


def test_pictures_alone_need_no_judge(make_clip: MakeClip, bench: Bench, watching: Watching) -> None:
    bench.makers = (lambda: watching,)
    bench.settings = replace(bench.settings, measures=("quality",))
    measured = scored(make_clip(), bench)
    assert measured.scores[0].values == {"n": 60.0}
    assert measured.lip is None


def test_words_are_found_by_the_end_of_a_path(bench: Bench) -> None:
    bench.words = {"s1/clip": ((0.0, 0.5, "bin"),)}
    assert bench.words_of(None, Path("/data/s1/clip.mp4")) == ((0.0, 0.5, "bin"),)
    assert bench.words_of(Path("/data/s2/clip.mp4")) == ()


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"clip\tstart_s\tend_s\tword\na\t0\t1\tbin\na\tx\t1\tblue\n", "line 3"), (b"clip word\na bin\n", "line 2"),
        (b"\x9d\n", "not UTF-8"), (b"\xff\xfe\x9d\n", "UTF-16"),
        (b"", "contains no words"), (b"clip\tstart_s\tend_s\tword\n", "contains no words"),
    ],
)  # fmt: skip
def test_a_table_of_words_that_is_none_says_where(content: bytes, where: str, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=where):
        read_words(path)


def test_the_clip_is_what_it_claims(make_clip: MakeClip) -> None:
    """The pictures carry their levels through the codec, and the sound does."""
    path = make_clip(n_frames=30)
    seen = [frame.image[20:100, 30:120].mean() / 255 for frame in read_frames(path)]
    np.testing.assert_allclose(seen, levels(200)[100:130], atol=0.03)
    loud = np.abs(read_audio(path)[: 30 * SAMPLES_PER_FRAME].reshape(30, -1)).max(axis=1)
    assert np.corrcoef(np.log(loud), levels(200)[100:130])[0, 1] > 0.9

"""Scoring of one clip: its frames are decoded once and passed to the judge and to every picture measure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.core.errors import MediaError
from w2l.core.timing import FPS, SAMPLES_PER_FRAME, WINDOW_FRAMES
from w2l.faces.tracker import Scan
from w2l.features.speech import speech_mel
from w2l.media.audio import read_audio
from w2l.media.channels import SILENT
from w2l.media.container import ReadStats
from w2l.media.video import Frame, VideoInfo, probe, read_frames
from w2l.models.soundness import check_returned
from w2l.scoring.faces import MeasuredFace, Shown, face_tracks, main_face, whole_frames
from w2l.scoring.metrics.embed import Embeddings
from w2l.scoring.metrics.fid import Features
from w2l.scoring.metrics.lse import lse_values
from w2l.scoring.metrics.view import Hearing, KnowsPerson, PictureMeasure, View
from w2l.scoring.results import REAL, ClipScore, Sample
from w2l.scoring.tools import Bench, Embedder, features_measure

SAME_SHAPE = 0.01
"""Largest relative difference of the aspect ratios of output and reference for which they can be compared."""
SAME_SPEECH = 0.9
"""Smallest correlation of two mels that count as the same speech. Of 18 clips no two reached 0.81; 5 ms late: 0.98."""
OTHER_SPEECH = (
    "its speech differs from its real video's: aperture r, closure and LMD are left out, and PSNR, SSIM and LPIPS "
    "compare mouths that should differ"
)
WHOLE = 0.9
"""Share of the declared frames that a file must contain: the number is an estimate in some."""
REST_S = 60.0
"""Seconds of the real video after the end of the output that are searched for more of the person."""


@dataclass(frozen=True)
class MeasuredClip:
    """All results of one clip."""

    scores: tuple[ClipScore, ...]
    """One; with variant `real` one per face track."""
    lip: Embeddings | None = None
    """(windows, features) of the first track, for the shuffled row."""
    audio: Embeddings | None = None
    """(windows, features) likewise."""
    features: Features | None = None
    """(frames, dims), for FID."""
    real_features: Features | None = None
    """(frames, dims) of the reference."""


def measure_clip(sample: Sample, bench: Bench) -> MeasuredClip:
    """Measure one clip.

    Raises MediaError for a video that cannot be read, has no audio or is too short, NoFaceError if no face is visible
    for 6 consecutive frames, or no track satisfies the variant.
    """
    info = probe(sample.path)
    if info.is_still:
        remedy = "set --reference to the real video" if sample.system == REAL else "choose a video"
        raise MediaError(f"{sample.path}is a still image, which cannot be scored; {remedy}")
    wave = _sound(sample, info)
    watchers = [Watcher(shown, bench.embedder(), bench) for shown in _shown(sample.path, bench)]
    gallery = _Gallery(sample, info, bench) if bench.makers or bench.source else None
    stats = ReadStats()
    for frame in read_frames(sample.path, stats):
        for watcher in watchers:
            watcher.take(frame)
        if gallery is not None:
            gallery.take(frame)
    judged = [_judged(sample, watcher, wave, bench) for watcher in watchers]
    values, notes = gallery.finish(wave) if gallery is not None else ({}, [])
    scores = [score for score, _, _ in judged] or [ClipScore(sample)]
    notes = [*_oddities(sample.path, info, wave, stats), *notes]
    scores[0] = replace(scores[0], values=scores[0].values | values, notes=tuple(notes))
    lip, audio = judged[0][1:] if judged else (None, None)
    return MeasuredClip(tuple(scores), lip, audio, *(gallery.features() if gallery is not None else ()))


def _oddities(path: Path, info: VideoInfo, wave: NDArray[np.float32], stats: ReadStats) -> list[str]:
    """Return notes on what makes the numbers of a readable clip doubtful."""
    found = []
    if float(np.abs(wave).max(initial=0.0)) < SILENT:
        found.append(f"{path}: the audio is silent throughout, so LSE and offset are meaningless")
    if stats.n_skipped or stats.n_frames < WHOLE * info.n_frames:
        found.append(f"{path}: the file is damaged or truncated: the frames that can be decoded were scored")
    return found


def _sound(sample: Sample, info: VideoInfo) -> NDArray[np.float32]:
    """Return the video's own audio, as published; only without any, the speech that it was made for."""
    if sample.speech is not None and not info.has_sound:
        return read_audio(sample.speech)
    return read_audio(sample.path, origin_s=info.start_s)


def _shown(path: Path, bench: Bench) -> list[Shown]:
    """Return the judge's inputs for a video; empty if LSE is not requested."""
    settings = bench.settings
    if "lse" not in settings.measures:
        return []
    if settings.variant == "lrs":
        return [whole_frames(path)]
    if settings.variant == "face":
        return [main_face(path, bench.scan(path), bench.crop)]
    return face_tracks(path, bench.scan(path), bench.crop, settings.min_track, settings.min_track_px)


class Watcher:
    """Feeds one face to the judge."""

    def __init__(self, shown: Shown, embedder: Embedder, bench: Bench) -> None:
        self.shown = shown
        self._embedder = embedder
        self._crop = bench.crop
        self._row = 0

    @property
    def is_done(self) -> bool:
        """Whether all frames were used."""
        return self._row == len(self.shown)

    def take(self, frame: Frame) -> None:
        """Use a frame as often as it is shown at 25 fps."""
        while not self.is_done and self.shown.source_idx[self._row] == frame.idx:
            self._embedder.add(self.shown.picture(frame.image, self._row, self._crop))
            self._row += 1

    def finish(self) -> Embeddings:
        """Return the embeddings (windows, features)."""
        return self._embedder.finish()


def _judged(
    sample: Sample, watcher: Watcher, wave: NDArray[np.float32], bench: Bench
) -> tuple[ClipScore, Embeddings, Embeddings]:
    """Return the score of one face, and its embeddings of picture and audio."""
    first = watcher.shown.first_frame
    heard = wave[first * SAMPLES_PER_FRAME :]
    lip, audio = watcher.finish(), bench.hear(heard, len(watcher.shown))
    check_returned(bench.judge.path, lip, audio)
    if min(len(lip), len(audio)) < 2:
        raise MediaError(
            f"{sample.path}: the clip is too short to score: picture and audio must both last {WINDOW_FRAMES + 1} "
            f"frames at 25 fps (the picture lasts {len(watcher.shown)}, the audio {len(heard) // SAMPLES_PER_FRAME}); "
            "use a longer clip"
        )
    told = lse_values(lip, audio, bench.settings.max_shift)
    windows = int(told.values["windows"])
    score = ClipScore(sample, told.values, told.curve, told.over_time, told.distances, windows, first / FPS)
    return score, lip, audio


class _Gallery:
    """Passes every frame, with the same moment of the reference, to all picture measures."""

    def __init__(self, sample: Sample, info: VideoInfo, bench: Bench) -> None:
        self._sample, self._info, self._bench = sample, info, bench
        self._notes: list[str] = []
        self._reference: _Reference | None
        self._reference, scan = self._open_reference()
        self._face = MeasuredFace(scan or bench.scan(sample.path))
        self._features = features_measure(bench, self._reference is not None)
        measures: list[PictureMeasure] = [make() for make in bench.makers]
        self._measures = measures + ([self._features] if self._features is not None else [])
        self._n_frames = self._n_measured = 0

    def _open_reference(self) -> "tuple[_Reference, Scan] | tuple[None, None]":
        """Return the real video and its faces; None, with a note, if it cannot be compared."""
        path, ours = self._sample.reference, self._info
        if path is None:
            return None, None
        try:
            real = probe(path)
            if abs(real.width * ours.height / (real.height * ours.width) - 1) > SAME_SHAPE:
                sizes = f"{real.width}x{real.height}, the output {ours.width}x{ours.height}"
                self._notes.append(f"{self._sample.path}: the reference is {sizes}: not compared, as shapes differ")
                return None, None
            if real.width != ours.width:
                self._notes.append(f"{self._sample.path}: the reference was resized from {real.width}x{real.height}")
            return _Reference(path, real, ours), self._bench.scan(path)
        except MediaError as error:
            self._notes.append(f"{self._sample.path}: not compared, as the reference cannot be read: {error}")
            return None, None

    def take(self, frame: Frame) -> None:
        """Pass on a frame if its face is known and the reference is long enough."""
        self._n_frames += 1
        found, image = frame, None
        if self._reference is not None:
            beside = self._reference.at(frame.time_s)
            if beside is None:
                return
            found, image = beside
        face = self._face.at(found.idx)
        if face is None:
            return
        zoom = self._reference.zoom if self._reference is not None else 1.0
        view = View(frame.image, image, face[0] * zoom, face[1] * zoom, frame.time_s)
        self._n_measured += 1
        for measure in self._measures:
            measure.add(view)

    def finish(self, wave: NDArray[np.float32]) -> tuple[dict[str, float], list[str]]:
        """Return all numbers by column name, and the notes."""
        path = self._sample.path
        if not self._n_measured:
            return {}, [*self._notes, f"{path}: no face was found, so picture quality was not measured"]
        if self._n_measured < self._n_frames:
            self._notes.append(f"{path}: pictures were measured in {self._n_measured} of {self._n_frames} frames")
        self._show_rest()
        words = self._bench.words_of(self._sample.speech, path, self._sample.reference)
        hearing = Hearing(wave, self._info.fps, words, self._is_own_speech(wave), self._sample.system == REAL)
        asked = set(self._bench.settings.measures)
        if self._reference is not None and not hearing.own_speech and asked & {"quality", "mouth"}:
            self._notes.append(f"{path}: {OTHER_SPEECH}")
        found = {name: value for measure in self._measures for name, value in measure.finish(hearing).items()}
        self._notes += _reasons(path, found)
        return {name: value for name, value in found.items() if not isinstance(value, str)}, self._notes

    def _show_rest(self) -> None:
        """Pass the real video after the end of the output to the measures that use more of the person."""
        asking = [measure for measure in self._measures if isinstance(measure, KnowsPerson)]
        if self._reference is None or not asking:
            return
        for frame, image in self._reference.rest():
            if (face := self._face.at(frame.idx)) is not None:
                box, points = (place * self._reference.zoom for place in face)
                for measure in asking:
                    measure.add_rest(View(image, image, box, points, frame.time_s))

    def features(self) -> tuple[Features | None, Features | None]:
        """Return the FID features of the output and of the reference; after `finish`."""
        if self._features is None or not self._n_measured:
            return None, None
        return self._features.features()

    def _is_own_speech(self, wave: NDArray[np.float32]) -> bool:
        """Whether the reference says the same at the same time."""
        if self._reference is None or not self._reference.info.has_sound:
            return False
        real = read_audio(self._reference.path, origin_s=self._reference.info.start_s)
        count = min(len(wave), len(real))
        if count < SAMPLES_PER_FRAME * WINDOW_FRAMES:
            return False
        ours, theirs = (speech_mel(sound[:count]).ravel() for sound in (wave, real))
        if not (ours.std() and theirs.std()):
            return bool(np.array_equal(ours, theirs))
        return float(np.corrcoef(ours, theirs)[0, 1]) >= SAME_SPEECH


def _reasons(path: Path, found: Mapping[str, float | str]) -> list[str]:
    """Return a note for each reason for missing numbers."""
    names: dict[str, list[str]] = {}
    for name, value in found.items():
        if isinstance(value, str):
            names.setdefault(value, []).append(name)
    return [f"{path}: no {', '.join(of_it)}: {reason}" for reason, of_it in names.items()]


class _Reference:
    """The real video, whose frames are requested by increasing times; a still image is repeated."""

    def __init__(self, path: Path, info: VideoInfo, output: VideoInfo) -> None:
        self.path, self.info = path, info
        self.zoom = output.width / info.width
        """Output pixels per reference pixel."""
        self._size = (output.width, output.height)
        self._frames: Iterator[Frame] = read_frames(path)
        self._now = next(self._frames, None)
        self._next = next(self._frames, None)
        self._resized: tuple[int, Image] | None = None

    def at(self, time_s: float) -> tuple[Frame, Image] | None:
        """Return the frame shown nearest to that time, and its image in the output's size; None after the end."""
        while self._next is not None and self._now is not None:
            # A tie goes to the earlier frame; the tolerance keeps rounding from deciding it.
            if abs(self._next.time_s - time_s) >= abs(self._now.time_s - time_s) - 1e-9:
                break
            self._now, self._next = self._next, next(self._frames, None)
        is_over = self._next is None and not self.info.is_still
        if self._now is None or (is_over and time_s > self._now.time_s + 1 / self.info.fps):
            return None
        if self._resized is None or self._resized[0] != self._now.idx:
            self._resized = (self._now.idx, self._fitted(self._now.image))
        return self._now, self._resized[1]

    def rest(self) -> Iterator[tuple[Frame, Image]]:
        """Yield the frames after the last one requested, as `at` returns them, for `REST_S` seconds."""
        until = REST_S + (self._now.time_s if self._now is not None else 0.0)
        while self._next is not None and self._next.time_s < until:
            frame, self._next = self._next, next(self._frames, None)
            yield frame, self._fitted(frame.image)

    def _fitted(self, image: Image) -> Image:
        if self.zoom == 1 and image.shape[1::-1] == self._size:
            return image
        way = cv2.INTER_AREA if self.zoom < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, self._size, interpolation=way), dtype=np.uint8)

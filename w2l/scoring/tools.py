"""Tools of the scorer, created once per process: the judge, the face detector, and the networks of the measures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.data.sources.word_times import Spoken, Words, read_words, words_of
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.faces.detectors.landmarks import Landmarks
from w2l.faces.recogniser import Recogniser
from w2l.faces.scan import DetectSettings, clip_for, scan_clip
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import Model
from w2l.models.fetch import file_of
from w2l.models.inception import load_inception
from w2l.models.lpips import load_lpips
from w2l.nets.folded.judge import FoldedJudge
from w2l.nets.judge import Judge
from w2l.scoring.expert_judge import ExpertEmbedder, embed_expert_sound
from w2l.scoring.judge import load_judge
from w2l.scoring.metrics.appearance import APPEARANCE_COLUMNS, Appearance
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.embed import Embeddings, LipEmbedder, embed_sound, ready_judge
from w2l.scoring.metrics.fid import (
    FD_JUDGE_COLUMNS,
    FID_COLUMNS,
    FaceFeatures,
    FeatureSource,
    InceptionSource,
    JudgeSource,
)
from w2l.scoring.metrics.identity import IDENTITY_COLUMNS, LIKENESS_COLUMNS, Identity, Likeness
from w2l.scoring.metrics.lse import LSE_COLUMNS
from w2l.scoring.metrics.mouth import MOUTH_COLUMNS as MOUTH_COLUMNS
from w2l.scoring.metrics.mouth import Mouth
from w2l.scoring.metrics.quality import LPIPS_COLUMNS, QUALITY_COLUMNS, Quality
from w2l.scoring.metrics.view import PictureMeasure
from w2l.scoring.settings import ScoreSettings

ALL_COLUMNS = (
    *LSE_COLUMNS, *FID_COLUMNS, *FD_JUDGE_COLUMNS, *QUALITY_COLUMNS, *LPIPS_COLUMNS, *MOUTH_COLUMNS,
    *APPEARANCE_COLUMNS, *LIKENESS_COLUMNS, *IDENTITY_COLUMNS,
)  # fmt: skip
"""All columns, for ``--explain``."""


class Embedder(Protocol):
    """Embeds one face after the other."""

    def add(self, image: NDArray[np.uint8]) -> None:
        """Add the next frame at 25 fps."""
        ...

    def finish(self) -> Embeddings:
        """Return the embeddings (windows, features) of all windows; the next `add` begins another clip."""
        ...


@dataclass
class Bench:
    """The tools of one process."""

    settings: ScoreSettings
    cache: Cache
    judge: Model
    detector: Detector | None
    """None if no faces are detected."""
    columns: tuple[Column, ...]
    """Columns of all numbers that a clip or a set may have."""
    makers: tuple[Callable[[], PictureMeasure], ...]
    """Factories, one per picture measure."""
    source: FeatureSource | None
    """Source of the FID features."""
    words: Words

    @cached_property
    def ready(self) -> FoldedJudge:
        """The judge optimised for inference, created once."""
        return ready_judge(cast(Judge, self.judge.network))

    @property
    def crop(self) -> CropSpec:
        """How the judge's faces are cropped."""
        return self.judge.card.crop

    def embedder(self) -> Embedder:
        """Return the judge's embedder for one face track."""
        if self.judge.card.kind == "expert":
            return ExpertEmbedder(self.judge, self.settings.batch)
        return LipEmbedder(self.ready, self.judge.card.colour, self.settings.batch)

    def hear(self, wave: NDArray[np.floating[Any]], n_frames: int) -> Embeddings:
        """Return the audio embeddings (windows, features) while a face is visible."""
        if self.judge.card.kind == "expert":
            return embed_expert_sound(self.judge, wave, n_frames, self.settings.batch)
        return embed_sound(self.ready, wave, n_frames, self.settings.batch)

    def scan(self, path: Path) -> Scan:
        """Return the faces of a video, cached."""
        assert self.detector is not None
        scan, _ = scan_clip(clip_for(self.cache, path), path, self.detector, self.detect)
        return scan

    @property
    def detect(self) -> DetectSettings:
        """Settings of face detection: every frame for the published pipeline."""
        every = self.settings.variant == "real"
        return replace(self.settings.detect, stride=1) if every else self.settings.detect

    def words_of(self, *paths: Path | None) -> Spoken:
        """Return the words of the first path in the table."""
        return next((found for path in paths if path and (found := words_of(self.words, path.with_suffix("")))), ())


def open_bench(settings: ScoreSettings, cache_root: Path, device: str) -> Bench:
    """Load what the requested measures need; raise ConfigError or CheckpointError for what cannot be used."""
    device = str(choose_device(device))
    cache = Cache.open(cache_root)
    judge = load_judge(settings.judge, cache, device)
    if judge.card.kind == "expert" and settings.variant == "lrs":
        raise ConfigError("an expert judges aligned faces, not whole frames: use --variant face, or a judge")
    measures = set(settings.measures)
    makers: list[Callable[[], PictureMeasure]] = []
    columns: list[Column] = list(LSE_COLUMNS) if "lse" in measures else []
    source: FeatureSource | None = None
    if "fid" in measures:
        weighed = inception_file(settings, cache)
        source = InceptionSource(load_inception(weighed, device)) if weighed else None
        if source is None and judge.card.kind != "judge":
            raise ConfigError("FD-judge requires a judge, not an expert; set --inception, or choose another --judge")
        source = source or JudgeSource(judge)
        columns += source.columns
    if "quality" in measures:
        lpips = load_lpips([Path(path) for path in settings.lpips], device) if settings.lpips else None
        makers.append(lambda: Quality(lpips))
    if "mouth" in measures:
        landmarks = Landmarks(Path(settings.landmarks), device) if settings.landmarks else None
        makers += [lambda: Mouth(landmarks), Appearance]
    if "identity" in measures:
        makers.append(Likeness)
    if "identity" in measures and settings.recogniser:
        recogniser = Recogniser(Path(settings.recogniser), device)
        makers.append(lambda: Identity(recogniser))
    columns += [column for make in makers for column in make().columns]
    looks = measures != {"lse"} or settings.variant != "lrs"
    detect = settings.detect
    detector = make_detector(detect.detector, device, detect.min_face, cache.models) if looks else None
    words = read_words(Path(settings.words)) if settings.words else {}
    return Bench(settings, cache, judge, detector, tuple(columns), tuple(makers), source, words)


def inception_file(settings: ScoreSettings, cache: Cache) -> Path | None:
    """Return the path of the FID network's weights; None if none are given."""
    if not settings.inception:
        return None
    return file_of(settings.inception, "inception", cache.models) or Path(settings.inception)


def features_measure(bench: Bench, with_reference: bool) -> FaceFeatures | None:
    """Return the measure that extracts a clip's FID features; None if it is not requested."""
    if bench.source is None:
        return None
    settings = bench.settings
    return FaceFeatures(bench.source, settings.fid_region, settings.fid_every, with_reference)

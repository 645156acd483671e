"""Stored scores of clips: what was measured with the same files and settings is not measured again."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.config import plain
from w2l.core.errors import CacheError
from w2l.core.files import DAMAGED, fingerprint, read_arrays, read_json, source_fingerprint, write_arrays, write_json
from w2l.core.reading import real_path
from w2l.models.lip_reader import VERSION as LIPS_VERSION
from w2l.scoring.clip import MeasuredClip
from w2l.scoring.fid_sets import write_features
from w2l.scoring.metrics.embed import Embeddings
from w2l.scoring.results import ClipScore, Sample
from w2l.scoring.settings import ScoreSettings

VERSION = 6
"""Incremented when the same clip and settings would give other numbers."""


@dataclass(frozen=True)
class Slot:
    """Location of the stored scores of one sample."""

    base: Path

    @property
    def scores(self) -> Path:
        """Path of the numbers."""
        return self.base.with_suffix(".json")

    @property
    def embeddings(self) -> Path:
        """Path of the judge's embeddings."""
        return self.base.with_suffix(".npz")

    @property
    def features(self) -> Path:
        """Path of the video's FID features."""
        return self.base.with_suffix(".output.npy")

    @property
    def real_features(self) -> Path:
        """Path of the reference's FID features."""
        return self.base.with_suffix(".reference.npy")

    def load(self, sample: Sample) -> tuple[ClipScore, ...] | None:
        """Return the stored scores of `sample`; None if missing or incomplete."""
        try:
            kept = read_json(self.scores)
            if not all(path.is_file() for path in (self.base.with_suffix(suffix) for suffix in kept["beside"])):
                return None
            return tuple(_score(row, sample) for row in kept["scores"])
        except (CacheError, KeyError, TypeError):
            return None

    def keep(self, measured: MeasuredClip) -> None:
        """Store measurements, the numbers last: if they exist, everything does."""
        beside = []
        if measured.lip is not None and measured.audio is not None:
            # Half precision moves a distance by less than a thousandth; only the row of shuffled speech uses it.
            write_arrays(self.embeddings, {"lip": _half(measured.lip), "audio": _half(measured.audio)})
            beside.append(self.embeddings)
        for path, features in (
            (self.features, measured.features),
            (self.real_features, measured.real_features),
        ):
            if features is not None:
                write_features(path, features)
                beside.append(path)
        suffixes = [path.name.removeprefix(self.base.name) for path in beside]
        rows = [{name: value for name, value in asdict(score).items() if name != "sample"} for score in measured.scores]
        write_json(self.scores, {"scores": rows, "beside": suffixes})

    def heard_and_seen(self) -> tuple[Embeddings, Embeddings] | None:
        """Return the judge's embeddings (windows, features) of picture and audio; None if damaged or missing."""
        try:
            kept = read_arrays(self.embeddings)
            return kept["lip"].astype(np.float32), kept["audio"].astype(np.float32)
        except DAMAGED:
            return None


def slot_for(cache: Cache, sample: Sample, settings: ScoreSettings, judge: Path) -> Slot:
    """Return the slot of a sample, which changes with every file and setting that its numbers depend on.

    The downloaded FID network has a name instead of a path; it is always the same file.
    """
    files = [path for path in (sample.path, sample.reference, sample.speech) if path is not None]
    models = [judge, *(Path(name) for name in settings.files), *([Path(settings.words)] if settings.words else [])]
    what = {
        name: value
        for name, value in plain(settings).items()
        if name not in ("batch", "seed", "judge", "allow_teacher")
    }
    marks = [(str(real_path(path)), source_fingerprint(path)) for path in (*files, *models)]
    mark = fingerprint("score", VERSION, what, marks, [sample.reference is None, sample.speech is None])
    if "mouth" in settings.measures:
        mark = fingerprint(mark, "lips", LIPS_VERSION)
    return Slot(cache.scores / mark[:2] / mark)


def _score(row: dict[str, Any], sample: Sample) -> ClipScore:
    lists = {name: tuple(row[name]) for name in ("curve", "over_time", "distances", "notes")}
    return ClipScore(**{**row, **lists}, sample=sample)


def _half(values: Embeddings) -> NDArray[np.float16]:
    return values.astype(np.float16)

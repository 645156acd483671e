"""Which scores are taken for known ones."""

from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.scoring import store
from w2l.scoring.results import Sample
from w2l.scoring.settings import ScoreSettings


def test_mouths_that_another_lip_reader_read_are_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a file gives the points: teeth and covered lips are the reader's. All else stays known."""
    for name in ("clip.mkv", "judge", "points.onnx"):
        (tmp_path / name).write_bytes(b"x")
    cache, sample = Cache.open(tmp_path / "cache", create=True), Sample(tmp_path / "clip.mkv", "made", "clip")
    with_points = ScoreSettings(measures=("mouth",), landmarks=str(tmp_path / "points.onnx"))
    by_reader = (ScoreSettings(measures=("lse", "mouth")), with_points)
    others = (ScoreSettings(), ScoreSettings(measures=("quality", "identity")))

    def slots(*settings: ScoreSettings) -> list[Path]:
        return [store.slot_for(cache, sample, each, tmp_path / "judge").base for each in settings]

    read, kept = slots(*by_reader), slots(*others)
    assert slots(*by_reader) == read
    monkeypatch.setattr(store, "LIPS_VERSION", store.LIPS_VERSION + 1)
    assert not set(slots(*by_reader)) & set(read)
    assert slots(*others) == kept

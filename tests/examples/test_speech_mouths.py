"""The example that compares outputs with the mouths that spoke: what is compared with what, and who is one person."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from examples.research import speech_mouths as script
from w2l.core.errors import MediaError

WAVE = {name: np.sin(np.arange(30) * step) for name, step in (("slow", 0.3), ("fast", 1.1))}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two outputs whose lips move as those of the speech's video, of the same folder and of another."""
    shown = {"ann/slow.mkv": "slow", "ann/fast.mkv": "fast", "bob/fast.mkv": "fast", "a.mp4": "fast", "b.mp4": "fast"}
    monkeypatch.setattr(
        script,
        "apertures",
        lambda path, scan: {
            idx + 2 * (path.suffix == ".mp4"): float(value)  # the output's face is found later
            for idx, value in enumerate(
                WAVE[shown[path.relative_to(tmp_path).as_posix()]][2 * (path.suffix == ".mp4") :]
            )
        },
    )
    for name, speech in (("a", "ann/fast.mkv"), ("b", "bob/fast.mkv")):
        record = {"video": str(tmp_path / "ann/slow.mkv"), "speech": str(tmp_path / speech)}
        (tmp_path / f"{name}.w2l.json").write_text(json.dumps(record))
    return [tmp_path / "a.mp4", tmp_path / "b.mp4"]


def scan_of(fps: float) -> Any:
    return lambda path: SimpleNamespace(fps=fps)


def test_an_output_is_compared_with_the_video_of_its_speech(outputs: list[Path]) -> None:
    one, two = script.pairs(outputs, scan_of(25.0))
    assert (one.is_one_person, two.is_one_person) == (True, False)
    assert [one.made, two.made] == pytest.approx([1, 1])
    assert abs(one.source or 1) < 0.3
    assert "| one person | 1 | - | - |" in script.table([one])
    assert "| two people | 2 | 1.00 ±0.00 |" in script.table([two, two])


def test_what_cannot_be_compared_is_an_error(outputs: list[Path]) -> None:
    with pytest.raises(MediaError, match=r"slow\.mkv has 30 fps"):
        list(script.pairs(outputs, scan_of(30.0)))
    outputs[0].with_suffix(".w2l.json").unlink()
    with pytest.raises(MediaError, match=r"a\.mp4 does not have a record"):
        list(script.pairs(outputs, scan_of(25.0)))

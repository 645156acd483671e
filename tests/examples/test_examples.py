"""The examples that README.md leads a new user to."""

import subprocess
import sys
from pathlib import Path

import pytest

from w2l.core.config import load
from w2l.core.timing import SAMPLE_RATE
from w2l.data.prepare.clip import PrepareSettings
from w2l.marks.verify import verify
from w2l.media.audio import read_audio
from w2l.media.video import probe
from w2l.training.expert.task import ExpertSettings
from w2l.training.generator.settings import GeneratorSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_each_recipe_is_read(path: Path) -> None:
    load(PrepareSettings, "preprocess", path)
    load(ExpertSettings, "train-expert", path)
    load(GeneratorSettings, "train", path)


def test_the_quickstart_leaves_a_synced_video_and_its_score(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "quickstart.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=EXAMPLES.parent)
    assert "LSE-D" in done.stdout
    info = probe(tmp_path / "synced.mp4")
    assert info.fps == pytest.approx(25)
    assert info.n_frames == 100
    assert len(read_audio(tmp_path / "synced.mp4")) / SAMPLE_RATE == pytest.approx(4.0, abs=0.05)
    verdict = verify(tmp_path / "synced.mp4")
    assert (verdict.is_marked, verdict.record) == (True, "matches")
    assert [one.record for one in verdict.marks] == [verdict.tag]

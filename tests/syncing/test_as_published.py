"""`sync --as-published`: one switch gives the frames of the published inference, with speech longer than the video."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from stages import sync as stage
from tests.helpers.golden import golden_rule, golden_seeds, golden_vectors, published_state
from tests.helpers.sync_runs import write_pictures
from w2l.api.sync import sync_settings
from w2l.cache.store import Cache
from w2l.core.arrays import Canvas
from w2l.core.errors import ConfigError
from w2l.core.timing import SAMPLE_RATE
from w2l.features.crop import CropSpec
from w2l.marks.settings import Disclosure
from w2l.media.picture import RgbPicture
from w2l.models.checkpoint import Model, ModelCard
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.syncing.draw import make_redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.plan import plan_of
from w2l.syncing.settings import PUBLISHED, SyncSettings
from w2l.syncing.tools import Tools


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Gives the settings with which the command would run, or raises what it raises."""
    seen: list[SyncSettings] = []

    def take(*_: object, **named: Any) -> None:
        seen.append(sync_settings(named["settings"], named["as_published"], named["config"]))
        raise SystemExit(0)  # nothing is made

    monkeypatch.setattr(stage, "sync", take)

    def run(*arguments: str) -> SyncSettings:
        given = ["in.mp4", "speech.wav", "--cache", str(tmp_path / "cache"), "--device", "cpu", *arguments]
        CliRunner().invoke(stage.command, given, catch_exceptions=False)
        return seen.pop()

    return run


@pytest.mark.parametrize("seed", golden_seeds("infer"))
def test_the_loop_of_the_reference(seed: int, settings_of: Any, tmp_path: Path) -> None:
    rule, golden = golden_rule(), golden_vectors(f"infer_seed{seed}")
    y1, y2, x1, x2 = golden["box_y1y2x1x2"].tolist()
    settings = settings_of("--as-published", "--box", f"{x1},{y1},{x2},{y2}")
    frames = [image[..., ::-1] for image in rule.clip_frames(seed + 50, count=12, height=160, width=144)]
    video = write_pictures(tmp_path / "video.mp4", frames)
    soundfile.write(tmp_path / "speech.wav", rule.waveform_f32(seed, 0.9), SAMPLE_RATE, subtype="FLOAT")
    network = Generator()
    network.load_state_dict(published_state("wav2lip", seed))
    card = ModelCard("generator", asdict(GeneratorDimensions()), CropSpec("box", 96), "bgr", references="same")
    tools = Tools(settings, Cache.open(tmp_path / "cache"), "cpu")
    vars(tools).update(model=Model(network.eval(), card, Path("rule")), detector=None)
    plan = plan_of(tools, Job(video, tmp_path / "speech.wav", tmp_path / "out.mp4"))
    assert len(plan) == golden["video_frame_count"] == 20
    # Of the video only its times count: the reference's frames were never coded.
    cues = (replace(cue, canvas=RgbPicture(frames[cue.frame_idx])) for cue in plan.cues(0, len(plan)))
    made = np.stack([_rgb(picture) for picture in make_redrawer(tools, plan).redraw(cues)])[..., ::-1]
    seen = made[golden["video_roi_index"], y1:y2:2, x1:x2:2].astype(int)
    assert np.abs(seen - golden["video_roi"]).max() <= 1
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), golden["video_frame_means"], atol=0.01)


def _rgb(picture: Canvas) -> Any:
    return picture.rgb(slice(None), slice(None))


def test_it_sets_all_and_leaves_the_rest(settings_of: Any) -> None:
    plain, published = settings_of(), settings_of("--as-published", "--blend", "hard", "--fit", "video")
    assert {name: getattr(published, name) for name in PUBLISHED} == PUBLISHED
    assert published == replace(plain, fit="video", disclosure=Disclosure("record"), **PUBLISHED)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--blend", "soft"],
        ["--set", "blend=soft"],
        ["--set", "sync.blend=soft"],
        ["--config", "soft.yaml"],
        ["--extend", "bounce"],
        ["--reference", "auto"],
        ["--reference", "1.5,2"],
        ["--silence", "close"],
        ["--alignment", "training"],
        ["--detail", "2"],
    ],
    ids=" ".join,
)
def test_what_contradicts_it_is_refused(
    arguments: list[str], settings_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is the default that was named."""
    monkeypatch.chdir(tmp_path)
    Path("soft.yaml").write_text("sync: {blend: soft}\n")
    with pytest.raises(ConfigError, match=r"--as-published .*remove one"):
        settings_of("--as-published", *arguments)

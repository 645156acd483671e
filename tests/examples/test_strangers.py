"""The example that redraws strangers: who says what, what sheets show, and the table."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from examples.research import strangers as script
from tests.examples.test_resync_grid import OneFace
from tests.examples.test_resync_grid import material as material
from w2l.core.errors import ConfigError, MediaError
from w2l.media.video import probe
from w2l.scoring import tools as score_bench
from w2l.scoring.results import REAL, ClipScore, Sample
from w2l.syncing import tools as sync_tools


def test_a_variant_is_a_name_and_settings() -> None:
    assert script.Variant.of("default") == script.Variant("default")
    assert script.Variant.of("old:model=a.pth,silence=model").assignments == ("model=a.pth", "silence=model")
    for text in ("", ":model=a", "real", "model=a"):
        with pytest.raises(ConfigError, match="expected NAME"):
            script.Variant.of(text)


def test_every_clip_says_what_another_one_does(material: Path) -> None:
    videos = [material / f"{name}.mp4" for name in "abc"]
    assert [one.speech.stem for one in script.strangers(videos, [])] == ["b", "c", "a"]
    assert {one.speech.name for one in script.strangers(videos, [material / "speech.wav"])} == {"speech.wav"}
    with pytest.raises(ConfigError, match="pass some with --speech"):
        script.strangers(videos[:1], [])


def test_a_list_names_clips_without_their_suffix(material: Path) -> None:
    assert script.listed([material / "test.txt"], None) == [material / f"{name}.mp4" for name in "abc"]
    with pytest.raises(MediaError, match="--root"):
        script.listed([material / "test.txt"], material / "elsewhere")


@pytest.mark.parametrize("count", [1, 5, 24, 25, 400])
def test_sheets_show_frames_that_are_there(count: int) -> None:
    chosen = script.chosen_frames(count)
    for frames in chosen.values():
        assert len(frames) == script.N_FRAMES
        assert min(frames) >= 0
        assert max(frames) <= count - 1
    if count >= script.N_FRAMES:
        assert (np.diff(chosen["consecutive"]) == 1).all()
        assert chosen["spread"][0] == 0
        assert chosen["spread"][-1] == count - 1


def test_the_table_has_a_row_for_each_variant_and_the_real_video() -> None:
    person = Sample(Path("a.mp4"), "new", "ann")
    clips = [
        ClipScore(person, {"foreign": 0.25, "seam": 1.1}),
        ClipScore(Sample(Path("real.mp4"), REAL, "ann"), {"foreign": 0.01}),
        ClipScore(Sample(Path("b.mp4"), "new", "bob"), reason="no face"),
    ]
    lines = script.table(clips, ["ann", "bob"]).splitlines()
    assert lines[2:] == [
        "| ann | new | 0.25 | - | - | - | - | 1.10 | - |",
        "| ann | real | 0.01 | - | - | - | - | - | - |",
        "| bob | new | no face |",
    ]


def test_it_runs_blind_and_the_key_says_what_is_what(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sync_tools, score_bench, script):
        monkeypatch.setattr(module, "make_detector", lambda *_: OneFace())
    arguments = [tmp_path / "out", material / "a.mp4", "--speech", material / "b.mp4", "--device", "cpu"]
    arguments += ["--variant", f"one:model={material / 'generator.safetensors'}", "--blind", tmp_path / "key.json"]
    arguments += ["--variant", f"two:model={material / 'generator.safetensors'},silence=model"]
    shown = CliRunner().invoke(script.main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert [line.split(" | ")[1] for line in shown.stdout.splitlines()[2:5]] == ["one", "two", REAL]
    key = json.loads((tmp_path / "key.json").read_text())
    assert set(key) == {"a-consecutive", "a-spread"}
    for name, letters in key.items():
        assert sorted(letters) == ["A", "B", "C"]
        assert set(letters.values()) == {"one", "two", REAL}
        assert probe(tmp_path / "out" / "sheets" / f"{name}.png").width == script.PER_ROW * script.CROP.size


def test_groups_are_means_over_their_people() -> None:
    clips = [
        ClipScore(Sample(Path(f"{name}.mp4"), "new", f"lists/{name}.jpg"), {"seam": seam}, reason=reason)
        for name, seam, reason in (("ann", 1.0, ""), ("bob", 2.0, ""), ("cy", 9.0, "no face"), ("di", 1.5, ""))
    ]
    lines = script.group_table(clips, {"ann": "light", "bob": "light", "cy": "light", "di": "dark"}).splitlines()
    assert [line.split("|")[1:4] for line in lines[2:]] == [[" light ", " new ", " 2 "], [" dark ", " new ", " 1 "]]
    assert " 1.50 (1.00 to 2.00) " in lines[2]

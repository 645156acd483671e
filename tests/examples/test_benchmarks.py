"""The one command for all benchmarks: its names, and one of them run on little."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from examples.benchmarks import published, table
from examples.benchmarks import sync as sync_benchmark
from examples.benchmarks.__main__ import BENCHMARKS, main
from examples.benchmarks.commands import Command
from examples.benchmarks.timing import Timed


def test_help_lists_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    others = {"all", "gpu", "marks"}
    assert others | {"sync", "loader", "index", "detect", "generator", "train", "score"} == set(BENCHMARKS)
    for name, (what, _, _) in BENCHMARKS.items():
        assert f"  {name:10s} {what}\n" in said


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"python -m examples.benchmarks {name}" in capsys.readouterr().out


FAKE_TOOL = """
import argparse, librosa, torch, audio
parser = argparse.ArgumentParser()
for name in ("checkpoint_path", "face", "audio", "outfile"):
    parser.add_argument(f"--{name}")
parser.add_argument("--box", nargs=4, type=int)
given = parser.parse_args()
assert given.box == [10, 70, 20, 90]
assert len(torch.load(given.checkpoint_path)["state_dict"]) == 352
assert audio.basis().shape == (80, 401)
open(given.outfile, "w").write("made")
print("done")
"""


def test_the_public_tool_is_copied_mended_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for its checkout, with the call of librosa as it is written there."""
    checkout = tmp_path / "Wav2Lip"
    checkout.mkdir()
    (checkout / "inference.py").write_text(FAKE_TOOL)
    call = "librosa.filters.mel(hp.sample_rate, hp.n_fft, n_mels=80, fmin=55, fmax=7600)"
    head = "import librosa\nclass hp: sample_rate, n_fft = 16000, 800\n"
    (checkout / "audio.py").write_text(f"{head}def basis():\n    return {call}\n")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/ffmpeg")
    copy = published.copy_of(checkout, tmp_path)
    assert "mel(sr=hp.sample_rate, n_fft=hp.n_fft, n_mels" in (copy / "audio.py").read_text()
    assert call in (checkout / "audio.py").read_text()
    checkpoint = published.save_checkpoint(tmp_path / "public.pth")
    took_s, peak = published.run_published(copy, checkpoint, Path("a.mp4"), Path("a.wav"), (20, 10, 90, 70))
    assert took_s > 0
    assert peak > 50
    (copy / "inference.py").write_text("raise SystemExit('broken')")
    with pytest.raises(SystemExit, match="wrote no output"):
        published.run_published(copy, checkpoint, Path("a.mp4"), Path("a.wav"), (20, 10, 90, 70))
    with pytest.raises(SystemExit, match=r"no inference\.py found"):
        published.copy_of(tmp_path / "none", tmp_path)


def test_the_two_are_compared_run_by_run() -> None:
    ours, theirs = [(10.0, 500.0), (20.0, 500.0), (10.0, 500.0)], [(17.0, 1000.0), (38.0, 1100.0), (18.5, 1200.0)]
    line = published.comparison(ours, theirs)
    assert line.endswith("3 runs of each in turn: 1.85 (1.70 to 1.90) in time, 2.20 in memory")


def test_without_the_public_tool_no_ratio_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(sync_benchmark, "_row", lambda *_: (1.0, 100.0))
    monkeypatch.setattr(sync_benchmark, "make_video", lambda path, *_: (path, (0, 0, 9, 9)))
    monkeypatch.setattr(sync_benchmark, "repeat_video", lambda *_: None)
    sync_benchmark.sync(0, None)
    assert "published tool" not in capsys.readouterr().out


def test_a_small_index_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["index", "--rows", "4000", "--clips", "5"])
    shown = capsys.readouterr().out
    assert "| make 4,000 rows |" in shown
    assert "| index 5 clips from their records |" in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "gpu"])
def test_one_table_holds_medians_ranges_and_the_machine(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([name, str(tmp_path), "--tiny", "--rounds", "1"])
    content = json.loads((tmp_path / "numbers.json").read_text())
    groups = {row["group"].split(",")[0] for row in content["rows"]}
    assert groups == {"generator", "judge", "training step"}
    for row in content["rows"]:
        assert 0 < row["lowest"] <= row["rate"] <= row["highest"]
        assert (row["peak_share"] is not None) == row["group"].startswith("training")
    table = (tmp_path / "numbers.md").read_text()
    assert "torch" in table
    assert table.count("\n| ") == len(content["rows"]) + 1
    assert "| training step, warping nano" in capsys.readouterr().out


def test_ratios_are_of_rounds_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that becomes slower in between changes rates, not ratios."""
    times = {"a": Timed((1.0, 4.0), (1.0, 4.0)), "b": Timed((0.5, 2.0), (0.5, 2.0))}
    monkeypatch.setattr(table, "in_turns", lambda *_: times)
    first, second = table.rows_of("g", "x/s", 8, {}, 2, peak_s=0.25)
    assert (first.ratio, second.ratio_lowest, second.ratio_highest) == (1.0, 2.0, 2.0)
    assert (second.lowest, second.highest) == (4.0, 16.0)
    assert second.peak_share == pytest.approx(0.2)


def test_the_memory_of_a_command_is_the_median_after_the_first_run() -> None:
    (row,) = table.rows_of("g", "x/s", 8, {"a": Command(iter([900.0, 10.0, 30.0, 20.0]).__next__)}, 3)
    assert row.peak_mb == 20.0
    assert table.markdown([row]).endswith("|  | 20 |")


def test_without_a_gpu_its_table_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SystemExit, match="finds no CUDA GPU"):
        main(["gpu", str(tmp_path)])

"""TensorBoard, played by a stand-in with its rule of purging: a curve holds each step of the log once, kills or not."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.training.report import tensorboard as board
from w2l.training.report.tensorboard import Board

EVENTS: dict[str, list["Writer"]] = {}


class Writer:
    """A file of events; a later one with a purge step takes the place of what earlier ones hold from there on."""

    def __init__(self, log_dir: str, purge_step: int | None = None) -> None:
        self.purge_step = purge_step
        self.events: list[tuple[str, int, Any]] = []
        self.flushed = 0
        self.closed = False
        EVENTS.setdefault(log_dir, []).append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.events.append((tag, step, value))

    def add_text(self, tag: str, text: str, step: int) -> None:
        self.events.append((tag, step, text))

    def add_image(self, tag: str, image: NDArray[np.uint8], step: int, dataformats: str) -> None:
        assert dataformats == "HWC"
        self.events.append((tag, step, image))

    def flush(self) -> None:
        self.flushed = len(self.events)

    def close(self) -> None:
        self.closed = True


def shown(folder: Path, tag: str) -> list[tuple[int, Any]]:
    """What TensorBoard shows of one tag, in order of writing; what was never flushed is lost."""
    kept: list[tuple[str, int, Any]] = []
    for writer in EVENTS.get(str(folder / "tensorboard"), []):
        if writer.purge_step is not None:
            kept = [event for event in kept if event[1] < writer.purge_step]
        kept += writer.events[: writer.flushed]
    return [(step, value) for name, step, value in kept if name == tag]


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    EVENTS.clear()
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(board.importlib.util, "find_spec", lambda name: name)


def log(folder: Path, *steps: int, value: float = 1.0) -> None:
    """Adds steps to the log, each tenth with a validation behind it."""
    with (folder / "log.jsonl").open("a") as file:
        for step in steps:
            file.write(json.dumps({"step": step, "l1": value * step}) + "\n")
            if step % 10 == 0:
                file.write(json.dumps({"step": step, "val/l1": value * step}) + "\n")


def cut(folder: Path, last: int) -> None:
    """What a resumed run does with the steps that were not saved."""
    lines = [line for line in (folder / "log.jsonl").read_text().splitlines() if json.loads(line)["step"] <= last]
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_what_is_logged_is_shown_once(tmp_path: Path) -> None:
    follower = Board(tmp_path)
    follower.follow()
    assert not EVENTS, "nothing is opened before there is a log"
    log(tmp_path, 5, 10)
    follower.follow()
    follower.follow()
    log(tmp_path, 15, 20)
    follower.follow()
    follower.close()
    assert shown(tmp_path, "train/l1") == [(5, 5.0), (10, 10.0), (15, 15.0), (20, 20.0)]
    assert shown(tmp_path, "val/l1") == [(10, 10.0), (20, 20.0)]
    assert EVENTS[str(tmp_path / "tensorboard")][0].closed


def test_a_validation_that_comes_behind_its_step_is_not_lost(tmp_path: Path) -> None:
    log(tmp_path, 5)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 10, "l1": 10.0}\n')
    Board(tmp_path).follow()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 10, "val/l1": 9.0}\n')
    Board(tmp_path).follow()
    assert shown(tmp_path, "train/l1") == [(5, 5.0), (10, 10.0)]
    assert shown(tmp_path, "val/l1") == [(10, 9.0)]


@pytest.mark.parametrize("saved", [0, 10, 25, 30], ids="saved at {}".format)
@pytest.mark.parametrize("followed", [0, 10, 20, 30], ids="followed to {}".format)
def test_a_resumed_run_goes_on_with_the_same_curves(tmp_path: Path, saved: int, followed: int) -> None:
    steps = range(5, 31, 5)
    follower = Board(tmp_path)
    for step in steps:
        log(tmp_path, step, value=7.0 if step > saved else 1.0)
        if step <= followed:
            follower.follow()
    cut(tmp_path, saved)  # the process was killed: `follower` is never closed
    again = Board(tmp_path)
    for step in range(5, 46, 5):
        if step > saved:
            log(tmp_path, step)
            again.follow()
    assert shown(tmp_path, "train/l1") == [(step, float(step)) for step in range(5, 46, 5)]
    assert shown(tmp_path, "val/l1") == [(step, float(step)) for step in range(10, 46, 10)]


def test_what_was_written_is_not_written_again(tmp_path: Path) -> None:
    log(tmp_path, 5, 10)
    Board(tmp_path).follow()
    log(tmp_path, 15)
    Board(tmp_path).follow()
    first, second = EVENTS[str(tmp_path / "tensorboard")]
    assert [step for _, step, _ in first.events] == [5, 10, 10]
    assert [step for _, step, _ in second.events] == [15]
    assert second.purge_step == 11


def test_a_run_that_is_begun_anew_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    log(tmp_path, 5, 10, 15, value=3.0)
    Board(tmp_path).follow()
    cut(tmp_path, 0)
    log(tmp_path, 5, 10)
    Board(tmp_path).follow()
    assert shown(tmp_path, "train/l1") == [(5, 5.0), (10, 10.0)]


def test_sheets_and_warnings_are_shown(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 2] = 255  # red, in OpenCV's order
    (tmp_path / "samples").mkdir()
    cv2.imwrite(str(tmp_path / "samples" / "step000000010.png"), image)
    (tmp_path / "samples" / "step000000020.png").write_bytes(b"half")
    log(tmp_path, 10, 20)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 20, "warning": "too still"}\n')
    Board(tmp_path).follow()
    ((step, sheet),) = shown(tmp_path, "samples")
    assert step == 10
    assert sheet[0, 0].tolist() == [255, 0, 0]
    assert shown(tmp_path, "warnings") == [(20, "too still")]


def test_without_tensorboard_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(board.importlib.util, "find_spec", lambda name: None)
    log(tmp_path, 5)
    follower = Board(tmp_path)
    follower.follow()
    follower.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    assert not caplog.text


def test_no_run_ends_for_a_broken_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log(tmp_path, 5)
    follower = Board(tmp_path)
    follower.follow()
    follower.follow()
    assert caplog.text.count("no TensorBoard events are written") == 1

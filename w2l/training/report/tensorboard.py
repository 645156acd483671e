"""Write a run's log and sample sheets to TensorBoard, if that is installed."""

import importlib.util
import logging
from pathlib import Path
from typing import Any

import cv2

from w2l.core.errors import CacheError, TrainingError
from w2l.core.files import fingerprint, read_json, write_json
from w2l.training.run_folder import BOARD
from w2l.training.run_log import VALIDATION, curves_of, read_lines, warnings_of

logger = logging.getLogger(__name__)
MARK = "written.json"
"""File beside the events that states which lines of the log they contain."""


class Board:
    """TensorBoard events of one run: call `follow` whenever its log has grown, such as after each validation.

    Lines that a killed process logged but did not write here are written by the next process. If a resumed or
    restarted run has logged other lines than those written, all lines are written again with a purge step, with which
    TensorBoard drops the former ones, so that no curve has a step twice.
    """

    def __init__(self, folder: Path) -> None:
        """Take the run's folder; nothing is opened before there is something to write."""
        self.folder = folder
        self._writer: Any = None
        self._n_lines = 0
        self._is_there = importlib.util.find_spec("tensorboard") is not None

    def follow(self) -> None:
        """Write what log.jsonl and samples/ have gained since the last call, by this process or an earlier one."""
        if not self._is_there:
            return
        try:
            lines = read_lines(self.folder / "log.jsonl")
        except TrainingError:  # nothing has been logged yet
            return
        if self._writer is None or len(lines) < self._n_lines:
            try:
                self._open(lines)
            except ImportError as error:  # TensorBoard without one of its own requirements
                logger.warning("no TensorBoard events are written: %s", error)
                self._is_there = False
                return
        fresh = lines[self._n_lines :]
        if not fresh:
            return
        for name, (steps, values) in curves_of(fresh).items():
            title = name if name.startswith(VALIDATION) else f"train/{name}"
            for step, value in zip(steps.tolist(), values.tolist()):
                self._writer.add_scalar(title, value, int(step))
        for step, text in warnings_of(fresh):
            self._writer.add_text("warnings", text, step)
        for step in sorted({int(line["step"]) for line in fresh if any(name.startswith(VALIDATION) for name in line)}):
            self._add_sheet(step)
        self._writer.flush()
        self._n_lines = len(lines)
        write_json(self.folder / BOARD / MARK, {"lines": len(lines), "digest": fingerprint(lines)})

    def close(self) -> None:
        """Close the file of events; `follow` may open a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, lines: list[dict[str, Any]]) -> None:
        """Open a file of events that continues the earlier ones, or replaces them if the log has changed."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._n_lines = self._written(lines)
        last = int(lines[self._n_lines - 1]["step"]) if self._n_lines else -1
        self._writer = SummaryWriter(str(self.folder / BOARD), purge_step=last + 1)

    def _written(self, lines: list[dict[str, Any]]) -> int:
        """Return how many of the lines are in earlier files of events; 0 if those contain other lines."""
        mark = self.folder / BOARD / MARK
        try:
            said = read_json(mark) if mark.exists() else {}
        except CacheError:
            return 0
        n_lines = said.get("lines", 0)
        is_same = n_lines <= len(lines) and said.get("digest") == fingerprint(lines[:n_lines])
        return int(n_lines) if is_same else 0

    def _add_sheet(self, step: int) -> None:
        for path in sorted((self.folder / "samples").glob(f"step{step:09d}*.png")):
            image = cv2.imread(str(path))
            if image is not None:
                self._writer.add_image("samples", image[..., ::-1].copy(), step, dataformats="HWC")

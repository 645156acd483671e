"""A run's log and sheets in TensorBoard, where that is installed; else nothing."""

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
"""Which lines of the log the events hold, beside them."""


class Board:
    """Follows the log of one run: call `follow` whenever there may be news, such as after each validation.

    What was logged, but not followed, before a kill is written by the next process. Where a resumed run, or one begun
    anew, has logged other lines than were written, all is written again with a purge step, which has TensorBoard forget
    the former: no curve has a step twice.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is the run's; nothing is opened before there is something to write."""
        self.folder = folder
        self._writer: Any = None
        self._n_lines = 0
        self._is_there = importlib.util.find_spec("tensorboard") is not None

    def follow(self) -> None:
        """Writes what log.jsonl and samples/ have gained since the last call, of this process or an earlier one."""
        if not self._is_there:
            return
        try:
            lines = read_lines(self.folder / "log.jsonl")
        except TrainingError:  # nothing is logged yet
            return
        if self._writer is None or len(lines) < self._n_lines:
            try:
                self._open(lines)
            except ImportError as error:  # such as one that is installed, but not what it needs
                logger.warning("nothing is written for TensorBoard: %s", error)
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
        """Ends the writing; `follow` may begin it again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, lines: list[dict[str, Any]]) -> None:
        """Begins a file of events behind the earlier ones, or in their place where the log is no longer theirs."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._n_lines = self._written(lines)
        behind = int(lines[self._n_lines - 1]["step"]) if self._n_lines else -1
        self._writer = SummaryWriter(str(self.folder / BOARD), purge_step=behind + 1)

    def _written(self, lines: list[dict[str, Any]]) -> int:
        """How many of the lines earlier files of events hold; 0 where they hold others."""
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

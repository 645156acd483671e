"""Reports of a run, written after each validation: curves.png, report.html, TensorBoard."""

import logging
from pathlib import Path

from w2l.training.report.page import NO_FACTS, PAGE_NAME, PageFacts, write_run_page
from w2l.training.report.tensorboard import Board

logger = logging.getLogger(__name__)


class Reports:
    """Callback for a run's folder, called once new scores are in its log; see `Surroundings.after_validation`."""

    def __init__(self, facts: PageFacts = NO_FACTS) -> None:
        """Take the facts for the page that are not in the folder."""
        self.facts = facts
        self._boards: dict[Path, Board] = {}

    def __call__(self, folder: Path) -> None:
        """Rewrite all reports, except TensorBoard's events, which are appended."""
        try:
            from w2l.training.report.curves_png import write_curves  # matplotlib takes 0.5 s to import

            write_curves(folder)
            write_run_page(folder, self.facts)
        except ImportError as error:  # training continues
            logger.warning("curves.png and %s are not written: %s; pip install matplotlib", PAGE_NAME, error)
        self._boards.setdefault(folder, Board(folder)).follow()

    def close(self) -> None:
        """Close the TensorBoard events."""
        for board in self._boards.values():
            board.close()

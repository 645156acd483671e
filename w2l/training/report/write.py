"""What is written of a run for people to look at, after each validation: curves.png, report.html, TensorBoard."""

from pathlib import Path

from w2l.training.report.page import NO_FACTS, PageFacts, write_run_page
from w2l.training.report.tensorboard import Board


class Reports:
    """To be called with a run's folder when the scores are in its log; see `Surroundings.after_validation`."""

    def __init__(self, facts: PageFacts = NO_FACTS) -> None:
        """Take what the page shows besides what lies in the folder."""
        self.facts = facts
        self._boards: dict[Path, Board] = {}

    def __call__(self, folder: Path) -> None:
        """Write all of it anew, except TensorBoard's events, which are appended."""
        from w2l.training.report.curves_png import write_curves  # matplotlib takes a second

        write_curves(folder)
        write_run_page(folder, self.facts)
        self._boards.setdefault(folder, Board(folder)).follow()

    def close(self) -> None:
        """Close what is still being written."""
        for board in self._boards.values():
            board.close()

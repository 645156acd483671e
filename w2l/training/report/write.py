"""Reports of a run, written after each validation: curves.png, report.html, TensorBoard."""

from pathlib import Path

from w2l.training.report.page import NO_FACTS, PageFacts, write_run_page
from w2l.training.report.tensorboard import Board


class Reports:
    """Callback for a run's folder, called once new scores are in its log; see `Surroundings.after_validation`."""

    def __init__(self, facts: PageFacts = NO_FACTS) -> None:
        """Take the facts for the page that are not in the folder."""
        self.facts = facts
        self._boards: dict[Path, Board] = {}

    def __call__(self, folder: Path) -> None:
        """Rewrite all reports, except TensorBoard's events, which are appended."""
        from w2l.training.report.curves_png import write_curves  # matplotlib takes 1 s to import

        write_curves(folder)
        write_run_page(folder, self.facts)
        self._boards.setdefault(folder, Board(folder)).follow()

    def close(self) -> None:
        """Close the TensorBoard events."""
        for board in self._boards.values():
            board.close()

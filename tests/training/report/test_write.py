"""Reports: one call after a validation writes all that people look at."""

import json
from pathlib import Path

import pytest

from w2l.training.report.page import PageFacts
from w2l.training.report.write import Reports


@pytest.mark.usefixtures("drawn_curves")
def test_all_is_written_and_follows_the_log(tmp_path: Path) -> None:
    reports = Reports(PageFacts("about this run"))
    pages = []
    for step in (1, 2):
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "l1": 0.5, "val/l1": 0.25}) + "\n")
        reports(tmp_path)
        pages.append((tmp_path / "report.html").read_text())
    reports.close()
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert "about this run" in pages[0]
    assert "step 1, 1 validations" in pages[0]
    assert "step 2, 2 validations" in pages[1]

"""The Models tab in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.ui.conftest import Server
from w2l.models.checkpoint import ModelCard, save_model
from w2l.nets.judge import Judge, JudgeDimensions

pytestmark = pytest.mark.slow


def test_models_are_listed_imported_and_fetched_with_consent_alone(
    page: Any, serve: Callable[[], Server], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    dimensions = {"size": 112, "width": 8}
    save_model(tmp_path / "m.safetensors", Judge(JudgeDimensions(**dimensions)), ModelCard("judge", dimensions))
    page.goto(serve().address)
    page.get_by_role("tab", name="Models").click()
    shipped = page.locator("#w2l-models details[data-model='w2l'][data-kind='generator']")
    shipped.locator("summary").click()
    assert "GRID" in shipped.locator("dl").inner_text()
    with page.expect_file_chooser() as chooser:
        page.locator("#w2l-model-file button").first.click()
    chooser.value.set_files(str(tmp_path / "m.safetensors"))
    page.wait_for_selector("#w2l-model-file .file-preview")
    page.click("#w2l-import")
    assert "give the model a name" in page.inner_text("#w2l-import-message [role=alert]")
    page.fill("#w2l-model-name textarea, #w2l-model-name input", "mine")
    page.click("#w2l-import")
    page.wait_for_selector("#w2l-models details[data-model='mine']")
    assert (tmp_path / "cache" / "models" / "mine.safetensors").is_file()
    page.click("#w2l-fetch")
    assert "tick the box" in page.inner_text("#w2l-fetch-message [role=alert]")
    assert "non-commercial research" in page.inner_text("#w2l-terms")

"""What the tests of the Python API share: an empty folder to work in, and small media with small models."""

from pathlib import Path

import pytest

from tests.helpers.sync_runs import make_media


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sync_runs.make_media`."""
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder

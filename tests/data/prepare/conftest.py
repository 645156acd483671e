"""The film that tests of one clip share."""

from pathlib import Path

import pytest

from tests.helpers.rooms import make_film


@pytest.fixture(scope="package")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people for 1.6 s, of whom the left one talks, then a cut to one who talks for 1.4 s."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    make_film(path, [(150, 40), (60, 35)])
    return path

"""Fixtures shared by all tests: a drawn face, the golden rule, and the folder of real media where there is one."""

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import golden
from w2l.core.arrays import Floats, Image
from w2l.training.report import curves_png, figures

SHARED = Path(os.environ.get("W2L_SHARED", Path(__file__).resolve().parents[2] / "shared"))
DrawFace = Callable[[Image, float, float, float], Floats]

WRITE_CURVES, CURVE_PLOT = curves_png.write_curves, figures.curve_plot
SKIN, HAIR, LIPS = (215, 170, 145), (55, 38, 28), (175, 80, 80)
POINTS = np.array([[-0.4, -0.28], [0.4, -0.28], [0.0, 0.2], [-0.36, 0.62], [0.36, 0.62]])
"""Five points relative to the centre of the face, in half widths."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave modules and collected tests, which stay to the end, out of every collection of garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _levels_of_nobody() -> None:
    """What an earlier test's command line set up (-q, -v) does not decide what this one's log holds."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("w2l", "stages"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks are faster on one thread, and sums are then always taken in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _undrawn(folder: Path) -> None:
    (folder / "curves.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.fixture(scope="session", autouse=True)
def _curves_undrawn() -> Iterator[None]:
    """A training of a few small steps would draw its curves for most of the time; see `drawn_curves`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves_png, "write_curves", _undrawn)
        patch.setattr(figures, "curve_plot", lambda *_, **__: "<svg></svg>")
        yield


@pytest.fixture
def drawn_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of this test draw their curves."""
    monkeypatch.setattr(curves_png, "write_curves", WRITE_CURVES)
    monkeypatch.setattr(figures, "curve_plot", CURVE_PLOT)


@pytest.fixture(scope="session")
def _keys_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(autouse=True)
def _no_key_of_the_user(_keys_of_tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs are signed with a key made for the tests, never with the user's, and none is stored beside theirs."""
    monkeypatch.setenv("W2L_KEYS", str(_keys_of_tests))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real media and models of others; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder with real media and models (../shared or $W2L_SHARED) is not here")
    return SHARED


@pytest.fixture(scope="session")
def golden_rule() -> ModuleType:
    """The rule that rebuilds the weights and inputs of the golden vectors."""
    return golden.golden_rule()


def _draw_face(image: Image, x: float, y: float, half_width: float) -> Floats:
    """Draw a face into `image` around (x, y) and give its five points (5, 2) in pixels."""

    def ellipse(dx: float, dy: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        centre = (round(x + dx * half_width), round(y + dy * half_width))
        axes = (max(1, round(a * half_width)), max(1, round(b * half_width)))
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    ellipse(0, -0.35, 1.08, 1.25, HAIR)
    ellipse(0, 0, 0.95, 1.3, SKIN)
    ellipse(0, -0.95, 0.85, 0.35, HAIR)
    for side in (-1, 1):
        ellipse(side * 0.4, -0.52, 0.24, 0.045, (70, 45, 35))
        ellipse(side * 0.4, -0.28, 0.2, 0.09, (240, 240, 240))
        ellipse(side * 0.4, -0.28, 0.09, 0.09, (40, 30, 25))
        ellipse(side * 0.4, -0.38, 0.2, 0.03, (120, 80, 60))
        ellipse(side * 0.12, 0.28, 0.06, 0.04, (130, 85, 70))
    ellipse(0, 0.18, 0.13, 0.12, (225, 180, 155))
    ellipse(0.09, 0.05, 0.04, 0.25, (190, 145, 120))
    ellipse(0, 0.62, 0.36, 0.1, LIPS)
    ellipse(0, 0.62, 0.3, 0.02, (80, 30, 30))
    cv2.GaussianBlur(image, (0, 0), half_width / 40, dst=image)
    return np.array([x, y]) + POINTS * half_width


@pytest.fixture(scope="session")
def draw_face() -> DrawFace:
    """Draws a face into a picture: (image, x, y, half width in pixels) -> its five points."""
    return _draw_face

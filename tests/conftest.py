"""Fixtures shared by all tests: media made on the spot, and the reference folder where there is one."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

SHARED = Path(os.environ.get("W2L_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference vectors and real media; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the reference folder (../shared or $W2L_SHARED) is not here")
    return SHARED


@pytest.fixture(scope="session")
def golden_rule(shared: Path) -> ModuleType:
    """The rule that rebuilds the weights and inputs of the golden vectors."""
    spec = importlib.util.spec_from_file_location("golden_rule", shared / "reference" / "golden_rule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.self_check()
    return module

"""What is imported is declared in pyproject.toml, and what is declared is imported, or there is a reason why not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layers import all_imports

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest requires it there

ROOT = Path(__file__).resolve().parents[1]
IMPORTED_AS = {"c2pa-python": "c2pa", "opencv-python": "cv2", "protobuf": "google", "pyyaml": "yaml"}
"""Distribution -> its import name, where the two differ."""
NOT_IMPORTED = {
    "lz4": "joblib reads the weight files of mtcnn with it",
    "mtcnn": "only the weight files in its wheel are read",
}
"""Declared, and not imported by w2l or stages: why."""


def requirements(extra: str = "") -> list[str]:
    """Return the lines of the dependencies, or those of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines: list[str] = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return lines


def declared(extra: str = "") -> set[str]:
    """Return the import names of the dependencies, or those of an extra."""
    names = [re.split("[^A-Za-z0-9._-]", line)[0] for line in requirements(extra)]
    return {IMPORTED_AS.get(name, name) for name in names}


def imported() -> set[str]:
    """Return the top-level names of all packages of others that are imported."""
    names = {other.partition(".")[0] for found in all_imports().values() for other in found}
    return names - set(sys.stdlib_module_names) - {"w2l", "stages"}


def test_every_import_is_declared() -> None:
    assert {"torch", "numpy", "cv2"} <= imported()
    assert imported() <= declared() | declared("ray") | declared("provenance") | declared("pandas") | declared("ui")


def test_every_dependency_is_imported_or_has_a_reason() -> None:
    assert {"torch", "numpy", "cv2"} <= declared()
    assert declared() - imported() == NOT_IMPORTED.keys()


def test_every_dependency_has_a_floor() -> None:
    assert [line for line in requirements() if ">=" not in line] == []


def floors() -> list[str]:
    """Return the dependencies at their oldest declared versions."""
    return [re.sub(r">=([^,]+).*", r"==\1.*", line) for line in requirements()]


def supported() -> list[str]:
    """Return the versions of Python that the tests of the repository run on."""
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    return re.findall(r'"(3\.\d+)"', text.partition("python: [")[2].partition("]")[0])


def resolved(version: str, lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what pip says when it resolves these requirements for a version of Python; nothing is installed."""
    options = ["--dry-run", "--quiet", "--only-binary=:all:", "--python-version", version, "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, *lines]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("version", supported())
def test_the_requirements_resolve(version: str, tmp_path: Path) -> None:
    if resolved(version, ["click"], tmp_path).returncode:
        pytest.skip("pip reaches no package index; this test needs a network")
    found = resolved(version, requirements(), tmp_path)
    assert not found.returncode, found.stderr[-2000:]


@pytest.mark.slow
def test_the_oldest_versions_exist_for_the_oldest_python(tmp_path: Path) -> None:
    oldest = supported()[0]
    if resolved(oldest, ["click"], tmp_path).returncode:
        pytest.skip("pip reaches no package index; this test needs a network")
    missing = [line for line in floors() if resolved(oldest, ["--no-deps", line], tmp_path).returncode]
    assert not missing, f"no wheel for Python {oldest}"


def test_the_floors_are_those_of_pyproject() -> None:
    assert "click==8.2.*" in floors()
    assert "opencv-python==4.10.*" in floors()
    assert supported()[0] == "3.10"


def test_the_pages_state_the_oldest_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {oldest} or later" in (ROOT / page).read_text(encoding="utf-8"), page
    assert f'python: ["{oldest}", ' in (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")

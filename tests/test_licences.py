"""Code and weights are licensed apart, and every shipped model file is named in the licence of the weights."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_shipped_model_file_is_licensed() -> None:
    shipped = {path.name for path in (ROOT / "w2l" / "models" / "assets").iterdir()} - {"README.md"}
    text = (ROOT / "LICENSE-weights").read_text()
    named = {line.strip().rpartition("/")[2] for line in text.splitlines() if "w2l/models/assets/" in line[:24]}
    assert named == shipped
    assert "GRID" in text
    assert "https://creativecommons.org/licenses/by/4.0/" in text


def test_the_package_carries_both_licences() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'license = "MIT AND CC-BY-4.0"' in project
    assert 'license-files = ["LICENSE", "LICENSE-weights"]' in project
    assert "w2l developers" in (ROOT / "LICENSE").read_text()

"""Reference of settings: every key described, and a commented file that loads as the settings it was made of."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from w2l.core import config
from w2l.core.settings_reference import commented_yaml, list_settings, type_in_words, yaml_text


@dataclass(frozen=True)
class Inner:
    """Nested settings."""

    size: int = 96
    """Side in pixels: rows,
    and columns."""
    names: tuple[str, ...] = ("a: b", "#c", "null")
    """Odd texts."""


@dataclass(frozen=True)
class Base:
    """What a derived class keeps."""

    rate: float = 1e-5
    """A rate."""
    mode: Literal["", "one", "two"] = ""
    """A base's sentence."""


@dataclass(frozen=True)
class Settings(Base):
    """One field of every kind."""

    mode: Literal["", "one", "two"] = "one"
    """A sentence of its own."""
    limit: float | None = None
    """A limit."""
    path: Path = Path("a b/ü.mp4")
    """A path."""
    inner: Inner = field(default_factory=lambda: Inner(512))
    """What is nested."""
    bare: bool = False


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return config.load(Settings, "train", file)


def test_rows_hold_key_type_default_and_sentence() -> None:
    rows = {row.key: row for row in list_settings(Settings(limit=2.0))}
    assert list(rows) == ["rate", "mode", "limit", "path", "inner", "inner.size", "inner.names", "bare"]
    assert (rows["mode"].type, rows["mode"].default, rows["mode"].text) == (
        "'', one or two", "one", "A sentence of its own.",
    )  # fmt: skip
    assert rows["rate"].text == "A rate."
    assert rows["bare"].text == ""
    assert rows["inner"].is_group
    assert (rows["inner.size"].default, rows["inner.size"].text) == (512, "Side in pixels: rows, and columns.")
    assert [row.key for row in rows.values() if row.is_changed] == ["limit"]
    assert (rows["limit"].default, rows["limit"].value) == (None, 2.0)


@pytest.mark.parametrize("settings", [Settings(), Settings(rate=3e-9, limit=1.5, inner=Inner(7, ()), bare=True)])
def test_the_commented_file_loads_as_the_same_settings(tmp_path: Path, settings: Settings) -> None:
    text = commented_yaml(settings, "train")
    assert load(tmp_path, text) == settings
    assert max(map(len, text.splitlines())) <= 100
    assert load(tmp_path, text.replace("size:", "size: 1 #")).inner.size == 1  # it is that line which counts


def test_a_changed_value_keeps_its_default_in_the_comment() -> None:
    assert "# A limit. [number or null; default null]\n  limit: 2.0\n" in commented_yaml(Settings(limit=2.0), "train")


@pytest.mark.parametrize(("hint", "words"), [
    (int, "whole number"),
    (float | None, "number or null"),
    (tuple[int, int], "list of 2 whole numbers"),
    (tuple[float, ...] | None, "list of numbers or null"),
    (tuple[Literal["a", "b"], ...], "list of any of a or b"),
    (dict[str, int], "any value"),
])  # fmt: skip
def test_types_are_said_in_words(hint: Any, words: str) -> None:
    assert type_in_words(hint) == words


@pytest.mark.parametrize("value", ["", "null", "1", "a: b", "x" * 300, 1e-5, 0.97, None, True, ["1", 2], {"a": []}])
def test_values_are_one_line_that_yaml_reads_back(value: Any) -> None:
    import yaml

    text = yaml_text(value)
    assert "\n" not in text
    assert yaml.safe_load(f"key: {text}") == {"key": value}

"""Settings: defaults, then the file, then assignments; whatever does not fit is refused in one line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from w2l.core import config
from w2l.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    """Nested settings."""

    size: int = 96
    pads: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Settings:
    """One field of every type that settings have."""

    rate: float = 1e-3
    steps: int = 10
    quick: bool = False
    name: str = "one"
    mode: Literal["still", "moving", "off", "420"] = "still"
    limit: float | None = None
    init: Path | None = None
    box: tuple[float, ...] | None = None
    inner: Inner = field(default_factory=Inner)
    wide: Inner = field(default_factory=lambda: Inner(512))

    def __post_init__(self) -> None:
        """Refuses what contradicts itself."""
        if self.steps < 1:
            raise ConfigError("steps must be at least 1")


def load(*assignments: str, path: Path | None = None) -> Settings:
    return config.load(Settings, "train", path, assignments, ("train", "score", "sync"))


def test_defaults_then_file_then_assignments(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("train:\n  rate: 2e-4\n  steps: 20\n  inner: {size: 128}\nsync: {crf: 20}\n")
    assert load() == Settings()
    assert load(path=file) == Settings(rate=2e-4, steps=20, inner=Inner(128))
    found = load("steps=30", "train.name=two", "inner.pads=[1, 2]", path=file)
    assert found == Settings(rate=2e-4, steps=30, name="two", inner=Inner(128, (1, 2)))
    assert load("steps=30", "steps=40").steps == 40


def test_what_a_nested_section_leaves_out_is_as_in_the_default_of_its_field() -> None:
    assert load().wide == Inner(512)
    assert load("wide.pads=[1, 2]").wide == Inner(512, (1, 2))
    assert load("wide.size=64").wide == Inner(64)


@pytest.mark.parametrize("text", ["", "# nothing\n", "train:\n", "score: {batch: 3}\n"])
def test_a_file_without_a_section_changes_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert load(path=file) == Settings()


@pytest.mark.parametrize(("assignment", "name", "value"), [
    ("rate=1e-4", "rate", 1e-4),
    ("rate=1", "rate", 1.0),
    ("quick=true", "quick", True),
    ("name=1e3", "name", "1e3"),
    ("mode=420", "mode", "420"),
    ("mode='420'", "mode", "420"),
    ("mode=off", "mode", "off"),
    ("name='a=b: c'", "name", "a=b: c"),
    ("name=yunet:/a b/c.onnx", "name", "yunet:/a b/c.onnx"),
    ("limit=0.5", "limit", 0.5),
    ("limit=null", "limit", None),
    ("init=runs/x", "init", Path("runs/x")),
    ("init=", "init", None),
    ("box=[1, 2.5]", "box", (1.0, 2.5)),
    (" rate = 2 ", "rate", 2.0),
])  # fmt: skip
def test_assignments(assignment: str, name: str, value: object) -> None:
    found = getattr(load(assignment), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("assignment", "said"), [
    ("rat=1", "unknown setting train.rat; did you mean rate?"),
    ("inner.siz=1", "unknown setting train.inner.siz; did you mean size?"),
    ("zzzz=1", "known: box, init, inner"),
    ("sync.crf=1", "unknown setting train.sync"),
    ("rate", "write key=value"),
    ("=3", "unknown setting train."),
    ("rate=fast", "train.rate must be a number, got 'fast'"),
    ("rate=true", "train.rate must be a number"),
    ("rate=.nan", "train.rate must be a number"),
    ("limit=.inf", "train.limit must be a number"),
    ("rate=", "train.rate must be a number, got None"),
    ("steps=1.5", "train.steps must be a whole number"),
    ("steps=true", "train.steps must be a whole number"),
    ("steps=", "train.steps must be a whole number"),
    ("quick=1", "train.quick must be true or false"),
    ("name=", "train.name must be a single text"),
    ("name=[1]", "train.name must be a single text"),
    ("name=a=b: c", "train.name must be a single text"),
    ("mode=stil", "train.mode must be one of still, moving, off, 420, got 'stil'"),
    ("box=7", "train.box must be a list"),
    ("box=[a]", r"train.box\[0\] must be a number"),
    ("inner=7", "train.inner must contain"),
    ("inner=", "train.inner must contain"),
    ("inner.pads=[1]", "train.inner.pads must be a list of 2 values, got 1"),
    ("inner.pads=[1, x]", r"train.inner.pads\[1\] must be a whole number"),
    ("rate.x=1", "train.rate must be a number"),
    ("steps=0", "at least 1"),
    ("name=[", "cannot be read; quote it"),
    ("name=2025-13-45", "cannot be read; quote it"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(assignment: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(assignment)
    assert caught.value.exit_status == 2


def test_a_value_and_its_parts_cannot_both_be_set() -> None:
    with pytest.raises(ConfigError, match=r"single value, so inner\.size cannot be set"):
        load("inner=7", "inner.size=64")


@pytest.mark.parametrize(("text", "said"), [
    ("trian: {rate: 1}", "unknown section 'trian'.*did you mean train"),
    ("- train", "must contain sections"),
    ("train: 7", "must contain 'key: value' lines"),
    ("train: {rate: [", "not valid YAML"),
    ("train: {1: 2}", "unknown setting train.1"),
    ("train: {day: 2025-13-45}", "not valid YAML"),
    (b"\xff\xfe\x00", "it is UTF-16"),
])  # fmt: skip
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=said):
        load(path=file)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(path=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load(path=tmp_path)


def test_dumped_settings_are_read_back(tmp_path: Path) -> None:
    settings = Settings(2e-5, 7, True, "ünï: #'", "moving", 0.1, Path("a b/c"), (1.0, 2.0), Inner(64, (3, 4)))
    file = tmp_path / "config.yaml"
    file.write_text(config.dump(settings, "train"), encoding="utf-8")
    assert load(path=file) == settings
    assert config.plain(settings)["inner"] == {"size": 64, "pads": [3, 4]}

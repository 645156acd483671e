"""Settings: frozen dataclasses filled from defaults, a YAML file and ``--set key=value``, in that order."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from w2l.errors import ConfigError

T = TypeVar("T")


def load(kind: type[T], stage: str, path: Path | None = None, assignments: Iterable[str] = ()) -> T:
    """The settings `kind` of `stage` from its defaults, the file at `path` and assignments ``key=value``.

    A file holds one section a stage (``train: {lr: 1e-4}``), so that one file can serve all stages; sections of other
    stages are left alone. In an assignment the stage's own name may stand before the key or not
    (``train.lr=1e-4``, ``lr=1e-4``).

    Raises
    ------
    ConfigError
        For a file that cannot be read, an unknown key (with the nearest known one) or a value of another type.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _section(path, stage)
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--set {assignment!r} has no value; write key=value")
        _put(values, key.strip().removeprefix(f"{stage}."), _parse(text, assignment))
    return build(kind, values, f"{stage}.")


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """An instance of the dataclass `kind` from plain values, nested mappings for nested dataclasses."""
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"unknown setting {prefix}{key}; {_suggestion(key, known)}")
        arguments[key] = _convert(hints[key], value, f"{prefix}{key}")
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings {prefix.rstrip('.')}: {error}") from error


def plain(settings: Any) -> dict[str, Any]:
    """The settings as plain values that YAML and JSON can hold."""
    return {key: _plain(value) for key, value in dataclasses.asdict(settings).items()}


def dump(settings: Any, stage: str) -> str:
    """The settings as the text of a YAML file that `load` reads back."""
    return yaml.safe_dump({stage: plain(settings)}, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _section(path: Path, stage: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"settings file {path} is no YAML: {text}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"settings file {path} must hold sections named after stages, such as '{stage}:'")
    stages = {"preprocess", "detect", "train-expert", "train", "sync", "score"}
    for name in content:
        if name not in stages:
            raise ConfigError(f"unknown section {name!r} in {path}; {_suggestion(str(name), stages)}")
    section = content.get(stage) or {}
    if not isinstance(section, dict):
        raise ConfigError(f"section {stage!r} in {path} must hold 'key: value' lines")
    return section


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"setting {parent} is a single value, so {dotted} cannot be set")
        values = inner
    values[leaf] = value


def _parse(text: str, assignment: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {assignment!r}: the value cannot be read; quote it") from error


def _suggestion(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(known))


def _convert(hint: Any, value: Any, name: str) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            return build(kind, value, f"{name}.")  # type: ignore[arg-type]
    if Path in kinds:
        return Path(str(value))
    if float in kinds:
        return _number(value, name)
    if bool in kinds and not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
    if int in kinds and (isinstance(value, bool) or not isinstance(value, int)):
        raise ConfigError(f"{name} must be a whole number, got {value!r}")
    if str in kinds:
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def _number(value: Any, name: str) -> float:
    try:  # YAML reads 1e-4 as text
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be a number, got {value!r}") from error

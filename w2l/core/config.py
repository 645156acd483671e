"""Settings: frozen dataclasses filled from defaults, a YAML file and ``--set key=value``, in that order."""

import dataclasses
import difflib
import json
import logging
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from w2l.core.errors import ConfigError
from w2l.core.ranges import check_ranges
from w2l.core.reading import Unreadable, checked_path, parse_yaml, read_text
from w2l.core.text import one_line
from w2l.core.timecodes import NOT_A_TIME, parse_seconds

logger = logging.getLogger(__name__)

MAX_MEGABYTES = 1.0
"""Largest settings file that is read."""
T = TypeVar("T")
MOST_SUGGESTED = 3
"""Most names that the error for an unknown name suggests."""
LEAST_LIKENESS = 0.6
"""Less similar names are suggested only when there is none this similar."""
FEW = 12
"""Up to this many names are all listed when none is similar."""
RENAMED = {"hearing": "audio_encoder_init"}
"""Deprecated names of settings, with the present ones: old files and checkpoints load, with a warning."""


def load(
    kind: type[T],
    stage: str,
    path: Path | None = None,
    assignments: Iterable[str] = (),
    sections: Collection[str] | None = None,
) -> T:
    """Return the settings `kind` of `stage` from its defaults, the file at `path` and assignments ``key=value``.

    A file holds one section per stage (``train: {lr: 1e-4}``), so that one file can serve all stages; sections of
    other stages are ignored. In an assignment the stage's own name may precede the key or be left out
    (``train.lr=1e-4``, ``lr=1e-4``).

    Parameters
    ----------
    sections
        Names of all sections that a file may hold; None allows any.

    Raises
    ------
    ConfigError
        If a file cannot be read, a key is unknown (the nearest known ones are named), or a value has the wrong type or
        is out of range.
    """
    settings = build(kind, named(stage, path, assignments, sections), f"{stage}.")
    check_ranges(settings, f"{stage}.")
    return settings


def named(
    stage: str, path: Path | None = None, assignments: Iterable[str] = (), sections: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the values given by a file and assignments, nested as the settings are; see `load`."""
    values: dict[str, Any] = {}
    if path is not None:
        values = _section(path, stage, sections)
    for key, value in parse_assignments(assignments).items():
        _put(values, key.removeprefix(f"{stage}."), value)
    return values


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Return the values of assignments ``key=value`` by their dotted keys, the last of one key; see `load`."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--set {assignment!r} has no value; write key=value")
        values.pop(key.strip(), None)  # it counts as set where it is set last
        values[key.strip()] = _parse(text, assignment)
    return values


def write_assignments(values: Mapping[str, Any]) -> list[str]:
    """Return values by their dotted keys as assignments ``key=value`` that `load` takes."""
    return [f"{key}={json.dumps(value, default=str)}" for key, value in values.items()]


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Return an instance of the dataclass `kind` from plain values, nested mappings for nested dataclasses.

    What a mapping leaves out keeps the default of its field, which may differ from that of the nested dataclass.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known and RENAMED.get(key) in known:
            logger.warning("the setting %s%s is deprecated; use %s%s", prefix, key, prefix, RENAMED[key])
            key = RENAMED[key]
        if key not in known:
            raise ConfigError(f"unknown setting {prefix}{key}; {_suggestion(str(key), _names(kind))}")
        arguments[key] = _convert(hints[key], _completed(known[key], value), f"{prefix}{key}")
    try:
        return kind(**arguments)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(f"settings {prefix.rstrip('.')}: {error}") from error


def _completed(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """Return `value`; if it is a mapping, filled up from the field's default settings."""
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if not isinstance(value, Mapping) or not dataclasses.is_dataclass(default):
        return value
    return {**plain(default), **value}


def check_word(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of the `known` words."""
    if value not in known:
        raise ConfigError(f"{name} {value!r} is unknown; choose {' or '.join(known)}")


def plain(settings: Any) -> dict[str, Any]:
    """Return the settings as plain values that YAML and JSON can hold."""
    return {key: plain_value(value) for key, value in dataclasses.asdict(settings).items()}


def dump(settings: Any, stage: str) -> str:
    """Return the settings as the text of a YAML file that `load` can read."""
    return yaml.safe_dump({stage: plain(settings)}, sort_keys=False)


def plain_value(value: Any) -> Any:
    """Return one setting as a value that YAML and JSON can hold."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, (tuple, list)) else value


def _section(path: Path, stage: str, sections: Collection[str] | None) -> dict[str, Any]:
    try:
        content = parse_yaml(read_text(path, megabytes=MAX_MEGABYTES))
    except Unreadable as error:
        raise ConfigError(f"settings file {path} cannot be read: {one_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"settings file {path} must contain sections named after stages, such as '{stage}:'")
    for name in content:
        if sections is not None and name not in sections:
            raise ConfigError(f"unknown section {name!r} in {path}; {_suggestion(str(name), sections)}")
    section = content.get(stage) or {}
    if not isinstance(section, dict):
        raise ConfigError(f"section {stage!r} in {path} must contain 'key: value' lines")
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
        return parse_yaml(text)
    except Unreadable as error:
        raise ConfigError(f"--set {assignment!r}: the value cannot be read; quote it") from error


def _names(kind: Any) -> set[str]:
    """Return the names of all settings, dotted for nested settings."""
    names: set[str] = set()
    for name, hint in get_type_hints(kind).items():
        nested = dataclasses.is_dataclass(hint)
        names |= {f"{name}.{inner}" for inner in _names(hint)} if nested else {name}
    return names


def _suggestion(key: str, known: Collection[str]) -> str:
    """Return a hint naming the known names nearest to `key`: at most `MOST_SUGGESTED`, or all if there are few."""
    likeness = {name: _likeness(key, name) for name in known}
    order = sorted(known, key=lambda name: (-likeness[name], name.count("."), name))[:MOST_SUGGESTED]
    near = [name for name in order if likeness[name] >= LEAST_LIKENESS]
    exact = [name for name in near if likeness[name] == 1]
    near = exact or near
    if near:
        return f"did you mean {_either(near)}?"
    if len(known) <= FEW:
        return "known: " + ", ".join(sorted(known))
    return f"the nearest are {', '.join(order)}; 'w2l settings' lists all"


def _likeness(key: str, name: str) -> float:
    """Return the similarity in [0, 1] between `key` and a dotted name or the part of it that is most similar."""
    return max(difflib.SequenceMatcher(None, key, part).ratio() for part in {name, *name.split(".")})


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _convert(hint: Any, value: Any, name: str) -> Any:
    """Convert `value`, as YAML returns it, to the type `hint`: one type, or one type and None."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if Any in kinds or (value is None and type(None) in kinds):
        return value
    kind = next(kind for kind in kinds if kind is not type(None))
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must contain 'key: value' lines, got {value!r}")
        return build(kind, value, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is dict:
        return _mapping(get_args(kind), value, name)
    if get_origin(kind) is Literal:
        return _choice(get_args(kind), value, name)
    if get_origin(kind) is tuple:
        return _row(get_args(kind), value, name)
    if kind is float:
        return _number(value, name)
    if kind is bool and not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise ConfigError(f"{name} must be a whole number, got {value!r}")
    if kind in (str, Path):
        if value is None or isinstance(value, (list, Mapping)):
            raise ConfigError(f"{name} must be a single text, got {value!r}")
        return kind(checked_path(str(value), name))
    return value


def _mapping(kinds: tuple[Any, ...], value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} must contain 'key: value' lines, got {value!r}")
    numbers = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value.values())
    if kinds[1] is float and not numbers:
        raise ConfigError(f"{name} must contain only numbers, got {value!r}")  # NaN counts: a score not measured
    return dict(value)


def _choice(allowed: tuple[Any, ...], value: Any, name: str) -> Any:
    # Without quotation marks, a word of digits is a number to YAML, and off is false.
    words = {True: ("on", "yes"), False: ("off", "no")}[value] if isinstance(value, bool) else (str(value),)
    found = [word for word in words if word in allowed and value not in allowed]
    if found:
        return found[0]
    if isinstance(value, (list, Mapping)) or value not in allowed:
        known = ", ".join(str(each) if each != "" else "''" for each in allowed)
        raise ConfigError(f"{name} must be one of {known}, got {value!r}")
    return value


def _row(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{name} must be a list such as [1, 2], got {value!r}")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise ConfigError(f"{name} must be a list of {len(kinds)} values, got {len(value)}")
    return tuple(_convert(kind, item, f"{name}[{place}]") for place, (kind, item) in enumerate(zip(kinds, value)))


def _number(value: Any, name: str) -> float:
    try:  # YAML parses 1e-4 as a string
        if isinstance(value, str) and ":" in value and name.partition("[")[0].endswith("_s"):
            return parse_seconds(value)
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        timecode = str(error) if NOT_A_TIME in str(error) else ""
        raise ConfigError(f"{name}: {timecode}" if timecode else f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ConfigError(f"{name} must be a number, got {value!r}")
    return number

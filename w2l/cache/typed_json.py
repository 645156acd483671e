"""Frozen dataclasses as JSON objects: fields named like the keys, nested ones included; lenient when reading.

A value of another type than its field counts as missing: the field keeps its default. A `FileObject` that is read and
written again loses nothing: keys without a field, keys that were left out and values that did not change stay as they
were. Other dataclasses are written as their fields.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from w2l.core.ranges import LARGEST_INT

R = TypeVar("R")
Reader = Callable[[Any], Any]
"""Converts a JSON value to that of a field; returns None for another type."""


@dataclass(frozen=True)
class FileObject:
    """Base of dataclasses that remember the object they were read from."""

    file_content: Mapping[str, Any] | None = field(default=None, repr=False, compare=False, kw_only=True)
    """The object as it was read; None for a new one."""

    @property
    def is_empty(self) -> bool:
        """Whether the object has no keys."""
        return not to_json(self)


def from_json(kind: type[R], content: object) -> R:
    """Return the dataclass `kind` with the values of `content` for its fields; all defaults if it is not an object."""
    found: Mapping[str, Any] = content if isinstance(content, dict) else {}
    values = {}
    for name, read in _readers(kind):  # type: ignore[arg-type]  # a class is hashable
        value = read(found[name]) if name in found else None
        if value is not None:
            values[name] = value
    if issubclass(kind, FileObject):
        values["file_content"] = found
    return kind(**values)


def to_json(record: Any) -> dict[str, Any]:
    """Return a dataclass as an object; fields that are None are left out."""
    content = record.file_content if isinstance(record, FileObject) else None
    found = dict(content or {})
    before = None if content is None else from_json(type(record), content)
    for name, _ in _readers(type(record)):  # type: ignore[arg-type]
        value = getattr(record, name)
        if before is not None and getattr(before, name) == value:
            continue
        found.pop(name, None)
        if value is not None:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


@functools.lru_cache(None)
def _readers(kind: type[Any]) -> tuple[tuple[str, Reader], ...]:
    """Return the name and reader of each field."""
    hints = get_type_hints(kind)
    return tuple((one.name, _reader(hints[one.name])) for one in fields(kind) if one.name != "file_content")


def _reader(hint: Any) -> Reader:
    if type(None) in get_args(hint):
        return _reader(next(inner for inner in get_args(hint) if inner is not type(None)))
    if get_origin(hint) is tuple:
        return _tuple_reader(get_args(hint)[0])
    if is_dataclass(hint):
        return lambda value: from_json(hint, value) if isinstance(value, dict) else None  # type: ignore[arg-type]
    if hint in (int, float):
        return functools.partial(_number, hint)
    if hint is str:
        return _text
    wanted = dict if get_origin(hint) else hint  # a Mapping[...], or bool
    return lambda value: value if isinstance(value, wanted) else None


def _text(value: Any) -> str | None:
    """Return a text; None if it is not one or cannot be a path, which most texts of records are."""
    return value if isinstance(value, str) and "\0" not in value else None


def _number(kind: type[int] | type[float], value: Any) -> Any:
    """Return a finite number as `kind`; None if it is not one, would change, or is an int that no index can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if kind is int:
        return int(value) if -LARGEST_INT <= value <= LARGEST_INT and value == int(value) else None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an int beyond all floats
        return None


def _tuple_reader(hint: Any) -> Reader:
    """Return a reader of lists; an item of another type counts as empty, so that the others keep their places."""
    read = _reader(hint)
    empty: Callable[[], Any] = dict if get_origin(hint) else hint

    def read_list(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        return tuple(empty() if item is None else item for item in map(read, value))

    return read_list

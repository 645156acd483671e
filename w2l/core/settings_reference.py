"""Reference of the settings: every key with its type, default and description, as rows or as a YAML file to edit."""

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from w2l.core import config

WIDTH = 100
"""Longest comment line in a YAML file."""
WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}
PLURALS = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts", Path: "paths"}


@dataclass(frozen=True)
class Setting:
    """One key of a stage's settings."""

    key: str
    """Dotted where nested, without the stage."""
    type: str
    """In words; empty for a group."""
    default: Any
    """As YAML represents it; None for a group."""
    value: Any
    """As YAML represents it; the default unless a file or --set changed it."""
    text: str
    """The sentence beneath the field in the source."""
    is_group: bool = False
    """Whether the key is a group of keys, which follow it."""
    choices: tuple[Any, ...] = ()
    """All allowed values, if they can be listed."""

    @property
    def is_changed(self) -> bool:
        """Whether the value is not the default."""
        return bool(self.value != self.default)


def list_settings(settings: Any, prefix: str = "", defaults: Any = None) -> Iterator[Setting]:
    """Yield every key of a settings dataclass in the order of its fields, each group before its keys.

    `defaults` is the instance to compare with; None: one with all defaults.
    """
    kind = type(settings)
    defaults = kind() if defaults is None else defaults
    hints, texts = get_type_hints(kind), field_texts(kind)
    for field in dataclasses.fields(kind):
        key, value, default = prefix + field.name, getattr(settings, field.name), getattr(defaults, field.name)
        text = texts.get(field.name, "")
        if dataclasses.is_dataclass(hints[field.name]):
            yield Setting(key, "", None, None, text, is_group=True)
            yield from list_settings(value, f"{key}.", default)
        else:
            value, default = config.plain_value(value), config.plain_value(default)
            hint = hints[field.name]
            yield Setting(key, type_in_words(hint), default, value, text, choices=choices_of(hint))


def commented_yaml(settings: Any, stage: str) -> str:
    """Return the settings as a section of a YAML file: above each key its sentence, type and, if changed, default."""
    lines = [f"{stage}:"]
    for setting in list_settings(settings):
        *parents, name = setting.key.split(".")
        margin = "  " * (len(parents) + 1)
        lines += textwrap.wrap(_comment(setting), WIDTH, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# ")
        lines.append(f"{margin}{name}:" if setting.is_group else f"{margin}{name}: {yaml_text(setting.value)}")
    return "\n".join(lines) + "\n"


def yaml_text(value: Any) -> str:
    """Return a plain value as YAML writes it in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def type_in_words(hint: Any) -> str:
    """Return the allowed values of a setting of that type in words, such as ``number or null``."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    words = [_one_type(kind) for kind in kinds if kind is not type(None)]
    return " or ".join(words + ["null"] * (type(None) in kinds))


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Return the allowed values of a setting of that type if they can be listed, else nothing."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found: list[Any] = []
    for kind in kinds:
        if kind is bool:
            found += [False, True]
        elif get_origin(kind) is Literal:
            found += get_args(kind)
        elif kind is type(None):
            found.append(None)
        else:
            return ()
    return tuple(found)


def field_texts(kind: type[Any]) -> dict[str, str]:
    """Return the sentence beneath each field of a dataclass or its bases, in one line; empty without the source."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            texts |= _texts_of_module(base.__module__).get(base.__name__, {})
    return texts


@functools.cache
def _texts_of_module(name: str) -> dict[str, dict[str, str]]:
    """Return the strings beneath the fields of all classes at the top of a module, by class and field."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError):  # an installation without sources
        return {}
    return {node.name: _texts_of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts_of_class(node: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for field, below in zip(node.body, node.body[1:]):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if named and said and isinstance(below.value.value, str):  # type: ignore[attr-defined]
            texts[field.target.id] = " ".join(below.value.value.split())  # type: ignore[attr-defined]
    return texts


def _comment(setting: Setting) -> str:
    if setting.is_group:
        return setting.text
    changed = f"; default {yaml_text(setting.default)}" if setting.is_changed else ""
    return f"{setting.text} [{setting.type}{changed}]"


def _one_type(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return _either(get_args(kind))
    if get_origin(kind) is not tuple:
        return WORDS.get(kind, "any value")
    first, *others = get_args(kind)
    several = f"any of {_either(get_args(first))}" if get_origin(first) is Literal else PLURALS.get(first, "values")
    return f"list of {several}" if others == [Ellipsis] else f"list of {len(others) + 1} {several}"


def _either(choices: Sequence[Any]) -> str:
    names = [str(choice) if choice != "" else "''" for choice in choices]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

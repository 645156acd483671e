"""Small untrusted files, read whole and within limits: text, JSON, YAML; and paths found in them."""

import codecs
import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from w2l.core.errors import ConfigError
from w2l.core.limits import PREFIX, limits

MAX_DEPTH = 64
"""Deepest nesting of JSON and YAML; deeper structures exhaust recursive code."""
MAX_YAML_VALUES = 100_000
"""Values of a YAML file, counting those repeated by an alias each time."""
WIDE_TEXT = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Unreadable(ValueError):
    """Reason why a file or text cannot be used, in a few words."""


def read_bytes(path: Path, megabytes: float | None = None) -> bytes:
    """Return the content of a file; raise Unreadable if it is missing or larger than W2L_MAX_TEXT_MEGABYTES.

    Links are followed. A pipe or a device is refused immediately.
    """
    most = limits().text_megabytes if megabytes is None else megabytes
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("it is not a regular file")
            if status.st_size > 1e6 * most:
                raise Unreadable(f"it is larger than {most:g} MB, see {PREFIX}TEXT_MEGABYTES")
            return file.read()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    except ValueError as error:
        raise error if isinstance(error, Unreadable) else Unreadable("its name contains a null byte") from error


def read_text(path: Path, errors: str = "strict", megabytes: float | None = None) -> str:
    """Return a UTF-8 text without its byte order mark; `errors` says how invalid bytes are handled."""
    content = read_bytes(path, megabytes)
    if content.startswith(WIDE_TEXT):
        raise Unreadable("it is UTF-16; save it as UTF-8")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 ({error})") from error


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raise Unreadable if it is damaged or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except ValueError as error:
        raise Unreadable(f"it is not JSON: {error}") from error
    _measure(value)
    return value


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; raise Unreadable if it is damaged, nested too deeply or expands too much."""
    try:
        value = yaml.safe_load(text)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # ValueError: a date such as 2025-13-01
        raise Unreadable(f"it is not valid YAML: {error}") from error
    _measure(value, MAX_YAML_VALUES)
    return value


def _measure(value: Any, most: int | None = None) -> None:
    """Raise Unreadable if a value is nested too deeply or endlessly, or has more than `most` parts."""
    layer, n_values = [value], 0
    for _ in range(MAX_DEPTH + 1):
        groups = (one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, (dict, list)))
        layer = [part for group in groups for part in group]
        n_values += len(layer)
        if most is not None and n_values > most:
            raise Unreadable(f"it contains more than {most} values")
        if not layer:
            return
    raise Unreadable(f"it is nested more than {MAX_DEPTH} deep")


def read_untrusted_json(path: Path) -> Any:
    """Return the value of a JSON file; raise Unreadable if it cannot be used."""
    return parse_json(read_text(path))


def real_path(path: Path) -> Path:
    """Return the resolved path; a path that cannot be resolved (a cycle of links) is returned unchanged."""
    return Path(os.path.realpath(path))


def checked_path(text: str, what: str) -> str:
    """Return a path that was read from a text; raise ConfigError if it cannot be a path."""
    if "\0" in text:
        raise ConfigError(f"{what} contains a null byte and cannot be a path; correct it")
    return text

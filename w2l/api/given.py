"""What all functions take in one form or another: file names, settings by name, a cache."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from w2l.api.sections import COMMANDS_ALONE, SECTIONS
from w2l.cache.store import Cache
from w2l.core import config
from w2l.core.errors import ConfigError
from w2l.core.timecodes import parse_seconds
from w2l.core.urls import refuse_url

T = TypeVar("T")
PathLike = str | os.PathLike[str]
Time = float | str
"""Seconds, or a timecode such as ``"1:02.5"``."""
Settings = Mapping[str, Any]
"""Settings by their names in `w2l settings`, dotted where nested: ``{"detect.stride": 1}``."""


def settings_of(
    kind: type[T], stage: str, file: PathLike | None, settings: Settings | None, options: Settings | None = None
) -> T:
    """Return the settings of a stage: defaults, then `file`, then `settings`, then `options` that are not None.

    Raises ConfigError for unknown names, with the nearest known ones, and for values out of their range.
    """
    assignments = config.write_assignments(_merged(settings, options))
    return config.load(kind, stage, path_of(file), assignments, (*SECTIONS, *COMMANDS_ALONE))


def named_settings(
    stage: str, file: PathLike | None, settings: Settings | None, options: Settings | None = None
) -> dict[str, Any]:
    """Return the settings of a stage that are given, nested as the stage has them; as `settings_of` takes them."""
    assignments = config.write_assignments(_merged(settings, options))
    return config.named(stage, path_of(file), assignments, (*SECTIONS, *COMMANDS_ALONE))


def _merged(settings: Settings | None, options: Settings | None) -> dict[str, Any]:
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"settings must be a mapping such as {{'detect.stride': 1}}, got {type(settings).__name__}")
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return {**{name: value for name, value in (settings or {}).items() if name not in given}, **given}


def seconds_of(time: Time | None, name: str) -> float | None:
    """Return a time in seconds; None stays None. Raises ConfigError, which names the parameter, for other texts."""
    try:
        return None if time is None else parse_seconds(time) if isinstance(time, str) else float(time)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def path_of(path: PathLike | None) -> Path | None:
    """Return a file name as a Path; None stays None. Raises ConfigError for a URL."""
    return None if path is None else given_path(path)


def paths_of(paths: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    """Return one file name, or several, as Paths. Raises ConfigError for a URL."""
    return tuple(map(given_path, [paths] if isinstance(paths, (str, os.PathLike)) else paths))


def given_path(path: PathLike) -> Path:
    """Return a file name as a Path; raises ConfigError for a URL."""
    refuse_url(os.fspath(path))
    return Path(path)


def open_cache(cache: PathLike | None, create: bool = False) -> Cache:
    """Open the cache folder; None: see `default_root`. Raises CacheError where there is none."""
    return Cache.open(path_of(cache), create)

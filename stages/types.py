"""Values of options that click does not know: times, and names of files."""

import os
from pathlib import Path
from typing import Any

import click

from w2l.core.errors import ConfigError
from w2l.core.timecodes import parse_seconds
from w2l.core.urls import refuse_url


class Seconds(click.ParamType):  # type: ignore[type-arg]  # click 8.2 does not let it be subscripted
    """A time: seconds, or a timecode."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of a text; see `w2l.core.timecodes.parse_seconds`."""
        try:
            return float(value) if isinstance(value, (int, float)) else parse_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class FileName(click.Path):
    """The name of a file or folder; a URL is refused before it is taken for one."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path."""
        try:
            refuse_url(os.fspath(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


SECONDS = Seconds()
FILE = FileName(path_type=Path)

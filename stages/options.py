"""Options shared by all commands, and the grouping of options in a command's help."""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import click

from stages.cli import SECTIONS
from stages.log import set_up_logging
from stages.types import FILE
from w2l.core import config
from w2l.core.text import printable

T = TypeVar("T")
COMMON = "Common"
"""Heading of options without another one."""
WORK = "Work"
"""Heading of options about parallelism and resuming."""
HERE = "auto"
"""The Ray cluster used if no address is given: the running one."""
Function = Callable[..., Any]


class Given(TypedDict):
    """What the shared options are as keywords of the functions of `w2l`."""

    cache: Path | None
    device: str
    config: Path | None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Common:
    """Values of the shared options."""

    cache: Path | None
    device: str
    config: Path | None
    assignments: tuple[str, ...]
    json: bool
    verbosity: int = 0
    """As `stages.log.set_up_logging` takes it."""

    def settings(self, kind: type[T], stage: str, **given: Any) -> T:
        """Return the settings of `stage`: defaults, then --config, then --set, then given options (not None).

        A nested setting is given under its dotted name with ``__`` for the dots; see `setting`.
        """
        return config.load(kind, stage, self.config, [*self.assignments, *_assigned(given)], SECTIONS)

    def named(self, stage: str, **given: Any) -> dict[str, Any]:
        """Return the settings of `stage` given by --config, --set or an option, with their values."""
        return config.named(stage, self.config, [*self.assignments, *_assigned(given)], SECTIONS)

    def given(self, **options: Any) -> Given:
        """Return what the functions of `w2l` take: cache, device, config, and settings of --set and of options."""
        settings = config.parse_assignments(self.assignments)
        named = named_settings(options)
        merged = {**{name: value for name, value in settings.items() if name not in named}, **named}
        return Given(cache=self.cache, device=self.device, config=self.config, settings=merged)

    def show(self, result: Any, text: str, styled: bool = False) -> None:
        """Print a result on stdout: `text`, or with --json the `result`.

        Of a text that is not `styled`, control characters, which can come from names of files, are escaped. Bytes of
        names that are not text are escaped on a terminal; a pipe or a file gets them, so that scripts find the files.
        """
        plain = text if styled else printable(text, keep_bytes=not sys.stdout.isatty())
        click.echo(json.dumps(result, indent=1, default=str) if self.json else plain)


def _assigned(given: dict[str, Any]) -> list[str]:
    """Return given options as assignments of settings."""
    return config.write_assignments(named_settings(given))


def named_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return options that were given (not None), under the dotted names of their settings."""
    return {key.replace("__", "."): value for key, value in given.items() if value is not None}


class HeadedOption(click.Option):
    """An option listed in the help under a heading."""

    def __init__(self, *names: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.heading = heading


class HeadedCommand(click.Command):
    """A command whose help lists its options under headings; those without one come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "heading", COMMON), []).append(record)
        for heading, records in sorted(sections.items(), key=lambda section: section[0] == COMMON):
            with formatter.section(heading):
                formatter.write_dl(records)


def setting(
    kind: type[Any], field: str, *names: str, heading: str, **attributes: Any
) -> Callable[[Function], Function]:
    """Return an option for one field of the settings `kind` (dotted if nested), with the default in its help."""
    default = default_of(kind, field)
    shown = attributes.pop("default_text", "none" if default in (None, "") else str(default))
    attributes["help"] = f"{attributes['help']}  [{shown}]"
    return click.option(*names, field.replace(".", "__"), cls=HeadedOption, heading=heading, **attributes)


def option(*names: str, heading: str, **attributes: Any) -> Callable[[Function], Function]:
    """Return an option listed in the help under a heading."""
    return click.option(*names, cls=HeadedOption, heading=heading, **attributes)


def take(kind: type[T], given: dict[str, Any], **more: Any) -> T:
    """Return the dataclass `kind` of `more` and of the options named as its fields, which are taken out of `given`."""
    names = [field.name for field in dataclasses.fields(kind) if field.name in given]  # type: ignore[arg-type]
    return kind(**{name: given.pop(name) for name in names}, **more)


def ray_option(function: Function) -> Function:
    """Add --ray, whose address is optional."""
    return option("--ray", is_flag=False, flag_value=HERE, metavar="[ADDRESS]", heading=WORK,
                  help="Run on a Ray cluster with a shared disk: auto (the running one), local, host:port.",
                  )(function)  # fmt: skip


def default_of(kind: type[Any], field: str) -> Any:
    """Return the default of a field of a settings dataclass, dotted if nested."""
    settings = kind()
    return functools.reduce(getattr, field.split("."), settings)


def common_options(function: Function) -> Function:
    """Add --cache, --device, --config, --set, --json, -v, -q and --debug; the command gets them as `common`."""

    @click.option("--cache", type=FILE, help="Cache folder  [$W2L_CACHE, else ./w2l-cache]")
    @click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
    @click.option("--config", "config_file", type=FILE, help="YAML file of settings.")
    @click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("-v", "--verbose", count=True, help="Print more details.")
    @click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def _with_common(
        *arguments: Any,
        cache: Path | None,
        device: str,
        config_file: Path | None,
        assignments: tuple[str, ...],
        as_json: bool,
        verbose: int,
        quiet: bool,
        debug: bool,
        **options: Any,
    ) -> Any:
        verbosity = -1 if quiet else verbose
        set_up_logging(verbosity)
        common = Common(cache, device, config_file, assignments, as_json, verbosity)
        return function(*arguments, common=common, **options)

    return _with_common

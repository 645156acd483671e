"""The options that all commands share."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from w2l import config
from w2l.log import set_up

T = TypeVar("T")
Function = Callable[..., Any]


@dataclass(frozen=True)
class Common:
    """Values of the shared options."""

    cache: Path | None
    device: str
    config: Path | None
    assignments: tuple[str, ...]
    json: bool

    def settings(self, kind: type[T], stage: str, **given: Any) -> T:
        """Settings of `stage`: defaults, then --config, then --set, then options that were given (not None)."""
        chosen = [f"{key}={json.dumps(value, default=str)}" for key, value in given.items() if value is not None]
        return config.load(kind, stage, self.config, [*self.assignments, *chosen])

    def show(self, result: Any, text: str) -> None:
        """Prints a result on stdout: `text`, or with --json the `result`."""
        click.echo(json.dumps(result, indent=1, default=str) if self.json else text)


def common_options(function: Function) -> Function:
    """Adds --cache, --device, --config, --set, --json, -v, -q and --debug; the command gets them as `common`."""

    @click.option("--cache", type=click.Path(path_type=Path), help="Cache folder  [$W2L_CACHE, else ./w2l-cache]")
    @click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
    @click.option("--config", "config_file", type=click.Path(path_type=Path), help="YAML file of settings.")
    @click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("-v", "--verbose", count=True, help="Say more.")
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def with_common(
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
        set_up(-1 if quiet else verbose)
        common = Common(cache, device, config_file, assignments, as_json)
        return function(*arguments, common=common, **options)

    return with_common

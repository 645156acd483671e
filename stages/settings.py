"""settings: every key of every stage with its type, default and meaning, as a table or as a YAML file to edit."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.cli import SECTIONS
from stages.options import Common, common_options
from w2l.core.errors import ConfigError
from w2l.core.settings_reference import Setting, commented_yaml, list_settings, yaml_text

STAGE = "settings"
PERSON = "w2l.training.generator.person_settings:PersonSettings"
"""Settings of `w2l train --person`, which belong to the section of `train`."""
HEADING = "# Settings of w2l. Edit what you need, delete the rest, and pass the file to a command with --config."


def settings_class(stage: str, person: bool = False) -> type[Any]:
    """Return the dataclass of a section, imported now."""
    module, _, name = (PERSON if person else SECTIONS[stage]).partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found


@click.command(STAGE)
@click.argument("stage", required=False, type=click.Choice(list(SECTIONS)))
@click.option("--yaml", "as_yaml", is_flag=True, help="Print a commented YAML file for --config.")
@click.option("--person", is_flag=True, help="With train: the defaults of train --person.")
@common_options
def command(stage: str | None, as_yaml: bool, person: bool, common: Common) -> None:
    """List the settings of STAGE, or of all stages: key, default, meaning and type.

    Each key can be set with --set KEY=VALUE or in a YAML file with --config. With --config or --set, this command
    shows the resulting values.

    \b
    w2l settings sync
    w2l settings train --yaml > mine.yaml           then: w2l train --config mine.yaml
    w2l settings train --config examples/recipes/w2l.yaml
    """
    if common.assignments and stage is None:
        raise ConfigError("--set requires a stage; write w2l settings STAGE --set KEY=VALUE")
    if person and stage != "train":
        raise ConfigError("--person is for the stage train; write w2l settings train --person")
    chosen = {name: common.settings(settings_class(name, person), name) for name in ([stage] if stage else SECTIONS)}
    rows = {name: [row for row in list_settings(found) if not row.is_group] for name, found in chosen.items()}
    if as_yaml and not common.json:
        click.echo("\n".join([HEADING, *(commented_yaml(found, name) for name, found in chosen.items())]), nl=False)
        return
    plain = [{"stage": name, **_plain(row)} for name, settings in rows.items() for row in settings]
    common.show(plain, _tables(rows.items()))


def _plain(row: Setting) -> dict[str, object]:
    return {key: value for key, value in asdict(row).items() if key not in ("is_group", "choices")}


def _tables(stages: Iterable[tuple[str, Sequence[Setting]]]) -> str:
    """Return one table per stage, as wide as the terminal."""
    console = Console()
    with console.capture() as capture:
        for name, rows in stages:
            table = Table(box=SIMPLE_HEAD, title=f"w2l settings: {name}", title_justify="left", pad_edge=False)
            table.add_column("setting", no_wrap=True)
            table.add_column("default", max_width=14, overflow="fold")
            table.add_column("meaning [type]")
            for row in rows:
                table.add_row(Text(row.key, "bold"), _value(row), Text.assemble(row.text, (f" [{row.type}]", "dim")))
            console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _value(row: Setting) -> Text:
    """Return the default; where another value is set, that, and the default beneath it."""
    if not row.is_changed:
        return Text(yaml_text(row.default))
    return Text.assemble((f"now {yaml_text(row.value)}", "bold"), f"\n{yaml_text(row.default)}")

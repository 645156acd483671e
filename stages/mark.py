"""mark: the key that signs manifests."""

from dataclasses import asdict
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.core.errors import ConfigError
from w2l.marks.keys import SigningKey, import_key, key_folder, signing_key
from w2l.marks.provenance import EXTRA, can_sign

STAGE = "mark"


@click.group(STAGE, invoke_without_command=True)
@click.pass_context
@common_options
def command(context: click.Context, common: Common) -> None:
    """Manage how outputs are marked: the key that signs their manifests.

    \b
    w2l mark key                                    which key signs
    w2l mark key --import chain.pem key.pem         sign with your own
    """
    if context.invoked_subcommand:  # options given before its name apply to it, too
        context.default_map = {context.invoked_subcommand: context.params}
        return
    _show(None, common)


@command.command("key", short_help="Show the signing key, or import your own.")
@click.option("--import", "files", nargs=2, type=FILE, metavar="CHAIN KEY",
              help="A certificate chain, its own certificate first, and its private key, as PEM.")  # fmt: skip
@common_options
def key_command(files: tuple[Path, Path] | None, common: Common) -> None:
    """Show the key that manifests are signed with; without one of your own, one is made on this machine.

    A key made here proves that a file was not changed since, not who made it: nobody vouches for it.
    """
    _show(files, common)


def _show(files: tuple[Path, Path] | None, common: Common) -> None:
    """Print the key in use, after importing `files` where they are given."""
    if not can_sign():
        raise ConfigError(f"keys need c2pa-python and cryptography; {EXTRA}")
    key = import_key(*files) if files else signing_key()
    shown = {name: value for name, value in asdict(key).items() if name not in ("key", "chain")}
    common.show(shown | {"folder": str(key_folder())}, _text(key))


def _text(key: SigningKey) -> str:
    made = " (made here: nobody vouches for it)" if key.is_local else ""
    return f"{key.subject}{made}, {key.algorithm}, in {key_folder()}"

"""weights: list models, import public ones, download face detectors and judges."""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.cache.place import default_root
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.progress import progress
from w2l.core.text import printable
from w2l.models import fetch as fetching
from w2l.models import packs
from w2l.models import registry as weights
from w2l.models.registry import Entry

STAGE = "weights"
DATA_WIDTH = 60
"""Characters of the table's column for the training data; --json has all."""


@dataclass(frozen=True)
class FetchSettings:
    """Download settings."""

    timeout_s: float = fetching.TIMEOUT_S
    """Longest wait in seconds for a connection, and for each following piece."""

    def __post_init__(self) -> None:
        """Reject a timeout of zero."""
        if self.timeout_s <= 0:
            raise ConfigError(f"timeout_s {self.timeout_s} must be positive")


def run(cache: Cache | None) -> list[Entry]:
    """Return all named models: shipped, and in the cache if there is one."""
    return weights.entries(cache)


def run_fetch(settings: FetchSettings, pack: packs.Pack, cache: Cache, source: Path | None = None) -> Entry:
    """Install `pack` in the cache, from the network or from the user's copy at `source`; the user has agreed."""
    if source is not None:
        fetching.take(pack, source, cache.models)
    else:
        with progress(f"fetch {pack.name}", pack.size, "B") as advance:
            fetching.fetch(pack, cache.models, settings.timeout_s, advance)
    return next(entry for entry in weights.entries(cache) if entry.origin == "pack" and entry.name == pack.name)


@click.group(STAGE, invoke_without_command=True)
@click.pass_context
@common_options
def command(context: click.Context, common: Common) -> None:
    """List the models available for --model NAME: shipped, imported, from runs; and downloaded packs.

    \b
    w2l weights
    w2l weights import wav2lip_gan.pth --as wav2lip-gan     then: w2l sync ... --model wav2lip-gan
    w2l weights fetch buffalo_l                             then: detection uses it
    """
    if context.invoked_subcommand:  # options before the subcommand apply to it, too
        context.default_map = {context.invoked_subcommand: context.params}
        return
    common.settings(FetchSettings, STAGE)
    root = common.cache or default_root()
    found = run(Cache.open(common.cache) if common.cache or (root / "cache.json").exists() else None)
    common.show([_plain(entry) for entry in found], _table(found))


@command.command("import", short_help="Import a public checkpoint, or a model of w2l.")
@click.argument("file", type=FILE)
@click.option("--as", "name", metavar="NAME", required=True, help="The name to find it by.")
@click.option("--licence", metavar="TEXT", help="Its licence, if the file does not state it.")
@click.option("-y", "--overwrite", is_flag=True, help="Replace a model that was imported under this name.")
@common_options
def import_command(file: Path, name: str, licence: str | None, overwrite: bool, common: Common) -> None:
    """Import a model into the cache: a public file (.pth, TorchScript, .safetensors), or one of w2l.

    Generators, experts, discriminators and judges are recognised by their tensors; nothing in the file is executed.

    \b
    w2l weights import wav2lip_gan.pth --as wav2lip-gan
    w2l weights import syncnet_v2.model --as syncnet
    """
    common.settings(FetchSettings, STAGE)
    entry = weights.bring(file, name, Cache.open(common.cache, create=True), licence, overwrite)
    common.show(_plain(entry), _table([entry]))


@command.command("fetch", short_help="Download face detectors, SyncNet v2 or the FID network.")
@click.argument("name", metavar="PACK", type=click.Choice(list(packs.PACKS)))
@click.option("--yes", is_flag=True, help="I agree to its licence.")
@click.option("--from", "source", type=FILE, help="Its archive, or a folder with its files.")
@common_options
def fetch_command(name: str, yes: bool, source: Path | None, common: Common) -> None:
    """Download a pack of models, after consent to its licence; of face packs only detector and points are kept.

    \b
    buffalo_l   SCRFD-10GF and 106 face points: 289 MB to download, 22 MB kept
    buffalo_s   SCRFD-500MF and 106 face points, fast on a CPU: 128 MB to download, 8 MB kept
    syncnet-v2  SyncNet v2, the judge of published LSE: 55 MB; then: w2l score --judge syncnet-v2
    fid-inception   the network of published FID: 96 MB; then: w2l score --fid --inception fid-inception
    """
    settings = common.settings(FetchSettings, STAGE)
    pack = packs.PACKS[name]
    if not yes:
        _ask(pack, source)
    entry = run_fetch(settings, pack, Cache.open(common.cache, create=True), source)
    common.show(_plain(entry), _table([entry]))


def _ask(pack: packs.Pack, source: Path | None) -> None:
    """Show what is downloaded and under which terms; continue only after consent."""
    origin = source or f"{pack.url}, {_bytes(pack.size)}"
    text = f"{pack.name}: {pack.summary}\nfrom {origin}; {_bytes(pack.kept)} are kept\n{pack.terms}"
    if not sys.stdin.isatty():
        raise ConfigError(f"{pack.terms} To agree and download {pack.name}, add --yes")
    click.echo(printable(text), err=True)
    click.confirm("Agree and download?", abort=True, err=True)


def _plain(entry: Entry) -> dict[str, object]:
    return asdict(entry) | {"path": str(entry.path)}


def _table(found: Sequence[Entry]) -> str:
    """Return the entries in columns."""
    rows = [("name", "kind", "size", "licence", "from")]
    for entry in found:
        rows.append((entry.name, entry.kind, _bytes(entry.size), entry.licence or "not stated", _from(entry)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _from(entry: Entry) -> str:
    if entry.problem:
        return f"{entry.origin}: {entry.problem}"
    steps = f", step {entry.step}" if entry.step else ""
    data = textwrap.shorten(entry.data, DATA_WIDTH, placeholder=" …")
    licence = f" ({entry.data_licence})" if entry.data_licence else ""
    return f"{entry.origin}{steps}" + (f": {data}{licence}" if data else "")


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"

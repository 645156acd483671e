"""Models as a page lists, imports and downloads them: functions for the process of `w2l.queue.helper`.

What they need is imported when they run, so that a server can name them without loading networks.
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError, ConfigError
from w2l.core.files import write_json
from w2l.core.progress import progress, reported_to
from w2l.models.packs import PACKS
from w2l.queue.worker import Reporter

if TYPE_CHECKING:
    from w2l.models.registry import Entry

COMMAND = "weights"


@dataclass(frozen=True)
class SeenModel:
    """One model, or pack of models."""

    name: str
    kind: str
    """Kind of the network, or purpose of the pack."""
    origin: str
    """`shipped`, `imported`, `run` or `pack`."""
    size: int
    """Bytes on disk."""
    licence: str
    problem: str
    """Reason why it cannot be used."""
    card: Mapping[str, str]
    """What the file says about itself, name by name."""


def list_models(root: Path) -> list[SeenModel]:
    """Return the models that are there: shipped, imported, from runs, and downloaded packs."""
    from w2l.models.registry import entries

    return [_seen(entry) for entry in entries(Cache.open(root))]


def import_model(root: Path, path: str, name: str, licence: str, overwrite: bool) -> SeenModel:
    """Import a model file into the cache, as `w2l weights import` does."""
    from w2l.models.registry import bring

    if not path:
        raise ConfigError("choose a model file")
    if not name.strip():
        raise ConfigError("give the model a name, by which it is found")
    entry = bring(Path(path), name.strip(), Cache.open(root, create=True), licence.strip() or None, overwrite)
    return _seen(entry)


def fetch_model(root: Path, name: str, agreed: bool, told: Path) -> SeenModel:
    """Download a pack after consent to its licence, as `w2l weights fetch` does; `told` takes the progress."""
    from w2l.models.fetch import fetch
    from w2l.models.registry import entries

    if name not in PACKS:
        raise ConfigError(f"there is no pack {name!r}; choose {', '.join(PACKS)}")
    pack, cache = PACKS[name], Cache.open(root, create=True)
    if not agreed:
        raise ConfigError(f"{pack.terms} To agree and download {name}, tick the box")
    reporter = Reporter(lambda now: write_json(told, asdict(now)))
    with reported_to(reporter), progress("fetch", pack.size, "B") as advance:
        fetch(pack, cache.models, on_progress=advance)
    return next(_seen(entry) for entry in entries(cache) if entry.origin == "pack" and entry.name == name)


def import_command(root: Path, path: str, name: str, licence: str, overwrite: bool) -> str:
    """Return the line for a shell that imports the same model."""
    words = ["w2l", COMMAND, "import", path, "--as", name.strip()]
    words += ["--licence", licence.strip()] if licence.strip() else []
    return shlex.join([*words, *(["-y"] if overwrite else []), "--cache", str(root)])


def fetch_command(root: Path, name: str) -> str:
    """Return the line for a shell that downloads the same pack."""
    return shlex.join(["w2l", COMMAND, "fetch", name, "--yes", "--cache", str(root)])


def _seen(entry: "Entry") -> SeenModel:
    card = _pack_card(entry.name) if entry.origin == "pack" else _card(entry)
    return SeenModel(entry.name, entry.kind, entry.origin, entry.size, entry.licence, entry.problem, card)


def _pack_card(name: str) -> dict[str, str]:
    pack = PACKS[name]
    files = ", ".join(file.name for file in pack.files)
    return {"content": pack.summary, "files": files, "source": pack.url, "terms": pack.terms}


def _card(entry: "Entry") -> dict[str, str]:
    from w2l.core.text import number
    from w2l.models.checkpoint import read_card

    try:
        card = read_card(entry.path)
    except CheckpointError:
        return {"file": str(entry.path)}
    facts = {
        "training data": card.data,
        "licence of the data": entry.data_licence,
        "steps": number(card.step) if card.step else "",
        "crop": f"{card.crop.kind}, {card.crop.size} px",
        "dimensions": ", ".join(f"{key} {value}" for key, value in card.dimensions.items()),
        "scores": ", ".join(f"{key} {number(value)}" for key, value in card.scores.items()),
        "taught by": ", ".join(one.name or one.sha256[:16] for one in card.teachers),
        "file": str(entry.path),
    }
    return {key: value for key, value in facts.items() if value}

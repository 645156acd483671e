"""Names of models (shipped, a file, imported into the cache, or a run), and importing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from w2l.cache.store import Cache
from w2l.core.errors import CacheError, CheckpointError, ConfigError
from w2l.core.files import sha256
from w2l.core.reading import real_path
from w2l.models import packs
from w2l.models.card import data_licences
from w2l.models.checkpoint import NETWORKS, Kind, Model, load_model, marks_of, read_card, save_model
from w2l.models.choices import SHIPPED as SHIPPED
from w2l.models.choices import STILLS as STILLS
from w2l.models.fetch import fetched, file_of
from w2l.models.lineage import TaughtBy, weights_mark
from w2l.models.onnx_generator import OnnxGenerator

BUNDLED = Path(__file__).parent / "assets"
"""Folder of the shipped model files: ``generator.safetensors``, ``expert.safetensors``, ``judge.safetensors``."""
ASSETS = {SHIPPED: "{kind}", STILLS: "{kind}-still"}
"""Shipped name -> name of its files, without their suffix."""
SUFFIX = ".safetensors"
TAGS = ("best", "latest")
"""Files that a run keeps of each kind, the better one first."""


@dataclass(frozen=True)
class Entry:
    """One named model."""

    name: str
    kind: str
    """Kind of the network; for a pack: detector, judge or inception."""
    path: Path
    size: int
    """Bytes on disk."""
    licence: str
    origin: Literal["shipped", "imported", "run", "pack"]
    step: int = 0
    """Training steps, if known."""
    data: str = ""
    """Training data, or the content of the pack."""
    problem: str = ""
    """Reason why it cannot be used."""
    data_licence: str = ""
    """Of the data it was trained on, as far as it is known."""


def find(name: str, kind: Kind, cache: Cache | None = None) -> Path:
    """Return the file of the model `name`: `w2l` (shipped), a path, an imported model, or a run of the cache.

    Raises CheckpointError listing the available models.
    """
    if name in ASSETS:
        path = _asset(name, kind)
        if not path.is_file():
            raise CheckpointError(f"this version of w2l does not ship any {kind} named {name}; choose a file or a run")
        return path
    if Path(name).is_file():
        return Path(name)
    if cache and kind == "judge" and (packed := file_of(name, "judge", cache.models)) is not None:
        return packed
    if cache and _is_plain(name):
        if (path := _imported(cache, name)).is_file():
            return path
        for tag in TAGS:
            if (path := cache.checkpoints / name / f"{kind}-{tag}{SUFFIX}").is_file():
                return path
    raise CheckpointError(f"no {kind} named {name!r}: no such file, and {_what_there_is(kind, cache)}")


def load_by_name(name: str, kind: Kind, cache: Cache | None = None, device: torch.device | str = "cpu") -> Model:
    """Return the model `name` in eval mode; see `find`."""
    return load_model(find(name, kind, cache), kind, device)


def bring(source: Path, name: str, cache: Cache, licence: str | None = None, overwrite: bool = False) -> Entry:
    """Import the model file `source`, ours or a public checkpoint, into the cache as `name`.

    Only its weights are read, and written with its card; `licence` replaces the card's. Raises ConfigError for a name
    that is taken or invalid, CheckpointError for a file that cannot be used.
    """
    path = _imported(cache, name)
    _check_name(name, cache, overwrite)
    model = load_model(source, None)
    if isinstance(model.network, OnnxGenerator):
        raise CheckpointError(f"{source} is an ONNX file, which is used by its path: w2l sync --model {source}")
    card = replace(model.card, ancestors=marks_of(model))
    card = card if licence is None else replace(card, licence=licence)
    save_model(path, model.network, card)
    return _entry(name, path, "imported")


def as_teacher(expert: Model) -> TaughtBy:
    """Return the teacher's entry for a generator's card: enough to recognise it and its relatives."""
    path = expert.path
    shipped = real_path(path).parent == real_path(BUNDLED)
    name = f"{SHIPPED} (shipped)" if shipped else f"{path.absolute().parent.name}/{path.name}"
    file = sha256(path) if path.is_file() else ""
    return TaughtBy(name, file, weights_mark(expert.network), expert.card.ancestors)


def entries(cache: Cache | None = None) -> list[Entry]:
    """Return all named models in lookup order, then the packs. None is loaded."""
    found = [_entry(name, path, "shipped") for name, path in _shipped()]
    if cache:
        found += [_entry(path.stem, path, "imported") for path in sorted(cache.models.glob(f"[!.]*{SUFFIX}"))]
        found += [_entry(path.parent.name, path, "run") for path in _of_runs(cache)]
        found += [_pack_entry(name, folder) for name, folder in fetched(cache.models).items()]
    return found


def _shipped() -> list[tuple[str, Path]]:
    return [(name, path) for name in ASSETS for kind in NETWORKS if (path := _asset(name, kind)).is_file()]


def _asset(name: str, kind: str) -> Path:
    return BUNDLED / f"{ASSETS[name].format(kind=kind)}{SUFFIX}"


def _of_runs(cache: Cache) -> Iterator[Path]:
    """Yield the file that each run's name stands for, for each kind."""
    for folder in sorted(cache.checkpoints.glob("[!.]*/")):
        for kind in NETWORKS:
            yield from [path for tag in TAGS if (path := folder / f"{kind}-{tag}{SUFFIX}").is_file()][:1]


def _entry(name: str, path: Path, origin: Literal["shipped", "imported", "run"]) -> Entry:
    size = path.stat().st_size
    try:
        card = read_card(path)
    except CheckpointError as error:
        return Entry(name, "?", path, size, "", origin, problem=str(error))
    licence = data_licences(card.data)
    return Entry(name, card.kind, path, size, card.licence, origin, card.step, card.data, data_licence=licence)


def _pack_entry(name: str, folder: Path) -> Entry:
    pack = packs.PACKS[name]
    return Entry(name, pack.kind, folder, pack.kept, pack.licence, "pack", data=pack.summary)


def _imported(cache: Cache, name: str) -> Path:
    return cache.models / f"{name}{SUFFIX}"


def _is_plain(name: str) -> bool:
    return bool(name) and name == name.strip() and not name.startswith((".", "-")) and not {"/", os.sep, "\0"} & {*name}


def _check_name(name: str, cache: Cache, overwrite: bool) -> None:
    """Raise ConfigError for a name under which the model would not be found, or would hide another."""
    if not _is_plain(name):
        raise ConfigError(f"model name {name!r} must be plain, without / and without a leading dot or dash")
    if name in ASSETS or name in packs.PACKS:
        raise ConfigError(f"the name {name!r} is reserved for {_holder(name)}; choose another with --as")
    if Path(name).is_file():
        raise ConfigError(f"a file named {name!r} exists here and would be used instead; choose another name")
    if any((cache.checkpoints / name).glob(f"*{SUFFIX}")):
        raise ConfigError(f"a run named {name!r} exists in {cache.checkpoints}; choose another name with --as")
    if _imported(cache, name).exists() and not overwrite:
        raise ConfigError(f"a model named {name!r} already exists; replace it with -y or choose another name")


def _holder(name: str) -> str:
    return "the shipped models" if name in ASSETS else "a pack for w2l weights fetch"


def _what_there_is(kind: Kind, cache: Cache | None) -> str:
    """Return the names that `find` knows, as a clause."""
    names = [name for name in ASSETS if _asset(name, kind).is_file()]
    if cache:
        names += sorted(path.stem for path in cache.models.glob(f"[!.]*{SUFFIX}") if _kind_of(path) == kind)
        names += sorted({path.parent.name for path in cache.checkpoints.glob(f"*/{kind}-*{SUFFIX}")})
    if not names:
        return f"no run has produced one; train one or name a file ({kind}-best{SUFFIX}, or a public checkpoint)"
    return f"available {kind}s are {', '.join(names)}; choose one of them, or train one"


def _kind_of(path: Path) -> str:
    try:
        return read_card(path).kind
    except (CheckpointError, CacheError):
        return ""

"""Names of models: shipped with w2l, a file, imported into the cache, or a run; what there is, and importing."""

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
from w2l.models.checkpoint import NETWORKS, Kind, Model, load_model, marks_of, read_card, save_model
from w2l.models.fetch import fetched, file_of
from w2l.models.lineage import TaughtBy, weights_mark
from w2l.models.onnx_generator import OnnxGenerator

BUNDLED = Path(__file__).parent / "assets"
"""Where the shipped model files lie: ``generator.safetensors``, ``expert.safetensors``, ``judge.safetensors``."""
SHIPPED = "w2l"
"""The name of the shipped model of each kind."""
SUFFIX = ".safetensors"
TAGS = ("best", "latest")
"""What a run keeps of each kind, the better one first."""


@dataclass(frozen=True)
class Entry:
    """One model that has a name."""

    name: str
    kind: str
    """Kind of the network; of a pack: detector, judge or inception."""
    path: Path
    size: int
    """Bytes on the disk."""
    licence: str
    origin: Literal["shipped", "imported", "run", "pack"]
    step: int = 0
    """Training steps, where they are known."""
    data: str = ""
    """What it was trained on, or what is in the pack."""
    problem: str = ""
    """Why it cannot be used."""


def find(name: str, kind: Kind, cache: Cache | None = None) -> Path:
    """The file of the model `name`: `w2l` (shipped), a path, an imported model, or a run of the cache.

    Raises CheckpointError, naming what there is.
    """
    if name == SHIPPED:
        path = BUNDLED / f"{kind}{SUFFIX}"
        if not path.is_file():
            raise CheckpointError(f"this w2l ships no {kind}; name a file or a run")
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


def load(name: str, kind: Kind, cache: Cache | None = None, device: torch.device | str = "cpu") -> Model:
    """The model `name` in eval mode; see `find`."""
    return load_model(find(name, kind, cache), kind, device)


def bring(source: Path, name: str, cache: Cache, licence: str | None = None, overwrite: bool = False) -> Entry:
    """Imports the model file `source`, ours or a public checkpoint, into the cache under `name`.

    It is read once, as weights alone, and written with its card; `licence` replaces what the card says. Raises
    ConfigError for a name that cannot be had, CheckpointError for a file that cannot be used.
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
    """Return what the card of a generator keeps of its teacher: enough to recognise it and its relatives."""
    path = expert.path
    shipped = real_path(path).parent == real_path(BUNDLED)
    name = f"{SHIPPED} (shipped)" if shipped else f"{path.absolute().parent.name}/{path.name}"
    file = sha256(path) if path.is_file() else ""
    return TaughtBy(name, file, weights_mark(expert.network), expert.card.ancestors)


def entries(cache: Cache | None = None) -> list[Entry]:
    """All models that have a name, in the order in which names are looked up; then the packs. None is loaded."""
    found = [_entry(SHIPPED, path, "shipped") for path in _shipped()]
    if cache:
        found += [_entry(path.stem, path, "imported") for path in sorted(cache.models.glob(f"[!.]*{SUFFIX}"))]
        found += [_entry(path.parent.name, path, "run") for path in _of_runs(cache)]
        found += [_pack_entry(name, folder) for name, folder in fetched(cache.models).items()]
    return found


def _shipped() -> list[Path]:
    return [path for kind in NETWORKS if (path := BUNDLED / f"{kind}{SUFFIX}").is_file()]


def _of_runs(cache: Cache) -> Iterator[Path]:
    """The file that each run's name stands for, of each kind."""
    for folder in sorted(cache.checkpoints.glob("[!.]*/")):
        for kind in NETWORKS:
            yield from [path for tag in TAGS if (path := folder / f"{kind}-{tag}{SUFFIX}").is_file()][:1]


def _entry(name: str, path: Path, origin: Literal["shipped", "imported", "run"]) -> Entry:
    size = path.stat().st_size
    try:
        card = read_card(path)
    except CheckpointError as error:
        return Entry(name, "?", path, size, "", origin, problem=str(error))
    return Entry(name, card.kind, path, size, card.licence, origin, card.step, card.data)


def _pack_entry(name: str, folder: Path) -> Entry:
    pack = packs.PACKS[name]
    return Entry(name, pack.kind, folder, pack.kept, pack.licence, "pack", data=pack.summary)


def _imported(cache: Cache, name: str) -> Path:
    return cache.models / f"{name}{SUFFIX}"


def _is_plain(name: str) -> bool:
    return bool(name) and name == name.strip() and not name.startswith((".", "-")) and not {"/", os.sep, "\0"} & {*name}


def _check_name(name: str, cache: Cache, overwrite: bool) -> None:
    """Refuses a name under which the model would not be found, or would hide another."""
    if not _is_plain(name):
        raise ConfigError(f"model name {name!r} must be plain, without / and without a leading dot or dash")
    if name == SHIPPED or name in packs.PACKS:
        raise ConfigError(f"the name {name!r} is that of {_holder(name)}; choose another with --as")
    if Path(name).is_file():
        raise ConfigError(f"the name {name!r} is that of a file here, which would be taken instead; choose another")
    if any((cache.checkpoints / name).glob(f"*{SUFFIX}")):
        raise ConfigError(f"the name {name!r} is that of a run in {cache.checkpoints}; choose another with --as")
    if _imported(cache, name).exists() and not overwrite:
        raise ConfigError(f"a model named {name!r} was imported before; replace it with -y or choose another name")


def _holder(name: str) -> str:
    return "the shipped models" if name == SHIPPED else "a pack for w2l weights fetch"


def _what_there_is(kind: Kind, cache: Cache | None) -> str:
    """The names that `find` knows, as a clause."""
    names = [SHIPPED] if (BUNDLED / f"{kind}{SUFFIX}").is_file() else []
    if cache:
        names += sorted(path.stem for path in cache.models.glob(f"[!.]*{SUFFIX}") if _kind_of(path) == kind)
        names += sorted({path.parent.name for path in cache.checkpoints.glob(f"*/{kind}-*{SUFFIX}")})
    if not names:
        return f"no run here has made one; train one or give a file ({kind}-best{SUFFIX}, or a public checkpoint)"
    return f"the {kind}s here are {', '.join(names)}; name one of them, or train one"


def _kind_of(path: Path) -> str:
    try:
        return read_card(path).kind
    except (CheckpointError, CacheError):
        return ""

"""Checks of the components that jobs use: encoders, face detectors, models."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stages.checks.finding import FAILURES, Finding, State, reason
from w2l.core.errors import W2LError
from w2l.core.text import some

if TYPE_CHECKING:
    from w2l.cache.store import Cache

MEND_MTCNN = "fix what is broken above, else: pip install --force-reinstall mtcnn"


def check_encoders(root: Path | None) -> Iterator[Finding]:
    """Yield the encoders of each video and audio codec; H.264 and AAC are required, the others optional."""
    from w2l.media.available import sound_encoders, working_encoders
    from w2l.media.encoders import SOFTWARE

    reinstall = "pip install --force-reinstall av"
    hardware: list[str] = []
    for codec, names in working_encoders().items():
        software = [name for name in names if name == SOFTWARE[codec]]
        hardware += [name for name in names if name not in software]
        absent: State = "broken" if codec == "h264" else "missing"
        found = Finding("encoders", codec, "ok", software[0]) if software else None
        yield found or Finding("encoders", codec, absent, "this build of PyAV lacks a working encoder", reinstall)
    for name, works in sound_encoders().items():
        absent = "broken" if name == "aac" else "missing"
        state: State = "ok" if works else absent
        detail = "audio" if works else "this build of PyAV does not have this audio encoder"
        yield Finding("encoders", name, state, detail, "" if works else reinstall)
    if hardware:
        detail = f"{', '.join(hardware)}; used with --set encoding.hardware=auto"
        yield Finding("encoders", "hardware", "ok", detail, facts={"encoders": hardware})
    else:
        yield Finding("encoders", "hardware", "missing", "none available; encoding runs on the CPU")


def check_detectors(root: Path | None) -> Iterator[Finding]:
    """Yield the face detectors, each built once from its weights, and the one chosen by `auto`."""
    from w2l.cache.place import default_root
    from w2l.faces.detectors.base import INSIGHTFACE_VARIABLE
    from w2l.faces.detectors.factory import make_detector

    models = (root or default_root()) / "models"
    chosen = _detector("auto", lambda: make_detector("auto", models=models))
    named = os.environ.get(INSIGHTFACE_VARIABLE, "")
    if chosen.state != "ok":
        advice = f"unset {INSIGHTFACE_VARIABLE} or set it to a model" if named else MEND_MTCNN
        yield Finding("detectors", "auto", "broken", chosen.detail, advice)
    elif chosen.detail != "insightface":
        advice = "w2l weights fetch buffalo_l (or buffalo_s, faster on a CPU); asks for consent to its licence"
        yield Finding("detectors", "insightface", "missing", "not downloaded; preferred by auto to mtcnn", advice)
    else:
        yield Finding("detectors", "insightface", "ok", named or "fetched")
    mtcnn = _detector("mtcnn", lambda: make_detector("mtcnn"))
    yield Finding("detectors", "mtcnn", mtcnn.state, "in its package" if mtcnn.state == "ok" else mtcnn.detail,
                  "" if mtcnn.state == "ok" else MEND_MTCNN)  # fmt: skip
    advice = "--set detector=yunet:PATH selects it (sync: detect.detector)"
    yield Finding("detectors", "yunet", "missing", "used only from your own file", advice)
    if chosen.state == "ok":
        yield Finding("detectors", "auto", "ok", f"uses {chosen.detail}", facts={"is": chosen.detail})


def _detector(name: str, make: Callable[[], Any]) -> Finding:
    try:
        return Finding("detectors", name, "ok", make().name)
    except FAILURES as error:
        return Finding("detectors", name, "broken", reason(error))


def check_models(root: Path | None) -> Iterator[Finding]:
    """Yield the shipped models, each loaded once, the models in the cache, and the downloadable packs."""
    from w2l.models import registry
    from w2l.models.lip_reader import load_lips

    kinds: tuple[Literal["generator", "expert", "judge"], ...] = ("generator", "expert", "judge")
    for kind in kinds:
        yield _shipped(kind, functools.partial(registry.load_by_name, registry.SHIPPED, kind))
    yield _shipped("lip reader", load_lips)
    cache = _cache_or_none(root)
    entries = [entry for entry in registry.entries(cache) if entry.origin != "shipped"]
    for entry in entries:
        if entry.problem:
            advice = f"remove {entry.path} or create it again"
            yield Finding("models", entry.name, "warning", f"{entry.origin}: {entry.problem}", advice)
    good = sorted({entry.name for entry in entries if not entry.problem and entry.origin != "pack"})
    if good:
        yield Finding("models", "own", "ok", f"{some(good)}; see w2l weights", facts={"names": good})
    yield from _packs(cache)


def _shipped(kind: str, load: Callable[[], object]) -> Finding:
    try:
        load()
    except FAILURES as error:
        advice = "fix what is broken above, else: pip install --force-reinstall --no-deps w2l"
        return Finding("models", kind, "broken", reason(error), advice)
    return Finding("models", kind, "ok", "shipped")


def _packs(cache: "Cache | None") -> Iterator[Finding]:
    """Yield each downloadable pack; detectors only if a downloaded one is damaged or complete."""
    from w2l.models.fetch import fetched
    from w2l.models.packs import PACKS

    whole = fetched(cache.models) if cache else {}
    for name, pack in PACKS.items():
        facts = {"bytes": pack.size, "licence": pack.licence}
        if name in whole:
            yield Finding("models", name, "ok", f"fetched: {pack.summary}", facts=facts)
        elif cache and (cache.models / name).exists():
            detail = f"damaged or incomplete in {cache.models / name}"
            yield Finding("models", name, "warning", detail, f"w2l weights fetch {name}", facts)
        elif pack.kind != "detector":
            advice = f"w2l weights fetch {name} ({pack.size / 1e6:.0f} MB)"
            yield Finding("models", name, "missing", pack.summary, advice, facts)


def _cache_or_none(root: Path | None) -> "Cache | None":
    """Return the cache if there is a readable one."""
    from w2l.cache.place import default_root
    from w2l.cache.store import Cache

    try:
        return Cache.open(root) if ((root or default_root()) / "cache.json").exists() else None
    except (W2LError, OSError):
        return None

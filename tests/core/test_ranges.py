"""Settings by table: every number of every dataclass of settings refuses what it cannot be, wherever it is given."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

import stages
import w2l
from tests.helpers.tiny_cache import talking_cache
from w2l.cache.records import EXCLUDED, SHIFTED, AuditOutcome, TrackVerdict
from w2l.core import config
from w2l.core.errors import ConfigError
from w2l.core.files import read_json, write_json
from w2l.core.ranges import RANGES
from w2l.training.audit.verdicts import AuditSettings

NAMES = ("Settings", "Dimensions", "Spec", "Encoding", "Schedule", "Sampling")
"""How the names of dataclasses end that hold settings, or sizes that files state."""
NEVER = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 10**30, -(10**30), 2**63, "many", {"a": 1}, True)
"""What no number of settings may be; a list, None and negative numbers are asked for one by one."""

PAGE = ("fastapi", "gradio", "uvicorn")
"""Packages of the extra for the page, whose modules hold no settings; without it they cannot be imported."""


def settings_of(package: Any) -> Iterator[type[Any]]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            names = vars(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            if error.name not in PAGE:
                raise
            continue
        for name, found in names.items():
            is_own = isinstance(found, type) and found.__module__ == module.name
            if is_own and dataclasses.is_dataclass(found) and name.endswith(NAMES):
                yield found


KINDS = sorted({*settings_of(w2l), *settings_of(stages)}, key=lambda kind: kind.__name__)


def numbers_of(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Name and hint of the fields that hold numbers, or rows of them."""
    for name, hint in get_type_hints(kind).items():
        if {int, float} & {hint, *get_args(hint)}:
            yield name, hint


FIELDS = [
    pytest.param(kind, name, hint, id=f"{kind.__name__}.{name}") for kind in KINDS for name, hint in numbers_of(kind)
]


def refused(kind: type[Any], name: str, value: object) -> bool:
    """Whether a value is refused, with the error of settings and no other."""
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n")
    try:
        config.load(kind, "x", assignments=[f"{name}={text}"])
    except ConfigError:
        return True
    return False


def test_all_settings_are_found() -> None:
    names = {kind.__name__ for kind in KINDS}
    assert {"SyncSettings", "AuditSettings", "CropSpec", "Encoding", "GeneratorDimensions", "FetchSettings"} <= names
    assert len(FIELDS) > 150


@pytest.mark.parametrize(("kind", "name", "hint"), FIELDS)
def test_no_number_is_what_it_cannot_be(kind: type[Any], name: str, hint: Any) -> None:
    is_row = hint not in (int, float) and "tuple" in str(hint)
    length = next((len(get_args(part)) for part in (hint, *get_args(hint)) if "tuple" in str(part)), 0)
    for value in NEVER:
        if not isinstance(value, (bool, str, dict)) and 0 < value <= RANGES.get(name, (0, 0))[1]:
            continue  # what float32 holds is a learning rate
        assert refused(kind, name, value), value
        if is_row:
            assert refused(kind, name, [value] * length), value
    if getattr(kind, name, None) != ():  # a row that is empty by default may be
        assert refused(kind, name, [] if is_row else [1])
    if type(None) not in get_args(hint):
        assert refused(kind, name, None)
    if RANGES.get(name, (0, 0))[0] == 0:
        for value in (-1, -0.5):
            assert refused(kind, name, [value] * length if is_row else value), value


def test_ranges_name_fields_that_are_there() -> None:
    there = {field.name for kind in KINDS for field in dataclasses.fields(kind)}
    assert set(RANGES) - there <= {"bias"}  # of a model's card


@pytest.mark.parametrize("zero", ["1e308", "-1e308", "1e9", "16", "-15.5", ".nan"])
def test_the_zero_of_an_audit_is_a_lag_that_it_tries(zero: str) -> None:
    assert config.load(AuditSettings, "audit", assignments=["zero=-1.5"]).zero == -1.5
    with pytest.raises(ConfigError, match="zero"):
        config.load(AuditSettings, "audit", assignments=[f"zero={zero}"])


@pytest.mark.parametrize("number", [10**12, -(10**12), 10**400, 1e308, 5000, "5", None, [1]])
@pytest.mark.parametrize("key", ["offset", "n_frames", "n_columns"])
def test_numbers_in_a_cache_are_checked_as_input(tmp_path: Path, key: str, number: object) -> None:
    """Whatever a clip's record says, the index is built, and the other clips can be trained on."""
    cache = talking_cache(tmp_path, n_clips=2)
    clip = cache.clip("clip0")
    mark = clip.record().preprocess.tracks_mark
    clip.note(AuditOutcome("made", of=mark, tracks=(TrackVerdict(SHIFTED, 1),)))
    content = read_json(clip.folder / "clip.json")
    track = content["stages"]["audit" if key == "offset" else "preprocess"]["tracks"][0]
    track[key] = number
    write_json(clip.folder / "clip.json", content)
    cache.invalidate_index()
    rows = {row.clip: row for row in cache.all_tracks()}
    assert set(rows) == {"clip0", "clip1"}
    assert abs(rows["clip0"].offset) <= max(0, rows["clip0"].n_frames)
    assert rows["clip0"].n_frames >= 0 or rows["clip0"].status
    assert [row.clip for row in cache.tracks()][-1] == "clip1"
    assert EXCLUDED not in rows["clip1"].status

"""Outputs of `w2l sync` below folders, and where the faces of their videos are; for scripts that measure mouths."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.faces.detectors.factory import make_detector
from w2l.faces.scan import clip_for, scan_clip
from w2l.faces.tracker import Scan
from w2l.scoring.settings import ScoreSettings

RECORD = ".w2l.json"
"""Ending of the record beside an output."""
Function = TypeVar("Function", bound=Callable[..., Any])


def takes_outputs(function: Function) -> Function:
    """Add the arguments of a script that measures outputs: folders, ``--cache`` and ``--device``."""
    existing, any_path = click.Path(exists=True, path_type=Path), click.Path(path_type=Path)
    parts = (
        click.argument("folders", nargs=-1, required=True, type=existing),
        click.option("--cache", "cache_root", required=True, type=any_path, help="Cache of the outputs."),
        click.option("--device", default="auto", show_default=True),
    )
    for part in reversed(parts):
        function = part(function)
    return function


def outputs_below(folders: Iterable[Path]) -> list[Path]:
    """Return the outputs that have a record, sorted; raise ClickException if there are none."""
    records = (record for folder in folders for record in folder.rglob(f"*{RECORD}"))
    outputs = sorted(record.with_name(record.name.removesuffix(RECORD) + ".mp4") for record in records)
    if not outputs:
        raise click.ClickException("no outputs with records below these folders; give those of `w2l sync`")
    return outputs


def video_of(output: Path) -> Path:
    """Return the video that an output was made from, by its record."""
    return Path(json.loads(output.with_suffix(RECORD).read_text(encoding="utf-8"))["video"])


def face_finder(cache_root: Path, device: str) -> Callable[[Path], Scan]:
    """Return a function that finds the faces of a video, or reads them from the cache."""
    cache, settings = Cache.open(cache_root, create=True), ScoreSettings().detect
    detector = make_detector(settings.detector, str(choose_device(device)), settings.min_face, cache.models)
    return lambda path: scan_clip(clip_for(cache, path), path, detector, settings)[0]

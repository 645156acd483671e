"""A preview of a long video: faces and mouths are looked for around its second, not in the whole video."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2l.core.errors import ConfigError
from w2l.core.timecodes import parse_seconds
from w2l.faces.scan import clip_for, kept_scan
from w2l.faces.select import Kind, parse_choice
from w2l.media.video import VideoInfo
from w2l.syncing.detail import finer_spec
from w2l.syncing.jobs import Job
from w2l.syncing.plan import Plan, check_missing, info_of, plan_of, preview_of, sketch_of
from w2l.syncing.remember import NEAR, remember
from w2l.syncing.seen import Span, faces_in, look_in
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

LONG_S = 60.0
"""Length of a source in seconds from which a preview looks at a part of it by default."""
NEAR_S = 5.0
"""Seconds before and after a preview that it then looks at."""
MERGED_S = 2.0
"""Seconds between two spans below which they are looked at as one."""
ANYWHERE: tuple[Kind, ...] = ("auto", "largest", "left", "right", "all", "place")
"""Kinds of choices that are made in each shot by itself, so that a part of a video suffices."""


def preview_plan(tools: Tools, job: Job, preview_s: float) -> Plan:
    """Return the plan of the second around a time, with its mouth samples; see `w2l.syncing.remember`.

    Of a long video only the frames around it are analysed, unless the settings require more. Faces are read from the
    cache if all of the video has been searched before.
    """
    settings, info = tools.settings, info_of(tools, job)
    reach_s = _reach_s(settings, info)
    if reach_s is None:
        return preview_of(remember(tools, plan_of(tools, job)), preview_s)
    is_known = settings.box is not None or _needs_all(settings) or _is_scanned(tools, info.path)
    plan = preview_of(plan_of(tools, job) if is_known else sketch_of(tools, job), preview_s)
    times = plan.source_times
    spans = spans_around(plan.timeline.source, len(times), info.fps, (reach_s, reach_s))
    if is_known:
        plan = replace(plan, faces=faces_in(plan.faces, spans))
    else:
        seen = look_in(tools, info, plan.spec, times, spans)
        spec = finer_spec(plan.spec, seen.faces, tools.model.card, settings.detail)
        plan = replace(plan, faces=seen.faces, chosen=seen.chosen, scan_fresh=seen.fresh, spec=spec)
        check_missing(settings, plan)
    return remember(tools, replace(plan, extent=NEAR))


def spans_around(frames: Iterable[int], n_frames: int, fps: float, reach_s: tuple[float, float]) -> list[Span]:
    """Return the spans of a source of `n_frames` around some of its frames, so many seconds before and after each.

    They are in order; those that are less than `MERGED_S` apart become one.
    """
    before, after = (max(1, round(seconds * fps)) for seconds in reach_s)
    spans: list[Span] = []
    for frame_idx in np.unique(np.fromiter(frames, dtype=np.int64)).tolist():
        first, stop = max(0, frame_idx - before), min(n_frames, frame_idx + after + 1)
        if spans and first - spans[-1][1] < MERGED_S * fps:
            first, _ = spans.pop()
        spans.append((first, stop))
    return spans


def _reach_s(settings: SyncSettings, info: VideoInfo) -> float | None:
    """Return how many seconds before and after a preview are looked at; None for the whole video."""
    if settings.look_ahead == "all" or settings.mouths or _has_times(settings.reference):
        return None
    if settings.look_ahead == "auto":
        return NEAR_S if max(info.duration_s, info.n_frames / info.fps) > LONG_S else None
    return settings.look_ahead_s


def check_sections(settings: SyncSettings) -> None:
    """Raise ConfigError for settings that require the whole video before anything is drawn."""
    wanted = {
        "--mouths": bool(settings.mouths),
        "--reference with times": _has_times(settings.reference),
        "--face with a --speech each": bool(settings.cast),
        f"--face {settings.face}": _needs_all(settings),
    }
    for option in [option for option, is_given in wanted.items() if is_given][:1]:
        raise ConfigError(f"{option} requires the whole video; remove --look-ahead {settings.look_ahead}")


def _has_times(reference: str) -> bool:
    """Return whether a value of `--reference` names times, which may lie anywhere in the video."""
    try:
        return bool([parse_seconds(part) for part in reference.split(",")])
    except ValueError:
        return False


def _needs_all(settings: SyncSettings) -> bool:
    """Return whether the choice of the face requires all frames."""
    choice = parse_choice(settings.face)
    return bool(settings.cast) or choice.kind not in ANYWHERE or choice.at_s is not None


def _is_scanned(tools: Tools, video: Path) -> bool:
    """Return whether the faces of all frames are in the cache."""
    return kept_scan(clip_for(tools.cache, video), video, tools.detector, tools.settings.detect) is not None

"""Add mouth samples of its faces to a plan, gathered from the video or read from the cache."""

from dataclasses import replace
from functools import partial

import numpy as np

from w2l.core.errors import ConfigError
from w2l.faces.follow import FADE_S, without
from w2l.faces.scan import clip_for
from w2l.syncing.detail import moves_pixels
from w2l.syncing.footage import with_footage
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.gather import gather_looks, hidden_faces
from w2l.syncing.memory.store import kept_looks, looks_mark
from w2l.syncing.pictures import pictures_of
from w2l.syncing.plan import Plan
from w2l.syncing.reference_bank import track_rows
from w2l.syncing.tools import Tools

AUTO, MEMORY, CLOSED = "auto", "memory", "closed"


def remember(tools: Tools, plan: Plan) -> Plan:
    """Return the plan with the mouth samples for references; frames with a covered mouth pass through.

    Only sections of a long video are examined; covered faces between them are not detected. Raises ConfigError if
    `mouths` are given and cannot be used.
    """
    if reference_of(tools) != MEMORY:
        if tools.settings.mouths:
            raise ConfigError("--mouths requires --reference memory; remove one of the two")
        return plan
    mark = looks_mark(plan.info.path, plan.faces, plan.spec, tools.expert.path)
    read = partial(pictures_of, plan)
    looks = kept_looks(
        clip_for(tools.cache, plan.info.path).looks,
        mark,
        lambda: gather_looks(read, plan.faces, plan.source_times, plan.spec, SyncExpert(tools.expert)),
    )
    covered = {}
    for track, some in looks.items():
        frames = track_rows(plan.faces, track)[0]
        covered[track] = np.isin(frames, some.seen.frame_idx[hidden_faces(some.seen)])
    faces = without(plan.faces, covered, max(1, round(FADE_S * plan.info.fps)))
    return with_footage(tools, replace(plan, looks=looks, faces=faces))


def reference_of(tools: Tools) -> str:
    """Return the kind of reference; `auto` is `memory` for a generator that moves pixels, else `closed`."""
    wanted = tools.settings.reference
    if wanted != AUTO:
        return wanted
    return MEMORY if moves_pixels(tools.model.card) else CLOSED

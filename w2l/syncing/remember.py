"""Add mouth samples of its faces to a plan, gathered from the video or read from the cache."""

from dataclasses import replace
from functools import partial

from w2l.core.errors import ConfigError
from w2l.faces.scan import clip_for
from w2l.syncing.covers import without_covered
from w2l.syncing.detail import moves_pixels
from w2l.syncing.footage import with_footage
from w2l.syncing.memory.embed import SyncExpert
from w2l.syncing.memory.gather import gather_looks
from w2l.syncing.memory.looks import Looks
from w2l.syncing.memory.store import kept_looks, looks_mark
from w2l.syncing.pictures import pictures_of
from w2l.syncing.plan import Plan
from w2l.syncing.tools import Tools

AUTO, MEMORY, CLOSED = "auto", "memory", "closed"
NEAR = "near"
"""Name in the cache of what was found around the last preview."""


def remember(tools: Tools, plan: Plan) -> Plan:
    """Return the plan with the mouth samples for references; frames with a covered mouth pass through.

    Raises ConfigError if `mouths` are given and cannot be used.
    """
    if reference_of(tools) == MEMORY:
        return with_footage(tools, without_covered(tools, replace(plan, looks=_looks(tools, plan))))
    if tools.settings.mouths:
        raise ConfigError("--mouths requires --reference memory; remove one of the two")
    return without_covered(tools, plan)


def _looks(tools: Tools, plan: Plan) -> dict[int, Looks]:
    """Return the mouth samples of each face, gathered now or read from the cache."""
    read, clip = partial(pictures_of, plan), clip_for(tools.cache, plan.info.path)

    def gathered() -> dict[int, Looks]:
        return gather_looks(read, plan.faces, plan.source_times, plan.spec, SyncExpert(tools.expert))

    if plan.extent not in ("", NEAR):  # those of all sections of a long video would fill the cache
        return gathered()
    mark = looks_mark(plan.info.path, plan.faces, plan.spec, tools.expert.path)
    return kept_looks(clip.part(f"looks-{plan.extent}") if plan.extent else clip.looks, mark, gathered)


def reference_of(tools: Tools) -> str:
    """Return the kind of reference; `auto` is `memory` for a generator that moves pixels, else `closed`."""
    wanted = tools.settings.reference
    if wanted != AUTO:
        return wanted
    return MEMORY if moves_pixels(tools.model.card) else CLOSED

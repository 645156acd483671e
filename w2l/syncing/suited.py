"""Choose between the shipped generators: one moves pixels of observed mouths, the other draws unseen ones."""

import logging

from w2l.models.choices import SHIPPED, STILLS
from w2l.syncing.memory.coverage import is_seen_speaking
from w2l.syncing.plan import Plan
from w2l.syncing.remember import MEMORY, reference_of
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)


def suited(tools: Tools, plan: Plan) -> Tools:
    """Return the tools with `w2l-still` if the shipped generator would lack mouths to choose from.

    This is the case if no face of the plan shows its mouth both open and closed: photographs, people who only listen or
    only smile. An explicitly chosen model or reference is not changed.
    """
    if tools.settings.model != SHIPPED or reference_of(tools) != MEMORY or not plan.faces.tracks:
        return tools
    if any(is_seen_speaking(plan.looks[track].measures) for track in plan.faces.tracks if track in plan.looks):
        return tools
    logger.info(
        "%s: no mouth is seen both open and closed, so lips and unseen teeth are drawn by %s",
        plan.info.path,
        STILLS,
    )
    return tools.for_stills

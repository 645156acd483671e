"""Choose between the shipped generators: one moves pixels of observed mouths, the other draws unseen ones."""

import logging

from w2l.models.choices import SHIPPED, STILLS
from w2l.syncing.memory.coverage import is_seen_speaking
from w2l.syncing.plan import Plan
from w2l.syncing.remember import MEMORY, reference_of
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)


def suited(tools: Tools, *plans: Plan) -> Tools:
    """Return the tools with `w2l-still` if the shipped generator would lack mouths to choose from.

    This is the case if no face of the plans shows its mouth both open and closed: photographs, people who only listen
    or only smile. An explicitly chosen model or reference is not changed.
    """
    if not depends(tools) or not any(plan.faces.tracks for plan in plans) or any(map(is_speaking, plans)):
        return tools
    logger.info(
        "%s: no mouth is seen both open and closed, so lips and unseen teeth are drawn by %s",
        plans[0].info.path,
        STILLS,
    )
    return tools.for_stills


def depends(tools: Tools) -> bool:
    """Return whether the generator depends on the mouths in the video."""
    return tools.settings.model == SHIPPED and reference_of(tools) == MEMORY


def is_speaking(plan: Plan) -> bool:
    """Return whether a face of a plan shows its mouth both open and closed."""
    return any(is_seen_speaking(plan.looks[track].measures) for track in plan.faces.tracks if track in plan.looks)

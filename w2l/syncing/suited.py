"""The shipped generator that suits the looks of a person: one bends what was seen, the other draws what was not."""

import logging

from w2l.models.registry import SHIPPED, STILLS
from w2l.syncing.memory.coverage import is_seen_speaking
from w2l.syncing.plan import Plan
from w2l.syncing.remember import MEMORY, reference_of
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)


def suited(tools: Tools, plan: Plan) -> Tools:
    """Return the tools with `w2l-still` where the shipped generator would find no mouths to choose from.

    That is the case where no face of the plan is seen both open and shut: photographs, people who only listen or only
    smile. Whoever names another model or other references gets them.
    """
    if tools.settings.model != SHIPPED or reference_of(tools) != MEMORY:
        return tools
    if any(is_seen_speaking(plan.looks[track].measures) for track in plan.faces.tracks if track in plan.looks):
        return tools
    logger.info(
        "%s: no mouth is seen both open and shut; lips, and teeth that are not seen, are drawn by %s",
        plan.info.path,
        STILLS,
    )
    return tools.for_stills

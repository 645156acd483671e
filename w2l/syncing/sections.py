"""An output in sections, each planned from the frames around it, so that drawing begins before all faces are known.

Every section has its own detections, mouth samples and references, from two seconds before it to `look_ahead` seconds
after it. A face that was chosen at the end of a section is chosen again in the next one as long as its shot continues.
What a section shows depends on the settings and the sections before it alone, not on the speed of the machine.
"""

from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Event

import numpy as np

from w2l.core.errors import ConfigError
from w2l.core.progress import Display, shown_by
from w2l.faces.follow import Faces
from w2l.faces.select import Known
from w2l.syncing.covers import without_covered
from w2l.syncing.detail import finer_spec
from w2l.syncing.disclose import MARGIN_S
from w2l.syncing.draw import PART_S
from w2l.syncing.near import spans_around
from w2l.syncing.plan import Plan, check_missing
from w2l.syncing.remember import remember
from w2l.syncing.seen import Seen, faces_in, look_in
from w2l.syncing.tools import Tools

BEFORE_S = 2.0
"""Seconds before a section that are analysed with it."""
FIRST_S = 1.0
"""Most seconds of the first section; few, as they and the look-ahead are analysed before the first picture."""


@dataclass(frozen=True)
class Section:
    """A part of an output."""

    plan: Plan
    """The plan of its pictures, and of those up to a second before and after them."""
    frames: range
    """Indices of its pictures in that plan."""

    @property
    def own(self) -> Plan:
        """Return the plan of its pictures alone."""
        return self.plan.between(self.frames.start, self.frames.stop)


def section_edges(n_pictures: int, fps: float, first_s: float) -> tuple[int, ...]:
    """Return the first picture of each section, and the end.

    The first lasts `first_s` seconds, each one after it twice as long as the one before, up to `PART_S`; the last may
    be half as long again.
    """
    edges, length_s = [0], first_s
    while True:
        length_s = min(length_s, PART_S)
        length = max(1, round(length_s * fps))
        if n_pictures - edges[-1] <= 1.5 * length:
            return (*edges, n_pictures)
        edges.append(edges[-1] + length)
        length_s *= 2


def sections(
    tools: Tools, sketch: Plan, edges: tuple[int, ...], is_drawn: Callable[[int], bool], end: Event
) -> Generator[Section, None, None]:
    """Yield the sections of an output in order; `sketch` is its plan without faces.

    Of a section that `is_drawn`, mouth samples are not gathered. Progress is shown for the first alone: the others are
    planned while another one is drawn, until `end` is set.
    """
    known: Known | None = None
    for number, (first, stop) in enumerate(pairwise(edges)):
        with shown_by(_until(end)) if number else nullcontext():
            plan = _seen(tools, sketch, (first, stop), known)
            known = _known(plan.faces, int(sketch.timeline.source[stop - 1])) or known
            pad = round(MARGIN_S * sketch.timeline.fps)
            begin = max(0, first - pad)
            plan = plan.between(begin, min(len(sketch), stop + pad))
            check_missing(tools.settings, plan.between(first - begin, stop - begin))
            plan = without_covered(tools, plan) if is_drawn(number) else remember(tools, plan)
        yield Section(plan, range(first - begin, stop - begin))


def _until(end: Event) -> Display:
    """Return a display that shows nothing and interrupts the work once `end` is set."""

    def advance(units: int = 1) -> None:
        if end.is_set():
            raise CancelledError

    return lambda title, total, unit, done: nullcontext(advance)


def _seen(tools: Tools, sketch: Plan, frames: tuple[int, int], known: Known | None) -> Plan:
    """Return the plan of the whole output with the faces around some of its pictures."""
    settings, info, times = tools.settings, sketch.info, sketch.source_times
    if settings.look_ahead_s is None:
        raise ConfigError(f"look_ahead {settings.look_ahead} is not a number of seconds; set one to draw in sections")
    drawn = slice(*frames)
    shown = sketch.timeline.source[drawn][sketch.gain[drawn] > 0.0]
    spans = spans_around(shown, len(times), info.fps, (BEFORE_S, settings.look_ahead_s))
    if settings.box is None:
        seen = look_in(tools, info, sketch.spec, times, spans, known)
    else:
        seen = Seen(faces_in(sketch.faces, spans), times, sketch.chosen)
    spec = finer_spec(sketch.spec, seen.faces, tools.model.card, settings.detail)
    extent = "-".join(f"{first}-{stop}" for first, stop in spans) or "none"
    return replace(sketch, faces=seen.faces, chosen=seen.chosen, scan_fresh=seen.fresh, spec=spec, extent=extent)


def _known(faces: Faces, frame_idx: int) -> Known | None:
    """Return the faces in the frame nearest to `frame_idx` that has any; None if none has."""
    frames = np.flatnonzero(np.diff(faces.first))
    if not len(frames):
        return None
    nearest = int(frames[np.abs(frames - frame_idx).argmin()])
    return Known(nearest, faces.boxes[faces.first[nearest] : faces.first[nearest + 1]])

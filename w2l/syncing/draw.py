"""Draw the output of a plan to a file, in parts if it is long."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from w2l.core.progress import Advance, progress
from w2l.media.form import report, suited_encoding
from w2l.media.output import Output
from w2l.media.parts import Parts, PartWriter, part_edges
from w2l.media.picture import Picture
from w2l.media.picture_files import PictureParts, PictureWriter, is_pictures_output
from w2l.media.soundtrack import inspect_speech
from w2l.syncing.disclose import Finisher
from w2l.syncing.engine import Redrawer, pictures_ahead
from w2l.syncing.plan import Plan
from w2l.syncing.references import references_for
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

PART_S = 20.0
"""Length in seconds of a part of a long output, the most that an interrupted job loses."""
LONG_S = 60.0
"""Length in seconds from which an output is made in parts."""


class Watch:
    """Stopwatch that records the seconds of each step."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.steps: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """Record the seconds of the step that ends now."""
        now = time.monotonic()
        self.steps[step] = round(now - self._last, 3)
        self._last = now

    def first(self) -> None:
        """Record when the first picture is finished; later calls have no effect."""
        self.steps.setdefault("first_frame", round(time.monotonic() - self.began, 3))


def make_redrawer(tools: Tools, plan: Plan) -> Redrawer:
    """Return the redrawer of one output, with its references gathered."""
    settings, card, runner = tools.settings, tools.model.card, tools.runner
    looks = references_for(tools, plan)
    finer = plan.spec.size // card.crop.size
    batch = min(max(1, settings.batch // finer), 2 * pictures_ahead(plan.info.width, plan.info.height))
    still = plan.info.is_still and not settings.mouths  # with --mouths, the mouths come from footage
    return Redrawer(runner, card, plan.spec, looks, tools.compositor(plan.spec, still), batch)


def make_parts(
    settings: SyncSettings,
    plan: Plan,
    output: Path,
    mark: str,
    resume: bool = False,
    comment: str = "",
    edges: Sequence[int] = (),
) -> Parts | PictureParts:
    """Return the output to write, in parts between `edges`, by default if it is long; nothing is written yet."""
    info, timeline = plan.info, plan.timeline
    n_frames = len(timeline)
    encoding = suited_encoding(settings.encoding, output, info)
    report(settings.encoding, encoding, output, info)
    origin_s = plan.speech_origin_s
    if plan.skipped_s:
        origin_s = inspect_speech(plan.speech, origin_s, None, plan.speech_stream).zero_s + plan.skipped_s
    n_per_part = n_frames if timeline.end_s <= LONG_S else max(1, round(PART_S * timeline.fps))
    edges = edges or part_edges(n_frames, n_per_part)
    if is_pictures_output(output):
        return PictureParts(output, edges, mark, resume)
    wanted = Output(
        output,
        info.width,
        info.height,
        timeline.fps,
        speech=plan.speech,
        speech_origin_s=origin_s,
        speech_stream=plan.speech_stream,
        until_s=timeline.end_s,
        speech_until_s=plan.sound_s,
        encoding=encoding,
        colour=info.colour,
        pixel_aspect=info.pixel_aspect,
        variable=not timeline.constant,
        keep=info.path if settings.keep_streams and not info.is_sequence else None,
        keep_origin_s=info.start_s + plan.skipped_s,
        comment=comment,
    )
    return Parts(wanted, timeline.times, edges, mark, resume)


def draw(plan: Plan, redrawer: Redrawer, parts: Parts | PictureParts, watch: Watch, finisher: Finisher) -> None:
    """Draw the missing parts, with label and mark, and join all parts."""
    with parts, progress("sync", len(plan)) as advance:
        if n_kept := sum(map(parts.finished, range(parts.n_parts))):
            logger.info("%d of %d parts are up to date; skipping them", n_kept, parts.n_parts)
        for number in range(parts.n_parts):
            frames = parts.pictures(number)
            if parts.finished(number):
                advance(len(frames))
                continue
            draw_part(plan, frames, redrawer, parts.writer(number), finisher, counting(watch, advance))
        parts.assemble()


def draw_part(
    plan: Plan,
    frames: range,
    redrawer: Redrawer,
    part: PartWriter | PictureWriter,
    finisher: Finisher,
    written: Callable[[], object],
) -> None:
    """Draw some pictures of a plan and write them as one part; call `written` after each picture."""
    redrawn = redrawer.redraw(plan.cues(frames.start, frames.stop), pictures_ahead(plan.info.width, plan.info.height))
    with closing(redrawn), part as writer:
        for idx, picture in zip(frames, redrawn, strict=True):
            writer.write(finisher.finished(cast(Picture, picture), idx))  # pasting into a Picture returns a Picture
            written()


def counting(watch: Watch, advance: Advance) -> Callable[[], None]:
    """Return what is called after each picture of an output."""

    def written() -> None:
        watch.first()
        advance()

    return written

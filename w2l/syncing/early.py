"""Run `sync` with `--look-ahead SECONDS`: sections are drawn while the faces of later ones are looked for."""

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Event

from w2l.core.errors import NoFaceError
from w2l.core.prefetch import ahead
from w2l.core.progress import Advance, progress
from w2l.marks.claims import tag_of
from w2l.media.parts import Parts
from w2l.media.picture_files import PictureParts
from w2l.syncing.covers import count_covered, report_count
from w2l.syncing.disclose import Finisher, claims_of, record_id_of
from w2l.syncing.draw import Watch, counting, draw_part, make_parts, make_redrawer
from w2l.syncing.engine import Redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.outcome import finish, hash_inputs, mark_of_job
from w2l.syncing.plan import Plan, sketch_of
from w2l.syncing.record import SyncResult, half_done_mark
from w2l.syncing.remember import MEMORY, reference_of
from w2l.syncing.sections import FIRST_S, Section, section_edges, sections
from w2l.syncing.settings import SyncSettings
from w2l.syncing.suited import depends, is_speaking, suited
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)

MOST_FIRST = 5
"""Most sections that are planned to find out whether anyone speaks in the video: half a minute of it."""


def is_early(settings: SyncSettings, job: Job) -> bool:
    """Return whether a job is drawn in sections."""
    return settings.look_ahead_s is not None and job.preview_s is None


def make_early(tools: Tools, job: Job, watch: Watch) -> SyncResult:
    """Write the output and its records while the record is locked; see `w2l.syncing.sections`."""
    settings, sketch = tools.settings, _sketched(tools, job)
    edges = section_edges(len(sketch), sketch.timeline.fps, min(FIRST_S, settings.look_ahead_s or 0.0))
    drawn: set[int] = set()
    begun, end = Event(), Event()
    planned = sections(tools, sketch, edges, drawn.__contains__, end)
    with ThreadPoolExecutor(1) as reader:
        hashing = reader.submit(hash_inputs, tools, job)
        firsts = _firsts(tools, planned)
        hashes = hashing.result()
    first = firsts[0].plan
    logger.info("%s: %s", job.output, first.chosen)
    watch.lap("look")
    suitable = suited(tools, *(section.plan for section in firsts))
    hashes["model"] = suitable.model_sha256
    whole = replace(sketch, chosen=f"{first.chosen}; then as seen", scan_fresh=first.scan_fresh, spec=first.spec)
    claims = claims_of(settings, whole, suitable.model.card, hashes)
    watch.lap("hashes")
    mark, record = mark_of_job(tools, job), record_id_of(claims)
    comment = "" if settings.disclosure.mark == "off" else tag_of(record)
    parts = make_parts(settings, sketch, job.output, half_done_mark(mark, tools.device), job.resume, comment, edges)
    opening = make_redrawer(suitable, first)
    watch.lap("references")
    with parts, closing(ahead(_chained(firsts, planned, begun), 1)) as all_sections, _set_at_end(begun, end):
        drawn.update(number for number in range(parts.n_parts) if parts.finished(number))
        finisher = Finisher(settings.disclosure, record, first)
        passed = _draw(suitable, all_sections, parts, watch, finisher, opening, begun)
        parts.assemble()
    watch.lap("draw")
    said = claims | {"frames_passed_through": passed, "mark": mark, "record_id": record}
    return finish(suitable, job, whole, str(opening.references), watch, said)


def _firsts(tools: Tools, planned: Iterator[Section]) -> list[Section]:
    """Return the sections that decide which generator is used: up to the first in which anyone speaks."""
    firsts: list[Section] = []
    for section in planned:
        firsts.append(section)
        if len(firsts) == MOST_FIRST or not depends(tools) or is_speaking(section.plan):
            break
    return firsts


def _sketched(tools: Tools, job: Job) -> Plan:
    """Return the plan of a job without faces; the other models are loaded while video and speech are read."""
    _ = tools.model  # both need it
    with ThreadPoolExecutor(1) as loader:
        loading = loader.submit(_load, tools)
        sketch = sketch_of(tools, job)
        loading.result()
    return sketch


def _load(tools: Tools) -> None:
    """Load what the first picture needs."""
    _ = tools.runner
    if reference_of(tools) == MEMORY:
        _ = tools.expert
    if tools.settings.box is None:
        _ = tools.detector


def _chained(
    firsts: list[Section], others: Generator[Section, None, None], begun: Event
) -> Generator[Section, None, None]:
    """Yield all sections, the first ones without keeping them; the others are planned once drawing has `begun`."""
    with closing(others):
        while firsts:
            yield firsts.pop(0)
        begun.wait()
        yield from others


@contextmanager
def _set_at_end(*events: Event) -> Iterator[None]:
    try:
        yield
    finally:
        for event in events:
            event.set()


def _draw(
    tools: Tools,
    planned: Iterable[Section],
    parts: Parts | PictureParts,
    watch: Watch,
    finisher: Finisher,
    opening: Redrawer,
    begun: Event,
) -> dict[str, int]:
    """Draw the missing sections, the first by `opening`; return the number of unchanged frames by reason.

    `begun` is set after the first picture.
    """
    passed: Counter[str] = Counter()
    n_pictures, n_covered, has_face = 0, 0, False
    with progress("sync", sum(len(parts.pictures(number)) for number in range(parts.n_parts))) as advance:
        for number, section in enumerate(planned):
            own = section.own
            passed.update(own.passed_through())
            n_covered += count_covered(own)
            n_pictures += len(own)
            has_face = has_face or bool(section.plan.faces.tracks or section.plan.covers)
            if parts.finished(number):
                begun.set()
                advance(len(own))
                continue
            redrawer = make_redrawer(tools, section.plan) if number else opening
            writer, written = parts.writer(number), counting(watch, _setting(begun, advance))
            draw_part(section.plan, section.frames, redrawer, writer, finisher.of(section.plan), written)
    if not has_face:
        raise NoFaceError(
            f"{own.info.path}: no face was found to be redrawn; check with 'w2l detect --preview', or set --box"
        )
    report_count(own, n_covered, n_pictures)
    return dict(passed)


def _setting(event: Event, advance: Advance) -> Advance:
    """Return what sets an event and then advances."""

    def advanced(units: int = 1) -> None:
        event.set()
        advance(units)

    return advanced

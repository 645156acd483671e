"""HTML of the page's own parts: faces to click, before and after, the state of a job. All that is put in is escaped."""

from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from w2l.core.text import readable
from w2l.queue.models import SeenModel
from w2l.queue.seen import SeenFaces
from w2l.queue.store import JobProgress, QueuedJob
from w2l.ui import texts

if TYPE_CHECKING:
    from w2l.training.report.live import RunFigures

FILE = "/gradio_api/file="
"""Where the server gives files of the folder of jobs."""


def url_of(path: str | Path) -> str:
    """Return the address of a file in the folder of jobs."""
    return escape(FILE + quote(str(path)))


def said(text: object) -> str:
    """Return any text as HTML."""
    return escape(readable(str(text)))


def message(text: str, is_error: bool = False) -> str:
    """Return a line that screen readers announce; an error stands out."""
    if not text:
        return ""
    kind, role = ("w2l-message w2l-error", "alert") if is_error else ("w2l-message", "status")
    return f'<p class="{kind}" role="{role}">{said(text)}</p>'


def faces_picture(seen: SeenFaces, chosen: Collection[int]) -> str:
    """Return the frame with a button over each face."""
    buttons = "".join(
        f'<button type="button" data-face="{face.number}" aria-pressed="{str(face.number in chosen).lower()}"'
        f' aria-label="{said(texts.FACE_BUTTON.format(number=face.number))}"'
        f' style="left:{100 * face.box[0]:.2f}%;top:{100 * face.box[1]:.2f}%;'
        f'width:{100 * (face.box[2] - face.box[0]):.2f}%;height:{100 * (face.box[3] - face.box[1]):.2f}%">'
        f"<span>{face.number}</span></button>"
        for face in seen.faces
        if face.box is not None
    )
    picture = f'<img src="{url_of(seen.picture)}" alt="{said(texts.FACES_PICTURE)}">'
    return f'<div class="w2l-faces">{picture}{buttons}</div>'


def compare(before: str, after: str, starts_s: float = 0.0) -> str:
    """Return two videos, one over the other, with one play head and a divider."""
    is_still = Path(before).suffix.lower() not in (".mp4", ".m4v", ".mov", ".webm")
    under = (
        f'<img class="w2l-before" src="{url_of(before)}" alt="{texts.BEFORE}">'
        if is_still
        else f'<video class="w2l-before" src="{url_of(before)}" muted playsinline preload="auto"></video>'
    )
    return (
        f'<div class="w2l-compare" data-starts="{starts_s:.3f}"><div class="w2l-stage">'
        f'<video class="w2l-after" src="{url_of(after)}" playsinline preload="auto"></video>{under}'
        f'<span class="w2l-tag w2l-left">{texts.BEFORE}</span>'
        f'<span class="w2l-tag w2l-right">{texts.AFTER}</span></div>'
        f'<input type="range" class="w2l-wipe" min="0" max="100" value="50" aria-label="{texts.WIPE}">'
        f'<div class="w2l-bar"><button type="button" class="w2l-play" aria-label="{texts.PLAY}">&#9654;</button>'
        f'<input type="range" class="w2l-head" min="0" max="1000" value="0" aria-label="{texts.HEAD}">'
        f'<output class="w2l-time">0.0 s</output>'
        f'<button type="button" class="w2l-mute" aria-label="{texts.MUTE}" data-on="{texts.SOUND_ON}"'
        f' data-off="{texts.SOUND_OFF}">{texts.SOUND_ON}</button></div></div>'
    )


def downloads(links: Sequence[tuple[Path, str]]) -> str:
    """Return links to those files that are there, with their words."""
    return "".join(
        f'<a class="w2l-link" href="{url_of(path)}" download="{said(path.name)}">{text}</a>'
        for path, text in links
        if path.is_file()
    )


def framed(address: str, title: str) -> str:
    """Return a page of this server in a frame, and a link that opens it alone."""
    return (
        f'<iframe class="w2l-page" src="{escape(address)}" title="{said(title)}"></iframe>'
        f'<a class="w2l-link" href="{escape(address)}" target="_blank" rel="noopener">{texts.OPEN_ALONE}</a>'
    )


def models(found: Sequence[SeenModel]) -> str:
    """Return a list of models, each with its card to open."""
    return "".join(map(_model, found))


def _model(model: SeenModel) -> str:
    about = [texts.ORIGINS.get(model.origin, model.origin), texts.SIZE.format(size=model.size / 1e6)]
    head = f"<b>{said(model.name)}</b> {said(model.kind)} &middot; {' &middot; '.join(map(said, about))}"
    head += f" &middot; {texts.LICENCE}: {said(model.licence or texts.NOT_STATED)}"
    wrong = message(model.problem, is_error=True)
    rows = "".join(f"<dt>{said(name)}</dt><dd>{said(value)}</dd>" for name, value in model.card.items())
    kind, name = said(model.kind), said(model.name)
    return (
        f'<details class="w2l-card" data-model="{name}" data-kind="{kind}"><summary>{head}</summary>{wrong}'
        f"<dl>{rows}</dl></details>"
    )


def command(line: str) -> str:
    """Return the line for a shell that does the same."""
    return f'<p class="w2l-line">{texts.COMMAND}: <code>{said(line)}</code></p>'


def terms(lines: Sequence[str]) -> str:
    """Return what one agrees to, one paragraph per line."""
    return f'<div class="w2l-terms">{"".join(f"<p>{said(line)}</p>" for line in lines)}</div>'


def run(name: str, seen: "RunFigures") -> str:
    """Return step, warnings, findings, curves and sheets of a run, and a link to its page."""
    form = texts.RUN_STEPS if seen.n_steps else texts.RUN_STEP
    head = f"<p><b>{said(name)}</b>: {form.format(step=seen.step, total=seen.n_steps)}</p>"
    warned = [message(f"{texts.RUN_STEP.format(step=step)}: {text}", is_error=True) for step, text in seen.warnings]
    checks = "".join(f"<li>{said(text)}</li>" for _, text in seen.checks)
    found = f"<h3>{texts.CHECKS_HEAD}</h3><ul>{checks}</ul>" if checks else ""
    parts = "".join(f"<h3>{said(heading)}</h3>{body}" for heading, body in seen.sections.items())
    link = f'<a class="w2l-link" href="/pages/run/{quote(name, safe="")}" target="_blank" rel="noopener">'
    return f'<div class="w2l-figures">{head}{link}{texts.RUN_PAGE}</a>{"".join(warned)}{found}{parts}</div>'


def progress_line(progress: JobProgress) -> str:
    """Return stage, units, rate and time left in words."""
    stage = texts.STAGES.get(progress.stage, progress.stage)
    unit = texts.UNITS.get(progress.stage, texts.UNIT)
    form = texts.PROGRESS if progress.total else texts.PROGRESS_OPEN
    parts = [form.format(stage=stage, done=progress.done, total=progress.total, unit=unit) if progress.stage else stage]
    if progress.rate:
        parts.append(texts.RATE.format(rate=progress.rate, unit=unit))
    if progress.left_s is not None:
        parts.append(texts.LEFT.format(left=clock(progress.left_s)))
    return ", ".join(parts)


def state(job: QueuedJob, place: int | None) -> str:
    """Return the state of a job, with a bar while it runs and the reason if it failed."""
    now = job.state
    head = f"<b>{said(job.title)}</b>: {texts.STATES[now]}"
    if now == "running":
        progress = job.progress
        share = 100 * progress.done / progress.total if progress.total else 0
        head += f" &middot; {said(progress_line(progress))}"
        head += f'<progress max="100" value="{share:.1f}" aria-label="{said(progress_line(progress))}"></progress>'
    elif now == "waiting" and place:
        head += f" &middot; {texts.PLACE_IN_LINE.format(place=place)}"
    outcome = job.outcome
    reason = message(outcome.error, is_error=True) if outcome and outcome.error and now != "running" else ""
    return f'<div class="w2l-state" data-state="{now}" role="status">{head}</div>{reason}'


def verdict(text: str) -> str:
    """Return the verdict of `w2l verify` with its lines kept."""
    return f'<details class="w2l-verdict" open><summary>{texts.VERDICT}</summary><pre>{escape(text)}</pre></details>'


def clock(seconds: float) -> str:
    """Return a length of time as hours, minutes and seconds."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"

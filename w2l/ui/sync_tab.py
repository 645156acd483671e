"""The Sync tab: from a video and a speech to a job, with looks before the wait."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from w2l.core.errors import ConfigError, W2LError
from w2l.core.settings_reference import Setting
from w2l.queue import looking
from w2l.queue.request import CAST, SUFFIXES, JobRequest
from w2l.queue.seen import Preview, SeenFaces
from w2l.queue.store import JobProgress
from w2l.ui import markup, texts
from w2l.ui.assets import script
from w2l.ui.desk import Desk
from w2l.ui.form import Form, settings_form

MOST_FACES = 1 + len(texts.PLACES)
"""Faces that may each have a speech."""
Update = tuple[Any, ...]


@dataclass(frozen=True)
class Inputs:
    """Components that name the files of a request."""

    video: Any
    video_path: Any
    speech: Any
    microphone: Any
    speech_path: Any


@dataclass(frozen=True)
class FaceParts:
    """Components about faces."""

    find: Any
    picture: Any
    seen: Any
    chosen: Any
    time: Any
    speeches: tuple[Any, ...]
    message: Any


@dataclass(frozen=True)
class Given:
    """Values of the tab, as a handler receives them."""

    video: str
    speech: str
    faces: tuple[int, ...]
    speeches: tuple[str, ...]
    settings: dict[str, Any]
    suffix: str

    def request(self) -> JobRequest:
        """Return what is asked for; raise ConfigError where faces and speeches do not match."""
        settings, speech = dict(self.settings), self.speech
        if any(self.speeches) and len(self.faces) > 1:
            said = [speech, *self.speeches[: len(self.faces) - 1]]
            if not all(said):
                raise ConfigError(f"{len(self.faces)} faces and {sum(map(bool, said))} speeches; give each face one")
            settings[CAST], speech = [[str(face), path] for face, path in zip(self.faces, said)], ""
        elif self.faces:
            settings["face"] = "+".join(map(str, self.faces))
        return JobRequest(self.video, speech, settings, self.suffix)


class SyncTab:
    """The tab's components and handlers."""

    def __init__(self, desk: Desk, fields: Sequence[Setting]) -> None:
        self._desk = desk
        self._inputs = _inputs(desk)
        self._faces = _faces()
        self._form, self._suffix = _settings(fields)
        self._preview_part()
        gr.Markdown(f"## {texts.RUN_HEAD}")
        self.run_message = gr.HTML("", elem_id="w2l-run-message")
        self.run = gr.Button(texts.RUN, variant="primary", elem_id="w2l-run")
        self._connect()

    @property
    def values(self) -> list[Any]:
        """Return the components whose values `given` takes."""
        one, faces = self._inputs, self._faces
        files = [one.video, one.video_path, one.speech, one.microphone, one.speech_path]
        return [*files, faces.chosen, *faces.speeches, self._suffix, *self._form.components]

    def given(self, values: Sequence[Any]) -> Given:
        """Return the values of `values` as a request's parts; raise ConfigError for what cannot be."""
        video, video_path, speech, microphone, speech_path, chosen, *rest = values
        speeches, suffix, form = rest[: MOST_FACES - 1], rest[MOST_FACES - 1], rest[MOST_FACES:]
        return Given(
            self._desk.path(video, video_path),
            self._desk.path(speech or microphone, speech_path),
            tuple(sorted(int(face) for face in chosen or ())),
            tuple(self._desk.path(one, None) for one in speeches),
            self._desk.allowed(self._form.named(form)),
            suffix,
        )

    def add_job(self, *values: Any) -> tuple[str, str]:
        """Put a job in line; return a message and its id, empty if it cannot be made."""
        try:
            request = self.given(values).request()
            self._desk.looker.call(looking.check_request, self._desk.root, request)
            job = self._desk.jobs.add(request)
        except W2LError as error:
            return markup.message(str(error), is_error=True), ""
        return markup.message(texts.ADDED.format(name=request.output_name)), job.id

    def _preview_part(self) -> None:
        gr.Markdown(f"## {texts.PREVIEW_HEAD}")
        self._preview_time = gr.Slider(0, 10, 0, step=0.1, label=texts.PREVIEW_TIME, elem_id="w2l-preview-time")
        self._preview = gr.Button(texts.PREVIEW, elem_id="w2l-preview")
        self._preview_message = gr.HTML("", elem_id="w2l-preview-message")
        self._preview_shown = gr.HTML("", js_on_load=script("compare.js"), elem_id="w2l-preview-shown")

    def _connect(self) -> None:
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        one, faces = self._inputs, self._faces
        files = [one.video, one.video_path]
        shown = [faces.message, faces.picture, faces.seen, faces.chosen, faces.time]
        self._find = [faces.time, *self.values]
        changed = [one.video.upload, one.video_path.submit, faces.find.click]
        for event in changed:
            event(self._find_faces, self._find, shown, **quiet)
        one.video.clear(lambda: ("", "", None, gr.update(choices=[], value=[])), None, shown[:4], **quiet)
        faces.time.release(self._find_faces, self._find, shown, **quiet)
        faces.picture.click(self._toggle, [faces.seen, faces.chosen], [faces.chosen], **quiet)
        faces.chosen.change(
            self._choose, [faces.seen, faces.chosen], [faces.picture, *faces.speeches], **quiet, queue=False
        )
        sounds = [one.speech.upload, one.speech_path.submit, one.speech_path.blur, one.microphone.stop_recording]
        for event in sounds:
            event(self._measure, [*files, one.speech, one.microphone, one.speech_path], self._preview_time, **quiet)
        preview = [self._preview_message, self._preview_shown]
        self._preview.click(self._make_preview, [self._preview_time, *self.values], preview, **quiet)

    def _find_faces(self, time_s: float, *values: Any) -> Iterator[Update]:
        """Yield progress, then the picture of the faces."""
        skip = gr.skip()
        try:
            given = self.given(values)
            if not given.video:
                raise ConfigError(texts.NO_VIDEO)
            look = self._desk.watch(
                self._desk.looker, looking.find_faces, self._desk.root, given.video, time_s, given.settings
            )
            for now in look:
                if isinstance(now, JobProgress):
                    text = texts.BUSY_FACES.format(done=now.done, total=now.total or "?") if now.stage else texts.BUSY
                    yield markup.message(text), skip, skip, skip, skip
                elif isinstance(now, SeenFaces):
                    yield self._found(now, given.faces)
        except W2LError as error:
            yield markup.message(str(error), is_error=True), "", None, gr.update(choices=[], value=[]), skip

    def _found(self, seen: SeenFaces, chosen: Sequence[int]) -> Update:
        known = {face.number for face in seen.faces}
        kept = [face for face in chosen if face in known]
        choices = [(texts.FACE.format(number=face.number, words=face.words), face.number) for face in seen.faces]
        last_s = max(0.1, round(seen.duration_s - 0.02, 2))
        return (
            markup.message(texts.FACES_HINT),
            markup.faces_picture(seen, kept),
            seen,
            gr.update(choices=choices, value=kept),
            gr.update(maximum=last_s, value=min(round(seen.time_s, 2), last_s)),
        )

    def _toggle(self, seen: SeenFaces | None, chosen: list[int], event: gr.EventData) -> list[int]:
        """Return the chosen faces after a click on one of them."""
        face = int(event._data["face"])
        if seen is None or face not in {one.number for one in seen.faces}:
            return chosen
        return sorted({*chosen} ^ {face})

    def _choose(self, seen: SeenFaces | None, chosen: list[int]) -> Update:
        """Return the picture with the chosen faces, and a field for the speech of each but the first."""
        rows = [gr.update(visible=place + 1 < len(chosen)) for place in range(MOST_FACES - 1)]
        return (markup.faces_picture(seen, chosen) if seen else "", *rows)

    def _measure(self, *values: Any) -> Any:
        """Return the range of the preview's slider for a speech, or for the video if there is none."""
        video, video_path, speech, microphone, speech_path = values
        try:
            path = self._desk.path(speech or microphone, speech_path) or self._desk.path(video, video_path)
            length_s = self._desk.looker.call(looking.length_s, path) if path else 0.0
        except W2LError:  # preview and run say what is wrong
            return gr.skip()
        return gr.update(maximum=round(length_s, 1)) if length_s >= 0.1 else gr.skip()

    def _make_preview(self, time_s: float, *values: Any) -> Iterator[Update]:
        """Yield progress, then the second beside the source."""
        try:
            request = self.given(values).request()
            for now in self._desk.watch(self._desk.looker, looking.preview, self._desk.root, request, time_s):
                if isinstance(now, JobProgress):
                    stage = texts.STAGES.get(now.stage, now.stage)
                    text = texts.BUSY_PREVIEW.format(stage=stage, done=now.done, total=now.total or "?")
                    yield markup.message(text if now.stage else texts.BUSY), gr.skip()
                elif isinstance(now, Preview):
                    done = texts.PREVIEW_DONE.format(start=now.starts_s, end=now.starts_s + 1)
                    yield markup.message(done), markup.compare(now.source, now.path, now.starts_s)
        except W2LError as error:
            yield markup.message(str(error), is_error=True), ""


def _inputs(desk: Desk) -> Inputs:
    """Show the fields for the two files; paths only where the page is this machine's alone."""
    gr.Markdown(f"## {texts.INPUTS}")
    with gr.Row():
        with gr.Column(min_width=280):
            video = gr.File(label=texts.VIDEO, elem_id="w2l-video", height=140)
            video_path = gr.Textbox(label=texts.PATH, visible=desk.is_local, elem_id="w2l-video-path")
        with gr.Column(min_width=280):
            speech = gr.File(label=texts.SPEECH, elem_id="w2l-speech", height=140)
            speech_path = gr.Textbox(label=texts.PATH, visible=desk.is_local, elem_id="w2l-speech-path")
            with gr.Accordion(texts.MICROPHONE, open=False):
                microphone = gr.Audio(
                    sources=["microphone"], type="filepath", label=texts.MICROPHONE, elem_id="w2l-microphone"
                )
    return Inputs(video, video_path, speech, microphone, speech_path)


def _faces() -> FaceParts:
    """Show the part in which faces are chosen."""
    gr.Markdown(f"## {texts.FACES_HEAD}")
    message = gr.HTML("", elem_id="w2l-faces-message")
    find = gr.Button(texts.FIND_FACES, elem_id="w2l-find")
    picture = gr.HTML("", js_on_load=script("faces.js"), elem_id="w2l-picture")
    time = gr.Slider(0, 1, 0, step=0.04, label=texts.FACE_TIME, elem_id="w2l-face-time")
    chosen = gr.CheckboxGroup([], label=texts.FACES, elem_id="w2l-faces")
    with gr.Row():
        speeches = tuple(
            gr.File(label=texts.FACE_SPEECH.format(place=place), visible=False, height=120, min_width=220)
            for place in texts.PLACES
        )
    return FaceParts(find, picture, gr.State(None), chosen, time, speeches, message)


def _settings(fields: Sequence[Setting]) -> tuple[Form, Any]:
    """Show the settings and the ending of the result."""
    gr.Markdown(f"## {texts.SETTINGS_HEAD}")
    form = settings_form(fields)
    suffix = gr.Dropdown(list(SUFFIXES), value=SUFFIXES[0], label=texts.ENDING, info=texts.ENDING_INFO)
    return form, suffix

"""The Models tab: what is there, importing a file, and downloading a pack with consent."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from w2l.core.errors import W2LError
from w2l.models.packs import PACKS
from w2l.queue import models
from w2l.queue.store import JobProgress
from w2l.ui import markup, texts
from w2l.ui.desk import Desk


class ModelsTab:
    """The tab's components and handlers."""

    def __init__(self, desk: Desk, tab: Any) -> None:
        self._desk = desk
        gr.Markdown(texts.MODELS_INTRO)
        self._list = gr.HTML("", elem_id="w2l-models")
        self._import_part()
        self._fetch_part()
        self._connect(tab)

    def _import_part(self) -> None:
        gr.Markdown(f"## {texts.IMPORT_HEAD}")
        with gr.Row():
            with gr.Column(min_width=280):
                self._file = gr.File(label=texts.MODEL_FILE, elem_id="w2l-model-file", height=140)
                self._path = gr.Textbox(label=texts.PATH, visible=self._desk.is_local, elem_id="w2l-model-path")
            with gr.Column(min_width=280):
                self._name = gr.Textbox(label=texts.MODEL_NAME, elem_id="w2l-model-name")
                self._licence = gr.Textbox(label=texts.MODEL_LICENCE, elem_id="w2l-model-licence")
                self._overwrite = gr.Checkbox(label=texts.MODEL_OVERWRITE, elem_id="w2l-model-overwrite")
        self._import_message = gr.HTML("", elem_id="w2l-import-message")
        self._import = gr.Button(texts.IMPORT, elem_id="w2l-import")

    def _fetch_part(self) -> None:
        gr.Markdown(f"## {texts.FETCH_HEAD}")
        choices = [(f"{name}: {pack.summary}", name) for name, pack in PACKS.items()]
        self._pack = gr.Dropdown(choices, value=choices[0][1], label=texts.PACK, elem_id="w2l-pack")
        self._terms = gr.HTML(self._terms_of(choices[0][1]), elem_id="w2l-terms")
        self._agreed = gr.Checkbox(label=texts.AGREE, elem_id="w2l-agree")
        self._fetch_message = gr.HTML("", elem_id="w2l-fetch-message")
        self._fetch = gr.Button(texts.FETCH, elem_id="w2l-fetch")

    def _connect(self, tab: Any) -> None:
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        tab.select(self._listed, None, self._list, **quiet)
        given = [self._file, self._path, self._name, self._licence, self._overwrite]
        self._import.click(self._bring, given, [self._import_message, self._list], **quiet)
        pack = [self._terms, self._agreed]
        self._pack.change(lambda name: (self._terms_of(name), False), self._pack, pack, **quiet)
        shown = [self._fetch_message, self._list]
        self._fetch.click(self._get, [self._pack, self._agreed], shown, **quiet)

    def _listed(self) -> str:
        """Return the list of models."""
        try:
            return markup.models(self._desk.looker.call(models.list_models, self._desk.root))
        except W2LError as error:
            return markup.message(str(error), is_error=True)

    def _bring(self, file: str | None, typed: str, name: str, licence: str, overwrite: bool) -> tuple[str, str]:
        """Import a file; return a message and the list."""
        root = self._desk.root
        try:
            path = self._desk.path(file, typed)
            seen = self._desk.looker.call(models.import_model, root, path, name, licence, overwrite)
        except W2LError as error:
            return markup.message(str(error), is_error=True), self._listed()
        command = models.import_command(root, path, name, licence, overwrite)
        said = markup.message(texts.IMPORTED.format(name=seen.name, kind=seen.kind))
        return said + markup.command(command), self._listed()

    def _get(self, name: str, agreed: bool) -> Iterator[tuple[Any, Any]]:
        """Download a pack; yield progress, then a message and the list."""
        root = self._desk.root
        try:
            for now in self._desk.watch(self._desk.loader, models.fetch_model, root, name, agreed):
                if isinstance(now, JobProgress):
                    share = now.done / now.total if now.total else 0.0
                    yield markup.message(texts.FETCHING.format(name=name, share=share)), gr.skip()
        except W2LError as error:
            yield markup.message(str(error), is_error=True), self._listed()
            return
        said = markup.message(texts.FETCHED.format(name=name))
        yield said + markup.command(models.fetch_command(root, name)), self._listed()

    def _terms_of(self, name: str) -> str:
        """Return size, licence and terms of a pack."""
        pack = PACKS[name]
        size = texts.PACK_SIZE.format(size=pack.size / 1e6, kept=pack.kept / 1e6, url=pack.url)
        return markup.terms([size, f"{texts.LICENCE}: {pack.licence}", pack.terms])

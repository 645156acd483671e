"""The form of settings, made from the dataclasses of the command line: those that matter, and all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from w2l.core import config
from w2l.core.settings_reference import Setting, yaml_text
from w2l.queue.request import CAST, MEASURES
from w2l.ui import texts

MAIN = ("reference", "silence", "blend", "detail", "fit", "extend", "encoding.codec", "judge", "variant")
"""Settings shown first."""
ELSEWHERE = ("face", CAST, MEASURES)
"""Settings that other parts of the page give."""
SUGGESTED = {
    "reference": ("auto", "memory", "closed", "same"),
    "detail": ("0", "1", "2", "3", "4", "5", "6"),
    "judge": ("w2l", "syncnet-v2"),
}
"""Values offered for a setting that takes others, too."""


@dataclass(frozen=True)
class Form:
    """The fields of a form and their components, in the same order."""

    fields: tuple[Setting, ...]
    components: tuple[Any, ...]

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the settings whose values differ from their defaults; raise ConfigError for unreadable text."""
        found: dict[str, Any] = {}
        for field, value in zip(self.fields, values, strict=True):
            text = yaml_text(field.default) if value is None else str(value).strip()
            if text not in ("", yaml_text(field.default)):
                found |= config.parse_assignments([f"{field.key}={text}"])
        return found


def settings_form(fields: Sequence[Setting]) -> Form:
    """Show the settings that matter, and the others in a closed section."""
    keys = [field for field in fields if not field.is_group and field.key not in ELSEWHERE]
    first = sorted((field for field in keys if field.key in MAIN), key=lambda field: MAIN.index(field.key))
    others = [field for field in keys if field.key not in MAIN]
    with gr.Row(elem_classes="w2l-form"):
        shown = [_component(field) for field in first]
    with gr.Accordion(texts.ALL_SETTINGS, open=False), gr.Row(elem_classes="w2l-form"):
        shown += [_component(field) for field in others]
    return Form((*first, *others), tuple(shown))


def _component(field: Setting) -> Any:
    """Return a list of choices, or a text field that takes the value as YAML writes it."""
    about: Mapping[str, Any] = {"label": field.key, "min_width": 260, "elem_classes": "w2l-field"}
    offered = tuple(map(yaml_text, field.choices)) or SUGGESTED.get(field.key, ())
    if offered:
        return gr.Dropdown(
            list(offered),
            value=yaml_text(field.default),
            info=field.text,
            allow_custom_value=not field.choices,
            interactive=True,
            **about,
        )
    return gr.Textbox(yaml_text(field.default), info=f"{field.text} [{field.type}]", **about)

"""Render HTML pages from jinja2 templates that share one base; the pages have no scripts and fetch nothing.

Every value that a template inserts is escaped and made one printable line, unless the template marks it `safe`.
"""

import base64
import functools
from typing import TYPE_CHECKING, Any

from w2l.core.text import counted, readable

if TYPE_CHECKING:
    from jinja2 import Environment

FRAME_HEIGHT = 180
"""Height of a frame of a clip on the page, in pixels."""
BASE = "w2l.report"
"""Package whose folder `templates` contains page.html, the base of all pages, and parts.html."""


def render_template(package: str, template: str, **values: Any) -> str:
    """Render a file in the folder `templates` of a package, which may extend page.html and import parts.html.

    If there are `sections` (heading -> values of any kind), those without values are left out, and the page links to
    the others.
    """
    sections = {heading: found for heading, found in values.pop("sections", {}).items() if found}
    return _environment(package).get_template(template).render(frame_height=FRAME_HEIGHT, sections=sections, **values)


def data_url(kind: str, content: bytes) -> str:
    """Return a file of a MIME type as the source of an element, so that the page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@functools.cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # takes 0.1 s to import

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(BASE)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if hasattr(value, "__html__") else readable(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    environment.filters["anchor"] = lambda title: title.lower().replace(" ", "-")
    return environment

"""Render HTML pages from jinja2 templates that share one base; the pages have no scripts and fetch nothing.

Every value that a template inserts is escaped and made one printable line, unless the template marks it `safe`.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from w2l.core.text import readable

if TYPE_CHECKING:
    from jinja2 import Environment

FRAME_HEIGHT = 180
"""Height of a frame of a clip on the page, in pixels."""
BASE = "w2l.report"
"""Package whose folder `templates` contains page.html, the base of all pages."""


def render_template(package: str, template: str, **values: Any) -> str:
    """Render a file in the folder `templates` of a package, which may extend page.html."""
    known = {"frame_height": FRAME_HEIGHT, "head": "", "sections": {}}
    return _environment(package).get_template(template).render({**known, **values})


def whole_page(title: str, head: str, sections: Mapping[str, str]) -> str:
    """Render a page: its `head` as HTML, links, and the sections (title -> HTML) that are not empty."""
    shown = {heading: body for heading, body in sections.items() if body}
    return render_template(BASE, "page.html", title=title, head=head, sections=shown)


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
    environment.filters["anchor"] = lambda title: title.lower().replace(" ", "-")
    return environment

"""Small HTML helpers shared by all pages."""

import html

from w2l.core.text import readable


def escaped(value: object) -> str:
    """Return a value as one line of escaped HTML."""
    return html.escape(readable(str(value)))


def remark(markup: str) -> str:
    """Return an explanatory paragraph."""
    return f'<p class="note">{markup}</p>'

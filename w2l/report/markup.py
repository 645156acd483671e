"""Small pieces of HTML that all pages share."""

import html

from w2l.core.text import readable


def escaped(value: object) -> str:
    """Return anything as one line of HTML."""
    return html.escape(readable(str(value)))


def remark(markup: str) -> str:
    """Return a paragraph that explains."""
    return f'<p class="note">{markup}</p>'

"""Style and scripts of the page's own parts."""

import functools
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")
"""The style of the whole page."""


@functools.cache
def script(name: str) -> str:
    """Return the text of a script."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")

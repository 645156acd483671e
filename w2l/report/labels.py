"""CSS classes, tooltips and labels of the parts of a chart."""

from w2l.core.text import readable

N_COLOURS = 8
"""Number of classes of colours, `c0` to `c7`; further curves and systems start again at `c0`."""
LETTER = 6.3
"""Approximate width of a letter of the labels, in pixels; the font is chosen by the browser."""
_BETWEEN = "\n"


def tag(css: str, *titles: str) -> str:
    """Return the `gid` of a matplotlib artist: its CSS classes and its tooltip, or one tooltip for each of its dots."""
    return _BETWEEN.join([css, *map(readable, titles)])


def parts_of_tag(gid: str) -> tuple[str, list[str]]:
    """Return CSS classes and tooltips."""
    css, *titles = gid.split(_BETWEEN)
    return css, titles

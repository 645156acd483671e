"""The page that raters open: the template `page.html` with a study's questions and trials put in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

TEMPLATE = Path(__file__).with_name("page.html")
SLOT = "{{study}}"
CLIP_FOLDER = "study-clips"
"""Beside the page: the videos, under blind names."""
ANSWERS_FORMAT = "w2l study answers 1"
"""Marks the files that raters save."""
SCALE = ("bad", "poor", "fair", "good", "excellent")
"""What 1 to 5 are called: absolute category rating, ITU-T P.910."""


@dataclass(frozen=True)
class Aspect:
    """One thing that raters are asked about."""

    name: str
    rate: str
    """The question about one video, answered on `SCALE`."""
    compare: str
    """The question about two: left, right or no difference."""


ASPECTS = (
    Aspect(
        "sync",
        "How well do mouth and voice go together?",
        "In which do mouth and voice go together better?",
    ),
    Aspect(
        "picture",
        "How good is the picture of the face: sharp, steady, without seams?",
        "In which is the picture of the face better?",
    ),
    Aspect("overall", "How real does the video look, all in all?", "Which looks more real, all in all?"),
)


@dataclass(frozen=True)
class PageContent:
    """All that the page knows; it names no system."""

    id: str
    """Of the study."""
    title: str
    send_to: str
    """Whom raters are asked to send their answers to; may be empty."""
    ratings: tuple[tuple[str, ...], ...]
    """Rounds of blind names; in each, every system comes once."""
    pairs: tuple[tuple[tuple[str, str], ...], ...]
    """Rounds of pairs of blind names; in each, every two systems meet once."""
    n_ratings: int
    """Most that one rater sees."""
    n_pairs: int
    n_repeats: int
    """Pairs that are shown again at the end, sides swapped."""


def render(content: PageContent) -> str:
    """The page as HTML: one file that needs nothing but the videos in `CLIP_FOLDER` beside it."""
    facts = {
        **asdict(content),
        "folder": CLIP_FOLDER,
        "format": ANSWERS_FORMAT,
        "scale": SCALE,
        "aspects": [asdict(aspect) for aspect in ASPECTS],
    }
    # "<" would let a title end the script element that holds this.
    text = json.dumps(facts, ensure_ascii=True).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace(SLOT, text)

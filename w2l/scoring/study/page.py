"""The page for raters: the template `study.html` with a study's questions and trials."""

from dataclasses import asdict, dataclass

from w2l.report.page import render_template

CLIP_FOLDER = "study-clips"
"""Folder beside the page: the videos, under blind names."""
ANSWERS_FORMAT = "w2l study answers 1"
"""Identifies the files that raters save."""
SCALE = ("bad", "poor", "fair", "good", "excellent")
"""Labels of 1 to 5: absolute category rating, ITU-T P.910."""


@dataclass(frozen=True)
class Aspect:
    """One aspect that raters are asked about."""

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
    """Content of the page; it does not name systems."""

    id: str
    """Id of the study."""
    title: str
    send_to: str
    """Where raters should send their answers; may be empty."""
    ratings: tuple[tuple[str, ...], ...]
    """Rounds of blind names; in each, every system occurs once."""
    pairs: tuple[tuple[tuple[str, str], ...], ...]
    """Rounds of pairs of blind names; in each, every two systems occur once."""
    n_ratings: int
    """Largest number that one rater sees."""
    n_pairs: int
    n_repeats: int
    """Pairs shown again at the end, with the sides swapped."""


def render_study(content: PageContent) -> str:
    """Return the page as HTML: one file that requires only the videos in `CLIP_FOLDER` beside it."""
    facts = {
        **asdict(content),
        "folder": CLIP_FOLDER,
        "format": ANSWERS_FORMAT,
        "scale": SCALE,
        "aspects": [asdict(aspect) for aspect in ASPECTS],
    }
    return render_template("w2l.scoring.study", "study.html", study=facts)

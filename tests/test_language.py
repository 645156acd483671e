"""The text of the code, the README and the docs is plain technical English: phrases that it does not use."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("w2l", "stages", "examples")
HISTORY = ("results.md", "results-log.md")
"""Pages of results, which are rewritten with their numbers."""
FORBIDDEN = {
    r"(?<!there )\b(is|are|was|were) no (?!longer|more|less|larger|smaller|better|further|other)": "is not a",
    r"\b(?:one|one \w+) an? (line|row|clip|frame|face|system|process)\b": "one per",
    r"\bon end\b": "in a row, consecutive",
    r"\bat once\b": "immediately, at the same time",
    r"\b(hears?|heard|ears|mouths at rest)\b": "takes, audio",
    r"\b(told|tells|tell apart|tells? from)\b": "given, shows, distinguishes",
    r"\b(by heart|learnt|anew)\b": "overfits, learned, again",
    r"\b(goes|go|going) on\b": "continues",
    r"\b(nobody|somebody) (knows|told|sees)\b": "unknown",
    r"\bin the place of\b": "instead of",
    r"\bwhat is begun\b|\bbegun (as|with)\b": "started",
}
"""Pattern -> what to write instead."""


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the docstrings, comments and strings with a space in a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            for offset, line in enumerate(node.value.split("\n")):
                yield node.lineno + offset, line


def complaints(name: str, texts: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield a line for every forbidden phrase outside of quoted code."""
    for number, text in texts:
        for pattern, instead in FORBIDDEN.items():
            if found := re.search(pattern, re.sub(r"``?[^`]*``?", "", text), re.IGNORECASE):
                yield f"{name}:{number}: {found[0]!r} in {text.strip()[:90]!r}; write: {instead}"


def test_the_code_is_written_in_plain_english() -> None:
    found = [
        line
        for package in CODE
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in complaints(path.relative_to(ROOT).as_posix(), texts_of(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_readme_and_docs_are_written_in_plain_english() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        line
        for path in pages
        if path.name not in HISTORY
        for line in complaints(path.name, enumerate(path.read_text().split("\n"), start=1))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    ["X is no folder", "one clip a line", "for one window on end", "two looks at once", "what the network hears",
     "it tells nothing", "learnt by heart", "the run goes on", "in the place of speech"],
)  # fmt: skip
def test_a_quaint_phrase_is_found(text: str) -> None:
    assert list(complaints("x.py", iter([(1, text)])))


@pytest.mark.parametrize(
    "text",
    ["there is no cache", "it is no longer so", "one clip per line", "`heard_from` waits", "its offset is unknown"],
)
def test_plain_english_passes(text: str) -> None:
    assert not list(complaints("x.py", iter([(1, text)])))

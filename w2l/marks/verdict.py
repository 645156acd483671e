"""What was found of an output's marks, as data and in plain words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Beside = Literal["none", "matches", "other", "altered", "unreadable", "unchecked"]
Signed = Literal["none", "valid", "untrusted", "expired", "invalid", "unread"]

IN_WORDS: dict[Beside, str] = {
    "none": "none",
    "matches": "it belongs to this file, and its claims are as they were written",
    "other": "it belongs to another file, or it was altered",
    "altered": "it was altered: its claims do not give its own id",
    "unreadable": "it cannot be read",
    "unchecked": "nothing in the file says whether it belongs to it",
}
"""What is known of the record beside a file."""


@dataclass(frozen=True)
class Stretch:
    """A part of a video that carries a mark."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class MarkFound:
    """An imperceptible mark in the picture."""

    record: str
    """Its record id."""
    agreement: float
    """Of picture and mark in the surest stretch, in standard deviations of chance."""
    stretches: tuple[Stretch, ...]
    """Where it was found; empty where only the whole video together shows it."""


@dataclass(frozen=True)
class Manifest:
    """The C2PA manifest of a file."""

    state: Signed = "none"
    """`untrusted`: intact, signed with a certificate that no trust list holds; `expired`: intact, with one that has
    expired since; `unread`: c2pa-python is not there."""
    signer: str = ""
    """Who signed it, by the certificate's own words."""
    record: str = ""
    """The record id that it names."""
    problem: str = ""
    """What is wrong with it."""


@dataclass(frozen=True)
class Verdict:
    """What a file says of how it was made."""

    path: Path
    is_marked: bool
    """Whether the file itself says that it was made: by a mark, a tag or an intact manifest."""
    marks: tuple[MarkFound, ...]
    tag: str
    """The record id in the file's tags; empty where there is none."""
    manifest: Manifest
    record: Beside
    """Of the record beside the file."""
    duration_s: float
    """Seconds of picture that were looked at."""
    is_whole: bool
    """Whether all of it could be decoded."""

    def text(self) -> str:
        """Return all of it as lines for a person."""
        lines = [f"{self.path}: {'marked' if self.is_marked else 'no mark found'}"]
        lines += [f"  picture: mark of record {one.record} {_where(one)}" for one in self.marks]
        if not self.marks:
            lines.append("  picture: no mark")
        lines.append(f"  tag: {f'record {self.tag}' if self.tag else 'none'}")
        lines.append(f"  manifest: {_manifest_in_words(self.manifest)}")
        lines.append(f"  record beside it: {IN_WORDS[self.record]}")
        if len(self.marks) > 1:
            lines.append("  it was made more than once: the output of one sync was the input of another")
        if not self.is_whole:
            lines.append(f"  only {self.duration_s:.1f} s could be decoded; the file is damaged or cut short")
        return "\n".join(lines)


def _where(mark: MarkFound) -> str:
    parts = ", ".join(f"{one.start_s:.1f}-{one.end_s:.1f} s" for one in mark.stretches)
    return f"in {parts or 'the whole video taken together'} (agreement {mark.agreement:.1f})"


def _manifest_in_words(manifest: Manifest) -> str:
    by = f", signed by {manifest.signer}" if manifest.signer else ""
    why = f" ({manifest.problem})" if manifest.problem else ""
    return {
        "none": "none",
        "valid": f"C2PA, valid{by}",
        "untrusted": f"C2PA, intact{by}, a certificate that no trust list vouches for",
        "expired": f"C2PA, intact{by}, a certificate that has expired",
        "invalid": f"C2PA, TAMPERED OR DAMAGED{by}{why}",
        "unread": f"not read{why}",
    }[manifest.state]

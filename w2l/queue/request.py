"""What a job is to make, and the command that makes the same file."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from w2l.core import config

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".m4v")
"""Endings that an output may have."""
CAST = "cast"
"""The setting that names several faces, each with its speech."""


@dataclass(frozen=True)
class JobRequest:
    """One output that is asked for."""

    video: str = ""
    """The video or picture, an absolute path."""
    speech: str = ""
    """A file with sound; empty if each face of a cast has its own."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `sync` by their dotted names, as ``--set`` takes them; what is left out has its default."""
    suffix: str = ".mp4"
    """Ending of the output's name."""
    device: str = "auto"
    """Device that the networks run on: auto, cpu or cuda."""

    @property
    def output_name(self) -> str:
        """Return the name of the output's file, as `w2l sync` would choose it."""
        return f"{Path(self.video).stem}-synced{self.suffix}"

    @property
    def inputs(self) -> list[str]:
        """Return all files that the request names as video or speech."""
        return [path for path in (self.video, self.speech, *(speech for _, speech in self.cast)) if path]

    @property
    def cast(self) -> list[tuple[str, str]]:
        """Return the faces that have a speech of their own, with that speech."""
        given = self.settings.get(CAST)
        pairs = given if isinstance(given, (list, tuple)) else ()
        return [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]

    def command(self, output: str, cache: Path) -> str:
        """Return the line for a shell that makes the same output."""
        words = ["w2l", "sync", self.video, *([self.speech] if self.speech else [])]
        for face, speech in self.cast:
            words += ["--face", face, "--speech", speech]
        for assignment in config.write_assignments({k: v for k, v in self.settings.items() if k != CAST}):
            words += ["--set", assignment]
        words += ["-o", output, "--cache", str(cache)]
        if self.device != "auto":
            words += ["--device", self.device]
        return shlex.join(words)

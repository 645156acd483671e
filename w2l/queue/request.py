"""What a job is to make, a video or scores, and the command that makes the same file."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from w2l.core import config

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".m4v")
"""Endings that an output may have."""
CAST = "cast"
"""The setting that names several faces, each with its speech."""
MEASURES = "measures"
"""The setting that names groups of measures, which the command line has flags for."""


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
    kind: Literal["sync"] = "sync"
    """The command that does the same."""

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


@dataclass(frozen=True)
class ScoreJob:
    """Scores of videos that are asked for, as a page and a table."""

    outputs: tuple[str, ...] = ()
    """Videos, folders or lists, absolute paths."""
    references: tuple[str, ...] = ()
    """Real videos, folders or lists; empty for those that `sync` recorded."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `score` by their dotted names, as ``--set`` takes them; what is left out has its default."""
    device: str = "auto"
    """Device that the networks run on: auto, cpu or cuda."""
    kind: Literal["score"] = "score"
    """The command that does the same."""

    @property
    def output_name(self) -> str:
        """Return the name of the page: that of the first video or folder, and how many more there are."""
        more = f"-and-{len(self.outputs) - 1}-more" if len(self.outputs) > 1 else ""
        return f"{Path(self.outputs[0] if self.outputs else '').stem}{more}-scores.html"

    @property
    def inputs(self) -> list[str]:
        """Return all files and folders that the request names."""
        return [*self.outputs, *self.references]

    def command(self, output: str, cache: Path) -> str:
        """Return the line for a shell that makes the same page and table."""
        words = ["w2l", "score", *self.outputs]
        for reference in self.references:
            words += ["--reference", reference]
        measures = self.settings.get(MEASURES)
        is_plain = isinstance(measures, (list, tuple)) and all(isinstance(one, str) for one in measures)
        words += [f"--{measure}" for measure in measures or ()] if is_plain else []
        others = {key: value for key, value in self.settings.items() if key != MEASURES}
        for assignment in config.write_assignments(others):
            words += ["--set", assignment]
        words += ["--report", output, "--csv", str(Path(output).with_suffix(".csv")), "--cache", str(cache)]
        if self.device != "auto":
            words += ["--device", self.device]
        return shlex.join(words)


AnyRequest = JobRequest | ScoreJob
"""Whatever a job may be asked for."""
REQUESTS: dict[str, type[JobRequest] | type[ScoreJob]] = {"sync": JobRequest, "score": ScoreJob}
"""Request by its `kind`."""

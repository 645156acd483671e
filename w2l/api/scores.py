"""What `w2l.score` returns: the numbers as plain rows, as a pandas table, as text, and as HTML for a notebook."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2l.api.given import PathLike
from w2l.core.errors import ConfigError
from w2l.core.files import write_text
from w2l.report.page import render_template
from w2l.scoring.metrics.columns import Column
from w2l.scoring.report.cells import measure_head
from w2l.scoring.report.frames import frames_of_clip
from w2l.scoring.report.page import write_score_page
from w2l.scoring.report.table import as_csv, as_plain, score_table
from w2l.scoring.report.verdict import judge_lines
from w2l.scoring.report.wording import mean_text, with_values
from w2l.scoring.results import ScoreReport

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Scores:
    """The scores of clips and systems; `print` shows the table of ``w2l score``."""

    report: ScoreReport
    """All of it, typed."""
    columns: tuple[Column, ...]
    """What was asked for; `Column.meaning` explains each."""
    settings: Mapping[str, Any]
    """What it was scored with, as plain values."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One plain dict per clip: system, clip, speaker, path, reference, each measure by its name, reason, notes.

        A number that could not be measured is None; `reason` is empty where the clip was scored.
        """
        names = [column.name for column in self.columns if any(column.name in c.values for c in self.report.clips)]
        found = []
        for clip in self.report.clips:
            sample, plain = clip.sample, as_plain_values(clip.values)
            about = {"system": sample.system, "clip": sample.name, "speaker": sample.speaker, "path": str(sample.path)}
            reference = None if sample.reference is None else str(sample.reference)
            measured = {name: plain.get(name) for name in names}
            told = {"reason": clip.reason, "notes": list(clip.notes)}
            found.append({**about, "reference": reference, **measured, **told})
        return found

    @property
    def systems(self) -> list[dict[str, Any]]:
        """One plain dict per system: its name, clips scored and dropped, and each mean with its 95 % interval.

        The mean of measure X is under ``X``, its interval under ``X_low`` and ``X_high``; a number of the whole set,
        such as FID, has no interval.
        """
        found = []
        for one in self.report.systems:
            numbers: dict[str, float] = {}
            for name, mean in one.means.items():
                numbers |= {name: mean.mean, f"{name}_low": mean.low, f"{name}_high": mean.high}
            about = {"system": one.system, "scored": one.scored, "dropped": one.dropped}
            found.append({**about, **as_plain_values({**numbers, **one.whole})})
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the whole."""
        return self.report.notes

    @property
    def can_tell(self) -> bool | None:
        """Whether the judge can tell lip sync on these clips; None where LSE was not asked for."""
        return None if self.report.judge_check is None else self.report.judge_check.can_tell

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.report.clips)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        return iter(self.rows)

    def __str__(self) -> str:
        return score_table(self.report, self.columns, None, clips=False)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a pandas table; ConfigError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_pandas needs pandas; try: pip install pandas") from error
        return pandas.DataFrame(self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``w2l score --json`` prints."""
        return as_plain(self.report) | {"settings": dict(self.settings)}

    def write_csv(self, path: PathLike) -> None:
        """Write one line per clip to a CSV file."""
        write_text(Path(path), as_csv(self.report, self.columns))

    def write_page(self, path: PathLike) -> None:
        """Write the page with plots and the worst clips to an HTML file."""
        write_score_page(Path(path), self.report, self.columns, self.settings, frames_of_clip)

    def _repr_html_(self) -> str:
        """Return the means of all systems as an HTML table, the judge's verdict above it."""
        columns = [column for column in with_values(self.report, self.columns) if not column.minor]
        return render_template(
            "w2l.api",
            "scores.html",
            lines=[*judge_lines(self.report), self.report.title],
            head=measure_head(columns),
            rows=[
                (system.system, [system.scored, *(mean_text(system, column) for column in columns)])
                for system in self.report.systems
            ],
        )


def as_plain_values(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers by name, None for those that are not finite."""
    return {name: value if value - value == 0 else None for name, value in values.items()}

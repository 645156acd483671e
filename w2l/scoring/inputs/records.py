"""Records of `sync` about an output: the video it was made from, and the model that made it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from w2l.cache.records import SIDECAR, OutputRecord, read_output
from w2l.cache.store import Cache
from w2l.core.errors import CacheError
from w2l.core.reading import real_path
from w2l.core.text import some
from w2l.scoring.inputs.references import clip_names
from w2l.scoring.results import Sample


@dataclass(frozen=True)
class Run:
    """One output of `sync`."""

    output: Path
    video: Path | None
    system: str
    """The model's name; for a file of a training run, that run."""
    model: Path | None = None
    """The model's file."""


class Records:
    """The records in a cache, read on first use, and those beside outputs."""

    def __init__(self, cache: Cache) -> None:
        """Create without reading anything."""
        self._cache = cache
        self._damaged: list[str] = []

    @cached_property
    def runs(self) -> dict[Path, Run]:
        """Resolved output -> its run, in the order of the records' names."""
        read = (self._read(path) for path in sorted(self._cache.runs.glob("*.json")))
        runs = [self._run(record) for record in read if record.output]
        return {real_path(run.output): run for run in runs}

    def outputs(self, notes: list[str]) -> list[Sample]:
        """Return all outputs that still exist; raise CacheError if there are none."""
        gone = [run.output.name for run in self.runs.values() if not run.output.is_file()]
        there = [run for run in self.runs.values() if run.output.is_file()]
        if not there:
            what = f"all {len(gone)} outputs of its runs are missing" if gone else "no runs of w2l sync are recorded"
            raise CacheError(f"{self._cache.root}: {what}; choose files to score, or another --cache")
        if gone:
            notes.append(f"{len(gone)} recorded outputs are missing: {some(gone)}")
        samples = []
        for system in dict.fromkeys(run.system for run in there):
            outputs = [run.output for run in there if run.system == system]
            samples += [Sample(path, system, name) for path, name in zip(outputs, clip_names(outputs))]
        return samples

    def assign(self, samples: Sequence[Sample], notes: list[str]) -> list[Sample]:
        """Return `samples` with recorded videos as references, if they do not have one yet."""
        missing: list[str] = []
        told = [sample if sample.reference else self._told(sample, missing) for sample in samples]
        if missing:
            notes.append(f"{len(missing)} recorded videos are missing: {some(missing)}; set --reference")
        if self._damaged:
            notes.append(f"{len(self._damaged)} records cannot be read: {some(self._damaged)}")
        return told

    def model_of(self, output: Path) -> Path | None:
        """Return the file of the model that made `output`, if recorded and still existing."""
        files = (run.model for run in self._runs_of(output))
        return next((file for file in files if file is not None and file.is_file()), None)

    def _told(self, sample: Sample, missing: list[str]) -> Sample:
        videos = [run.video for run in self._runs_of(sample.path) if run.video is not None]
        there = next((video for video in videos if video.is_file()), None)
        if videos and there is None and str(videos[0]) not in missing:
            missing.append(str(videos[0]))
        return replace(sample, reference=there)

    def _runs_of(self, output: Path) -> list[Run]:
        """Return the records in the cache and beside `output`, or beside the file that it links to."""
        resolved = real_path(output)
        found = [self.runs[resolved]] if resolved in self.runs else []
        for path in dict.fromkeys([output, resolved]):
            beside = path.with_suffix(SIDECAR)
            if beside.is_file():
                record = self._read(beside)
                if Path(record.output or "").name == path.name:
                    found.append(self._run(record))
        return found

    def _read(self, path: Path) -> OutputRecord:
        """Return the record in a file; an empty one, with a note, if it is damaged."""
        try:
            return read_output(path)
        except CacheError:
            self._damaged.append(str(path))
            return OutputRecord()

    def _run(self, record: OutputRecord) -> Run:
        video, model = (Path(name) if name else None for name in (record.video, record.model))
        return Run(Path(record.output or ""), video, self._system(record.model_name or "outputs"), model)

    def _system(self, model: str) -> str:
        path = Path(model)
        if path.parent.parent.name == self._cache.checkpoints.name:
            return path.parent.name
        return path.stem if path.suffix in (".safetensors", ".pth", ".pt") else path.name

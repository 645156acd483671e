"""The jobs of a call of `sync`: pairs of video and speech, and their outputs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.data.sources.pairs import Order, read_pair_list
from w2l.media.picture_files import is_pictures_output
from w2l.media.sequence import PICTURE_SUFFIXES, is_sequence, is_sequence_name
from w2l.syncing.folders import pair_folder
from w2l.syncing.order import check_order
from w2l.syncing.settings import SyncSettings

SUFFIX = ".mp4"
"""Suffix of outputs in a folder given by the user."""


@dataclass(frozen=True)
class Job:
    """One output to make."""

    video: Path
    speech: Path
    output: Path
    name: str = ""
    """Name of the job in messages: the video, or the line of a list."""
    overwrite: bool = False
    """Whether to replace an existing output."""
    resume: bool = False
    """Whether to keep finished parts of a long output, and a finished output."""
    preview_s: float | None = None
    """Make only the second around this time, in seconds."""
    speech_name: str = ""
    """Name in the record of a speech that was read from a pipe; empty: its path."""

    def absolute(self) -> "Job":
        """Return the same job with absolute paths, valid on every machine of a cluster."""
        video, speech, output = (path.absolute() for path in (self.video, self.speech, self.output))
        return replace(self, video=video, speech=speech, output=output)


def jobs_of_files(files: Sequence[Path], output: Path | None, preview: bool = False) -> list[Job]:
    """Return the jobs of VIDEO... SPEECH: every video with the same speech, or with that of its name in a folder.

    A VIDEO that is a folder stands for the videos in it. Raises ConfigError for unusable names.
    """
    if len(files) < 2:
        raise ConfigError("VIDEO and SPEECH are required: w2l sync in.mp4 speech.wav -o out.mp4")
    *videos, speech = files
    if speech.is_dir() or any(video.is_dir() and not is_sequence(video) for video in videos):
        jobs = _jobs_of_folders(videos, speech, output, preview)
    else:
        check_order(videos, speech)
        jobs = [Job(video, speech, path, str(video)) for video, path in zip(videos, _outputs(videos, output, preview))]
    check_apart(jobs)
    return jobs


def jobs_of_pairs(
    pairs: Path, root: Path | None, order: Order, output: Path | None, preview: bool = False
) -> list[Job]:
    """Return the jobs of a list of pairs: the folder `output` gets one file for each, with the name in the list.

    A name may contain folders. Raises ConfigError for an unreadable list and for invalid names.
    """
    if output is None or not _is_folder_name(output):
        raise ConfigError(
            f"--pairs {pairs} requires an output folder{f', not {output}' if output else ''}; set it with -o"
        )
    ending = f"-preview{SUFFIX}" if preview else SUFFIX
    jobs = [
        Job(pair.video, pair.speech, output / f"{pair.name}{ending}", f"{pairs}, line {pair.line}")
        for pair in read_pair_list(pairs, root, order)
    ]
    check_apart(jobs)
    return jobs


def _jobs_of_folders(videos: Sequence[Path], speech: Path, output: Path | None, preview: bool) -> list[Job]:
    """Return the jobs of folders: the folder `output` gets a file for each video, with the same name."""
    folder = output or Path()
    if not _is_folder_name(folder):
        raise ConfigError(f"the videos of a folder require an output folder, not {folder}; set it with -o")
    ending = f"-{'preview' if preview else 'synced'}{SUFFIX}"
    return [
        Job(one.video, one.speech, folder / f"{one.name}{ending}", str(one.video))
        for one in pair_folder(videos, speech)
    ]


def _outputs(videos: list[Path], output: Path | None, preview: bool) -> list[Path]:
    """Return the output of each video."""
    names = [f"{_stem(video)}-{'preview' if preview else 'synced'}{SUFFIX}" for video in videos]
    if len(videos) == 1 and (output is None or not output.is_dir()):
        return [output or Path(names[0])]
    if len(set(names)) < len(names):
        raise ConfigError("two of the videos have the same name; sync them separately, each with its own -o")
    folder = output or Path()
    if not _is_folder_name(folder):
        hint = "; for one sequence of pictures, quote the glob" if all(map(_is_picture, videos)) else ""
        raise ConfigError(f"{len(videos)} videos require an output folder, not {folder}; set it with -o{hint}")
    return [folder / name for name in names]


def _stem(video: Path) -> str:
    """Return the name of a video without ending; of a sequence of pictures, that of its folder."""
    if not is_sequence(video):
        return video.stem
    return (video.absolute().parent if is_sequence_name(video) else video.absolute()).name or "pictures"


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _is_folder_name(path: Path) -> bool:
    """Return whether a path is a folder, or may become one: it has no suffix and is not a file."""
    return path.is_dir() or not (path.suffix or path.exists())


def check_apart(jobs: Iterable[Job]) -> None:
    """Raise ConfigError if an output is an input of the call, or if two outputs are the same file."""
    jobs = list(jobs)
    inputs = {real_path(path) for path in {path for job in jobs for path in (job.video, job.speech)}}
    seen: set[Path] = set()
    for job in jobs:
        path = real_path(job.output)
        if is_pictures_output(job.output):
            folders = (source for source in inputs if is_sequence(source))
            if any(path.parent == (source if source.is_dir() else source.parent) for source in folders):
                raise ConfigError(f"{job.output} lies among the pictures of an input; name another folder with -o")
        if path in inputs:
            raise ConfigError(f"{job.output} is an input of this command; choose another output with -o")
        if path in seen:
            raise ConfigError(f"two outputs would be named {job.output}; give the pairs different names")
        seen.add(path)


def everywhere(settings: SyncSettings) -> SyncSettings:
    """Return the settings with absolute paths, for workers on other machines."""
    model, face, reference = (_absolute(text) for text in (settings.model, settings.face, settings.reference))
    drive = _absolute(settings.drive) if settings.drive else None
    mouths = tuple(map(_absolute, settings.mouths))
    recogniser = _absolute(settings.recogniser)
    cast = tuple((_absolute(whose), _absolute(speech)) for whose, speech in settings.cast)
    named = replace(settings, model=model, face=face, reference=reference, drive=drive, cast=cast)
    return replace(named, recogniser=recogniser, mouths=mouths)


def _absolute(text: str) -> str:
    """Return the absolute path of a file; other values are unchanged."""
    return str(Path(text).absolute()) if Path(text).is_file() else text

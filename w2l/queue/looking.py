"""Looks at videos and results, in the process of `w2l.queue.helper`: functions that take and return plain values.

What they need is imported when they run, so that a server can name them without loading networks.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.core.errors import ConfigError, MediaError, NoFaceError
from w2l.core.files import source_fingerprint, write_atomic, write_json
from w2l.core.progress import progress, reported_to
from w2l.core.reading import real_path
from w2l.core.settings_reference import Setting, list_settings
from w2l.queue.request import SUFFIXES, JobRequest, ScoreJob
from w2l.queue.seen import Preview, SeenFace, SeenFaces
from w2l.queue.store import DAMAGED, JobProgress, Jobs
from w2l.queue.worker import Reporter

if TYPE_CHECKING:
    from w2l.faces.tracker import Scan, Track
    from w2l.media.video import Frame

SHOWN_WIDTH = 960
"""Largest width of a picture of faces, pixels."""
KEPT_S = 86400.0
"""Seconds that pictures and previews are kept."""


def sync_fields() -> list[Setting]:
    """Return all settings of `sync` with type, default, choices and sentence."""
    from w2l.syncing.settings import SyncSettings

    return list(list_settings(SyncSettings()))


def score_fields() -> list[Setting]:
    """Return all settings of `score` with type, default, choices and sentence."""
    from w2l.scoring.settings import ScoreSettings

    return list(list_settings(ScoreSettings()))


def warm_up() -> None:
    """Load what the first look needs, while nobody waits for it."""
    import w2l.api.sync
    import w2l.api.verify
    import w2l.faces.detectors.factory  # noqa: F401


def check_request(root: Path, request: JobRequest) -> None:
    """Raise an error if a request cannot be carried out: settings, files or the ending of the output are wrong."""
    from w2l.api.sync import sync_settings
    from w2l.media.soundtrack import inspect_speech
    from w2l.media.video import probe

    sync_settings({}, settings=request.settings)
    if request.suffix not in SUFFIXES:
        raise ConfigError(f"an output ends in one of {', '.join(SUFFIXES)}, not {request.suffix!r}")
    if not request.video:
        raise ConfigError("choose a video, or a picture of a person")
    probe(Path(request.video))
    if not (speeches := request.inputs[1:]):
        raise ConfigError("choose a speech: any file with sound")
    for speech in speeches:
        inspect_speech(Path(speech), None, None)


def check_score(root: Path, request: ScoreJob) -> None:
    """Raise the error of scores that cannot be made: settings, files that are missing, no videos."""
    from w2l.api.given import paths_of, settings_of
    from w2l.scoring.inputs.samples import find_inputs
    from w2l.scoring.settings import ScoreSettings

    settings_of(ScoreSettings, "score", None, request.settings)
    if not request.outputs:
        raise ConfigError("choose videos to score, or a folder of them")
    find_inputs(paths_of(request.outputs), paths_of(request.references), Cache.open(root, create=True))


def find_faces(root: Path, video: str, time_s: float, settings: Mapping[str, Any], told: Path) -> SeenFaces:
    """Find the faces of a video, or read them from the cache, and return one frame with their places."""
    from w2l.api.sync import sync_settings
    from w2l.core.device import choose_device
    from w2l.faces.detectors.factory import make_detector
    from w2l.faces.scan import clip_for, scan_clip
    from w2l.faces.select import steady_tracks
    from w2l.media.video import probe

    jobs, path = Jobs(Cache.open(root, create=True)), Path(video)
    chosen = sync_settings({}, settings=settings).detect
    info = probe(path)
    detector = make_detector(chosen.detector, str(choose_device("auto")), chosen.min_face, jobs.cache.models)
    with reported_to(Reporter(_writer(told))), progress("faces", info.n_frames or None) as advance:
        scan, _ = scan_clip(clip_for(jobs.cache, path), path, detector, chosen, False, lambda _total: advance())
    tracks = steady_tracks(scan)
    if not tracks:
        raise NoFaceError(
            f"{path.name}: no faces in {scan.n_frames} frames; lower min_face, or choose another detector"
        )
    frame = _frame_at(path, time_s)
    found = tuple(_seen(number, track, scan, frame.idx) for number, track in enumerate(tracks))
    duration_s = float(scan.times[-1]) + 1 / scan.fps
    return SeenFaces(_write_picture(jobs, frame.image), found, duration_s, frame.time_s)


def preview(root: Path, request: JobRequest, time_s: float, told: Path) -> Preview:
    """Make the second of the result around a time."""
    from w2l.api.sync import sync
    from w2l.syncing.cast import mixed_speech

    check_request(root, request)
    jobs = Jobs(Cache.open(root, create=True))
    jobs.shown.mkdir(parents=True, exist_ok=True)
    output = jobs.shown / f"{secrets.token_hex(8)}{request.suffix}"
    made = sync(
        request.video,
        request.speech or mixed_speech(request.cast, jobs.cache),
        output,
        preview=time_s,
        cache=root,
        device=request.device,
        settings=request.settings,
        progress=Reporter(_writer(told)),
    )
    starts_s = max(0.0, time_s - made.duration_s / 2)
    return Preview(playable(root, str(output)), playable(root, request.video), starts_s)


def length_s(path: str) -> float:
    """Return the seconds that a file lasts, as it says itself; 0 if it does not."""
    from w2l.media.container import open_input

    with open_input(Path(path)) as container:
        return float(container.duration or 0) / 1e6


def playable(root: Path, path: str) -> str:
    """Return a file in the folder of jobs that every browser plays: the same one, a hard link, or a copy."""
    from w2l.media.browser import encode_for_browsers, unplayable
    from w2l.media.video import probe

    jobs, source = Jobs(Cache.open(root)), Path(path)
    reason = "" if probe(source).is_still else unplayable(source)
    if not reason and jobs.root in real_path(source).parents:
        return str(source)
    shown = jobs.shown / f"{source_fingerprint(source)}{'.mp4' if reason else source.suffix}"
    if not shown.exists():
        shown.parent.mkdir(parents=True, exist_ok=True)
        if reason:
            encode_for_browsers(source, shown)
        else:
            _link(real_path(source), shown)
    return str(shown)


def verify_text(path: str) -> str:
    """Return what `w2l verify` prints about a file, with its name in place of its path."""
    from w2l.api.verify import verify

    return verify(path).text().replace(path, Path(path).name)


def clear_old(jobs: Jobs, now_s: float | None = None) -> None:
    """Remove pictures and previews that nobody looks at any more, and uploads that no job names."""
    before_s = (time.time() if now_s is None else now_s) - KEPT_S
    named = {path for job in jobs if job.title != DAMAGED for path in job.request.inputs}
    for path in [*jobs.shown.glob("*"), *jobs.uploads.glob("*/*")]:
        if path.is_file() and path.lstat().st_mtime < before_s and str(path) not in named:
            path.unlink()


def _seen(number: int, track: "Track", scan: "Scan", frame_idx: int) -> SeenFace:
    """Return a track as a page shows it, with its box in one frame."""
    from w2l.faces.select import describe as describe_track

    row, box = frame_idx - track.start, None
    if 0 <= row < len(track):
        x1, y1, x2, y2 = (float(side) for side in track.boxes[row])
        box = (x1 / scan.width, y1 / scan.height, x2 / scan.width, y2 / scan.height)
    ends_s = float(scan.times[track.stop - 1]) + 1 / scan.fps
    return SeenFace(number, describe_track(track, scan), float(scan.times[track.start]), ends_s, box)


def _frame_at(path: Path, time_s: float) -> "Frame":
    """Return the frame that is shown at a time; the last one after the end."""
    from w2l.media.video import read_frames

    found = None
    for frame in read_frames(path):
        if found is not None and frame.time_s > time_s + 1e-6:
            break
        found = frame
    if found is None:
        raise MediaError(f"{path}: no picture can be decoded; the file is damaged, use another copy")
    return found


def _write_picture(jobs: Jobs, image: Image) -> str:
    import cv2
    import numpy as np

    if image.shape[1] > SHOWN_WIDTH:
        height = round(image.shape[0] * SHOWN_WIDTH / image.shape[1])
        image = np.asarray(cv2.resize(image, (SHOWN_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    path = jobs.shown / f"{secrets.token_hex(8)}.jpg"
    encoded = cv2.imencode(".jpg", image[..., ::-1])[1]
    write_atomic(path, lambda file: file.write(encoded.tobytes()))
    return str(path)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


def _writer(told: Path) -> Callable[[JobProgress], None]:
    return lambda now: write_json(told, asdict(now))

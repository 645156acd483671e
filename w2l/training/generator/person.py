"""From clips of one person to training data for tuning a generator: crops of the face, with some seconds held out."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from w2l.cache.index import Rows
from w2l.cache.records import UNUSABLE, PreprocessOutcome
from w2l.cache.store import Cache, Clip
from w2l.core.errors import ConfigError, MediaError, NoFaceError, TrainingError
from w2l.core.files import fingerprint
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks
from w2l.data.prepare.clip import NO_FACE, PrepareSettings, prepare_clip, prepare_fingerprint
from w2l.data.prepare.gates import GateSettings
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.faces.scan import clip_for
from w2l.features.crop import CropSpec
from w2l.training.data import TrainingData

logger = logging.getLogger(__name__)
VERSION = 1
"""Incremented when the same clips would be divided otherwise: such a run is not continued."""
HELD_OUT = 0.15
"""Share of the seconds that is held out, at the end."""
HELD_OUT_FRAMES = 2 * FPS
"""Smallest number of frames held out."""
GAP_FRAMES = FPS
"""Frames left out between training and held-out data, as neighbours look alike."""
SHORT_S, SHORTEST_S = 10.0, 4.0
"""Seconds below which a person's clips are few, and below which they are refused."""
ONE_PIECE_S = 24 * 3600.0
"""Tracks are not split."""
LEAST_FRAMES = WINDOW_FRAMES + 1
"""Smallest length of a stretch: two windows."""

Span = tuple[int, int, int]
"""Track, first frame, last frame (exclusive)."""


def open_person(
    clips: Sequence[Path], root: Path, crop: CropSpec, device: str = "cpu", models: Path | None = None
) -> TrainingData:
    """Open the face in `clips`, cropped as `crop` says into a cache at `root` if necessary; `hold_out` divides it.

    If several faces are on screen at the same time, the one visible longest counts; of faces one after the other, all.
    `models` is the folder of downloaded detectors. The mark of the result changes with the clips, or their cropping and
    division.

    Raises
    ------
    MediaError, NoFaceError
        If a clip cannot be read, has no audio, or no usable face.
    TrainingError
        If there are less than `SHORTEST_S` seconds, or another process prepares the same clips.
    """
    if not clips:
        raise ConfigError("no clip of the person was given; give one or more with --person clip.mp4")
    settings = PrepareSettings(
        crop=crop, max_track_s=ONE_PIECE_S, gates=GateSettings(max_silent=1.0, min_sharpness=0.0)
    )  # fmt: skip
    cache = Cache.open(root, create=True)
    detector = make_detector(settings.detect.detector, device, settings.detect.min_face, models)
    paths = list(dict.fromkeys(path.absolute() for path in clips))
    prepared = [_prepare(cache, path, detector, settings) for path in paths]
    chosen = [(clip.id, track) for clip in prepared for track in _of_person(clip)]
    tracks = Tracks(cache, _rows(cache, chosen), crop)
    seconds = float(tracks.lengths.sum()) / FPS
    names = ", ".join(path.name for path in paths)
    _check_length(seconds, names)
    train, val = divide_clips([(name, int(length)) for name, length in zip(tracks.names, tracks.lengths)])
    held_out_s = sum(last - first for _, first, last in val) / FPS
    trained_s = sum(last - first for _, first, last in train) / FPS
    logger.info("%.1f s of the person's face: %.1f s for training, %.1f s held out", seconds, trained_s, held_out_s)
    marks = [clip.record().preprocess.fingerprint for clip in prepared]
    mark = fingerprint("person", VERSION, marks)
    about = f"{seconds:.0f} s of one person ({names})"
    return TrainingData(cache, crop, tracks.part(train), tracks.part(val), about, mark)


def divide_clips(lengths: Sequence[tuple[str, int]]) -> tuple[list[Span], list[Span]]:
    """Return training and held-out spans of tracks given as (clip, frames).

    The end of each clip of `SHORT_S` or more is held out, see `hold_out`, and shorter ones train; if no clip is that
    long, all count as one.
    """
    totals: dict[str, int] = {}
    for clip, n_frames in lengths:
        totals[clip] = totals.get(clip, 0) + n_frames
    long = [clip for clip, total in totals.items() if total >= SHORT_S * FPS]
    train: list[Span] = []
    val: list[Span] = []
    for group in [[clip] for clip in long] or [list(totals)]:
        own = [(track, n_frames) for track, (clip, n_frames) in enumerate(lengths) if clip in group]
        for spans, found in zip((train, val), hold_out([n_frames for _, n_frames in own])):
            spans += [(own[track][0], first, last) for track, first, last in found]
    if long:
        train += [(track, 0, n_frames) for track, (clip, n_frames) in enumerate(lengths) if clip not in long]
    return sorted(train), sorted(val)


def hold_out(lengths: Sequence[int]) -> tuple[list[Span], list[Span]]:
    """Divide tracks of these lengths in frames, consecutive in time, into training and held-out spans.

    The last `HELD_OUT` of all is held out, at least `HELD_OUT_FRAMES`, from a multiple of five frames of a track on;
    `GAP_FRAMES` before it are left out, and so are stretches of fewer than two windows.
    """
    total = sum(lengths)
    border = total - max(HELD_OUT_FRAMES, round(HELD_OUT * total))
    begins = [sum(lengths[:track]) for track in range(len(lengths))]
    inside = next((track for track, begin in enumerate(begins) if begin <= border < begin + lengths[track]), 0)
    border -= max(0, border - begins[inside]) % WINDOW_FRAMES
    train = [(track, 0, min(n, border - GAP_FRAMES - begin)) for track, (begin, n) in enumerate(zip(begins, lengths))]
    val = [(track, max(0, border - begin), n) for track, (begin, n) in enumerate(zip(begins, lengths))]
    long_enough = [[span for span in spans if span[2] - span[1] >= LEAST_FRAMES] for spans in (train, val)]
    return long_enough[0], long_enough[1]


def _prepare(cache: Cache, path: Path, detector: Detector, settings: PrepareSettings) -> Clip:
    """Return the clip in the cache, preparing it if necessary."""
    if not path.is_file():
        missing = "is not a file" if path.exists() else "does not exist"
        raise MediaError(f"clip {path} of the person {missing}; check the path")
    clip = clip_for(cache, path)
    mark = prepare_fingerprint(path, detector, settings)
    with clip.claim() as mine:
        if not mine:
            raise TrainingError(
                f"another process is preparing {path} in {cache.root}; wait for it, or choose another --run"
            )
        if clip.record().preprocess.fingerprint != mark:
            logger.info("cropping the face from %s", path)
            clip.clear_leftovers()
            cache.invalidate_index()
            clip.write(prepare_clip(clip, path, detector, settings))
            cache.invalidate_index()
    outcome = clip.record().preprocess
    if outcome.outcome == UNUSABLE:
        raise _unusable(path, outcome)
    return clip


def _unusable(path: Path, outcome: PreprocessOutcome) -> NoFaceError | MediaError:
    if outcome.rejected:
        longest = max(outcome.rejected, key=lambda track: track.end_s - track.start_s)
        return NoFaceError(f"{path}: no usable face: {longest.reason}; use a clip that shows it larger or longer")
    return (NoFaceError if outcome.gate == NO_FACE else MediaError)(str(outcome.reason))


def _of_person(clip: Clip) -> list[int]:
    """Return the numbers of a clip's tracks that are assumed to show the person."""
    outcome = clip.record().preprocess
    spans = [(track.first_frame or 0, (track.first_frame or 0) + track.n_frames) for track in outcome.tracks]
    rejected = outcome.rejected
    if rejected:
        logger.info("%s: %d other stretches of faces cannot be used (%s)", clip.id, len(rejected), rejected[0].reason)
    if any(second[0] < first[1] for first, second in pairwise(sorted(spans))):
        longest = max(range(len(spans)), key=lambda track: spans[track][1] - spans[track][0])
        start_s, end_s = (frame / FPS for frame in spans[longest])
        logger.warning(
            "%s: several faces on screen; using the one visible longest, from %.1f to %.1f s", clip.id, start_s, end_s
        )
        return [longest]
    if len(spans) > 1:
        logger.warning("%s: %d stretches of a face, all assumed to be the same person's", clip.id, len(spans))
    return list(range(len(spans)))


def _rows(cache: Cache, chosen: Sequence[tuple[str, int]]) -> Rows:
    """Return the rows of (clip, track), in that order."""
    by_name = {(row.clip, row.track): row for row in cache.tracks()}
    return Rows.of([by_name[name] for name in chosen])


def _check_length(seconds: float, names: str) -> None:
    more = "give a longer clip, or several with --person A --person B"
    if seconds < SHORTEST_S:
        raise TrainingError(
            f"{names}: only {seconds:.1f} s of the face with audio, {SHORTEST_S:g} s are required; {more}"
        )
    if seconds < SHORT_S:
        logger.warning("%s: only %.1f s of the face with audio, which is little for tuning; %s", names, seconds, more)

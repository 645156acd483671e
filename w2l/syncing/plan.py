"""The plan of `sync`: the frames to show and their times, the faces to redraw in them, and their audio windows."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.arrays import Floats
from w2l.core.errors import ConfigError, NoFaceError
from w2l.core.intervals import fade
from w2l.core.reading import real_path
from w2l.core.timing import FPS, reference_window_starts
from w2l.faces.detectors.base import Detector
from w2l.faces.follow import WHY, Face, Faces, fixed_face, no_faces
from w2l.features.crop import CropSpec
from w2l.features.pauses import gate_silence, pauses
from w2l.features.speech import mel_starts, quiet_frames, reference_starts
from w2l.features.windows import mel_window
from w2l.media.coded import shown_times
from w2l.media.form import as_written
from w2l.media.player import play
from w2l.media.timeline import Timeline, end_of, lay_out
from w2l.media.video import VideoInfo
from w2l.syncing.cast import Voice
from w2l.syncing.detail import check_detail, finer_spec
from w2l.syncing.engine import Cue
from w2l.syncing.hearing import hear
from w2l.syncing.jobs import Job
from w2l.syncing.memory.hidden import Covers
from w2l.syncing.memory.looks import Looks
from w2l.syncing.order import probe_video
from w2l.syncing.seen import Seen, look
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

logger = logging.getLogger(__name__)
PREVIEW_S = 1.0
"""Length of a preview in seconds."""
FADE_FRAMES = 3
"""Frames over which redrawing fades in and out next to frames that pass through."""
OUTSIDE = "outside --start/--end"
"""Reason of frames outside of the part to redraw."""
PAUSE = "the speech pauses"
"""Reason of frames that pass through because of `--silence source`."""


@dataclass(frozen=True)
class Plan:
    """All decisions about an output, made before drawing."""

    info: VideoInfo
    source_times: Floats
    """(source frames,) seconds."""
    timeline: Timeline
    """The source frame to show at each time."""
    spec: CropSpec
    faces: Faces
    """Faces of the source, by frame."""
    chosen: str
    """Description of the face to redraw and of other faces, for the user."""
    mel: NDArray[np.float32]
    """(80, columns)"""
    starts: NDArray[np.int64]
    """(frames,) first mel column of each output frame."""
    gain: NDArray[np.float32]
    """(frames,) opacity of the redrawn mouth, 0..1, without the strength of each face."""
    reasons: NDArray[np.str_]
    """(frames,) reason why a frame of gain 0 is not redrawn."""
    speech: Path
    speech_origin_s: float | None
    """Time in the clock of the speech at time 0 of the whole output; None: its first sample."""
    speech_s: float
    """Length of the speech in seconds."""
    skipped_s: float = 0.0
    """Seconds of the whole output before this part of it."""
    first_picture: int = 0
    """Pictures of the whole output before this part of it."""
    scan_fresh: bool = False
    """Whether faces were detected in this run rather than read from the cache."""
    extent: str = ""
    """Name of the frames of the source that were analysed, in the cache; empty: all."""
    speech_stream: int | None = None
    """Index of the speech's stream in its file; None: the one a player would choose."""
    voices: Mapping[int, Voice] = field(default_factory=dict)
    """Track -> audio that drives its face; empty if all faces use the same audio."""
    looks: Mapping[int, Looks] = field(default_factory=dict)
    """Track -> mouth samples from which references are chosen; empty if references come from elsewhere."""
    covers: Mapping[int, Covers] = field(default_factory=dict)
    """Track -> frames in which its face is covered; empty if covers were not searched for."""

    def __len__(self) -> int:
        """Return the number of frames of the output."""
        return len(self.timeline.source)

    @property
    def sound_s(self) -> float:
        """Seconds of audio in the output."""
        return max(0.0, min(self.speech_s - self.skipped_s, self.timeline.end_s))

    def cues(self, start: int, stop: int) -> Iterator[Cue]:
        """Return the inputs of the output frames `start` to `stop` (exclusive), in order."""
        frames = play(self.info.path, self.source_times, self.timeline.source[start:stop], self.info.colour)
        for idx, frame in zip(range(start, stop), frames):
            source = int(self.timeline.source[idx])
            faces, begins = self._faces(idx, source), int(self.starts[idx])
            window = mel_window(self.mel, begins)
            apart = tuple(mel_window(self.voices[face.track].mel, begins) for face in faces if self.voices)
            yield Cue(frame.picture, faces, window, source, self.first_picture + idx, apart)

    def is_redrawn(self, idx: int) -> bool:
        """Return whether anything is redrawn in an output frame."""
        return bool(self._faces(idx, int(self.timeline.source[idx])))

    def heard_by(self, track: int) -> "Plan":
        """Return the plan for the speech of one track's face."""
        voice = self.voices.get(track)
        return self if voice is None else replace(self, mel=voice.mel, gain=voice.gain, voices={})

    def passed_through(self) -> dict[str, int]:
        """Return reason -> number of output frames that are unchanged."""
        counts: Counter[str] = Counter()
        for idx, source in enumerate(self.timeline.source):
            if self.gain[idx] == 0.0:
                counts[str(self.reasons[idx])] += 1
            elif not self.faces.at(int(source)):
                counts[why_not(self.faces, int(source))] += 1
        return dict(counts)

    def part(self, start_s: float, length_s: float) -> "Plan":
        """Return the plan of a part of the output: the frames shown from `start_s`, for `length_s`."""
        times = self.timeline.times
        first, last = (int(idx) for idx in np.searchsorted(times, [start_s - 1e-6, start_s + length_s - 1e-6]))
        if first >= len(times):
            raise ConfigError(f"the time {start_s:g} s is past the end of the output, {self.timeline.end_s:.2f} s")
        return self.between(first, max(last, first + 1))

    def between(self, first: int, last: int) -> "Plan":
        """Return the plan of the pictures from `first` to `last` (exclusive) of the output."""
        times = self.timeline.times
        stop_s = float(times[last]) if last < len(times) else self.timeline.end_s
        begins_s = float(times[first])
        timeline = replace(
            self.timeline,
            source=self.timeline.source[first:last],
            times=times[first:last] - begins_s,
            end_s=stop_s - begins_s,
        )
        return replace(
            self,
            timeline=timeline,
            starts=self.starts[first:last],
            gain=self.gain[first:last],
            reasons=self.reasons[first:last],
            skipped_s=self.skipped_s + begins_s,
            first_picture=self.first_picture + first,
            voices={track: replace(voice, gain=voice.gain[first:last]) for track, voice in self.voices.items()},
        )

    def _faces(self, idx: int, source: int) -> tuple[Face, ...]:
        faces = self.faces.at(source) if self.gain[idx] > 0.0 else ()
        gains = [float(self.voices.get(face.track, self).gain[idx]) for face in faces]
        return tuple(
            face if gain >= 1.0 else replace(face, strength=gain * face.strength)
            for face, gain in zip(faces, gains)
            if gain > 0.0
        )


def why_not(faces: Faces, source: int) -> str:
    """Return why a source frame is not redrawn; frames after the last one have its reason."""
    return WHY[int(faces.why[min(source, faces.n_frames - 1)])]


def plan_of(tools: Tools, job: Job) -> Plan:
    """Return the plan of the whole output of a job."""
    settings, card = tools.settings, tools.model.card
    plan = make_plan(settings, info_of(tools, job), job.speech, card.crop, tools.cache, tools.detector)
    return replace(plan, spec=finer_spec(plan.spec, plan.faces, card, settings.detail))


def sketch_of(tools: Tools, job: Job) -> Plan:
    """Return the plan of the whole output of a job without faces, which are not looked for."""
    return make_plan(tools.settings, info_of(tools, job), job.speech, tools.model.card.crop)


def info_of(tools: Tools, job: Job) -> VideoInfo:
    """Return the properties of a job's video, as its output will have them; check the settings that depend on them."""
    settings, info = tools.settings, probe_video(job.video, job.speech, tools.settings.fps)
    if settings.box is not None and (settings.box[2] > info.width or settings.box[3] > info.height):
        raise ConfigError(f"box {settings.box} lies outside of the picture, {info.width} x {info.height} px")
    check_detail(settings.detail, tools.model.card)
    return as_written(settings.encoding, job.output, info)


def preview_of(plan: Plan, preview_s: float) -> Plan:
    """Return the plan of the second around a time; raise ConfigError if it is past the end of the output."""
    end_s = plan.timeline.end_s
    if preview_s > end_s:
        raise ConfigError(f"--preview {preview_s:g} s is past the end of the output, {end_s:.2f} s")
    return plan.part(max(0.0, min(preview_s - PREVIEW_S / 2, end_s - PREVIEW_S)), PREVIEW_S)


def make_plan(
    settings: SyncSettings,
    info: VideoInfo,
    speech: Path,
    spec: CropSpec,
    cache: Cache | None = None,
    detector: Detector | None = None,
) -> Plan:
    """Analyse video and speech and make all decisions before drawing; without a detector, faces are not looked for.

    Raises MediaError for an unreadable input and NoFaceError if the requested face is not found.
    """
    own = real_path(speech) == real_path(info.path)
    origin_s = info.start_s if own else None
    with ThreadPoolExecutor(1) as listener:
        drive = Path(settings.drive) if settings.drive else None
        stems = [Path(stem) for _, stem in settings.cast]
        heard = listener.submit(hear, speech, origin_s, track=settings.speech_track, drive=drive, stems=stems)
        if settings.box is not None:
            spec = replace(spec, pads=(0, 0, 0, 0))
            shown = shown_times(info)
            sides = ",".join(map("{:g}".format, settings.box))
            seen = Seen(fixed_face(settings.box, len(shown)), shown, f"the box {sides}")
        elif cache is None or detector is None:
            shown = shown_times(info)
            seen = Seen(no_faces(len(shown)), shown, "")
        else:
            seen = look(settings, info, spec, cache, detector, heard)
        told = heard.result()
    mel, speech_s, faces, times = told.mel, told.duration_s, seen.faces, seen.times
    timeline = _timeline(settings, info, times, speech_s, mel.shape[1])
    gain, reasons = _gain(settings, timeline, mel)
    voices = {
        track: Voice(_gated(settings, told.stems[member]), _gain(settings, timeline, told.stems[member])[0])
        for track, member in seen.members.items()
    }
    if voices:
        gain = np.max([voice.gain for voice in voices.values()], axis=0)
    if settings.alignment == "reference":
        starts = reference_starts(timeline.times, mel.shape[1], timeline.fps)
    else:
        starts = mel_starts(timeline.times)
    plan = Plan(
        info=info,
        source_times=times,
        timeline=timeline,
        spec=spec,
        faces=faces,
        chosen=seen.chosen,
        mel=_gated(settings, mel),
        starts=np.asarray(starts, dtype=np.int64),
        gain=gain,
        reasons=reasons,
        speech=speech,
        speech_origin_s=origin_s,
        speech_s=speech_s,
        speech_stream=told.stream_idx,
        scan_fresh=seen.fresh,
        voices=voices,
    )
    if seen.chosen:
        check_missing(settings, plan)
    return plan


def _gated(settings: SyncSettings, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return gate_silence(mel) if settings.silence == "close" else mel


def _timeline(settings: SyncSettings, info: VideoInfo, times: Floats, speech_s: float, n_columns: int) -> Timeline:
    if info.is_still and settings.fit != "speech":
        raise ConfigError(f"{info.path}: a still picture has no length; remove --fit {settings.fit}")
    video_s = end_of(times, info.fps, info.end_s)
    fps = settings.fps or (float(FPS) if info.is_still else None)
    if settings.alignment == "reference":
        speech_s = len(reference_window_starts(n_columns, fps or info.fps)) / (fps or info.fps)
    length_s = {"speech": speech_s, "video": video_s, "shortest": min(speech_s, video_s)}[settings.fit]
    return lay_out(times, video_s, info.fps, length_s, forced_fps=fps, extend=settings.extend)


def _gain(
    settings: SyncSettings, timeline: Timeline, mel: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Return the opacity of the redrawn mouth in each frame (frames,), and the reason if it is 0."""
    times = timeline.times
    start_s, end_s = settings.start_s or 0.0, np.inf if settings.end_s is None else settings.end_s
    if start_s >= timeline.end_s:
        raise ConfigError(f"--start {start_s} s is past the end of the output, {timeline.end_s:.2f} s")
    inside = (times >= start_s - 1e-6) & (times < end_s - 1e-6)
    gain = fade(inside, FADE_FRAMES).astype(np.float32)
    reasons = np.where(inside, PAUSE, OUTSIDE)
    if settings.silence == "source":
        gain *= 1.0 - fade(quiet_frames(pauses(mel), times), FADE_FRAMES).astype(np.float32)
    return gain, reasons


def check_missing(settings: SyncSettings, plan: Plan) -> None:
    """Raise NoFaceError for a frame without the face if `on_missing` is `fail`."""
    for idx, source in enumerate(plan.timeline.source if settings.on_missing == "fail" else ()):
        if plan.gain[idx] > 0.0 and not plan.faces.at(int(source)):
            raise NoFaceError(
                f"{plan.info.path}: the face is missing at {plan.skipped_s + plan.timeline.times[idx]:.2f} s"
                f" ({why_not(plan.faces, int(source))}); --on-missing keep passes such frames through"
            )

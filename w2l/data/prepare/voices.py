"""Further voices of a clip's speech: features of its pitch-shifted audio beside those of the recorded one."""

from dataclasses import dataclass, replace
from pathlib import Path

from w2l.cache.records import ClipRecord, PreprocessOutcome
from w2l.cache.store import Clip
from w2l.cache.voices import clear_voices, write_voice
from w2l.core.errors import CacheError, ConfigError, MediaError
from w2l.core.files import fingerprint
from w2l.core.timing import SAMPLES_PER_FRAME
from w2l.data.prepare.sounds import read_clip_audio, sound_features
from w2l.features.voices import shifted_stretch
from w2l.media.video import probe

VERSION = 1
"""Incremented when the same audio and settings would result in other features."""
MOST_SEMITONES = 12
"""Largest shift: one octave."""


@dataclass(frozen=True)
class VoiceSettings:
    """Further voices of every clip, for trainings with `augment.shifted_voice`."""

    semitones: tuple[float, ...] = ()
    """Pitch shifts such as [-3, 3], up to 12 down or up; each is stored as a further mel of every track. Empty: none
    are made, and those already stored stay."""

    def __post_init__(self) -> None:
        """Reject shifts that are no further voice."""
        if any(not 0 < abs(shift) <= MOST_SEMITONES for shift in self.semitones):
            shown = ", ".join(f"{shift:g}" for shift in self.semitones)
            raise ConfigError(
                f"voices.semitones must lie between -{MOST_SEMITONES} and {MOST_SEMITONES} and not be 0, which is the "
                f"recorded voice; got {shown}"
            )
        if len(set(self.semitones)) < len(self.semitones):
            raise ConfigError("voices.semitones names a shift twice; write each once")


def voices_ready(outcome: PreprocessOutcome, settings: VoiceSettings) -> bool:
    """Return whether the tracks of a clip have the voices that `settings` ask for."""
    return not (settings.semitones and outcome.tracks) or outcome.voices_mark == _mark(settings)


def write_voices(clip: Clip, path: Path, settings: VoiceSettings) -> ClipRecord:
    """Replace the voices of all tracks of a prepared clip, whose video is at `path`; return its new record.

    The clip counts as having none until all are written. The caller must hold the clip.
    """
    record = clip.record()
    outcome = replace(record.preprocess, voices=None, voices_mark=None)
    if outcome != record.preprocess:
        clip.write(record.noted(outcome))
    clear_voices(clip)
    wave = read_clip_audio(path, probe(path))
    if wave is None:
        raise MediaError(f"{path} has no audio any more; run w2l preprocess --force on it")
    kind = str((outcome.crop or {}).get("kind"))
    for number, track in enumerate(outcome.tracks):
        if track.first_frame is None:
            raise CacheError(f"clip {clip.id} was prepared by an older w2l; run w2l preprocess --force on it")
        first = track.first_frame * SAMPLES_PER_FRAME
        end = first + track.n_frames * SAMPLES_PER_FRAME
        for semitones in settings.semitones:
            sounds = sound_features(shifted_stretch(wave, first, end, semitones), kind)
            write_voice(clip, number, semitones, sounds)
    record = clip.record().noted(replace(outcome, voices=settings.semitones, voices_mark=_mark(settings)))
    clip.write(record)
    return record


def _mark(settings: VoiceSettings) -> str:
    return fingerprint("voices", VERSION, list(settings.semitones))

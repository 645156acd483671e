"""Batches for a generator: planning, a pure function of (seed, step), and loading of a process's share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2l.cache.crops import Crops
from w2l.core.errors import ConfigError
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.data.batches.augment import AugmentSettings, Look, augment_frames, draw_look
from w2l.data.batches.augment_sound import Sound, augment_mels, draw_semitones, draw_sound
from w2l.data.batches.near import Likeness, borrowed, nearest, resting
from w2l.data.batches.spans import NO_SPANS, Spans, clear_of
from w2l.data.batches.tracks import Tracks
from w2l.features.windows import SILENCE, expert_mel, generator_mels

MAX_REFERENCES = 4
NEAREST = 8
"""Number of most similar frames from which a near reference is drawn: no reference fits as well as the window."""
MOVING = 0.5
"""Share of near references that move along with the window, as `sync` shows consecutive references."""


@dataclass(frozen=True)
class GeneratorSampling:
    """Composition of a batch, and the inputs of the generator for each window."""

    batch_size: int = 16
    """Windows of five frames in the joint batch of all processes."""
    n_references: int = 1
    """Reference frames in addition to the masked one, 1 to 4."""
    references: Literal["still", "consecutive"] = "still"
    """A reference is one `still` frame, as at inference, or a moving window, as published."""
    distance: int = 1
    """Smallest distance of a reference from the window, in frames; short tracks use the farthest frame."""
    repeat: float = 0.0
    """Probability that all references are one and the same."""
    resting: float = 0.0
    """Share of windows whose references are taken from pauses in the speech, if there are any: closed mouths, which
    `sync` prefers."""
    near: float = 0.0
    """Share of windows whose references are chosen as in `sync`: among the frames of the clip, at least `distance`
    away, that are most similar in pose and in the lips that match its speech. Half of them are five frames that move
    along, the others a single frame."""
    stills: float = 0.0
    """Share of windows whose references come from a still of the clip, if its words contain one (`<still>`): an
    appearance of the person that speech does not show, such as a smile."""
    shuffle: float = 0.0
    """Probability that consecutive references are shuffled in time, so that their order carries no information."""
    apart: float = 0.0
    """How far each reference is moved relative to the window: a multiple of the shift, scale, turn, stretch, slant and
    bend of `augment`, so that the generator learns to fit a reference in another pose."""
    swap: float = 0.0
    """Share of windows that are given the speech of another window, mostly of another clip."""
    silence: float = 0.0
    """Share of windows that are given silence, digital or that of a room."""
    bilabials: float = 0.0
    """Share of windows drawn around a b, p or m, if the words of clips are known."""
    spread: float = 0.0
    """Share of windows for which a speaker is drawn first, with equal probability, then one of their clips."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Image and audio augmentation."""

    def __post_init__(self) -> None:
        """Reject settings that cannot make a batch."""
        if self.batch_size < 1 or self.distance < 1:
            raise ConfigError("batch_size and distance must be at least 1")
        if self.apart < 0:
            raise ConfigError(f"sampling.apart must be at least 0, got {self.apart:g}")
        if not 1 <= self.n_references <= MAX_REFERENCES:
            raise ConfigError(f"n_references must be 1 to {MAX_REFERENCES}, got {self.n_references}")
        if self.references not in ("still", "consecutive"):
            raise ConfigError(f"sampling.references {self.references!r} is unknown; choose still or consecutive")
        pairs = self.swap + self.silence, self.resting + self.near + self.stills
        shares = (self.repeat, self.shuffle, self.bilabials, self.spread, *pairs)
        alone = (self.swap, self.silence, self.resting, self.near, self.stills)
        if min(*shares, *alone) < 0 or max(shares) > 1:
            raise ConfigError(
                "repeat, shuffle, bilabials, spread, swap + silence and resting + near + stills must lie between 0 and"
                " 1"
            )


@dataclass(frozen=True)
class Draw:
    """One window of a batch."""

    track: int
    start: int
    """First frame."""
    references: tuple[tuple[int, ...], ...]
    """The five frames of each reference."""
    sound_track: int
    sound_start: int
    """Frame of the speech's own track from which it is taken."""
    silent: bool
    """Whether it is replaced by silence."""
    look: Look
    reference_looks: tuple[Look, ...]
    """Of each reference: that of the window, except for its geometry."""
    sound: Sound

    @property
    def own(self) -> bool:
        """Whether the faces are paired with their own audio."""
        return not self.silent and (self.track, self.start) == (self.sound_track, self.sound_start)


@dataclass(frozen=True)
class GeneratorBatch:
    """Windows for the generator."""

    target: NDArray[np.uint8]
    """(batch, frames, height, width, 3): the real faces."""
    reference: NDArray[np.uint8]
    """(batch, frames, height, width, 3 * references): other frames of the same clips."""
    mels: NDArray[np.float32]
    """(batch, frames, 80, 16): one window per frame."""
    expert_mels: NDArray[np.float32]
    """(batch, 80, 16): the expert's input for the five frames."""
    own: NDArray[np.bool_]
    """(batch,): whether the audio belongs to the faces."""
    silent: NDArray[np.bool_]
    """(batch,): whether their audio was replaced by silence."""
    clips: tuple[str, ...] = ()
    """The clip of each window, for messages."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.target)


def generator_batch(
    tracks: Tracks, sampling: GeneratorSampling, seed: int, step: int, spans: Spans = NO_SPANS
) -> GeneratorBatch:
    """Draw and load batch `step`; `spans`: annotated times of the clips."""
    return load_generator_batch(tracks, plan_generator_batch(tracks, sampling, seed, step, spans))


def plan_generator_batch(
    tracks: Tracks, sampling: GeneratorSampling, seed: int, step: int, spans: Spans = NO_SPANS
) -> list[Draw]:
    """Draw batch `step` of a generator's training."""
    rng = np.random.default_rng([seed, step])
    return [_draw(rng, tracks, sampling, spans) for _ in range(sampling.batch_size)]


def load_generator_batch(tracks: Tracks, plan: Sequence[Draw]) -> GeneratorBatch:
    """Load the windows of a plan."""
    targets, references = [], []
    for draw in plan:
        frames = tracks.frames(draw.track)
        targets.append(augment_frames(tracks.window(draw.track, draw.start), draw.look))
        shown = np.empty((*targets[-1].shape[:-1], len(draw.references), 3), np.uint8)
        for slot, (places, look) in enumerate(zip(draw.references, draw.reference_looks)):
            shown[..., slot, :] = augment_frames(_frames(frames, places), look)
        references.append(shown.reshape(*shown.shape[:-2], -1))
    heard = np.stack([sounds_of(tracks, draw) for draw in plan])
    own, silent = (np.array([getattr(draw, name) for draw in plan]) for name in ("own", "silent"))
    clips = tuple(tracks.names[draw.track] for draw in plan)
    return GeneratorBatch(
        np.stack(targets), np.stack(references), heard[:, :-1], heard[:, -1], own, silent, clips
    )  # fmt: skip


def sounds_of(tracks: Tracks, draw: Draw) -> NDArray[np.float32]:
    """Return the generator's mels for each of the five frames, then the expert's: (6, 80, 16)."""
    mel = tracks.mel(draw.sound_track, draw.sound.semitones)
    heard = np.concatenate([generator_mels(mel, draw.sound_start), expert_mel(mel, draw.sound_start)[None]])
    return augment_mels(np.full_like(heard, SILENCE) if draw.silent else heard, draw.sound)


def _frames(frames: Crops, places: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the frames at `places`; only one if they are all the same, so that it is augmented only once."""
    if len(set(places)) == 1:
        return np.asarray(frames[places[0] : places[0] + 1])
    return np.stack([np.asarray(frames[place : place + 1])[0] for place in places])


def _draw(rng: np.random.Generator, tracks: Tracks, s: GeneratorSampling, spans: Spans) -> Draw:
    track = _track(rng, tracks, s.spread)
    look, sound = draw_look(rng, s.augment), draw_sound(rng, s.augment)
    stills = spans.still_frames(tracks.names[track], tracks.spoken_from(track), int(tracks.lengths[track]))
    windows = clear_of(stills, int(tracks.counts[track]))
    start = _start(rng, tracks, track, windows, spans if rng.random() < s.bilabials else NO_SPANS)
    lot = rng.random()
    spoken = (track, start)
    other = int(rng.integers(0, len(tracks)))
    other_start = int(rng.integers(0, tracks.counts[other]))
    if lot < s.swap:
        spoken = (other, other_start)
    silent = s.swap <= lot < s.swap + s.silence
    kind = rng.random() if s.resting or s.near or s.stills else 1.0
    if s.resting <= kind < s.resting + s.near:
        references = _near(rng, s, tracks, _wanted(tracks, (track, start), spoken, silent), (track, start))
    else:
        pauses = _pauses(tracks, track, s) if kind < s.resting else None
        shown = stills if s.resting + s.near <= kind < s.resting + s.near + s.stills else None
        references = _references(rng, s, tracks, (track, start), pauses if shown is None else shown)
    looks = tuple(look.beside(rng, s.augment, s.apart) if s.apart else look for _ in references)
    sound = replace(sound, semitones=draw_semitones(rng, s.augment, tracks.voices(spoken[0])))
    return Draw(track, start, references, *spoken, silent, look, looks, sound)


def _track(rng: np.random.Generator, tracks: Tracks, spread: float) -> int:
    if spread and rng.random() < spread:
        speakers = tracks.of_speakers
        among = speakers[int(rng.integers(0, len(speakers)))]
        return int(among[int(rng.integers(0, len(among)))])
    return int(rng.integers(0, len(tracks)))


def _start(rng: np.random.Generator, tracks: Tracks, track: int, windows: NDArray[np.int64], spans: Spans) -> int:
    """Draw the first frame of a window, one of `windows`, around a bilabial if the clip has one."""
    known = spans.bilabials.get(tracks.names[track], ())
    if known:
        from_s, to_s = known[int(rng.integers(0, len(known)))]
        middle = rng.uniform(from_s, to_s) * FPS - tracks.spoken_from(track)
        wanted = round(middle - rng.uniform(0, WINDOW_FRAMES - 1))
        return int(windows[np.abs(windows - wanted).argmin()])
    return int(windows[int(rng.integers(0, len(windows)))])


def _pauses(tracks: Tracks, track: int, s: GeneratorSampling) -> NDArray[np.int64]:
    """Return the start frames of a track's references that show a pause in the speech."""
    return np.flatnonzero(tracks.silent(track)) + (WINDOW_FRAMES // 2 if s.references == "still" else 0)


def _references(
    rng: np.random.Generator, s: GeneratorSampling, tracks: Tracks, window: tuple[int, int],
    among: NDArray[np.int64] | None,
) -> tuple[tuple[int, ...], ...]:  # fmt: skip
    """Draw the five frames of each reference, `distance` away from the window (track, start) if there is room.

    They begin with frames of `among`, if given and if any is far enough away.
    """
    length = 1 if s.references == "still" else WINDOW_FRAMES
    allowed = _away(s, tracks, window, length)
    if among is not None and len(some := np.intersect1d(allowed, among)):
        allowed = some
    return _drawn(rng, s, allowed, length)


def _near(
    rng: np.random.Generator, s: GeneratorSampling, tracks: Tracks, wanted: Likeness, window: tuple[int, int]
) -> tuple[tuple[int, ...], ...]:
    """Draw the five frames of each reference from those most similar to `wanted`, as far away from the window."""
    moves = s.references == "consecutive" or rng.random() < MOVING
    length = WINDOW_FRAMES if moves else 1
    allowed = _away(s, tracks, window, length)
    return _drawn(rng, s, nearest(tracks.likeness(window[0]), wanted, allowed, length, NEAREST), length)


def _wanted(tracks: Tracks, window: tuple[int, int], spoken: tuple[int, int], silent: bool) -> Likeness:
    """Return the likeness wanted of a window (track, start) with the speech of the window `spoken`, or with silence."""
    own = tracks.likeness(window[0])
    if silent:
        return resting(own, window[1])
    if spoken == window:
        return own[window[1] : window[1] + WINDOW_FRAMES]
    return borrowed(own, window[1], tracks.likeness(spoken[0]), spoken[1])


def _away(s: GeneratorSampling, tracks: Tracks, window: tuple[int, int], length: int) -> NDArray[np.int64]:
    """Return the starts of `length` frames that lie `distance` away from a window, or as far as there is room."""
    track, start = window
    first = np.arange(int(tracks.lengths[track]) - length + 1)
    away = np.maximum(start - (first + length - 1), first - (start + WINDOW_FRAMES - 1))
    return first[away >= min(s.distance, int(away.max()))]


def _drawn(
    rng: np.random.Generator, s: GeneratorSampling, allowed: NDArray[np.int64], length: int
) -> tuple[tuple[int, ...], ...]:
    """Draw the references from start frames `allowed`: five frames each, one repeated, or `length` 5."""
    chosen = rng.choice(allowed, s.n_references, replace=len(allowed) < s.n_references)
    if rng.random() < s.repeat:
        chosen = np.full_like(chosen, chosen[0])
    found = []
    for place in chosen.tolist():
        frames = np.repeat(place, WINDOW_FRAMES) if length == 1 else np.arange(place, place + length)
        if rng.random() < s.shuffle:
            frames = rng.permutation(frames)
        found.append(tuple(int(frame) for frame in frames))
    return tuple(found)

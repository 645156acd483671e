"""Batches for an expert: planning, a pure function of (seed, step), and loading of a process's share."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from w2l.core.errors import ConfigError, TrainingError
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.augment import AugmentSettings, Look, augment_frames, draw_look
from w2l.data.batches.augment_sound import Sound, augment_mels, draw_semitones, draw_sound
from w2l.data.batches.loaders import share_of
from w2l.data.batches.tracks import Tracks


@dataclass(frozen=True)
class ExpertSampling:
    """Composition of a batch."""

    n_clips: int = 16
    """Clips in the joint batch of all processes."""
    per_clip: int = 8
    """Windows of each clip."""
    gap: int = WINDOW_FRAMES
    """Smallest distance, in frames, between windows of one clip, and so of off-sync pairs."""
    gap_from: int = 0
    """The gap at step 0, from which it falls to `gap`: pairs that are easy to distinguish come first; 0: as `gap`."""
    curriculum_steps: int = 0
    """Steps over which it falls."""
    max_silent: float = 1.0
    """Largest share of windows without speech in a clip's draw, where the clip has `per_clip` others the gap apart."""
    spread: bool = False
    """Draw speakers first, with equal probability, then one of their clips; otherwise clips with equal probability."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Image and audio augmentation."""

    def __post_init__(self) -> None:
        """Reject settings that cannot make a batch."""
        if self.per_clip < 2 or min(self.n_clips, self.gap) < 1:
            raise ConfigError(
                "n_clips and gap must be at least 1 and per_clip at least 2: off-sync pairs come from one clip"
            )
        if self.gap_from and self.gap_from < self.gap:
            raise ConfigError(f"gap_from {self.gap_from} is less than gap {self.gap}; set 0 to disable")
        if min(self.gap_from, self.curriculum_steps) < 0 or not 0 <= self.max_silent <= 1:
            raise ConfigError("gap_from and curriculum_steps must be at least 0, max_silent between 0 and 1")

    def gap_at(self, step: int) -> int:
        """Return the gap at `step`; clips that are too short use the largest gap that fits."""
        if not self.gap_from or step >= self.curriculum_steps:
            return self.gap
        return round(self.gap_from + (self.gap - self.gap_from) * step / self.curriculum_steps)


@dataclass(frozen=True)
class ExpertPlan:
    """The draw of the joint batch of all processes; window k belongs to clip ``k // per_clip``."""

    track: NDArray[np.int64]
    """(clips,)"""
    start: NDArray[np.int64]
    """(clips, per_clip): first frame of each window."""
    looks: tuple[Look, ...]
    """(clips,)"""
    sounds: tuple[Sound, ...]
    """(clips,)"""
    partner: NDArray[np.int64]
    """(batch,): for each window another one of the same clip, at least the gap away."""
    in_sync: NDArray[np.bool_]
    """(batch,): the paper's coin flip: pair the face with its own audio, or with its partner's."""
    silent: NDArray[np.bool_]
    """(batch,): windows without speech."""

    def clips_of(self, rank: int, n_ranks: int) -> range:
        """Return the clips that process `rank` of `n_ranks` loads."""
        return share_of(len(self.track), rank, n_ranks)


@dataclass(frozen=True)
class ExpertBatch:
    """Windows for the expert, several of each clip: those of one process, plus arrays of the joint batch."""

    faces: NDArray[np.uint8]
    """(own, frames, rows, width, 3): lower halves, or whole crops for a judge."""
    sounds: NDArray[np.float32]
    """(own, 80, 16) mel, or (own, 13, 20) MFCC for a judge; longer ones for windows of more than 5 frames."""
    own: NDArray[np.int64]
    """(own,): places of these windows in the joint batch."""
    partner: NDArray[np.int64]
    """(batch,): for each window another one of the same clip, at least the gap away."""
    in_sync: NDArray[np.bool_]
    """(batch,): the paper's coin flip: pair the face with its own audio, or with its partner's."""
    silent: NDArray[np.bool_]
    """(batch,): windows without speech."""


def plan_expert_batch(tracks: Tracks, sampling: ExpertSampling, seed: int, step: int) -> ExpertPlan:
    """Draw batch `step` of an expert's training: `per_clip` windows, at least the gap apart, of `n_clips` clips.

    Tracks too short for these windows are left out, and no track comes twice: with fewer than `n_clips` of them the
    batch is smaller. Raises TrainingError if there are none.
    """
    s, rng = sampling, np.random.default_rng([seed, step])
    roomy = np.flatnonzero(tracks.counts > s.gap * (s.per_clip - 1))
    if not len(roomy):
        raise TrainingError(
            f"none of {len(tracks)} tracks has room for {s.per_clip} windows {s.gap} frames apart (the longest has "
            f"{tracks.counts.max()} windows of {tracks.n_frames} frames); add longer clips, or reduce per_clip or gap"
        )
    n_clips = min(s.n_clips, len(roomy))
    chosen = _spread_tracks(rng, tracks, roomy, n_clips) if s.spread else rng.choice(roomy, n_clips, replace=False)
    starts, silent, looks, sounds = [], [], [], []
    for track in chosen.tolist():
        looks.append(draw_look(rng, s.augment))
        sound = draw_sound(rng, s.augment)
        sounds.append(replace(sound, semitones=draw_semitones(rng, s.augment, tracks.voices(track))))
        starts.append(_draw_starts(rng, s, tracks.silent(track), s.gap_at(step)))
        silent.append(tracks.silent(track)[starts[-1]])
    within = (np.arange(s.per_clip) + rng.integers(1, s.per_clip, (n_clips, s.per_clip))) % s.per_clip
    partner = (within + s.per_clip * np.arange(n_clips)[:, None]).ravel()
    in_sync = rng.random(n_clips * s.per_clip) < 0.5
    return ExpertPlan(
        np.asarray(chosen), np.stack(starts), tuple(looks), tuple(sounds), partner, in_sync, np.concatenate(silent)
    )


def load_expert_batch(tracks: Tracks, plan: ExpertPlan, rank: int = 0, n_ranks: int = 1) -> ExpertBatch:
    """Load the windows of process `rank` of `n_ranks`; raise TrainingError if there are fewer clips than processes."""
    clips, per_clip = plan.clips_of(rank, n_ranks), plan.start.shape[1]
    if len(plan.track) < n_ranks:
        raise TrainingError(
            f"{len(plan.track)} clips in a batch are too few for {n_ranks} processes; add clips, or use fewer processes"
        )
    faces = [_faces(tracks, int(plan.track[clip]), plan.start[clip].tolist(), plan.looks[clip]) for clip in clips]
    sounds = [sounds_of_clip(tracks, plan, clip) for clip in clips]
    own = np.arange(clips.start * per_clip, clips.stop * per_clip)
    return ExpertBatch(np.concatenate(faces), np.concatenate(sounds), own, plan.partner, plan.in_sync, plan.silent)


def expert_batch(
    tracks: Tracks, sampling: ExpertSampling, seed: int, step: int, rank: int = 0, n_ranks: int = 1
) -> ExpertBatch:
    """Draw batch `step` of an expert's training, and load the part of process `rank` of `n_ranks`."""
    return load_expert_batch(tracks, plan_expert_batch(tracks, sampling, seed, step), rank, n_ranks)


def sounds_of_clip(tracks: Tracks, plan: ExpertPlan, clip: int) -> NDArray[np.float32]:
    """Return the audio of the windows of one clip of a plan, all in one voice: (windows, bands, columns)."""
    track, sound = int(plan.track[clip]), plan.sounds[clip]
    heard = np.stack([tracks.heard(track, int(start), sound.semitones) for start in plan.start[clip]])
    return heard if tracks.for_judge else augment_mels(heard, sound)


def _faces(tracks: Tracks, track: int, starts: list[int], look: Look) -> NDArray[np.uint8]:
    """Return the augmented faces (windows, frames, rows, width, 3) of one clip."""
    cut = 0 if look.moves else tracks.first_row  # moved pixels may come from above the first row
    frames = np.concatenate([tracks.window(track, start)[:, cut:] for start in starts])
    changed = augment_frames(frames, look, tracks.first_row - cut)
    return changed.reshape(len(starts), tracks.n_frames, *changed.shape[1:])


def _spread_tracks(
    rng: np.random.Generator, tracks: Tracks, roomy: NDArray[np.int64], n_clips: int
) -> NDArray[np.int64]:
    """Choose `n_clips` tracks: one track of every speaker in random order, then the next round."""
    codes = tracks.rows.numbers("speaker")[roomy]
    order = rng.permutation(len(roomy))
    order = order[np.argsort(codes[order], kind="stable")]  # speaker by speaker, each one's tracks in random order
    speakers, first, counts = np.unique(codes[order], return_index=True, return_counts=True)
    turn = np.arange(len(order)) - np.repeat(first, counts)
    place = np.repeat(rng.permutation(len(speakers)), counts)
    return np.asarray(roomy[order[np.lexsort((place, turn))[:n_clips]]])


def _draw_starts(
    rng: np.random.Generator, sampling: ExpertSampling, silent: NDArray[np.bool_], gap: int
) -> NDArray[np.int64]:
    """Draw the starts of `per_clip` windows, at least the gap apart or as far as fits; in random order."""
    count = sampling.per_clip
    gap = min(gap, (len(silent) - 1) // (count - 1))
    starts = spread_starts(rng, count, len(silent), gap)
    if silent[starts].sum() > sampling.max_silent * count:
        voiced = spread_starts_among(rng, count, ~silent, gap)
        starts = starts if voiced is None else voiced
    return starts


def spread_starts(rng: np.random.Generator, count: int, n_starts: int, gap: int) -> NDArray[np.int64]:
    """Draw `count` window starts in [0, n_starts), any two at least `gap` apart; n_starts > gap * (count - 1)."""
    free = n_starts - gap * (count - 1)
    return np.asarray(rng.permutation(np.sort(rng.integers(0, free, count)) + gap * np.arange(count)))


def spread_starts_among(
    rng: np.random.Generator, count: int, allowed: NDArray[np.bool_], gap: int
) -> NDArray[np.int64] | None:
    """Run `spread_starts` on the starts that are `allowed` (starts,); return None if no such draw exists.

    Every possible set is equally likely: ``ways[j][i]`` counts the sets of j starts from start i on.
    """
    n_starts = len(allowed)
    ways = [np.ones(n_starts + gap)]
    for _ in range(count):
        following = np.zeros(n_starts + gap)
        following[:n_starts] = np.cumsum((allowed * ways[-1][gap:])[::-1])[::-1]
        ways.append(following)
    if not ways[count][0]:
        return None
    starts, begin = [], 0
    for left in range(count, 0, -1):
        # The first start is where the number of sets that begin later falls below a random share of all.
        remaining = ways[left][begin] * (1 - rng.random())
        place = int(np.searchsorted(-ways[left][:n_starts], -remaining, side="right")) - 1
        starts.append(place)
        begin = place + gap
    return np.asarray(rng.permutation(np.array(starts)))

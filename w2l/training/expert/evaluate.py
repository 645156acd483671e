"""Evaluation of an expert: how well it distinguishes in sync from off sync."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.errors import TrainingError
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks
from w2l.training.expert.pairing import Pairing
from w2l.training.scores import GAPS, SPANS, ScoredPairs, best_threshold, calibrate, score_summary

PAIR_SEED = 20
"""Seed of the off-sync partners: the same in every validation."""
MAX_SHIFT = 15
"""Largest offset that is tried, in frames, both ways."""
BATCH = 128
"""Number of windows per batch, from as many tracks as necessary."""
LONGEST = 1500
"""Windows of which all pairs are compared; longer tracks, over a minute, count as several clips."""
TrackPiece = tuple[int, int, int]
"""(track, first window, window after the last one)."""


def validation_scores(
    tracks: Tracks, pairing: Pairing, device: torch.device, gap: int = WINDOW_FRAMES
) -> dict[str, float]:
    """Return the `score_summary` of all windows, with threshold and calibration fitted on the same pairs."""
    pairs = score_pairs(tracks, pairing, device, gap)
    return score_summary(pairs, best_threshold(pairs), calibrate(pairs))


def score_pairs(tracks: Tracks, pairing: Pairing, device: torch.device, gap: int = WINDOW_FRAMES) -> ScoredPairs:
    """Compare all windows of all tracks: in sync, off sync by at least `gap` frames, and at each of `GAPS`.

    The network should be in eval mode. Tracks too short for a pair are left out; raises TrainingError if all are.
    """
    rng = np.random.default_rng(PAIR_SEED)
    columns: list[tuple[NDArray[np.generic], ...]] = []
    offsets: list[int] = []
    spans: dict[int, list[NDArray[np.int64]]] = {length: [] for length in SPANS}
    pieces = [piece for piece in _pieces(tracks) if piece[2] - piece[1] > gap]
    for (track, first, end), table in similarity_tables(tracks, pieces, pairing, device):
        faces, sounds = off_sync_partners(rng, len(table), gap)
        at_gap = np.stack([_at_gap(table, each) for each in GAPS], axis=1)
        voiced = tracks.voiced(track)[first:end]
        own = np.diagonal(table)
        columns.append((own[faces], table[sounds, faces], voiced[faces], at_gap[faces], np.full(len(faces), track)))
        offsets.append(best_offset(table, MAX_SHIFT))
        for length in SPANS:
            spans[length].append(span_offsets(table, length, MAX_SHIFT))
    if not columns:
        raise TrainingError(
            f"none of {len(tracks)} validation tracks has two windows {gap} frames apart; validate on longer clips"
        )
    in_sync, off_sync, voiced, gaps, of_track = (np.concatenate(column) for column in zip(*columns))
    found = {length: np.concatenate(parts) for length, parts in spans.items()}
    return ScoredPairs(in_sync, off_sync, voiced, gaps, of_track, tracks.speakers, np.array(offsets), found)


def similarity_tables(
    tracks: Tracks, pieces: Sequence[TrackPiece], pairing: Pairing, device: torch.device
) -> Iterator[tuple[TrackPiece, NDArray[np.float64]]]:
    """Yield for each piece of a track the similarities (sounds, faces) of all its windows, in order."""
    group: list[TrackPiece] = []
    for number, piece in enumerate(pieces):
        group.append(piece)
        if number + 1 < len(pieces) and sum(end - first for _, first, end in group) < BATCH:
            continue
        audio, face = embed_windows(tracks, group, pairing, device)
        lengths = [end - first for _, first, end in group]
        for done, sounds, faces in zip(group, torch.split(audio, lengths), torch.split(face, lengths)):
            yield done, pairing.similarity(sounds, faces).double().cpu().numpy()
        group = []


@torch.no_grad()
def embed_windows(
    tracks: Tracks, pieces: Sequence[TrackPiece], pairing: Pairing, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Embed the windows of all `pieces` in a row: (audio, face), each (windows, features)."""
    windows = [(track, start) for track, first, end in pieces for start in range(first, end)]
    parts: list[tuple[Tensor, Tensor]] = []
    for low in range(0, len(windows), BATCH):
        chosen = windows[low : low + BATCH]
        faces = np.stack([tracks.seen(track, start) for track, start in chosen])
        sounds = np.stack([tracks.heard(track, start) for track, start in chosen])
        parts.append(pairing.embed(to_device(faces, device), to_device(sounds, device)))
    return torch.cat([audio for audio, _ in parts]), torch.cat([face for _, face in parts])


def _pieces(tracks: Tracks) -> Iterator[TrackPiece]:
    for track, count in enumerate(tracks.counts.tolist()):
        for first in range(0, count, LONGEST):
            yield track, first, min(first + LONGEST, count)


def off_sync_partners(
    rng: np.random.Generator, n_windows: int, gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw for each face an audio window of the same clip at least `gap` frames away, uniformly: two of (pairs,).

    Faces without such audio are left out.
    """
    faces = np.arange(n_windows)
    before, after = np.clip(faces - gap + 1, 0, None), np.clip(n_windows - faces - gap, 0, None)
    faces = np.flatnonzero(before + after)
    drawn = rng.integers(0, (before + after)[faces])
    return faces, np.where(drawn < before[faces], drawn, drawn - before[faces] + faces + gap)


def _at_gap(table: NDArray[np.float64], gap: int) -> NDArray[np.float64]:
    """Return the similarity of each face with the audio `gap` frames later or, for every second one, earlier, (faces,).

    nan if there is neither.
    """
    faces = np.arange(len(table))
    side = np.where(faces % 2 == 0, gap, -gap)
    side = np.where(_inside(faces + side, table), side, -side)
    there = _inside(faces + side, table)
    return np.where(there, table[np.where(there, faces + side, 0), faces], np.nan)


def _inside(sounds: NDArray[np.int64], table: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (sounds >= 0) & (sounds < len(table))


def best_offset(table: NDArray[np.float64], max_shift: int) -> int:
    """Return the offset, in frames, with the best mean similarity in ``table[sound, face]``.

    Positive if the audio runs ahead of the picture, as in `w2l.scoring.metrics.sync`: face i then matches audio
    i - offset. Offsets of more than half the clip are not tried.
    """
    reach = min(max_shift, len(table) // 2)
    return max(range(-reach, reach + 1), key=lambda offset: float(np.diagonal(table, offset).mean()))


def span_offsets(table: NDArray[np.float64], length: int, max_shift: int) -> NDArray[np.int64]:
    """Return the best offset of each run of `length` faces for which the clip has all audio within `max_shift`.

    Sign as in `best_offset`; (runs,), which is empty for clips of fewer than ``length + 2 * max_shift`` windows.
    """
    faces = np.arange(max_shift, len(table) - max_shift)
    if len(faces) < length:
        return np.zeros(0, np.int64)
    shifts = np.arange(-max_shift, max_shift + 1)
    shifted = table[faces[None] - shifts[:, None], faces[None]]  # (shifts, faces)
    sums = np.cumsum(np.pad(shifted, ((0, 0), (1, 0))), axis=1)
    return np.asarray(shifts[np.argmax(sums[:, length:] - sums[:, :-length], axis=0)])


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return the array as a tensor on `device`."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)

"""Check of the training data before a long run: anything that prevents an expert from learning, in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2l.cache.index import Rows
from w2l.core.timing import WINDOW_FRAMES
from w2l.data.batches.tracks import Tracks
from w2l.training.expert.data_facts import MAX_LAG, TrackStatistics, missing_sound, track_statistics

SAMPLE = 200
"""Number of tracks that are examined."""
FEW_SPEAKERS = 20
"""With fewer speakers, an expert learns these people rather than lips."""
MAX_MISSING = 5.0
"""Frames by which audio and picture of a track may differ in length."""
LOW_CONTRAST = 3.0
"""Grey levels; crops that vary less do not show a face."""
USUAL_LAG = 2
"""Frames by which mouths may move before or after the audio in data that are in sync."""
CLEAR_LAG = 0.1
"""Smallest meaningful mean correlation of mouth and audio at the best lag; GRID has 0.24, shuffled 0.06."""


@dataclass(frozen=True)
class CheckFinding:
    """Result of one check."""

    severity: Literal["note", "warning", "error"]
    """`error`: no expert can be trained on these data; `warning`: may explain why nothing is learned."""
    name: str
    """The check, in one word."""
    figure: str
    """The finding, with its number."""
    advice: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.severity}: {self.figure}" + (f"; {self.advice}" if self.advice else "")


def check_data(
    tracks: Tracks, rows: Rows | None = None, gap: int = WINDOW_FRAMES, per_clip: int = 2, sample: int = SAMPLE,
    seed: int = 0,
) -> list[CheckFinding]:  # fmt: skip
    """Return what is unusual about the data, the worst first; at least one note on what was checked.

    Parameters
    ----------
    tracks : Tracks
        The training tracks. Lengths and speakers are checked in all, the content in at most `sample` of them.
    rows : Rows, optional
        Rows of the index, including those set aside by the audit: for the results of the audit.
    gap, per_clip : int
        Requirement on a track's length: `per_clip` windows, `gap` frames apart.
    seed : int
        Seed of the sample.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(tracks))[:sample]).tolist()
    facts = [track_statistics(tracks, track) for track in chosen]
    looked = "all" if len(facts) == len(tracks) else f"{len(facts)} of {len(tracks)}"
    found: list[CheckFinding | None] = [
        CheckFinding("note", "sample", f"examined {looked} tracks"),
        _lag(facts),
        _lengths(facts),
        _silence(facts),
        _silent_tracks(facts),
        _flat(facts),
        _stills(facts),
        _copies(facts),
        _speakers(tracks),
        _room(tracks, gap, per_clip),
        _audit(rows) if rows is not None else None,
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted((one for one in found if one), key=lambda finding: order[finding.severity])


def _share(count: int, of: Sequence[object]) -> str:
    return f"{count} of {len(of)} tracks ({count / max(len(of), 1):.0%})"


def _lag(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    """Find a shift of the whole data set, or that mouths and audio have no common rhythm."""
    curves = [one.lags for one in facts if one.lags is not None]
    if len(curves) < 5:
        return None
    mean = np.mean(curves, axis=0)
    lag, height = int(mean.argmax()) - MAX_LAG, float(mean.max())
    error = float(np.std(curves, axis=0).mean()) / len(curves) ** 0.5
    peaks = np.array(curves).argmax(axis=1) - MAX_LAG
    near = float((np.abs(peaks - lag) <= 1).mean())
    shown = f"mouths move with the audio at {lag:+d} frames (correlation {height:.2f}, {near:.0%} of tracks within 1)"
    if height < max(CLEAR_LAG, 4 * error):
        return CheckFinding(
            "warning", "lag", f"mouths do not move with the audio at any lag (best correlation {height:.2f})",
            "check whether clips have the audio of their speaker: play some, run w2l audit with a working expert",
        )  # fmt: skip
    if abs(lag) > USUAL_LAG:
        return CheckFinding(
            "error", "lag", shown, "audio and picture are out of sync in all of the data: run w2l audit"
        )
    return CheckFinding("note", "lag", shown)


def _lengths(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    missing = np.array([missing_sound(one) for one in facts])
    odd = int((np.abs(missing) > MAX_MISSING).sum())
    if not odd:
        return None
    worst = float(missing[np.abs(missing).argmax()])
    return CheckFinding(
        "warning", "lengths", f"audio and picture differ in length by more than {MAX_MISSING:.0f} frames in "
        f"{_share(odd, facts)}, by {worst:+.0f} frames at worst", "run w2l preprocess --force on these clips",
    )  # fmt: skip


def _silence(facts: Sequence[TrackStatistics]) -> CheckFinding:
    share = float(np.mean([one.silent_share for one in facts]))
    figure = f"{share:.0%} of the windows are silent"
    if share > 0.5:
        severity: Literal["warning", "error"] = "error" if share > 0.9 else "warning"
        return CheckFinding(severity, "silence", figure, "use clips with more speech, or reduce max_silent")
    return CheckFinding("note", "silence", figure)


def _silent_tracks(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    count = sum(one.silent_share == 1 for one in facts)
    if not count:
        return None
    return CheckFinding(
        "warning", "silent tracks", f"{_share(count, facts)} contain no speech at all",
        "check whether these clips have audio, then preprocess them again",
    )  # fmt: skip


def _flat(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    count = sum(one.contrast < LOW_CONTRAST for one in facts)
    if not count:
        return None
    severity: Literal["warning", "error"] = "error" if count > len(facts) / 2 else "warning"
    advice = "look at the crops; run w2l preprocess --force"
    return CheckFinding(severity, "flat crops", f"{_share(count, facts)} have crops of one colour", advice)


def _stills(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    count = sum(one.motion == 0 and one.contrast >= LOW_CONTRAST for one in facts)
    if not count:
        return None
    advice = "stills with a voice-over are useless for training: remove these clips"
    return CheckFinding("warning", "stills", f"{_share(count, facts)} show a picture that does not move", advice)


def _copies(facts: Sequence[TrackStatistics]) -> CheckFinding | None:
    """Find tracks that share their picture with another one, or their audio with a track of another clip."""
    pictures = Counter(one.picture for one in facts if one.contrast >= LOW_CONTRAST)
    clips_of: dict[str, set[str]] = {}
    for one in facts:
        clips_of.setdefault(one.sound, set()).add(one.name)
    copies = [one for one in facts if pictures[one.picture] > 1 or (one.sound and len(clips_of[one.sound]) > 1)]
    if not copies:
        return None
    return CheckFinding(
        "warning", "copies", f"{_share(len(copies), facts)} are copies of another one, such as {copies[0].name}",
        "remove copies: in one batch they are false negatives, across splits they inflate validation scores",
    )  # fmt: skip


def _speakers(tracks: Tracks) -> CheckFinding:
    names: Counter[str] = Counter(tracks.speakers)
    unknown = names.pop("", 0)
    if not names:
        return CheckFinding("note", "speakers", f"the speakers of {len(tracks)} tracks are unknown")
    commonest, count = names.most_common(1)[0]
    figure = f"{len(names)} speakers, {count / len(tracks):.0%} of the tracks by {commonest}"
    figure += f", {unknown} tracks of unknown ones" if unknown else ""
    if len(names) < FEW_SPEAKERS:
        return CheckFinding("note", "speakers", figure, "results on other faces will be poor: add speakers")
    return CheckFinding("note", "speakers", figure)


def _room(tracks: Tracks, gap: int, per_clip: int) -> CheckFinding | None:
    short = int((tracks.counts <= gap * (per_clip - 1)).sum())
    if not short:
        return None
    severity: Literal["note", "warning", "error"] = (
        "error" if short == len(tracks) else "warning" if short > len(tracks) / 2 else "note"
    )
    return CheckFinding(
        severity, "room", f"{short} of {len(tracks)} tracks are too short for {per_clip} windows {gap} frames apart",
        "they are left out: reduce per_clip or gap, or add longer clips",
    )  # fmt: skip


def _audit(rows: Rows) -> CheckFinding:
    """Summarise the audit as a histogram of offsets."""
    offsets, aside = rows.numbers("offset"), int((~rows.usable).sum())
    shifted = offsets[offsets != 0]
    if not len(shifted) and not aside:
        return CheckFinding(
            "note", "audit", "no track was shifted or set aside by an audit", "w2l audit looks for them"
        )
    counts = ", ".join(f"{offset:+d}: {count}" for offset, count in _histogram(shifted))
    figure = f"the audit shifted {len(shifted)} of {len(rows)} tracks and set {aside} aside"
    figure += f" (frames: tracks {counts})" if counts else ""
    if aside > len(rows) / 2:
        return CheckFinding("warning", "audit", figure, "audit with an expert that was trained on such faces")
    return CheckFinding("note", "audit", figure)


def _histogram(values: NDArray[np.int32]) -> list[tuple[int, int]]:
    distinct, counts = np.unique(values, return_counts=True)
    return list(zip(distinct.tolist(), counts.tolist()))

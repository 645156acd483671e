"""Assignment of clips to training and validation: by lists, else by a hash of the speaker, never by window.

Two clips of one speaker, programme or talk look alike, and a network that has seen one knows the other, so clips that
share a speaker go to the same side. The hash gives the same side in every run, and adding clips does not move the old
ones.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from w2l.core.files import fingerprint

VALIDATION_SHARE = 0.1
"""Share of the speakers, or else of the clips, used for validation if no list exists."""
FEWEST_SPEAKERS = 10
"""With fewer speakers than this, clips are divided instead: a tenth of three speakers is nobody."""
LARGEST_SPEAKER = 0.2
"""Share of all clips; a speaker with more always trains, as too little would be left."""
HELD_OUT = ("test", "unseen")
"""Splits that are used neither for training nor for validation."""
TRAINING = ("train", "pretrain")
"""Splits used for training."""


@dataclass(frozen=True)
class Division:
    """Assignment of clips to splits."""

    splits: Mapping[str, str]
    """Clip -> `train`, `val` or `test`; unused clips are not included."""
    by: str
    """Basis of the division: `lists`, `speaker` or `clip`."""
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each; to be logged as warnings."""

    def members(self, split: str) -> frozenset[str]:
        """Return the clips of one split."""
        return frozenset(clip for clip, own in self.splits.items() if own == split)


def hash_place(group: str) -> float:
    """Return the position in [0, 1) of a speaker's or clip's hash, the same in every run and on every machine."""
    return int(fingerprint(group)[:12], 16) / 16**12


def plan_splits(clips: Iterable[tuple[str, str, str]]) -> Division:
    """Divide (clip, split, speaker) into training and validation; a clip may come more than once.

    Existing splits are kept: with clips of both `train` (or `pretrain`) and `val`, these are used and unlisted clips
    are not; with only `val`, the unlisted clips train; otherwise all are divided, see `divide`. Clips of `test` and
    `unseen` are never used. With fewer than two clips to divide there is no validation split; the caller should refuse.
    """
    usable = {clip: (split, speaker) for clip, split, speaker in clips if split not in HELD_OUT}
    train = {clip for clip, (split, _) in usable.items() if split in TRAINING}
    val = {clip for clip, (split, _) in usable.items() if split == "val"}
    loose = usable.keys() - train - val
    if not (val and (train or loose)):
        return divide((clip, speaker) for clip, (_, speaker) in usable.items())
    notes = [f"{len(loose)} clips are not in any list and are not used"] if train and loose else []
    splits = dict.fromkeys(train or loose, "train") | dict.fromkeys(val, "val")
    return Division(splits, "lists", tuple(notes))


def divide(clips: Iterable[tuple[str, str]], val: float = VALIDATION_SHARE, test: float = 0.0) -> Division:
    """Divide (clip, speaker) by speaker: shares `val` and `test` of the speakers, by their hash, at least one each.

    A clip whose speaker is unknown (empty) counts as a speaker of its own. With fewer than FEWEST_SPEAKERS, clips are
    divided instead, and `notes` says so. A speaker moves only if it had been moved to fill an empty share and is no
    longer needed there, or if it grows above, or falls below, LARGEST_SPEAKER.
    """
    named = dict(clips)
    speakers = {clip: speaker and f"speaker {speaker}" for clip, speaker in named.items()}
    groups = {clip: speaker or f"clip {clip}" for clip, speaker in speakers.items()}
    n_known, notes = len(set(filter(None, speakers.values()))), []
    by = "speaker" if n_known else "clip"
    if len(set(groups.values())) < FEWEST_SPEAKERS and n_known:
        groups, by = {clip: f"clip {clip}" for clip in named}, "clip"
        notes.append(
            f"only {n_known} speakers, fewer than {FEWEST_SPEAKERS}: validation clips are chosen individually, from "
            "speakers that also train, so scores are too optimistic; add speakers, or a list val.txt of other speakers"
        )
    elif not n_known:
        notes.append(
            "speakers are unknown: validation clips are chosen individually, perhaps of speakers that also train; put "
            "each speaker's clips into a folder of their own, or add a list val.txt"
        )
    of_group = _of_groups(Counter(groups.values()), {"val": val, "test": test})
    return Division({clip: of_group.get(group, "train") for clip, group in groups.items()}, by, tuple(notes))


def _of_groups(sizes: Counter[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Return group -> split for groups that do not train: those whose hash falls into a share, or the next one."""
    n_clips = sizes.total()
    ranked = sorted((hash_place(group), group) for group, size in sizes.items() if size <= LARGEST_SPEAKER * n_clips)
    ranked = ranked or sorted((hash_place(group), group) for group in sizes)
    chosen: dict[str, str] = {}
    low = 0.0
    for split, share in shares.items():
        fallen = [group for place, group in ranked if low <= place < low + share and group not in chosen]
        if share and not fallen:
            fallen = [group for _, group in ranked if group not in chosen][:1]
        chosen |= dict.fromkeys(fallen[: len(sizes) - len(chosen) - 1], split)  # at least one group must train
        low += share
    return chosen

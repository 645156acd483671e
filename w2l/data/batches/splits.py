"""Which clips train and which validate: as the dataset says, else by a hash of who speaks. Never by window.

Two clips of one speaker, programme or talk look alike, and a network that has seen one knows the other: so clips that
share a speaker go to the same side. The hash makes it the same side in every run, and new clips leave the old ones
where they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from w2l.core.files import fingerprint

VALIDATION_SHARE = 0.1
"""Share of the speakers, else of the clips, that validates where no list says which."""
FEWEST_SPEAKERS = 10
"""With fewer speakers than this, clips are divided instead: a tenth of three speakers is nobody."""
LARGEST_SPEAKER = 0.2
"""Share of all clips; a speaker with more always trains, as little would be left."""
HELD_OUT = ("test", "unseen")
"""Splits that neither train nor validate."""
TRAINING = ("train", "pretrain")
"""Splits that train."""


@dataclass(frozen=True)
class Division:
    """Who trains and who validates."""

    splits: Mapping[str, str]
    """Clip -> `train`, `val` or `test`; clips that are not used are not in it."""
    by: str
    """What decided: `lists`, `speaker` or `clip`."""
    notes: tuple[str, ...] = ()
    """What a user should know of it, one sentence each; to be logged as warnings."""

    def members(self, split: str) -> frozenset[str]:
        """The clips of one split."""
        return frozenset(clip for clip, own in self.splits.items() if own == split)


def hash_place(group: str) -> float:
    """Where in [0, 1) the hash of a speaker's or clip's name falls, the same in every run and on every machine."""
    return int(fingerprint(group)[:12], 16) / 16**12


def plan_splits(clips: Iterable[tuple[str, str, str]]) -> Division:
    """Who trains and who validates of (clip, split, speaker); a clip may come more than once.

    Own splits are kept: with clips of both `train` (or `pretrain`) and `val`, these are used and clips on no list are
    not; with `val` alone, the clips on no list train; otherwise all are divided, see `divide`. Clips of `test` and
    `unseen` are never used. With fewer than two clips to divide nothing validates: the caller should refuse.
    """
    usable = {clip: (split, speaker) for clip, split, speaker in clips if split not in HELD_OUT}
    train = {clip for clip, (split, _) in usable.items() if split in TRAINING}
    val = {clip for clip, (split, _) in usable.items() if split == "val"}
    loose = usable.keys() - train - val
    if not (val and (train or loose)):
        return divide((clip, speaker) for clip, (_, speaker) in usable.items())
    notes = [f"{len(loose)} clips on no list are not used"] if train and loose else []
    splits = dict.fromkeys(train or loose, "train") | dict.fromkeys(val, "val")
    return Division(splits, "lists", tuple(notes))


def divide(clips: Iterable[tuple[str, str]], val: float = VALIDATION_SHARE, test: float = 0.0) -> Division:
    """Divides (clip, speaker) by speaker: shares `val` and `test` of the speakers, as their hash falls, at least one.

    A clip whose speaker is unknown (empty) counts as a speaker of its own. With fewer than FEWEST_SPEAKERS, clips are
    divided instead, and `notes` says so. A speaker moves only when the one that had to stand in for an empty share is
    no longer needed, or when it becomes larger, or no longer larger, than LARGEST_SPEAKER.
    """
    named = dict(clips)
    speakers = {clip: speaker and f"speaker {speaker}" for clip, speaker in named.items()}
    groups = {clip: speaker or f"clip {clip}" for clip, speaker in speakers.items()}
    n_known, notes = len(set(filter(None, speakers.values()))), []
    by = "speaker" if n_known else "clip"
    if len(set(groups.values())) < FEWEST_SPEAKERS and n_known:
        groups, by = {clip: f"clip {clip}" for clip in named}, "clip"
        notes.append(
            f"only {n_known} speakers, fewer than {FEWEST_SPEAKERS}: validation clips are chosen one by one, of "
            "speakers that also train, which flatters; add speakers, or a list val.txt of speakers that do not train"
        )
    elif not n_known:
        notes.append(
            "speakers are unknown: validation clips are chosen one by one, perhaps of speakers that also train; put "
            "each speaker's clips into a folder of their own, or add a list val.txt"
        )
    of_group = _of_groups(Counter(groups.values()), {"val": val, "test": test})
    return Division({clip: of_group.get(group, "train") for clip, group in groups.items()}, by, tuple(notes))


def _of_groups(sizes: Counter[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Group -> split, of the groups that do not train: in each share whose hash falls there, or the next one."""
    n_clips = sizes.total()
    ranked = sorted((hash_place(group), group) for group, size in sizes.items() if size <= LARGEST_SPEAKER * n_clips)
    ranked = ranked or sorted((hash_place(group), group) for group in sizes)
    chosen: dict[str, str] = {}
    low = 0.0
    for split, share in shares.items():
        fallen = [group for place, group in ranked if low <= place < low + share and group not in chosen]
        if share and not fallen:
            fallen = [group for _, group in ranked if group not in chosen][:1]
        chosen |= dict.fromkeys(fallen[: len(sizes) - len(chosen) - 1], split)  # somebody must train
        low += share
    return chosen

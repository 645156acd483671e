"""What the looks of a face cover, and what is missing among them; pure."""

import numpy as np

from w2l.syncing.memory.looks import Measures

WIDE = 0.2
"""Gap between the lips, in eye distances, of a wide vowel."""
SHUT = 0.05
"""Gap under which lips count as closed."""
TEETH = 0.5
"""Probability from which teeth show."""
FEW = 3
"""Looks of a kind under which it counts as missing."""
LEAST_LOOKS = 8
"""Looks of a face to choose from, at least: of fewer the choice is no better than chance."""


def is_seen_speaking(looks: Measures) -> bool:
    """Return whether the looks of a face show its mouth open and shut, so that there is something to choose from."""
    shut = int((looks.gap < SHUT).sum())
    return len(looks) >= LEAST_LOOKS and min(shut, len(looks) - shut) >= FEW


def coverage_of(looks: Measures) -> str:
    """Return how many looks there are, which openings and poses they cover, and what is missing."""
    low, high = np.percentile(looks.gap, [0, 100])
    across, down = np.ptp(looks.pose, axis=0)
    teeth = float((looks.teeth >= TEETH).mean())
    covers = (
        f"{len(looks)}, open by {max(low, 0):.2f} to {max(high, 0):.2f}, teeth in {teeth:.0%},"
        f" turned over {across:.2f} x {down:.2f}"
    )
    return "; ".join([covers, *missing_from(looks)])


def missing_from(looks: Measures) -> list[str]:
    """Return what the looks do not show, a clause for each."""
    found = []
    if (looks.gap > WIDE).sum() < FEW:
        found.append(f"no look with the mouth open by more than {WIDE}: wide vowels are made from narrower ones")
    if (looks.gap < SHUT).sum() < FEW:
        found.append("no look with closed lips: they are brought together from open ones")
    if (looks.teeth >= TEETH).sum() < FEW:
        found.append("no look with teeth")
    return found

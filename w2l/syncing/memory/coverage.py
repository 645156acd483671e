"""Describe the range of mouths among the looks of a face, and what is missing."""

import numpy as np

from w2l.syncing.memory.looks import Measures

WIDE = 0.2
"""Gap between the lips, in eye distances, of a wide vowel."""
SHUT = 0.05
"""Gap below which lips count as closed."""
TEETH = 0.5
"""Probability from which teeth count as visible."""
FEW = 3
"""Number of looks of a kind below which it counts as missing."""
LEAST_LOOKS = 8
"""Fewest looks of a face from which to choose; with fewer, the choice is no better than chance."""


def is_seen_speaking(looks: Measures) -> bool:
    """Return whether the looks of a face include its mouth open and closed, so that a choice is possible."""
    shut = int((looks.gap < SHUT).sum())
    return len(looks) >= LEAST_LOOKS and min(shut, len(looks) - shut) >= FEW


def coverage_of(looks: Measures) -> str:
    """Describe the number of looks, the openings and poses they cover, and what is missing."""
    low, high = np.percentile(looks.gap, [0, 100])
    across, down = np.ptp(looks.pose, axis=0)
    teeth = float((looks.teeth >= TEETH).mean())
    covers = (
        f"{len(looks)}, open by {max(low, 0):.2f} to {max(high, 0):.2f}, teeth in {teeth:.0%},"
        f" turned over {across:.2f} x {down:.2f}"
    )
    return "; ".join([covers, *missing_from(looks)])


def missing_from(looks: Measures) -> list[str]:
    """Return what is missing among the looks, as one clause each."""
    found = []
    if (looks.gap > WIDE).sum() < FEW:
        found.append(f"no mouth open by more than {WIDE}, so wide vowels are made from narrower ones")
    if (looks.gap < SHUT).sum() < FEW:
        found.append("no closed lips, so they are made from open ones")
    if (looks.teeth >= TEETH).sum() < FEW:
        found.append("no visible teeth")
    return found

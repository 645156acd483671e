"""Values that settings of measures choose among, importable without networks."""

from typing import Literal

BATCH = 20
"""Windows per batch, as in the published evaluation; it does not change the result.

On a CPU more does not help (80: 3 % more time per window), so clips need not share batches.
"""
FidRegion = Literal["face", "frame"]
"""Compared region: the box of the face, or the whole frame."""

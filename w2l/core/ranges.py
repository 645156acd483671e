"""Between which numbers settings lie: one table for all of them, by the name of the field.

What a name means is the same wherever it occurs. A dataclass refuses narrower contradictions itself; here it is seen to
that no number, whatever it is for, makes arrays without end, overflows, or turns a meaning round.
"""

import dataclasses
from typing import Any

from w2l.core.errors import ConfigError

Number = int | float
LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 1e6
"""Of a setting that is not named below; the least is 0."""
RANGES: dict[str, tuple[Number, Number]] = {
    # lags and odds, which have a sign
    "zero": (-250, 250),
    "min_odds": (-100, 100),
    "min_shift_odds": (-100, 100),
    "min_confidence": (-100, 100),
    "min_margin": (-100, 100),
    "bias": (-1e6, 1e6),
    "pads": (-4096, 4096),
    # windows and shifts, in frames
    "max_shift": (0, 250),
    "tolerance": (0, 250),
    "n_frames": (0, 250),
    "frames": (0, 250),
    "stride": (0, 100_000),
    # sizes of networks and crops
    "size": (0, 4096),
    "width": (0, 4096),
    "features": (0, 65_536),
    "embedding": (0, 65_536),
    "n_references": (0, 64),
    "n_scales": (0, 16),
    "extras": (0, 64),
    # how much is done at the same time
    "batch": (0, 65_536),
    "batch_size": (0, 65_536),
    "n_clips": (0, 65_536),
    "per_clip": (0, 65_536),
    "accumulate": (0, 65_536),
    "workers": (0, 1024),
    "validation_batches": (0, 1_000_000),
    "validation_tracks": (0, 1_000_000),
    # training, which itself ends where a loss is no number: what float32 holds
    "lr": (0, 3.4e38),
    "clip_norm": (0, 3.4e38),
    "weight_decay": (0, 3.4e38),
    # augmentation: probabilities and shares, angles, decibels
    "flip": (0, 1),
    "grey": (0, 1),
    "noise": (0, 1),
    "muffle": (0, 1),
    "room": (0, 1),
    "colour": (0, 10),
    "light": (0, 10),
    "paint": (0, 10),
    "gamma": (0, 10),
    "voice": (0, 10),
    "shift": (0, 1),
    "stretch": (0, 1),
    "hue": (0, 360),
    "turn": (0, 360),
    "gain_db": (0, 200),
    "tilt_db": (0, 200),
    "mask_bands": (0, 80),
    "mask_columns": (0, 1000),
}
"""Least and largest number of settings with these names; of a tuple, of each number in it."""


def check_ranges(settings: Any, prefix: str = "") -> None:
    """ConfigError where a field of a dataclass, or of one within it, holds a number outside its range.

    `prefix` stands before the names of the fields in the error.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{prefix}{field.name}.")
        else:
            _check(f"{prefix}{field.name}", field.name, value)


def _check(name: str, field: str, value: Any) -> None:
    if isinstance(value, (tuple, list)):
        for item in value:
            _check(name, field, item)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    least, most = RANGES.get(field, (0, LARGEST_INT if isinstance(value, int) else LARGEST_FLOAT))
    if not least <= value <= most:
        shown = f"{value:.6g}" if isinstance(value, float) or abs(value) < 10**15 else "a much larger number"
        raise ConfigError(f"{name} must lie between {least:.10g} and {most:.10g}, got {shown}")

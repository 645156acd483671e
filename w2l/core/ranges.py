"""Allowed ranges of numeric settings: one table for all of them, by the name of the field.

A name means the same wherever it occurs. Dataclasses refuse narrower contradictions themselves; this table ensures that
no number makes arrays without bound, overflows or reverses a meaning.
"""

import dataclasses
from typing import Any

from w2l.core.errors import ConfigError

Number = int | float
LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 1e6
"""Largest value of a setting that is not listed below; the smallest is 0."""
RANGES: dict[str, tuple[Number, Number]] = {
    # lags and log odds, which are signed
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
    "width": (0, 512),
    "features": (0, 65_536),
    "embedding": (0, 65_536),
    "n_references": (0, 64),
    "n_scales": (0, 16),
    "extras": (0, 64),
    # degrees of parallelism
    "batch": (0, 65_536),
    "batch_size": (0, 65_536),
    "n_clips": (0, 65_536),
    "per_clip": (0, 65_536),
    "accumulate": (0, 65_536),
    "workers": (0, 1024),
    "validation_batches": (0, 1_000_000),
    "validation_tracks": (0, 1_000_000),
    # training, which ends itself if a loss is not a number: what float32 can represent
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
    "shifted_voice": (0, 1),
    "semitones": (-12, 12),
    "shift": (0, 1),
    "stretch": (0, 1),
    "hue": (0, 360),
    "turn": (0, 360),
    "gain_db": (0, 200),
    "tilt_db": (0, 200),
    "mask_bands": (0, 80),
    "mask_columns": (0, 1000),
}
"""Smallest and largest value of the settings with these names; for a tuple, of each number in it."""


def check_ranges(settings: Any, prefix: str = "") -> None:
    """Raise ConfigError if a field of a dataclass, nested ones included, is outside its range.

    `prefix` precedes the field names in the error.
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

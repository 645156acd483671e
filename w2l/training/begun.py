"""Comparison of a run's original settings with the current ones: whether it may continue, and what differs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from w2l.core.files import fingerprint
from w2l.core.reading import Unreadable, parse_json, parse_yaml

MOST_NAMED = 6
"""Number of differences listed in an error."""
LONGEST = 40
"""Characters of a value shown in an error."""
NOTHING = "nothing"


def kept_text(identity: Mapping[str, Any]) -> str:
    """Return the settings that shape a run's steps, as text for its state."""
    return json.dumps(identity, sort_keys=True, default=str)


def is_longer(state: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether a finished run continues with more steps and otherwise the original settings.

    A state of w2l 0.2 does not store settings: a finished run is recognised by its number of steps.
    """
    steps, done = identity.get("loop", {}).get("steps"), state.get("step")
    if not isinstance(steps, int) or not isinstance(done, int) or steps <= done:
        return False
    return bool(state.get("identity") == fingerprint({**identity, "loop": {"steps": done}}))


def differences(state: Mapping[str, Any], config: str, identity: Mapping[str, Any], wanted: str) -> str:
    """Return the settings that differ, as ``loop.steps 20 -> 40, lr 0.001 -> 0.01``; empty if unknown.

    Taken from the state, else from the texts of the settings: `config`, as stored beside it, and `wanted`.
    """
    try:
        before, after = parse_json(str(state["begun"])), parse_json(kept_text(identity))
    except (KeyError, Unreadable):
        try:
            before, after = (next(iter(parse_yaml(text).values())) for text in (config, wanted))
        except (Unreadable, AttributeError, StopIteration):
            return ""
    old, new = dict(_flat(before)), dict(_flat(after))
    told = [f"{name} {_short(old, name)} -> {_short(new, name)}" for name in {**old, **new} if _differs(old, new, name)]
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return ", ".join(told[:MOST_NAMED]) + more


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by dotted names."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _differs(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> bool:
    return (name in old) != (name in new) or old[name] != new[name]


def _short(values: Mapping[str, Any], name: str) -> str:
    text = str(values[name]) if name in values else NOTHING
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

"""What a record claims of its output, and the id that follows from it: the same from the record as from the mark."""

import json
from collections.abc import Mapping
from typing import Any

from w2l.marks.code import record_id

CLAIMED = ("frames", "frames_passed_through", "fps", "duration_s", "crop", "hashes", "settings", "licences")
"""Keys of a record that its id depends on: all known before the first picture is drawn, and the same when resumed."""
UNCLAIMED_SETTINGS = ("batch",)
"""Settings that may change when a job is resumed."""
ALL = ("auto", "all")
"""Values of the setting `look_ahead` with which all of a video is analysed before drawing."""
TOOL = "w2l"


def id_of(record: Mapping[str, Any]) -> str:
    """Return the id, ten hexadecimal digits, of a record as a JSON object."""
    claims = {key: record.get(key) for key in CLAIMED}
    settings = claims["settings"]
    if isinstance(settings, Mapping):
        if settings.get("look_ahead", ALL[0]) not in ALL:  # the first picture is drawn before all faces are known
            claims["frames_passed_through"] = None
        claims["settings"] = {key: value for key, value in settings.items() if key not in UNCLAIMED_SETTINGS}
    return record_id(json.dumps(claims, sort_keys=True, default=str))


def tag_of(record: str) -> str:
    """Return the comment in a file's tags that says what it is."""
    return f"mouth redrawn by AI ({TOOL}), record {record}"


def id_in_tag(tag: str) -> str | None:
    """Return the record id in such a comment; None where there is none."""
    _, found, rest = tag.partition(f"({TOOL}), record ")
    digits = rest[:10]
    return digits if found and len(digits) == 10 and set(digits) <= set("0123456789abcdef") else None

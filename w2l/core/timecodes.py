"""Times as people write them: seconds, or a timecode (minutes:seconds, hours:minutes:seconds)."""

import re

NOT_A_TIME = "is not a time; write seconds such as 62.5, or a timecode such as 1:02.5 or 00:01:02"
"""What an error says of a text that `parse_seconds` refuses."""
SECONDS = re.compile(r"(-?)(\d+(?:\.\d*)?|\.\d+)s?")
TIMECODE = re.compile(r"(-?)(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")
BASE = 60
"""Seconds per minute, and minutes per hour; a place that is not the first one is smaller."""
LONGEST = 20
"""Characters of the longest text that is read as a time."""


def parse_seconds(text: str) -> float:
    """Return the seconds of ``62.5``, ``62.5s``, ``1:02.5`` or ``00:01:02.5``; raise ValueError for any other text."""
    said = text.strip()
    if len(said) <= LONGEST and said.isascii():
        if plain := SECONDS.fullmatch(said):
            sign, seconds = plain.groups()
            return _signed(sign, float(seconds))
        if timecode := TIMECODE.fullmatch(said):
            sign, hours, minutes, seconds = timecode.groups()
            if float(seconds) < BASE and (hours is None or int(minutes) < BASE):
                return _signed(sign, (int(hours or 0) * BASE + int(minutes)) * BASE + float(seconds))
    raise ValueError(f"{text!r} {NOT_A_TIME}")


def _signed(sign: str, seconds: float) -> float:
    return -seconds if sign else seconds

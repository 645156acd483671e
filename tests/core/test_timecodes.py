"""Times as people write them."""

import pytest

from w2l.core.timecodes import parse_seconds


@pytest.mark.parametrize(("text", "seconds"), [
    ("62.5", 62.5), ("62.5s", 62.5), (".5", 0.5), ("3.", 3.0), (" 7 ", 7.0), ("-3", -3.0),
    ("1:02.5", 62.5), ("00:00:01", 1.0), ("0:00.2", 0.2), ("1:00:00", 3600.0), ("90:00", 5400.0), ("-0:03", -3.0),
])  # fmt: skip
def test_seconds_and_timecodes(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "abc", "nan", "inf", "1e3", "1:60", "1:99:00", "1:2:3:4", ":5", "1:", "1,5", "٣", "1:-2", "9" * 400]
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write seconds such as"):
        parse_seconds(text)

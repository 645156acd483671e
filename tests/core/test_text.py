"""Numbers and names as text for people."""

import pytest

from w2l.core.text import counted, number, one_line, printable, readable, some


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (12.0, "12"), (0.00812, "0.00812"), (0.12345, "0.123"),
    (999.4, "999"), (1000, "1 000"), (-1234567.8, "-1 234 568"), (1e-5, "1e-05"),
])  # fmt: skip
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_names_are_one_printable_line() -> None:
    assert readable("a b\nc\x1b\udcff ü") == "a b\\nc\\x1b\\udcff ü"
    assert one_line(ValueError("  two\n\tlines  ")) == "two lines"


def test_only_some_of_many_names_are_said() -> None:
    assert some([]) == ""
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(iter(["a", "b\n", "c", "d", "e"])) == "a, b\\n, c and 2 more"
    assert some(["a", "b"], most=1) == "a and 1 more"


def test_counts_have_the_right_number() -> None:
    assert [counted(n, "face track") for n in (0, 1, 2)] == ["0 face tracks", "1 face track", "2 face tracks"]


def test_bytes_of_names_are_kept_where_programs_read_them() -> None:
    assert printable("a\tb\x1b\udcc3\nü") == "a    b\\x1b\\udcc3\nü"
    assert printable("a\tb\x1b\udcc3\udca9.mp4\nü\ud800", keep_bytes=True) == "a    b\\x1b\udcc3\udca9.mp4\nü\\ud800"

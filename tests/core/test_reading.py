"""Records, lists and settings by others: limits, one kind of error, and no traceback whatever they hold."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from w2l.cache.records import read_clip, read_output
from w2l.core import config
from w2l.core.errors import CacheError, ConfigError, TrainingError, W2LError
from w2l.core.files import check_writable
from w2l.core.reading import MAX_DEPTH, Unreadable, parse_json, parse_yaml, read_bytes, read_text, real_path
from w2l.core.text import one_line, printable
from w2l.data.sources.clip_lists import read_list
from w2l.data.sources.pairs import read_pair_list
from w2l.data.sources.tables import read_table
from w2l.data.sources.word_times import read_words
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard
from w2l.scoring.study.answers import read_answers
from w2l.training.run_log import read_lines

READERS: dict[str, tuple[Callable[[Path], Any], type[W2LError]]] = {
    "clip record": (read_clip, CacheError),
    "output record": (read_output, CacheError),
    "settings": (lambda path: config.load(CropSpec, "crop", path), ConfigError),
    "list": (read_list, ConfigError),
    "table": (read_table, ConfigError),
    "pairs": (read_pair_list, ConfigError),
    "words": (read_words, ConfigError),
    "answers": (lambda path: read_answers([path]), ConfigError),
    "log": (read_lines, TrainingError),
}
DEEP = 1_500
"""Lists within each other: far more than Python's stack holds."""


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("what", ["pipe", "folder", "loop", "huge", "null byte"])
def test_what_is_no_readable_file_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, what: str
) -> None:
    read, error = READERS[kind]
    path = tmp_path / "file"
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "huge":
            monkeypatch.setenv("W2L_MAX_TEXT_MEGABYTES", "0.001")
            path.write_text("a: 1\n" * 300_000)
        case "null byte":
            path = tmp_path / "a\0b"
    if kind == "clip record" and what in ("loop", "null byte"):
        assert read(path) == read(tmp_path / "missing")  # as where there is none
        return
    with pytest.raises(error):
        read(path)


@pytest.mark.parametrize("kind", ["clip record", "output record", "settings", "answers"])
@pytest.mark.parametrize("deep", ["[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP, "[" * 100 + "]" * 100])
def test_deep_nesting_is_an_error_of_the_file(tmp_path: Path, kind: str, deep: str) -> None:
    read, error = READERS[kind]
    path = tmp_path / "file.json"
    path.write_text(deep)
    with pytest.raises(error):
        read(path)


def test_nesting_is_bounded_for_all_texts() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for deep in ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "[" * DEEP):
        for parse in (parse_json, parse_yaml):
            with pytest.raises(Unreadable, match=r"nested|is not JSON"):
                parse(deep)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12)),
        "2025-13-01",
        "? [a, b]\n: c\n? {a: b}\n: d",
        "!!python/object/apply:os.system ['true']",
        "a: \x07",
    ],
)
def test_yaml_that_unfolds_or_is_damaged_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"settings.yaml cannot be read"):
        config.load(CropSpec, "crop", path)


def test_text_of_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "wide").write_bytes("a".encode("utf-16"))
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfa")
    with pytest.raises(Unreadable, match="UTF-16"):
        read_text(tmp_path / "wide")
    with pytest.raises(Unreadable, match="not UTF-8"):
        read_text(tmp_path / "latin")
    assert read_text(tmp_path / "marked") == "a"
    assert read_bytes(tmp_path / "latin") == b"\xe9"


@pytest.mark.parametrize(
    "change",
    [
        {"dimensions": 3}, {"dimensions": [["width", 2]]}, {"crop": "box"}, {"crop": {"size": "96"}}, {"fps": "fast"},
        {"crop": {"pads": [0, 0, 0]}}, {"scores": {"a": "b"}}, {"scores": [1]}, {"step": 1.5}, {"kind": ["generator"]},
        {"kind": None}, {"colour": {}}, {"schedule": {"sync": [1]}}, {"licence": {"a": 1}}, {"data": "a\0b"},
        {"fps": float("nan")}, {"scale": float("inf")}, {"unknown": 1},
    ],
)  # fmt: skip
def test_cards_with_wrong_types_are_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {"kind": "generator", "dimensions": {"width": 2}, "scores": {"val/lse": float("nan")}}
    assert config.build(ModelCard, good).scores.keys() == {"val/lse"}
    with pytest.raises(ConfigError):
        config.build(ModelCard, good | change)


def test_a_path_of_a_record_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"output": "a\0b", "video": "in.mp4", "speech": 3}))
    record = read_output(path)
    assert (record.output, record.video, record.speech) == (None, "in.mp4", None)


def test_a_path_that_leads_in_a_circle_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert real_path(tmp_path / "a").parent == tmp_path


def test_control_characters_do_not_reach_the_terminal() -> None:
    name = "a\x1b]0;owned\x07\x9b31m\r\u202eb\udcff"
    for text in (one_line(name), printable(name)):
        assert text.isprintable()
        assert text.startswith("a\\x1b]0;owned\\x07")
    assert printable("a\tb\nc") == "a    b\nc"


@pytest.mark.parametrize("what", ["folder", "long", "pipe", "below a file", "read-only"])
def test_where_no_file_can_be_written(tmp_path: Path, what: str) -> None:
    path = {"folder": tmp_path, "long": tmp_path / ("n" * 256), "read-only": Path("/proc/w2l.json")}.get(what)
    if what == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    if what == "below a file":
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "a"
    assert path is not None
    with pytest.raises(CacheError, match="cannot be written"):
        check_writable(path)


def test_asking_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder" / "a.json")
    check_writable(tmp_path / ("n" * 255))
    assert not list(tmp_path.iterdir())

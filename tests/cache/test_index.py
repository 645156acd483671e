"""The index: rows and columns agree, however selected, joined, written and read; audits that count, and stale ones."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2l.cache.index import Builder, Rows, TrackRow, Words, rows_of
from w2l.cache.records import ClipRecord, PreprocessOutcome
from w2l.cache.typed_json import from_json
from w2l.core.files import DAMAGED


def some_rows(n: int, seed: int = 0) -> list[TrackRow]:
    """Rows of a few splits and speakers, among them words that are no plain letters."""
    rng = np.random.default_rng(seed)
    words = ["", "train", "väl", "日本", "a/b c", "\udcff.mp4"]
    return [
        TrackRow(f"{words[k // 2 % 6]}/{k // 2}", k % 2, int(rng.integers(1, 9000)), int(rng.integers(1, 9000)),
                 words[int(rng.integers(3))], words[int(rng.integers(6))], int(rng.integers(-9, 9)),
                 words[int(rng.integers(2)) * 4])
        for k in range(n)
    ]  # fmt: skip


def saved(rows: Rows) -> bytes:
    file = io.BytesIO()
    rows.write(file)
    return file.getvalue()


@pytest.mark.parametrize("words", [[], [""], ["a"], ["", "", "b"], ["日本", "", "x" * 1000, "\udcff"]])
def test_words_are_kept(words: list[str]) -> None:
    kept = Words.of(words)
    assert list(kept) == words
    assert kept[:] == words
    with pytest.raises(IndexError):
        kept[len(words)]


@pytest.mark.parametrize("n", [0, 1, 50])
def test_rows_are_read_as_they_were_written(tmp_path: Path, n: int) -> None:
    expected = some_rows(n)
    path = tmp_path / "index.npz"
    path.write_bytes(saved(Rows.of(expected)))
    rows = Rows.read(path)
    assert list(rows) == expected
    assert rows == expected
    assert expected[:-1] == list(rows[:-1])
    assert [rows[k] for k in range(-n, 0)] == expected


def test_columns_are_those_of_the_rows() -> None:
    expected = some_rows(60)
    rows = Rows.of(expected)
    for name in ("track", "n_frames", "n_columns", "offset"):
        assert rows.numbers(name).tolist() == [getattr(row, name) for row in expected]
    for name in ("clip", "split", "speaker", "status"):
        words = [getattr(row, name) for row in expected]
        assert rows.words(name) == words
        assert rows.distinct(name) == sorted(set(words))
        assert rows.counts(name) == {word: words.count(word) for word in set(words)}
        assert list(rows.counts(name).values()) == sorted(rows.counts(name).values(), reverse=True)
        for asked in ((), ("",), ("train", "日本"), ("nowhere",)):
            assert rows.has(name, *asked).tolist() == [word in asked for word in words]
    assert rows.usable.tolist() == [not row.status for row in expected]


def test_selections_and_sums() -> None:
    expected = some_rows(40)
    rows = Rows.of(expected)
    mask = rows.numbers("n_frames") > 4000
    assert 0 < mask.sum() < 40
    assert rows.select(mask) == [row for row in expected if row.n_frames > 4000]
    assert rows.select(np.array([7, 3, 3])) == [expected[7], expected[3], expected[3]]
    assert rows[5:30:3] == expected[5:30:3]
    assert rows[5:9] + rows[:2] + Rows.of(some_rows(9, 1)) + Rows.of([]) == [
        *expected[5:9], *expected[:2], *some_rows(9, 1)
    ]  # fmt: skip
    assert rows != expected[:-1]
    assert rows != [*expected[:-1], expected[0]]
    order = {expected[k].clip: place for place, k in enumerate((30, 10, 20))}
    assert rows.of_clips(order) == [expected[k] for k in (30, 31, 10, 11, 20, 21)]


def test_equal_rows_make_equal_bytes() -> None:
    rows = Rows.of(some_rows(40))
    assert saved(rows[20:] + rows[:20]) == saved(rows.select(np.r_[20:40, 0:20])) != saved(rows)
    assert saved(Rows.of(list(rows[:7]))) == saved(rows[:7])


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.npz"
    with path.open("wb") as file:  # as before speakers, offsets and verdicts
        np.savez(file, clip=np.array(["a"]), track=np.array([0]), n_frames=[5], n_columns=[16], split=np.array([""]))
    with pytest.raises(DAMAGED):
        Rows.read(path)


def record(audit: dict[str, Any] | None, **facts: Any) -> ClipRecord:
    tracks = [{"n_frames": 30, "n_columns": 97}, {"n_frames": 40, "n_columns": 129}]
    stages: dict[str, Any] = {"preprocess": {"fingerprint": "p", "tracks": tracks, "crop": {"size": 96}}}
    return from_json(ClipRecord, {"stages": stages | ({"audit": audit} if audit else {}), **facts})


def test_records_of_older_versions_have_no_speaker_and_no_audit() -> None:
    assert [row for row, _ in rows_of("a", record(None))] == [
        TrackRow("a", 0, 30, 97, ""), TrackRow("a", 1, 40, 129, "")
    ]  # fmt: skip
    reason = from_json(ClipRecord, {"stages": {"preprocess": {"reason": "no face"}}})
    assert list(rows_of("a", ClipRecord())) == list(rows_of("a", reason)) == []
    found = list(rows_of("a", record(None, split="val", speaker="s1")))
    assert [(row.split, row.speaker, crop) for row, crop in found] == [("val", "s1", '{"size": 96}')] * 2


def mark_of(outcome: dict[str, Any]) -> str:
    return str(from_json(PreprocessOutcome, outcome).tracks_mark)


def test_an_audit_outlives_other_gates_that_keep_the_same_tracks() -> None:
    made = {"crops_mark": "c", "fingerprint": "p", "tracks": [{"first_frame": 0, "n_frames": 30, "quality": {}}]}
    mark = mark_of(made)
    assert mark_of({**made, "fingerprint": "other gates", "rejected": [{}]}) == mark
    others = [{**made, "crops_mark": "other crops"}, {**made, "tracks": []}, {**made, "tracks": made["tracks"] * 2}]
    others += [{**made, "tracks": [{"first_frame": 1, "n_frames": 30}]}, {"fingerprint": mark[:-1]}]
    assert mark not in map(mark_of, others)


SHIFTED, KEPT = {"verdict": "shifted", "offset": -3}, {"verdict": "kept", "offset": 1}
ASIDE = {"verdict": "set aside", "offset": 7, "reason": "unsure"}


@pytest.mark.parametrize(("audit", "offsets", "status"), [
    ({"of": "p", "tracks": [SHIFTED, KEPT]}, [-3, 0], ["", ""]),
    ({"of": "p", "tracks": [KEPT, ASIDE]}, [0, 0], ["", "unsure"]),
    ({"of": "p", "tracks": [{"verdict": "set aside"}, KEPT]}, [0, 0], ["set aside by the audit", ""]),
    ({"of": "older", "tracks": [SHIFTED, ASIDE]}, [0, 0], ["", ""]),
    ({"tracks": [SHIFTED, ASIDE]}, [0, 0], ["", ""]),
    ({"of": "p", "tracks": [SHIFTED]}, [0, 0], ["", ""]),
    ({"of": "p", "tracks": [SHIFTED] * 3}, [0, 0], ["", ""]),
    ({"of": "p"}, [0, 0], ["", ""]),
], ids=["shifted", "set aside", "no reason", "older crops", "unsigned", "too few", "too many", "none"])  # fmt: skip
def test_an_audit_counts_for_the_tracks_that_it_saw(
    audit: dict[str, Any], offsets: list[int], status: list[str]
) -> None:
    rows = [row for row, _ in rows_of("a", record(audit))]
    assert [row.offset for row in rows] == offsets
    assert [row.status for row in rows] == status


@pytest.mark.slow
def test_a_million_rows_open_in_seconds(tmp_path: Path) -> None:
    """The figures are in examples/benchmarks/data.py; here only that nothing is done a row at a time."""
    import time

    builder = Builder()
    for k in range(1_000_000):
        builder.add(TrackRow(f"main/{k // 40:07d}/{k % 40:05d}", 0, 75, 241, "train", f"{k // 40:07d}"), "{}")
    path = tmp_path / "index.npz"
    path.write_bytes(saved(builder.finish()))
    began = time.process_time()
    rows = Rows.read(path)
    assert rows.has("split", "train").all()
    assert rows[999_999].clip == "main/0024999/00039"
    assert time.process_time() - began < 3

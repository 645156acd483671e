"""Records of clips and outputs: what older versions wrote is read, and written again byte for byte."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from w2l.cache.records import (
    DONE,
    EXCLUDED,
    SHIFTED,
    UNUSABLE,
    AuditOutcome,
    ClipRecord,
    Measurements,
    OutputRecord,
    PreprocessOutcome,
    RejectedTrack,
    TrackRecord,
    TrackVerdict,
    read_clip,
    read_output,
    write_record,
)
from w2l.cache.typed_json import FileObject, from_json, to_json

KEPT_TEXTS = Path(__file__).with_name("records_of_0_1")
"""Records as the last commit of version 0.1 wrote them, but for the folders in their paths. `older.json` is by hand: as
before refused tracks were noted, with keys of stages and versions that this one does not know."""
CURRENT = ("shifted", "excluded", "refused", "unreadable")
BESIDE = KEPT_TEXTS / "output.w2l.json"


def clip(name: str) -> ClipRecord:
    return read_clip(KEPT_TEXTS / f"{name}.json")


def as_new(value: Any) -> Any:
    """The same as if it had never been in a file."""
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value) if one.name != "file_content"]
        return type(value)(**{name: as_new(getattr(value, name)) for name in names})  # type: ignore[operator]
    return tuple(map(as_new, value)) if isinstance(value, tuple) else value


def rewritten(folder: Path, record: ClipRecord | OutputRecord) -> bytes:
    write_record(folder / "record.json", record)
    return (folder / "record.json").read_bytes()


@pytest.mark.parametrize("name", [*CURRENT, "older"])
def test_clip_records_are_written_as_they_were_read(name: str, tmp_path: Path) -> None:
    assert rewritten(tmp_path, clip(name)) == (KEPT_TEXTS / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", CURRENT)
def test_new_clip_records_are_written_as_ever(name: str, tmp_path: Path) -> None:
    assert rewritten(tmp_path, as_new(clip(name))) == (KEPT_TEXTS / f"{name}.json").read_bytes()


def test_output_records_are_written_as_ever(tmp_path: Path) -> None:
    record = read_output(BESIDE)
    assert rewritten(tmp_path, record) == rewritten(tmp_path, as_new(record)) == BESIDE.read_bytes()


def test_the_facts_of_a_clip() -> None:
    record = clip("shifted")
    assert (record.id, record.source) == ("ann/puppet000", "/data/few/ann/puppet000.mp4")
    assert (record.frames, record.fps, record.size, record.sound) == (75, 25.0, (320, 240), "")
    assert (record.split, record.speaker) == ("", "")
    found = record.preprocess
    assert (found.outcome, found.gate, found.reason, found.store) == (DONE, None, None, "raw")
    assert [(track.first_frame, track.n_frames, track.n_columns) for track in found.tracks] == [
        (0, 38, 122), (38, 37, 119)
    ]  # fmt: skip
    assert [track.start_s for track in found.tracks] == [0.0, 1.52]
    assert found.tracks[0].quality is not None
    assert found.tracks[0].quality["face_px"] == 123.3165
    assert (found.crop or {})["kind"] == "aligned"


def test_verdicts_of_the_audit() -> None:
    shifted, excluded = clip("shifted"), clip("excluded")
    assert [(one.verdict, one.offset) for one in shifted.verdicts] == [(SHIFTED, 3)] * 2
    assert [one.verdict for one in excluded.verdicts] == [EXCLUDED] * 2
    assert excluded.verdicts[0].reason.startswith("unlike: best at +0 frames")
    assert shifted.audit.measured == excluded.audit.measured
    assert shifted.audit.of == shifted.preprocess.tracks_mark == "72ba39d4cb6d379e"


def test_verdicts_on_other_tracks_do_not_count() -> None:
    record = clip("shifted")
    other = record.noted(replace(record.preprocess, crops_mark="cut anew"))
    fewer = record.noted(replace(record.preprocess, tracks=record.preprocess.tracks[:1]))
    assert other.verdicts == (TrackVerdict(), TrackVerdict())
    assert fewer.verdicts == (TrackVerdict(),)
    assert clip("older").verdicts == (TrackVerdict(),)


def test_clips_that_cannot_be_used_say_why() -> None:
    refused, unreadable = clip("refused").preprocess, clip("unreadable").preprocess
    assert (refused.outcome, refused.gate) == (unreadable.outcome, "small face") == (UNUSABLE, "small face")
    assert (unreadable.gate, unreadable.tracks, unreadable.rejected) == ("unreadable", (), ())
    (track,) = refused.rejected
    assert (track.start_s, track.end_s, track.gate) == (0.0, 3.0, "small face")
    assert track.reason == "the face is 124 px wide, less than 140 px"


def test_an_older_record() -> None:
    record = clip("older")
    assert (record.split, record.fps, record.audit.is_empty) == (None, None, True)
    assert record.preprocess.tracks == (TrackRecord(75, 241),)
    assert record.preprocess.tracks_mark == "00aa00aa00aa00aa"


def test_what_is_not_changed_stays_as_it_was() -> None:
    before = json.loads((KEPT_TEXTS / "older.json").read_text())
    after = to_json(replace(clip("older"), split="val").noted(AuditOutcome(zero=1.0)))
    before["split"] = "val"
    before["stages"]["audit"] = {"zero": 1.0}
    assert after == before
    assert to_json(clip("older").noted(None))["stages"] == {"captions": before["stages"]["captions"]}


def test_a_new_outcome_replaces_the_old_one_whole() -> None:
    new = PreprocessOutcome("f", outcome=UNUSABLE, gate="no face", reason="nobody")
    assert to_json(clip("older").noted(new))["stages"]["preprocess"] == {
        "fingerprint": "f", "outcome": "set aside", "gate": "no face", "reason": "nobody", "tracks": [], "rejected": []
    }  # fmt: skip


def test_the_record_of_an_output() -> None:
    record = read_output(BESIDE)
    assert (record.output, record.model_name, record.stage) == ("/data/plain.mp4", "w2l", "sync")
    assert replace(record, settings=None).model_name == "/data/models/generator.safetensors"
    assert replace(record, settings={"model": ""}, model=None).model_name is None
    assert (record.frames, record.looked, record.model_step) == (76, False, 16124)


@pytest.mark.parametrize("content", [
    [], "odd", {"stages": []}, {"stages": {"preprocess": [], "audit": 3}},
    {"id": 5, "fps": float("nan"), "size": "big"},
], ids=str)  # fmt: skip
def test_values_of_another_type_count_as_not_there(content: Any) -> None:
    record = from_json(ClipRecord, content)
    assert record.preprocess.is_empty
    assert record.audit.is_empty
    assert (record.id, record.fps, record.size) == (None, None, None)
    kept = content if isinstance(content, dict) else {}
    assert json.dumps(to_json(record)) == json.dumps(kept)


@pytest.mark.parametrize("frames", [True, 2.5, 10**400, float("nan"), "12"])
def test_numbers_that_are_no_count_are_not_taken(frames: Any) -> None:
    assert from_json(TrackRecord, {"n_frames": frames}) == TrackRecord()
    assert from_json(TrackRecord, {"n_frames": 12.0}) == TrackRecord(n_frames=12)


def test_tracks_keep_their_places_beside_damaged_ones() -> None:
    found = from_json(PreprocessOutcome, {"tracks": [3, {"n_frames": 7}, None], "rejected": "x"})
    assert found.tracks == (TrackRecord(), TrackRecord(7), TrackRecord())
    assert found.rejected == ()
    measured = from_json(Measurements, {"tracks": [{"n_voiced": 1}, 2]})
    assert measured.tracks == ({"n_voiced": 1}, {})


KINDS = (
    ClipRecord,
    PreprocessOutcome,
    TrackRecord,
    RejectedTrack,
    AuditOutcome,
    TrackVerdict,
    Measurements,
    OutputRecord,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_records_are_frozen_and_start_empty(kind: Any) -> None:
    record = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.outcome = "other"
    assert from_json(kind, {}) == record
    assert not isinstance(record, FileObject) or record.file_content is None

"""What `sync` marks, `verify` reads and `mark` manages, by the command line."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.sync_runs import BOX_OPTION, SIZE, Run, one_line, pattern, pictures, same, support, write_pictures
from w2l.api.sync import sync_settings
from w2l.marks import verify as verifying
from w2l.media.video import probe

MASK = support(SIZE[1], SIZE[0])
MOST = 8
"""Grey levels by which the mark changes a sample, at most."""


def record(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.with_suffix(".w2l.json").read_text())
    return content


def made(sync: Run, name: str, *extra: object, **more: Any) -> Path:
    outcome = sync("-o", name, *extra, **more)
    assert outcome.status == 0, outcome.err
    return Path(name).absolute()


def test_a_marked_output_verifies(sync: Run, w2l: Run, tmp_path: Path) -> None:
    plain = made(sync, "plain.mkv")
    marked = made(sync, "out.mkv", "--mark", "full")
    away = [abs(one.y.astype(int) - other.y) for one, other in zip(pictures(marked), pictures(plain), strict=True)]
    assert 0 < max(change.max() for change in away) <= MOST
    assert all(20 * np.log10(255 / np.sqrt((change.astype(float) ** 2).mean())) >= 46.0 for change in away)
    assert all(np.array_equal(one.u, other.u) for one, other in zip(pictures(marked), pictures(plain)))
    seen = w2l("verify", marked, "--json")
    assert seen.status == 0, seen.err
    (verdict,) = json.loads(seen.out)
    kept = record(marked)
    assert [one["record"] for one in verdict["marks"]] == [kept["record_id"]]
    assert (verdict["tag"], verdict["record"]) == (kept["record_id"], "matches")
    assert kept["marked"] == "record, tag and imperceptible mark"
    assert kept["manifest"].startswith("none")  # mkv carries none


def test_all_is_marked_by_default_and_pictures_as_published_are_left_alone(w2l: Run) -> None:
    shown = w2l("settings", "sync", "--json")
    assert shown.status == 0
    assert "disclosure.mark" in shown.out
    assert w2l("sync", "--help").out.count("[full]") == 1
    assert sync_settings({}).disclosure.mark == "full"
    assert sync_settings({}, as_published=True).disclosure.mark == "record"
    assert sync_settings({"disclosure.mark": "full"}, as_published=True).disclosure.mark == "full"


def test_without_options_the_picture_is_marked(w2l: Run, media: Path, tmp_path: Path) -> None:
    given = (media / "clip.mp4", media / "speech.wav", "--model", media / "aligned.safetensors", "--box", BOX_OPTION)
    outcome = w2l("sync", *given, "--device", "cpu", "--crf", 0, "--preset", "ultrafast", "-o", tmp_path / "out.mkv")
    assert outcome.status == 0, outcome.err
    verdict = verifying.verify(tmp_path / "out.mkv")
    assert [one.record for one in verdict.marks] == [record(tmp_path / "out.mkv")["record_id"]]


def test_record_alone_leaves_the_picture_and_the_file_says_so(sync: Run, w2l: Run, media: Path) -> None:
    path = made(sync, "out.mp4", "--mark", "record")
    assert all(same(one, other, MASK) for one, other in zip(pictures(path), pictures(media / "clip.mp4")))
    seen = w2l("verify", path)
    assert seen.status == 0
    assert "picture: no mark" in seen.out
    assert f"tag: record {record(path)['record_id']}" in seen.out
    assert "it belongs to this file" in seen.out


def test_off_asks_for_words_and_the_record_says_so(sync: Run, w2l: Run) -> None:
    one_line(sync("-o", "out.mp4", "--mark", "off"), 2, "--i-disclose-otherwise", "--mark record")
    path = made(sync, "out.mp4", "--mark", "off", "--i-disclose-otherwise")
    with av.open(str(path)) as container:
        assert "comment" not in container.metadata
    assert "discloses the output in another way" in record(path)["marked"]
    assert record(path)["settings"]["disclosure"]["otherwise"] is True
    seen = w2l("verify", path)
    assert seen.status == 3
    assert "no mark found" in seen.out


def test_label_and_consent(sync: Run) -> None:
    plain = made(sync, "plain.mp4")
    path = made(sync, "out.mp4", "--label", "AI-dubbed", "--label-place", "top-left", "--consent", "by letter, 2 May")
    assert record(path)["settings"]["disclosure"]["consent"] == "by letter, 2 May"
    assert record(path)["record_id"] != record(plain)["record_id"]
    assert record(path)["licences"].keys() == {"model", "data", "data_licence"}
    for one, other in zip(pictures(path), pictures(plain), strict=True):
        rows, columns = np.nonzero(one.y != other.y)
        assert rows.max() < SIZE[0] // 2
        assert columns.min() < 20


def test_only_redrawn_stretches_are_marked(sync: Run, tmp_path: Path) -> None:
    """The last second of six, and the one before it; the rest is the source's, sample by sample."""
    video = write_pictures(tmp_path / "long.mp4", pattern(30), fps=5)
    path = made(sync, "out.mkv", "--mark", "full", "--fit", "video", "--start", "5", video=video)
    alike = [np.array_equal(one.y, other.y) for one, other in zip(pictures(path), pictures(video), strict=True)]
    assert alike == [True] * 20 + [False] * 10


def test_a_marked_output_as_input_is_said_to_be_marked_twice(sync: Run, w2l: Run, tmp_path: Path) -> None:
    video = write_pictures(tmp_path / "in.mp4", pattern(15, (288, 320)))  # in 120 rows, there is hardly room for two
    first = made(sync, "first.mkv", "--mark", "full", video=video)
    second = made(sync, "second.mkv", "--mark", "full", video=first)
    ids = {record(first)["record_id"], record(second)["record_id"]}
    assert len(ids) == 2
    seen = w2l("verify", second)
    assert all(one in seen.out for one in ids)
    assert "made more than once" in seen.out


def test_statuses_of_verify(w2l: Run, media: Path, tmp_path: Path) -> None:
    unmarked = w2l("verify", media / "clip.mp4")
    assert (unmarked.status, unmarked.err) == (3, "")
    one_line(w2l("verify", media / "junk.mp4"), 1, "junk.mp4")
    one_line(w2l("verify", "missing.mp4"), 1, "missing.mp4")
    both = w2l("verify", media / "clip.mp4", media / "junk.mp4")
    assert both.status == 1
    assert "no mark found" in both.out
    assert w2l("verify").status == 2
    assert json.loads(w2l("verify", media / "clip.mp4", "--json").out)[0]["is_marked"] is False


def write_key(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: float) -> tuple[Path, Path]:
    """Writes a certificate chain of that name, valid for so many days from yesterday or now on, and its key."""
    from w2l.marks import keys

    with monkeypatch.context() as patch:
        patch.setattr(keys, "LOCAL", name)
        patch.setattr(keys, "DAYS", days)
        texts = keys.make_local_key()
    paths = folder / "studio-chain.pem", folder / "studio-key.pem"
    for path, text in zip(paths, texts):
        path.write_text(text)
    return paths


class TestManifest:
    """With c2pa-python: MP4 files carry a signed manifest."""

    @pytest.fixture(autouse=True)
    def _keys(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install '.[provenance]'")
        monkeypatch.setenv("W2L_KEYS", str(tmp_path / "keys"))

    def test_it_is_signed_read_and_bound_to_every_bit(self, sync: Run, w2l: Run) -> None:
        path = made(sync, "out.mp4", "--mark", "full")
        assert record(path)["manifest"] == "w2l local key, self-signed on this machine"
        verdict = verifying.verify(path)
        assert (verdict.manifest.state, verdict.manifest.record) == ("untrusted", record(path)["record_id"])
        assert probe(path).n_frames == 25
        content = bytearray(path.read_bytes())
        content[content.rfind(b"mdat") + 3000] ^= 1
        changed = path.with_name("changed.mp4")
        changed.write_bytes(content)
        tampered = verifying.verify(changed)
        assert tampered.manifest.state == "invalid"
        assert "TAMPERED" in tampered.text()

    def test_key_is_shown_and_a_foreign_one_imported_or_refused(self, w2l: Run, tmp_path: Path) -> None:
        from w2l.marks.keys import make_local_key

        assert "nobody vouches for it" in w2l("mark", "key").out
        chain, key = make_local_key()
        other_chain, _ = make_local_key()
        for name, text in (("chain.pem", chain), ("key.pem", key), ("other.pem", other_chain), ("junk.pem", "junk")):
            (tmp_path / name).write_text(text)
        assert w2l("mark", "key", "--import", "chain.pem", "key.pem").status == 0
        assert (tmp_path / "keys" / "signing-key.pem").read_text() == key
        assert (tmp_path / "keys" / "signing-key.pem").stat().st_mode & 0o077 == 0
        one_line(w2l("mark", "key", "--import", "other.pem", "key.pem"), 2, "not that of the key")
        one_line(w2l("mark", "key", "--import", "junk.pem", "key.pem"), 2, "as PEM")
        one_line(w2l("mark", "key", "--import", "gone.pem", "key.pem"), 2, "gone.pem")

    def test_an_expired_certificate_is_refused_before_any_work_and_one_made_here_is_renewed(
        self, sync: Run, w2l: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from w2l.marks import keys

        expired = write_key(tmp_path, monkeypatch, "A studio", -0.5)
        one_line(w2l("mark", "key", "--import", *expired), 2, "the certificate is valid from")
        for name, path in zip(("signing-chain.pem", "signing-key.pem"), expired):
            (tmp_path / "keys").mkdir(exist_ok=True)
            (tmp_path / "keys" / name).write_text(path.read_text())
        one_line(sync("-o", "out.mp4", "--mark", "full"), 2, "the certificate is valid from")
        assert not Path("out.mp4").exists()
        monkeypatch.setattr(keys, "DAYS", -0.5)
        keys._keep(tmp_path / "keys", *keys.make_local_key())
        monkeypatch.undo()
        monkeypatch.setenv("W2L_KEYS", str(tmp_path / "keys"))
        assert keys.signing_key().is_local

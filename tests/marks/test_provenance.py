"""Manifests (C2PA): who signed, what a changed, cut or foreign file says, and what time does to a certificate."""

import time
from pathlib import Path

import pytest

from tests.marks.test_verify import RECORD, write
from w2l.core.errors import ConfigError
from w2l.marks import keys
from w2l.marks.claims import tag_of
from w2l.marks.provenance import Signature, check_key, read_manifest, sign
from w2l.marks.verify import verify

pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install '.[provenance]'")
SECOND = 1 / 86400
"""Days."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 2 s whose four pictures are not marked."""
    return write(tmp_path_factory.mktemp("plain") / "in.mp4", range(0), count=4)


def signed(path: Path, source: Path, record: str = RECORD) -> Path:
    """Gives a copy of the source a manifest that names that record."""
    path.write_bytes(source.read_bytes())
    assert sign(path, Signature(record, {"w2l": "1"}, {"video": "ab"}, source)) == keys.signing_key().subject
    return path


def test_the_signer_of_a_key_of_ones_own_is_named(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2L_KEYS", str(tmp_path / "keys"))
    monkeypatch.setattr(keys, "LOCAL", "A studio")
    keys._keep(tmp_path / "keys", *keys.make_local_key())
    monkeypatch.undo()
    monkeypatch.setenv("W2L_KEYS", str(tmp_path / "keys"))
    verdict = verify(signed(tmp_path / "out.mp4", plain))
    assert (verdict.manifest.state, verdict.manifest.signer) == ("untrusted", "A studio")
    assert "intact, signed by A studio, a certificate that no trust list vouches for" in verdict.text()
    assert verdict.is_marked


@pytest.mark.parametrize("name", ["in.avi", "in.mkv", "in.mov", "in.jpg", "in.wav", "in", "in.unknown"])
@pytest.mark.parametrize("content", ["video", "matroska", "junk", "cut", "empty"])
def test_a_source_that_is_not_what_its_name_says_is_an_ingredient(
    plain: Path, tmp_path: Path, name: str, content: str
) -> None:
    whole = plain.read_bytes()
    matroska = b"\x1aE\xdf\xa3" + bytes(4000)
    contents = {"video": whole, "matroska": matroska, "junk": b"x" * 4000, "cut": whole[:2000], "empty": b""}
    (tmp_path / name).write_bytes(contents[content])
    out = tmp_path / "out.mp4"
    out.write_bytes(whole)
    sign(out, Signature(RECORD, {"w2l": "1"}, {"video": "ab"}, tmp_path / name))
    assert read_manifest(out).state == "untrusted"


def test_a_certificate_that_has_expired_since_is_no_tampering(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2L_KEYS", str(tmp_path / "keys"))
    monkeypatch.setattr(keys, "DAYS", 3 * SECOND)
    path = signed(tmp_path / "out.mp4", plain)
    time.sleep(4)
    verdict = verify(path)
    assert verdict.manifest.state == "expired"
    assert verdict.is_marked
    assert "intact" in verdict.text()
    assert "a certificate that has expired" in verdict.text()
    content = bytearray(path.read_bytes())
    content[content.rfind(b"mdat") + 100] ^= 1
    path.write_bytes(content)
    assert read_manifest(path).state == "invalid"


def test_half_a_signed_file_is_damaged_and_says_so(plain: Path, tmp_path: Path) -> None:
    path = signed(tmp_path / "out.mp4", plain)
    path.write_bytes(path.read_bytes()[: -plain.stat().st_size // 3])
    verdict = verify(path)
    assert verdict.manifest.state == "invalid"
    assert not verdict.is_marked
    assert "TAMPERED OR DAMAGED" in verdict.text()


def test_the_manifest_of_another_file_does_not_fit(plain: Path, tmp_path: Path) -> None:
    """A forger adds the signed file's box to another."""
    path = signed(tmp_path / "out.mp4", plain)
    other = write(tmp_path / "other.mp4", range(0), count=5)
    content, strange = path.read_bytes(), other.read_bytes()
    begin = content.index(b"uuid") - 4
    box = content[begin : begin + int.from_bytes(content[begin : begin + 4], "big")]
    forged = tmp_path / "forged.mp4"
    forged.write_bytes(strange + box)
    verdict = verify(forged)
    assert verdict.manifest.state == "invalid"
    assert not verdict.is_marked


def test_a_file_signed_twice_names_the_last_record(plain: Path, tmp_path: Path) -> None:
    first = signed(tmp_path / "first.mp4", plain)
    second = signed(tmp_path / "second.mp4", first, "0123456789")
    manifest = read_manifest(second)
    assert (manifest.state, manifest.record) == ("untrusted", "0123456789")


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_container_without_room_for_a_manifest_keeps_its_tag(suffix: str, tmp_path: Path) -> None:
    if suffix == ".webm":
        path = tmp_path / "out.webm"
        path.write_bytes(b"")
    else:
        path = write(tmp_path / "out.mkv", range(0), count=4, comment=tag_of(RECORD))
    check_key(path)
    assert sign(path, Signature(RECORD, {}, {}, path)) == f"none: {suffix} files carry none"
    if suffix == ".mkv":
        verdict = verify(path)
        assert (verdict.manifest.state, verdict.tag) == ("none", RECORD)


def test_where_no_key_can_be_stored_the_file_has_no_manifest(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("W2L_KEYS", str(tmp_path / "file" / "keys"))
    path = tmp_path / "out.mp4"
    path.write_bytes(plain.read_bytes())
    check_key(path)
    assert "out.mp4 has no signed manifest" in caplog.text
    assert "the signing key cannot be stored" in sign(path, Signature(RECORD, {}, {}, plain))
    assert path.read_bytes() == plain.read_bytes()
    with pytest.raises(ConfigError, match=r"\$W2L_KEYS"):
        keys.signing_key()

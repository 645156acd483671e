"""The signed manifest of an output (C2PA): written and read by c2pa-python, where that is installed."""

import importlib.util
import io
import json
import logging
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from w2l.core.errors import MediaError
from w2l.core.files import Draft
from w2l.core.text import one_line
from w2l.marks.keys import KeyFolderError, signing_key
from w2l.marks.verdict import Manifest
from w2l.media.coded import read_coded

logger = logging.getLogger(__name__)

CARRIERS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
"""Endings of files that can carry a manifest."""
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for recorded pictures of which a trained model made a part."""
ASSERTION = "org.w2l.record"
"""The assertion that holds what the record claims."""
EXPIRED = "signingCredential.expired"
"""C2PA's word for a certificate that was valid when it signed."""
UNREAD = "application/octet-stream"
"""Media type of a source that is not read."""
THUMBNAIL = "thumbnail.jpg"
THUMBNAIL_WIDTH = 320
"""Pixels."""
EXTRA = "pip install 'w2l[provenance]' adds a signed manifest"


@dataclass(frozen=True)
class Signature:
    """What a manifest says, beside what it is bound to."""

    record: str
    """The record id."""
    versions: dict[str, str]
    """Of w2l and of what makes the pixels."""
    hashes: dict[str, str]
    """SHA-256 of the video, the speech and the model file."""
    source: Path
    """The video that was redrawn."""


def can_sign() -> bool:
    """Return whether manifests can be written and read here."""
    return all(importlib.util.find_spec(name) is not None for name in ("c2pa", "cryptography"))


def sign(output: Path, signature: Signature) -> str:
    """Give an output a manifest; return who signed it, or why it has none.

    Raises ConfigError for a key that cannot be used, MediaError where the file cannot be signed.
    """
    form = CARRIERS.get(output.suffix.lower())
    if form is None:
        logger.info("%s: %s files carry no manifest; mark and record remain", output, output.suffix)
        return f"none: {output.suffix} files carry none"
    if not can_sign():
        return f"none: c2pa-python is not installed ({EXTRA})"
    import c2pa

    try:
        key = signing_key()
    except KeyFolderError as error:
        return f"none: {error}"
    info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.key.encode(), None)
    draft = Draft(output)
    try:
        with c2pa.Signer.from_info(info) as signer, _builder(output, signature) as builder:
            builder.add_resource(THUMBNAIL, io.BytesIO(_thumbnail(output)))
            draft.create().close()
            with output.open("rb") as source, draft.temporary.open("r+b") as target:
                builder.sign(signer, form, source, target)
        draft.finish()
    except c2pa.C2paError as error:
        draft.discard()
        raise MediaError(
            f"{output}: the manifest cannot be signed ({one_line(error)}); import another key with w2l mark key, or use"
            " --mark record"
        ) from error
    return key.subject


def check_key(output: Path) -> None:
    """Raise ConfigError where the key that would sign an output cannot be used; warn where none can be stored."""
    if output.suffix.lower() not in CARRIERS or not can_sign():
        return
    try:
        signing_key()
    except KeyFolderError as error:
        logger.warning("%s has no signed manifest: %s", output, error)


def read_manifest(path: Path) -> Manifest:
    """Return what is known of the manifest of a file."""
    if not can_sign():
        return Manifest("unread", problem=f"c2pa-python is not installed; {EXTRA}")
    import c2pa

    try:
        with c2pa.Reader(str(path)) as reader:
            content, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError as error:
        absent = isinstance(error, (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported))
        return Manifest() if absent else Manifest("invalid", problem=one_line(error))
    active = content.get("manifests", {}).get(content.get("active_manifest"), {})
    signer = str((active.get("signature_info") or {}).get("common_name") or "")
    return _judged(active, signer, state, content.get("validation_status") or [])


def _judged(active: dict[str, Any], signer: str, state: str, problems: list[dict[str, Any]]) -> Manifest:
    """Return the manifest's state: what is wrong counts, but for the trust in its signer."""
    found = [one.get("data") or {} for one in active.get("assertions", []) if one.get("label") == ASSERTION]
    record = str(found[0].get("record", "")) if found else ""
    wrong = [str(one.get("code")) for one in problems if one.get("code") != "signingCredential.untrusted"]
    if state == "Invalid" and set(wrong) == {EXPIRED}:
        return Manifest("expired", signer, record)
    if state == "Invalid" and wrong:
        return Manifest("invalid", signer, record, ", ".join(dict.fromkeys(wrong)))
    if state == "Trusted":
        return Manifest("valid", signer, record)
    return Manifest("untrusted", signer, record)


def _manifest(output: Path, signature: Signature) -> dict[str, Any]:
    """Return the manifest's content: what was done, by what, with what."""
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": {"name": "w2l", "version": signature.versions.get("w2l", "unknown")},
        "description": "The speaker's mouth was redrawn by a generator to fit other speech.",
    }
    claims = {"record": signature.record, "hashes": signature.hashes, "versions": signature.versions}
    return {
        "claim_generator_info": [{"name": "w2l", "version": signature.versions.get("w2l", "unknown")}],
        "title": output.name,
        "thumbnail": {"format": "image/jpeg", "identifier": THUMBNAIL},
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [opened, edited]}},
            {"label": ASSERTION, "data": claims},
        ],
    }


def _thumbnail(output: Path) -> bytes:
    """Return the first picture of an output, small, as JPEG."""
    picture = next(read_coded(output)).picture
    coded: bytes = cv2.imencode(".jpg", picture.small_bgr(min(THUMBNAIL_WIDTH, picture.width)))[1].tobytes()
    return coded


def _builder(output: Path, signature: Signature) -> Any:
    """Return the builder of a manifest that names the source video by its hash.

    A source that is not what its name says, or is damaged, is named without being read: its own manifest is then lost.
    """
    import c2pa

    guessed = mimetypes.guess_type(signature.source.name)[0] or UNREAD
    builder = c2pa.Builder(_manifest(output, signature))
    try:
        _add_ingredient(builder, signature, guessed)
    except c2pa.C2paError as error:
        builder.close()
        logger.info("%s is not read for the manifest: %s", signature.source, one_line(error))
        builder = c2pa.Builder(_manifest(output, signature))
        _add_ingredient(builder, signature, UNREAD)
    return builder


def _add_ingredient(builder: Any, signature: Signature, form: str) -> None:
    """Add the source video to the manifest, identified by its hash; `form` is its media type."""
    ingredient = {
        "title": signature.source.name, "relationship": "parentOf", "label": "source",
        "description": f"sha256 {signature.hashes.get('video', '')}",
    }  # fmt: skip
    with signature.source.open("rb") as stream:
        builder.add_ingredient(json.dumps(ingredient), form, stream)

"""Disclosure in an output: the claims of its record, and the label and the mark in its pictures."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2l.cache.records import versions
from w2l.core.config import plain
from w2l.marks.claims import id_of
from w2l.marks.embed import Marker
from w2l.marks.label import make_label
from w2l.marks.provenance import Signature, sign
from w2l.marks.settings import Disclosure
from w2l.media.picture import Picture
from w2l.media.picture_files import is_pictures_output
from w2l.media.sequence import is_sequence, pictures_of
from w2l.models.card import data_licences
from w2l.models.checkpoint import ModelCard
from w2l.syncing.plan import Plan
from w2l.syncing.settings import SyncSettings

MARGIN_S = 1.0
"""Seconds before and after a redrawn picture that are also marked, so that the mark does not flicker."""
SAID = {
    "full": "record, tag and imperceptible mark",
    "record": "record and tag",
    "off": "record only: the user discloses the output in another way",
}
"""`Disclosure.mark` -> description of the marking of an output."""


def claims_of(settings: SyncSettings, plan: Plan, card: ModelCard, hashes: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a `SyncResult` from which its record id is computed; all are known before drawing."""
    return {
        "frames": len(plan),
        "frames_passed_through": plan.passed_through(),
        "fps": plan.timeline.fps,
        "duration_s": round(plan.timeline.end_s, 6),
        "crop": plan.spec.size,
        "hashes": hashes,
        "settings": settings,
        "licences": {"model": card.licence, "data": card.data, "data_licence": data_licences(card.data)},
    }


def record_id_of(claims: dict[str, Any]) -> str:
    """Return the record id, ten hexadecimal digits, of claims."""
    return id_of({**claims, "settings": plain(claims["settings"])})


def marked_frames(plan: Plan) -> NDArray[np.bool_]:
    """Return a mask (frames,) of the frames to mark: the redrawn ones and those within a second of one."""
    redrawn = np.array([plan.is_redrawn(idx) for idx in range(len(plan))])
    reach = round(MARGIN_S * plan.timeline.fps)
    totals = np.concatenate([np.zeros(reach + 1, np.int64), redrawn.cumsum(), np.full(reach, redrawn.sum())])
    return np.asarray(totals[2 * reach + 1 :] > totals[: len(redrawn)])


def marked_in_words(disclosure: Disclosure, output: Path) -> str:
    """Return what an output carries; pictures have no tag."""
    said = SAID[disclosure.mark]
    return (
        said.replace("record, tag", "record").replace("record and tag", "record")
        if is_pictures_output(output)
        else said
    )


def sign_output(disclosure: Disclosure, output: Path, video: Path, record: str, hashes: dict[str, str]) -> str:
    """Add the manifest to a finished output; return who signed it, or why it has none."""
    if disclosure.mark != "full":
        return f"none: --mark {disclosure.mark}"
    source = pictures_of(video)[0] if is_sequence(video) else video
    return sign(output, Signature(record, versions(), hashes, source))


class Finisher:
    """Adds label and mark to finished pictures.

    Parameters
    ----------
    disclosure : Disclosure
        What to add, and the text of the label.
    record : str
        The record id.
    plan : Plan
        The plan of the output; only redrawn sections are marked.
    """

    def __init__(self, disclosure: Disclosure, record: str, plan: Plan) -> None:
        width, height, depth = plan.info.width, plan.info.height, plan.info.colour.depth
        text, place = disclosure.label.strip(), disclosure.label_place
        self._label = make_label(text, place, width, height) if text else None
        self._marker = Marker(record, width, height, depth) if disclosure.mark == "full" else None
        self._marked = marked_frames(plan) if self._marker else np.zeros(0, np.bool_)

    def of(self, plan: Plan) -> "Finisher":
        """Return the finisher of another part of the same output."""
        part = copy.copy(self)
        part._marked = marked_frames(plan) if self._marker else np.zeros(0, np.bool_)
        return part

    def finished(self, picture: Picture, idx: int) -> Picture:
        """Return the output frame `idx` with label and mark, ready for encoding."""
        if self._label is not None:
            picture = cast(Picture, self._label.painted(picture))
        if self._marker is None or not self._marked[idx]:
            return picture
        return replace(picture, y=self._marker.marked(picture.y))

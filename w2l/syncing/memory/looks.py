"""Looks of a face: compressed crops with their measurements."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image

JPEG_QUALITY = 95
"""Quality of the stored crops; chroma is not subsampled, as it would bleed from lips to teeth."""

ELSEWHERE = 10_000
"""Distance in frame indices between looks of a video and looks joined from another one."""


@dataclass(frozen=True)
class Measures:
    """Measurements of the same face in several frames."""

    frame_idx: NDArray[np.int64]
    """(looks,): frame of the source, increasing."""
    pose: Floats
    """(looks, 2); see `w2l.syncing.reference_bank.poses_of`."""
    points: Floats
    """(looks, 6, 2): points of the lips, in sides of the aligned crop."""
    gap: Floats
    """(looks,): gap between the lips, in eye distances."""
    width: Floats
    """(looks,): width of the mouth, in eye distances."""
    teeth: Floats
    """(looks,): probability that teeth are visible."""
    covered: Floats
    """(looks,): probability that the lips are covered."""
    sharpness: Floats
    """(looks,): mean magnitude of the Laplacian of the lower half, in grey levels."""
    light: Floats
    """(looks, 3): mean RGB of the upper half, grey levels."""
    cells: NDArray[np.float32]
    """(looks, cells, 5): colour, texture and strokes of the lower half; see `w2l.syncing.memory.usual`."""

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self.frame_idx)

    def only(self, which: NDArray[np.int64]) -> "Measures":
        """Return some of the looks."""
        return Measures(**{one.name: getattr(self, one.name)[which] for one in fields(Measures)})


@dataclass(frozen=True)
class Looks:
    """The looks of one track."""

    measures: Measures
    sync: Floats
    """(looks, features): the expert's embedding of the frames around each look, unit vectors."""
    crops: tuple[bytes, ...]
    """Each crop as a JPEG file."""
    seen: Measures
    """Measurements of all examined frames, including those that are not looks."""

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self.crops)

    def crop(self, look: int) -> Image:
        """Return one crop, (size, size, 3) RGB."""
        return decompress(self.crops[look])

    def only(self, which: NDArray[np.int64]) -> "Looks":
        """Return some of the looks."""
        crops = tuple(self.crops[look] for look in which)
        return replace(self, measures=self.measures.only(which), sync=self.sync[which], crops=crops)


def merge_looks(base: Looks, others: Sequence[Looks]) -> Looks:
    """Return the looks of a face together with those of the same person from other videos."""
    end = int(base.seen.frame_idx.max(initial=0))
    parts = [base.measures]
    for other in others:
        begin = end + ELSEWHERE - int(other.measures.frame_idx.min(initial=0))
        parts.append(replace(other.measures, frame_idx=other.measures.frame_idx + begin))
        end = int(parts[-1].frame_idx.max(initial=end))
    whole = {one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Measures)}
    return Looks(
        measures=Measures(**whole),
        sync=np.concatenate([base.sync, *(other.sync for other in others)]),
        crops=base.crops + tuple(crop for other in others for crop in other.crops),
        seen=base.seen,
    )


def compress(crop: Image) -> bytes:
    """Return a crop (size, size, 3) RGB as a JPEG file."""
    how = [
        cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # fmt: skip
    return bytes(cv2.imencode(".jpg", crop[..., ::-1], how)[1])


def decompress(coded: bytes) -> Image:
    """Return the crop (size, size, 3) RGB of a JPEG file; raise ValueError if it is damaged."""
    image = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a look cannot be decoded")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)

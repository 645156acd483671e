"""A short video of generated samples: input, generated and real side by side, with the clip's own audio."""

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from w2l.cache.store import Cache, TrackRow
from w2l.core.errors import MediaError
from w2l.core.timing import FPS
from w2l.data.batches.tracks import first_frames
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.soundtrack import inspect_speech
from w2l.media.video import probe
from w2l.media.writer import VideoWriter

logger = logging.getLogger(__name__)
FACE_PX = 256
"""Approximate width of a face; it is enlarged by a whole number."""
TITLE_PX = 22
"""Height of the strip with the titles above the faces."""
GAP_PX = 6
"""Gap between two faces."""
CRF = 20
"""Quality of H.264: faces as sharp as they were generated, in about 100 kB for three seconds."""
INK = (230, 230, 230)


@dataclass(frozen=True)
class SourceSound:
    """Audio source of a sample."""

    path: Path
    """A media file with audio."""
    origin_s: float | None = None
    """Time in the file's clock of the first frame; None: its first sample."""


def sound_of(cache: Cache, row: TrackRow, frame: int = 0) -> SourceSound | None:
    """Return the audio for frame `frame` of a track as `Tracks` returns it; None if its source is missing.

    It lies in the clip's source, or in the file beside it that `preprocess` used for a source without audio. The offset
    found by an audit is applied: the audio is what the face says, not what the file plays with it.
    """
    record = cache.clip(row.clip).record()
    path = Path(record.sound or record.source or "")
    tracks = record.preprocess.tracks
    if not path.is_file() or row.track >= len(tracks):
        return None
    _, heard_from = first_frames(np.array([row.offset]))
    after_s = ((tracks[row.track].first_frame or 0) + int(heard_from[0]) + frame) / FPS
    try:
        first_s = inspect_speech(path, None, None).first_s
        return SourceSound(path, (first_s if record.sound else probe(path).start_s) + after_s)
    except MediaError as error:
        logger.warning("a sample video will be silent: %s", error)
        return None


def write_sample_video(
    path: Path, real: NDArray[np.uint8], generated: NDArray[np.uint8], sound: SourceSound | None = None,
    given: NDArray[np.uint8] | None = None, fps: float = FPS,
) -> None:  # fmt: skip
    """Write an MP4 (H.264) with input (if given), generated and real side by side, enlarged.

    Parameters
    ----------
    path : Path
        Ends in .mp4.
    real : (frames, height, width, 3)
        RGB.
    generated : (frames, rows, width, 3)
        Full height, or the bottom `rows`, which are shown below the real upper part.
    sound : SourceSound, optional
        Begins with the first frame and is cut at the end of the last one; without it the video is silent.
    given : (frames, height, width, 3), optional
        Inputs of the generator, such as the masked faces.

    Raises
    ------
    MediaError
        If it cannot be written, or the audio cannot be read.
    """
    panels = {"given": given, "generated": completed(generated, real), "real": real}
    shown = {name: faces for name, faces in panels.items() if faces is not None}
    if any(faces.shape != real.shape for faces in shown.values()):
        raise ValueError(f"expected faces {real.shape}, got {[faces.shape for faces in shown.values()]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    first = side_by_side({name: faces[0] for name, faces in shown.items()})
    output = Output(
        path, first.shape[1], first.shape[0], fps, speech=sound.path if sound else None,
        speech_origin_s=sound.origin_s if sound else None, until_s=len(real) / fps, encoding=Encoding(crf=CRF),
    )  # fmt: skip
    with VideoWriter(output) as writer:
        for idx in range(len(real)):
            writer.write(side_by_side({name: faces[idx] for name, faces in shown.items()}))


def completed(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return generated faces (frames, rows, width, 3) at full height, with the real ones' upper part if missing."""
    whole = np.array(real)
    whole[:, real.shape[1] - generated.shape[1] :] = generated
    return whole


def side_by_side(faces: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return one image (rows, columns, 3) of several faces (height, width, 3) RGB, enlarged, each below its title."""
    parts: list[NDArray[np.uint8]] = []
    for name, face in faces.items():
        height, width = face.shape[:2]
        scale = max(1, round(FACE_PX / width))
        large = cv2.resize(face, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
        strip = np.zeros((TITLE_PX, width * scale, 3), np.uint8)
        cv2.putText(strip, name, (4, TITLE_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
        gap = [np.zeros((TITLE_PX + len(large), GAP_PX, 3), np.uint8)] if parts else []
        parts += [*gap, np.concatenate([strip, large.astype(np.uint8)])]
    return np.concatenate(parts, axis=1)

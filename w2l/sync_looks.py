"""From `--reference` to what the generator copies looks from."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from w2l.errors import ConfigError, NoFaceError
from w2l.faces.crop import CropSpec, Image, cut, cut_from
from w2l.faces.detector import Detector
from w2l.faces.references import GivenLooks, OwnFrame, References, gather
from w2l.media.picture import Canvas
from w2l.media.timeline import play
from w2l.media.video import read_frames
from w2l.sync_plan import Plan
from w2l.training.checkpoint import ModelCard

AUTO, SAME = "auto", "same"


def references_for(wanted: str, plan: Plan, card: ModelCard, detector: Detector) -> References:
    """The references of a plan: `auto`, `same`, seconds of the video (`1.5,4`), or a picture file with a face.

    Raises ConfigError for what is none of these, NoFaceError where no face is to be seen there.
    """
    n_references = int(card.dimensions.get("n_references", 1))
    if wanted == SAME:
        return OwnFrame(n_references)
    if wanted == AUTO:
        return gather(partial(pictures_of, plan), plan.faces, plan.spec, plan.info.fps, n_references)
    seconds = _seconds(wanted)
    looks = _at(seconds, plan) if seconds is not None else [_portrait(Path(wanted), plan.spec, detector)]
    return GivenLooks(np.concatenate([looks[idx % len(looks)] for idx in range(n_references)], axis=-1))


def pictures_of(plan: Plan, wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
    """The index and the picture of each wanted frame of the source, indices rising."""
    indices = np.fromiter(wanted, dtype=np.int64)
    for frame_idx, frame in zip(indices, play(plan.info.path, plan.source_times, indices)):
        yield int(frame_idx), frame.picture


def _seconds(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return None


def _at(seconds: list[float], plan: Plan) -> list[Image]:
    """The crops of the first face at those times of the source."""
    end_s = float(plan.source_times[-1])
    looks = []
    for time_s in seconds:
        if not 0.0 <= time_s <= end_s + 0.5:
            raise ConfigError(f"--reference {time_s}: the video lasts {end_s:.2f} s; name a time within it")
        frame_idx = int(np.abs(plan.source_times - time_s).argmin())
        faces = plan.faces.at(frame_idx)
        if not faces:
            raise NoFaceError(f"{plan.info.path}: no face at {time_s} s to serve as reference; name another time")
        _, canvas = next(pictures_of(plan, [frame_idx]))
        looks.append(cut_from(canvas, faces[0].box, faces[0].points, plan.spec))
    return looks


def _portrait(path: Path, spec: CropSpec, detector: Detector) -> Image:
    """The crop of the surest face in a picture file."""
    if not path.is_file():
        raise ConfigError(f"--reference {path}: neither auto, same, seconds such as 1.5,4 nor a file that is there")
    image = next(read_frames(path)).image
    found = detector.detect([image])[0]
    if not found:
        raise NoFaceError(f"{path}: no face in this reference picture; name another")
    return cut(image, found[0].box, found[0].points, spec)

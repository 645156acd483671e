"""sync: a video and a speech -> the video with a mouth that says the speech."""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from stages.options import Common, common_options
from w2l import weights
from w2l.cache import Cache
from w2l.config import plain
from w2l.data.windows import nearest_frames
from w2l.device import choose
from w2l.errors import ConfigError, MediaError, NoFaceError
from w2l.faces.crop import CropSpec
from w2l.faces.detector import make_detector
from w2l.faces.following import Faces, fixed_face, follow, still_references
from w2l.faces.scanning import clip_for, scan_clip
from w2l.files import fingerprint, write_json
from w2l.lipsync import Cues, Redrawer, SyncSettings, mel_starts, speech_mel
from w2l.log import progress
from w2l.media.audio import read_audio
from w2l.media.playback import output_rate, play, play_at
from w2l.media.video import Frame, VideoInfo, probe, read_frames
from w2l.media.writer import VideoWriter
from w2l.silence import gate_silence
from w2l.timing import MIN_SPEECH_S, SAMPLE_RATE

logger = logging.getLogger(__name__)
STAGE = "sync"
SIDECAR = ".w2l.json"
"""Suffix of the record beside the output."""


@dataclass(frozen=True)
class Result:
    """What was made, and of what; also the content of the records."""

    output: Path
    video: Path
    speech: Path
    model: Path
    frames: int
    """Frames of the output."""
    frames_without_face: int
    """Those of them that passed through untouched."""
    fps: float
    duration_s: float
    """Of the output."""
    took_s: float
    """Seconds of work."""
    record: Path
    """Where the cache keeps this, for `score`."""
    settings: SyncSettings


def run(
    settings: SyncSettings,
    video: Path,
    speech: Path,
    output: Path,
    cache: Cache,
    device: str = "cpu",
    overwrite: bool = False,
) -> Result:
    """Writes `output`: `video` with a mouth that fits `speech`, as long as the speech lasts.

    All that is cheap is checked first. Raises MediaError, NoFaceError, CheckpointError or ConfigError.
    """
    began = time.monotonic()
    info = probe(video)
    _check(settings, info, speech, output, overwrite)
    model = weights.load(settings.model, "generator", cache, device)
    spec = model.card.crop if settings.box is None else replace(model.card.crop, pads=(0, 0, 0, 0))
    origin_s = info.start_s if speech.resolve() == video.resolve() else None
    mel, n_samples = _hear(speech, origin_s)
    faces, fps, frames = _watch(settings, info, spec, cache, device)
    starts = mel_starts(n_samples, mel.shape[1], fps, settings.alignment)
    references = {}
    if model.card.references == "still":
        n_references = int(model.card.dimensions.get("n_references", 1))
        references = still_references(read_frames(video), faces, spec, fps, n_references)
    cues = Cues(frames, faces, gate_silence(mel) if settings.silence == "close" else mel, starts)
    redrawer = Redrawer(model, spec, references, settings.blend, settings.batch)
    writer = VideoWriter(
        output, info.width, info.height, fps, speech=speech, speech_origin_s=origin_s, crf=settings.crf
    )
    with writer, progress(STAGE, len(starts)) as advance:
        for image in redrawer.redraw(cues):
            writer.write(image)
            advance()
    if cues.n_without_face:
        logger.warning("%d of %d frames have no face and stay as they are", cues.n_without_face, len(starts))
    result = Result(
        output=output.resolve(),
        video=video.resolve(),
        speech=speech.resolve(),
        model=model.path.resolve(),
        frames=len(starts),
        frames_without_face=cues.n_without_face,
        fps=fps,
        duration_s=len(starts) / fps,
        took_s=round(time.monotonic() - began, 2),
        record=cache.runs / f"{output.stem}-{fingerprint(str(output.resolve()))[:8]}.json",
        settings=settings,
    )
    for path in (output.with_suffix(SIDECAR), result.record):
        write_json(path, plain(result) | {"stage": STAGE, "model_step": model.card.step})
    return result


def _check(settings: SyncSettings, info: VideoInfo, speech: Path, output: Path, overwrite: bool) -> None:
    """Refuses what cannot end well, before any work."""
    if output.resolve() in (info.path.resolve(), speech.resolve()):
        raise ConfigError(f"{output} is an input, too; name another output with -o")
    if output.is_file() and not overwrite:
        raise ConfigError(f"{output} exists; overwrite it with -y or name another output with -o")
    VideoWriter(output, info.width, info.height, info.fps, speech=speech)  # looks at folder, ending and sound
    if settings.box is not None and (settings.box[2] > info.width or settings.box[3] > info.height):
        raise ConfigError(f"box {settings.box} does not lie in the picture of {info.width} x {info.height} px")


def _hear(speech: Path, origin_s: float | None) -> tuple[NDArray[np.float32], int]:
    """The mel of the speech, and its length in samples at 16 kHz."""
    wave = read_audio(speech, origin_s=origin_s)
    if len(wave) < MIN_SPEECH_S * SAMPLE_RATE:
        raise MediaError(
            f"{speech}: lasts {len(wave) / SAMPLE_RATE:.3f} s; name speech of at least {MIN_SPEECH_S} s, one window"
        )
    return speech_mel(wave), len(wave)


def _watch(
    settings: SyncSettings, info: VideoInfo, spec: CropSpec, cache: Cache, device: str
) -> tuple[Faces, float, Iterator[Frame]]:
    """Where the face is, the frame rate of the output, and the frames for it, without end."""

    def read() -> Iterator[Frame]:
        return read_frames(info.path)

    if settings.box is not None:
        fps = output_rate(info.fps)
        return fixed_face(settings.box), fps, play_at(read, fps)
    detector = make_detector(settings.detect.detector, device, settings.detect.min_face)
    clip = clip_for(cache, info.path)
    with progress("faces", info.n_frames or None) as advance:
        scan, _ = scan_clip(clip, info.path, detector, settings.detect, on_progress=lambda _total: advance())
    faces = follow(scan, spec.smooth_s)
    if not (faces.track >= 0).any():
        raise NoFaceError(
            f"{info.path}: no face in {scan.n_frames} frames; try --set detect.min_face=20, or give its --box"
        )
    fps = output_rate(info.fps, scan.fps)
    return faces, fps, play(read, nearest_frames(scan.times, fps))


@click.command(STAGE)
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("speech", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Result  [VIDEO's name with -synced.mp4, here]")
@click.option("--model", metavar="NAME|PATH", help="The generator: w2l (shipped), a run of the cache, or a file.")
@click.option("--box", metavar="X1,Y1,X2,Y2", help="The face's place in pixels, instead of detection.")
@click.option("--alignment", type=click.Choice(["training", "reference"]), help="What each frame hears  [training]")
@click.option("--blend", type=click.Choice(["soft", "hard"]), help="How the mouth is pasted  [soft]")
@click.option("--silence", type=click.Choice(["close", "model"]), help="The mouth in pauses  [close]")
@click.option("--crf", type=int, help="Quality, 0 (lossless) to 51  [18]")
@click.option("-y", "--overwrite", is_flag=True, help="Replace an existing result.")
@common_options
def command(
    video: Path, speech: Path, output: Path | None, box: str | None, overwrite: bool, common: Common, **given: str | int
) -> None:
    """Redraws the mouth in VIDEO so that it says SPEECH, any file with sound; prints where the result is.

    The result lasts as long as the speech; a shorter video starts again from its beginning. Frames without a face stay
    as they are.

    \b
    w2l sync in.mp4 speech.wav -o out.mp4
    w2l sync in.mp4 speech.wav --model wav2lip_gan.pth --alignment reference --blend hard --silence model
    """
    settings = common.settings(SyncSettings, STAGE, box=_parse_box(box), **given)
    output = output or Path(f"{video.stem}-synced.mp4")
    cache = Cache.open(common.cache, create=True)
    result = run(settings, video, speech, output, cache, str(choose(common.device)), overwrite)
    common.show(asdict(result), str(output))


def _parse_box(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box {text!r} must be four numbers x1,y1,x2,y2") from error

"""sync: a video and a speech -> the video with a mouth that says the speech."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from stages.batch import Outcome, run_all
from stages.options import Common, HeadedCommand, HeadedOption, common_options, setting
from w2l import weights
from w2l.cache import Cache
from w2l.config import plain
from w2l.device import choose
from w2l.errors import CacheError, ConfigError, MediaError
from w2l.faces.detector import Detector, make_detector
from w2l.files import fingerprint, read_json, source_fingerprint, write_json
from w2l.media.encoders import DEFAULT_CRF, DEFAULT_PRESET, Codec, Hardware
from w2l.media.unfinished import Unfinished
from w2l.media.video import probe
from w2l.sync_draw import Estimate, Watch, draw, estimate, make_parts, make_redrawer
from w2l.sync_plan import Plan, make_plan
from w2l.sync_record import sha256, versions
from w2l.sync_settings import Alignment, Blend, Extend, Fit, OnMissing, Silence, SyncSettings
from w2l.training.checkpoint import Model

logger = logging.getLogger(__name__)
STAGE = "sync"
VERSION = 1
"""Rises whenever the same settings would give other pixels, so that a long job is not resumed with them."""
SIDECAR = ".w2l.json"
"""Suffix of the record beside the output."""
PREVIEW_S = 1.0
"""Seconds that `--preview` makes."""


@dataclass(frozen=True)
class Result:
    """What was made, and of what; also the content of the records."""

    output: Path
    video: Path
    speech: Path
    model: Path
    frames: int
    """Frames of the output."""
    frames_passed_through: dict[str, int]
    """Those of them that stay as the source's, by reason."""
    faces: str
    """Which face was redrawn, and what else was seen."""
    looked: bool
    """Whether faces were looked for now; False: known from before, or the box was given."""
    references: str
    """What looks were copied from."""
    fps: float
    variable_rate: bool
    duration_s: float
    """Of the output."""
    took_s: float
    """Seconds of work."""
    timing: dict[str, float]
    """Those seconds by step; `first_frame` counts from the start to the first finished picture."""
    record: Path
    """Where the cache keeps this, for `score`."""
    settings: SyncSettings
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the video, the speech and the model file."""


def run(
    settings: SyncSettings,
    video: Path,
    speech: Path,
    output: Path,
    cache: Cache,
    device: str = "cpu",
    overwrite: bool = False,
    resume: bool = False,
    preview_s: float | None = None,
) -> Result:
    """Writes `output`: `video` with a mouth that fits `speech`.

    With `resume` a long job goes on behind its last finished part; with `preview_s` one second around that time is
    made. All that is cheap is checked first. Raises MediaError, NoFaceError, CheckpointError or ConfigError.
    """
    watch = Watch()
    _check(video, speech, output, overwrite, settings)
    if preview_s is not None and not preview_s >= 0.0:
        raise ConfigError(f"preview {preview_s} s is no time of the result; name one from 0 on")
    plan, model, detector = look(settings, video, speech, cache, device)
    logger.info("%s", plan.chosen)
    if preview_s is not None:
        plan = _around(plan, preview_s)
    parts = make_parts(settings, plan, output, _mark(settings, plan, model, device, preview_s), resume)
    watch.lap("look")
    redrawer = make_redrawer(settings, plan, model, detector)
    watch.lap("references")
    draw(plan, redrawer, parts, watch)
    watch.lap("draw")
    passed = plan.passed_through()
    if passed:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
        logger.info("%d of %d frames stay as they are: %s", sum(passed.values()), len(plan), told)
    result = Result(
        output=output.resolve(),
        video=video.resolve(),
        speech=speech.resolve(),
        model=model.path.resolve(),
        frames=len(plan),
        frames_passed_through=passed,
        faces=plan.chosen,
        looked=plan.scan_fresh,
        references=str(redrawer.references),
        fps=plan.timeline.fps,
        variable_rate=not plan.timeline.constant,
        duration_s=round(plan.timeline.end_s, 6),
        took_s=round(time.monotonic() - watch.began, 2),
        timing=watch.steps,
        record=cache.runs / f"{output.stem}-{fingerprint(str(output.resolve()))[:8]}.json",
        settings=settings,
        hashes={"video": sha256(video), "speech": sha256(speech), "model": sha256(model.path)},
    )
    content = plain(result) | {"stage": STAGE, "versions": versions(), "model_step": model.card.step}
    for path in (output.with_suffix(SIDECAR), result.record):
        write_json(path, content)
    return result


def look(settings: SyncSettings, video: Path, speech: Path, cache: Cache, device: str) -> tuple[Plan, Model, Detector]:
    """The plan of an output, the generator that draws it, and what finds faces."""
    info = probe(video)
    if settings.box is not None and (settings.box[2] > info.width or settings.box[3] > info.height):
        raise ConfigError(f"box {settings.box} does not lie in the picture of {info.width} x {info.height} px")
    model = weights.load(settings.model, "generator", cache, device)
    detector = make_detector(settings.detect.detector, device, settings.detect.min_face, cache.models)
    return make_plan(settings, info, speech, model.card.crop, cache, detector), model, detector


def try_out(settings: SyncSettings, video: Path, speech: Path, cache: Cache, device: str = "cpu") -> Estimate:
    """What `run` would do and how long it would take; writes nothing but the boxes in the cache."""
    plan, model, detector = look(settings, video, speech, cache, device)
    return estimate(settings, plan, make_redrawer(settings, plan, model, detector), model)


def _around(plan: Plan, preview_s: float) -> Plan:
    """The plan of the second around a time."""
    end_s = plan.timeline.end_s
    if preview_s > end_s:
        raise ConfigError(f"preview {preview_s:g} s lies behind the end of the result, {end_s:.2f} s")
    return plan.part(max(0.0, min(preview_s - PREVIEW_S / 2, end_s - PREVIEW_S)), PREVIEW_S)


def _mark(settings: SyncSettings, plan: Plan, model: Model, device: str, preview_s: float | None) -> str:
    """Changes when a half-done output could not be gone on with."""
    named = [Path(text) for text in (settings.face, settings.reference) if Path(text).is_file()]
    sources = [source_fingerprint(path) for path in (plan.info.path, plan.speech, model.path, *named)]
    # The batch changes no more than rounding does: a job that ran out of memory may go on with a smaller one.
    return fingerprint(STAGE, VERSION, plain(replace(settings, batch=1)), sources, device, preview_s)


def _check(video: Path, speech: Path, output: Path, overwrite: bool, settings: SyncSettings) -> None:
    """Refuses what cannot end well, before any work."""
    if output.resolve() in (video.resolve(), speech.resolve()):
        raise ConfigError(f"{output} is an input, too; name another output with -o")
    if output.is_file() and not overwrite:
        raise ConfigError(f"{output} exists; overwrite it with -y or name another output with -o")
    Unfinished(output, settings.encoding.codec)  # looks at folder and ending
    sidecar = output.with_suffix(SIDECAR)
    if sidecar.is_file() and not overwrite and (other := _output_in(sidecar)) not in (None, output.resolve()):
        raise ConfigError(f"{sidecar} is the record of {other}; overwrite it with -y or name another output with -o")


def _output_in(sidecar: Path) -> Path | None:
    """Which output a record tells of; None where it is damaged or none of ours."""
    try:
        return Path(str(read_json(sidecar)["output"]))
    except (CacheError, KeyError):
        return None


FACES, PICTURE, SOUND, OUTPUT, WORK = "Faces", "Picture", "Time and sound", "Output", "Work"
_set = partial(setting, SyncSettings)


@click.command(STAGE, cls=HeadedCommand)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="VIDEO... SPEECH")
@_set("face", "--face", heading=FACES, metavar="WHOM",
      help="Whose mouth: auto, largest, left, right, all, a number that `w2l detect` shows, x,y[@seconds] (a point in"
           " the face), or a picture of the person.")  # fmt: skip
@_set("box", "--box", heading=FACES, metavar="X1,Y1,X2,Y2", help="The face's place in pixels, instead of detection.")
@_set("on_missing", "--on-missing", heading=FACES, type=click.Choice(get_args(OnMissing)),
      help="Frames without the face: keep the source, hold its last place, or fail.")  # fmt: skip
@_set("start_s", "--start", heading=FACES, type=float, metavar="SECONDS", help="Redraw from here on.", default_text="0")
@_set("end_s", "--end", heading=FACES, type=float, metavar="SECONDS", help="Redraw up to here.", default_text="the end")
@_set("model", "--model", heading=PICTURE, metavar="NAME|FILE",
      help="The generator; `w2l weights` lists those that are there.")  # fmt: skip
@_set("blend", "--blend", heading=PICTURE, type=click.Choice(get_args(Blend)), help="How the mouth is pasted.")
@_set("reference", "--reference", heading=PICTURE, metavar="FROM",
      help="Where looks are copied from: auto (other frames of like pose), same (the frame itself, as published),"
           " seconds of the video such as 1.5,4, or a picture.")  # fmt: skip
@_set("silence", "--silence", heading=PICTURE, type=click.Choice(get_args(Silence)),
      help="The mouth in pauses: close it, show the source's, or whatever the model makes.")  # fmt: skip
@_set("alignment", "--alignment", heading=PICTURE, type=click.Choice(get_args(Alignment)),
      help="What each frame hears: as in training, or as the published inference.")  # fmt: skip
@_set("fit", "--fit", heading=SOUND, type=click.Choice(get_args(Fit)), help="What the length follows.")
@_set("extend", "--extend", heading=SOUND, type=click.Choice(get_args(Extend)),
      help="How a video shorter than the speech goes on.")  # fmt: skip
@_set("fps", "--fps", heading=SOUND, type=float, help="Frame rate.", default_text="the source's; 25 for a still")
@_set("keep_streams", "--keep-streams/--no-keep-streams", heading=SOUND, default=None,
      help="Copy the source's other sound and subtitle streams.", default_text="no")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), cls=HeadedOption, heading=OUTPUT,
              help="A file (.mp4, .m4v, .mov, .mkv, .webm) or a folder  [VIDEO-synced.mp4, here]")  # fmt: skip
@click.option("-y", "--overwrite", is_flag=True, cls=HeadedOption, heading=OUTPUT, help="Replace an existing result.")
@_set("encoding.codec", "--codec", heading=OUTPUT, type=click.Choice(get_args(Codec)), help="Of the picture.")
@_set("encoding.crf", "--crf", heading=OUTPUT, type=int, help="Quality: 0 is best, lower is larger.",
      default_text=f"{DEFAULT_CRF['h264']} for h264, alike for others")  # fmt: skip
@_set("encoding.preset", "--preset", heading=OUTPUT, help="The encoder's trade of time for size.",
      default_text=f"{DEFAULT_PRESET}, alike for others")  # fmt: skip
@_set("encoding.hardware", "--hardware", heading=OUTPUT, type=click.Choice(get_args(Hardware)),
      help="Encode on the graphics card where it can.")  # fmt: skip
@click.option("--preview", "preview_s", type=float, metavar="SECONDS", cls=HeadedOption, heading=WORK,
              help="Make only the second around this time, to look at settings.")  # fmt: skip
@click.option("--dry-run", is_flag=True, cls=HeadedOption, heading=WORK,
              help="Look and plan, try one second, print what would be done; write nothing.")  # fmt: skip
@click.option("--resume", is_flag=True, cls=HeadedOption, heading=WORK,
              help="Go on with an interrupted long job behind its last finished part.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, cls=HeadedOption, heading=WORK,
              help="Videos worked on at once.  [1]")  # fmt: skip
@common_options
def command(
    files: tuple[Path, ...],
    output: Path | None,
    overwrite: bool,
    preview_s: float | None,
    dry_run: bool,
    resume: bool,
    jobs: int,
    box: str | None,
    common: Common,
    **given: Any,
) -> None:
    """Redraws the mouth in VIDEO so that it says SPEECH; prints where the result is.

    VIDEO may be a still picture, SPEECH any file with sound, also a video. With several VIDEOs all say the same SPEECH
    and -o names a folder. Frames in which the face is not seen stay as they are; sound is copied where it can be.

    \b
    w2l sync in.mp4 speech.wav -o out.mp4
    w2l sync interview.mkv dub.m4a --face left --start 12 --end 47.5 --keep-streams -o dubbed.mkv
    w2l sync portrait.jpg speech.mp3 --model wav2lip-gan --preview 3
    """
    settings = common.settings(SyncSettings, STAGE, box=_parse_box(box), **given)
    videos, speech = _split(files)
    outputs = _outputs(videos, output, preview_s is not None)
    _check_apart(files, outputs)
    cache = Cache.open(common.cache, create=True)
    device = str(choose(common.device))
    if dry_run and len(videos) == 1:
        tried_one = try_out(settings, videos[0], speech, cache, device)
        common.show(asdict(tried_one), tried_one.text())
        return
    if dry_run:
        given_to = [(str(video), (settings, video, speech, cache, device)) for video in videos]
        tried = run_all(try_out, given_to)
        estimates = [outcome.result for outcome in tried if outcome.result is not None]
        common.show([asdict(one) for one in estimates], "\n\n".join(one.text() for one in estimates))
        _name_failures(tried)
        return
    if len(videos) == 1:
        result = run(settings, videos[0], speech, outputs[0], cache, device, overwrite, resume, preview_s)
        common.show(asdict(result), str(outputs[0]))
        return
    outputs[0].parent.mkdir(parents=True, exist_ok=True)
    tasks = [
        (str(video), (settings, video, speech, target, cache, device, overwrite, resume, preview_s))
        for video, target in zip(videos, outputs)
    ]
    outcomes = run_all(run, tasks, jobs, common.verbosity)
    done = [outcome.result for outcome in outcomes if outcome.result is not None]
    common.show([asdict(result) for result in done], "\n".join(str(result.output) for result in done))
    _name_failures(outcomes)


def _name_failures(outcomes: Sequence[Outcome[Any]]) -> None:
    """Ends with an error that names what failed, if anything did."""
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed:
        raise MediaError(f"{len(failed)} of {len(outcomes)} failed: {'; '.join(one.error for one in failed)}")


def _split(files: tuple[Path, ...]) -> tuple[list[Path], Path]:
    """Videos and the speech behind them."""
    if len(files) < 2:
        raise ConfigError("name a VIDEO and a SPEECH: w2l sync in.mp4 speech.wav -o out.mp4")
    return list(files[:-1]), files[-1]


def _outputs(videos: list[Path], output: Path | None, preview: bool) -> list[Path]:
    """Where each result goes."""
    names = [f"{video.stem}-{'preview' if preview else 'synced'}.mp4" for video in videos]
    if len(videos) == 1 and (output is None or not output.is_dir()):
        return [output or Path(names[0])]
    if len(set(names)) < len(names):
        raise ConfigError("two of the videos have the same name; sync them one by one, each with its own -o")
    folder = output or Path()
    if folder.suffix and not folder.is_dir():
        raise ConfigError(f"{len(videos)} videos need a folder, not {folder}; name one with -o")
    return [folder / name for name in names]


def _check_apart(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuses to write over any input of the call."""
    inputs = {path.resolve() for path in files}
    for path in outputs:
        if path.resolve() in inputs:
            raise ConfigError(f"{path} is an input, too; name another output with -o")


def _parse_box(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box {text!r} must be four numbers x1,y1,x2,y2") from error

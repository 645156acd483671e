"""sync: redraw the mouth of a video to match a speech."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import click

from stages.batch import name_failures, run_all
from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option, setting
from stages.types import FILE, SECONDS
from w2l.api.sync import sync, sync_settings
from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.data.sources.pairs import Order
from w2l.marks.settings import Layers, Place
from w2l.media.encoder_options import DEFAULT_PRESET
from w2l.media.encoding import DEFAULT_CRF, ChromaChoice, CodecChoice, Hardware
from w2l.media.sequence import is_sequence
from w2l.media.timeline import Extend
from w2l.syncing.cast import mixed_speech
from w2l.syncing.estimate import dry_run as try_job
from w2l.syncing.jobs import Job, everywhere, jobs_of_files, jobs_of_pairs
from w2l.syncing.record import STAGE
from w2l.syncing.run import run
from w2l.syncing.settings import Alignment, Blend, Fit, OnCovered, OnMissing, Silence, SyncSettings
from w2l.syncing.spool import is_stream, name_of, spooled_last
from w2l.syncing.tools import Tools, make_tools

PAIRS, FACES, PICTURE, SOUND, OUTPUT = "Pairs", "Faces", "Picture", "Time and sound", "Output"
DISCLOSURE = "Disclosure"
_set = functools.partial(setting, SyncSettings)


@click.command(STAGE, cls=HeadedCommand)
@click.argument("files", nargs=-1, type=FILE, metavar="VIDEO... SPEECH")
@option("--pairs", type=FILE, metavar="LIST", heading=PAIRS,
        help="A list with one video and its speech per line, instead of VIDEO... SPEECH; -o is a folder, which"
             " gets a file named after each video.")  # fmt: skip
@option("--pairs-order", type=click.Choice(get_args(Order)), default="auto", heading=PAIRS,
        help="Which comes first in a line: audio in lists of LRS2, LRS3, LRW; video in ReSyncED's.  [auto: judged"
             " by the names]")  # fmt: skip
@option("--root", type=FILE, metavar="FOLDER", heading=PAIRS,
        help="Folder that names in the list are relative to.  [the list's folder]")  # fmt: skip
@_set("face", "--face", heading=FACES, metavar="WHOM", multiple=True,
      help="Which face: auto, largest, left, right, all, a number shown by `w2l detect`, x,y[@seconds] (a point in"
           " the face), or a picture of the person.")  # fmt: skip
@option("--speech", "speeches", type=FILE, metavar="FILE", multiple=True, heading=FACES,
        help="Speech of the --face before it: --face left --speech a.wav --face right --speech b.wav. The output gets"
             " the audio mixed, or that of SPEECH if it is given.")  # fmt: skip
@_set("box", "--box", heading=FACES, metavar="X1,Y1,X2,Y2", help="Position of the face in pixels; skips detection.")
@_set("on_missing", "--on-missing", heading=FACES, type=click.Choice(get_args(OnMissing)),
      help="Frames without the face: keep the source, hold the last position, or fail.")  # fmt: skip
@_set("on_covered", "--on-covered", heading=FACES, type=click.Choice(get_args(OnCovered)),
      help="Frames with something in front of the mouth: keep the source, or redraw anyway.")  # fmt: skip
@_set("start_s", "--start", heading=FACES, type=SECONDS, metavar="TIME", help="Redraw from here on.", default_text="0")
@_set("end_s", "--end", heading=FACES, type=SECONDS, metavar="TIME", help="Redraw up to here.", default_text="the end")
@_set("model", "--model", heading=PICTURE, metavar="NAME|FILE",
      help="The generator; `w2l weights` lists the available ones.")  # fmt: skip
@option("--as-published", is_flag=True, heading=PICTURE,
        help="Reproduce the published inference, for public models: alignment and smoothing, reference, blend,"
             " silence and extend at the same time; covered mouths are redrawn.")  # fmt: skip
@_set("blend", "--blend", heading=PICTURE, type=click.Choice(get_args(Blend)), help="How the mouth is pasted.")
@_set("reference", "--reference", heading=PICTURE, metavar="FROM",
      help="Source of the appearance: memory (the person's own mouths, chosen by sound), closed (closed mouths of"
           " similar pose), auto (memory if the generator warps pixels, else closed), same (the frame itself, as"
           " published), seconds of the video such as 1.5,4, or an image.")  # fmt: skip
@option(
    "--mouths",
    multiple=True,
    metavar="VIDEO",
    heading=PICTURE,
    help="Another video of the same person, whose mouths --reference memory may use; may be repeated.",
)
@_set("detail", "--detail", heading=PICTURE, type=int,
      help="Resolution of warped pixels relative to the generator's crops, if it warps pixels.",
      default_text="that of the face, up to 3")  # fmt: skip
@_set("silence", "--silence", heading=PICTURE, type=click.Choice(get_args(Silence)),
      help="The mouth in pauses: close it, keep the source's, or use the model's output.")  # fmt: skip
@_set("alignment", "--alignment", heading=PICTURE, type=click.Choice(get_args(Alignment)),
      help="Audio window of each frame: as in training, or as in the published inference.")  # fmt: skip
@_set("fit", "--fit", heading=SOUND, type=click.Choice(get_args(Fit)), help="What determines the length.")
@_set("extend", "--extend", heading=SOUND, type=click.Choice(get_args(Extend)),
      help="How to extend a video that is shorter than the speech.")  # fmt: skip
@_set("fps", "--fps", heading=SOUND, type=float, help="Frame rate.", default_text="the source's; 25 for pictures")
@_set("speech_track", "--speech-track", heading=SOUND, type=int, metavar="NUMBER",
      help="Audio track of SPEECH, counted from 0.", default_text="the one with speech")  # fmt: skip
@_set(
    "drive",
    "--drive",
    heading=SOUND,
    metavar="FILE",
    help="The sound that moves the mouth, such as the voice of SPEECH without its music; SPEECH stays in the output.",
)
@_set("keep_streams", "--keep-streams/--no-keep-streams", heading=SOUND, default=None,
      help="Copy the source's other audio and subtitle streams.", default_text="no")  # fmt: skip
@option("-o", "--output", type=FILE, heading=OUTPUT,
        help="A file (.mp4, .m4v, .mov, .mkv, .webm), a folder, or pictures: out/f%04d.png (also .jpg, .tif, .bmp)"
             "  [VIDEO-synced.mp4, here]")  # fmt: skip
@option("-y", "--overwrite", is_flag=True, heading=OUTPUT, help="Replace an existing result.")
@_set("encoding.codec", "--codec", heading=OUTPUT, type=click.Choice(get_args(CodecChoice)), help="Video codec.",
      default_text="auto: h264; av1 in WebM; hevc for 10 bits or HDR in MP4 and MOV; for transparency prores in MOV,"
                   " vp9 in WebM")  # fmt: skip
@_set("encoding.bits", "--bits", heading=OUTPUT, type=int, metavar="8|10",
      help="Bits per sample of the picture.", default_text="as the source's")  # fmt: skip
@_set("encoding.chroma", "--chroma", heading=OUTPUT, type=click.Choice(get_args(ChromaChoice)),
      help="Chroma sampling: 4:2:0, which all players show, or the source's (4:2:2, 4:4:4) if the codec has it.",
      default_text="auto: keep in MKV and ProRes, else 420")  # fmt: skip
@_set("encoding.crf", "--crf", heading=OUTPUT, type=int, help="Quality: 0 is best, lower is larger.",
      default_text=f"{DEFAULT_CRF['h264']} for h264; equivalent for others")  # fmt: skip
@_set("encoding.preset", "--preset", heading=OUTPUT, help="The encoder's trade-off of speed and size.",
      default_text=f"{DEFAULT_PRESET}; equivalent for others")  # fmt: skip
@_set("encoding.hardware", "--hardware", heading=OUTPUT, type=click.Choice(get_args(Hardware)),
      help="Encode on the graphics card if it can.")  # fmt: skip
@_set("disclosure.mark", "--mark", heading=DISCLOSURE, type=click.Choice(get_args(Layers)),
      help="How the output is marked as made by w2l: an imperceptible mark in the picture, record, tag and"
           " manifest (full); record and tag (record); the record alone (off).")  # fmt: skip
@_set("disclosure.otherwise", "--i-disclose-otherwise", heading=DISCLOSURE, is_flag=True, default=None,
      help="I disclose in another way that the output was made; --mark off requires it.",
      default_text="no")  # fmt: skip
@_set("disclosure.label", "--label", heading=DISCLOSURE, metavar="TEXT",
      help="Draw a visible label into every picture, such as AI-dubbed.", default_text="none")  # fmt: skip
@_set("disclosure.label_place", "--label-place", heading=DISCLOSURE, type=click.Choice(get_args(Place)),
      help="Corner of the label.")  # fmt: skip
@_set("disclosure.consent", "--consent", heading=DISCLOSURE, metavar="TEXT",
      help="How the person shown agreed; kept in the record.", default_text="none")  # fmt: skip
@option("--preview", "preview_s", type=SECONDS, metavar="TIME", heading=WORK,
        help="Make only the second around this time, to check settings.")  # fmt: skip
@_set("look_ahead", "--look-ahead", heading=WORK, metavar="all|SECONDS",
      help="Analyse all of the video before drawing, or only so many seconds ahead of it (around a preview).",
      default_text="all; 5 around a preview of a video of more than a minute")  # fmt: skip
@option("--dry-run", is_flag=True, heading=WORK,
        help="Analyse and plan, try one second, print what would be done; write nothing.")  # fmt: skip
@option("--resume", is_flag=True, heading=WORK,
        help="Resume an interrupted job; finished parts and outputs are kept.")  # fmt: skip
@option("--jobs", type=click.IntRange(1), default=1, heading=WORK,
        help="Videos processed in parallel, each on one core (plus the encoder).  [1, on all cores]")  # fmt: skip
@ray_option
@common_options
def command(
    files: tuple[Path, ...],
    pairs: Path | None,
    pairs_order: Order,
    root: Path | None,
    output: Path | None,
    overwrite: bool,
    preview_s: float | None,
    dry_run: bool,
    resume: bool,
    jobs: int,
    ray: str | None,
    box: str | None,
    face: tuple[str, ...],
    speeches: tuple[Path, ...],
    as_published: bool,
    common: Common,
    **given: Any,
) -> None:
    """Redraw the mouth in VIDEO to match SPEECH and print the path of the result.

    VIDEO may be a still image or pictures (seq/f%04d.png, 'seq/*.png', their folder), SPEECH any file with audio, also
    a video, or a pipe (- is standard input). Several VIDEOs, or a folder of them, all get the same SPEECH, or each
    gets the one of its name if SPEECH is a folder; -o is then a folder. Frames without the face are unchanged; the
    audio is copied if possible.

    \b
    w2l sync in.mp4 speech.wav -o out.mp4
    w2l sync interview.mkv dub.m4a --face left --start 12 --end 1:47.5 --keep-streams -o dubbed.mkv
    w2l sync portrait.jpg speech.mp3 --model wav2lip-gan --preview 3
    w2l sync talk.mp4 --face left --speech ann.wav --face right --speech bob.wav
    w2l sync talks/ dubs/ -o dubbed/
    w2l sync seq/f%04d.png speech.wav --fps 24 -o out/f%04d.png
    w2l sync --pairs lrs2.txt --root mvlrs_v1/main -o lrs2-made --jobs 8 --resume

    If one of many outputs fails, it is listed at the end (exit status 1); the others are made. --resume makes the
    missing ones.
    """
    given["mouths"] = list(given["mouths"]) or None
    given |= _named_faces(face, speeches)
    named = common.given(box=_parse_box(box), **given)
    settings = sync_settings(named["settings"], as_published, named["config"])
    if settings.drive and pairs:
        raise ConfigError("--drive is the voice of one SPEECH, and --pairs has many; leave one of them out")
    _check_cast(settings, files, pairs)
    cache = Cache.open(common.cache, create=True)
    if settings.cast and len(files) == 1:
        files = (*files, mixed_speech(settings.cast, cache))
    _check_ray(ray, files)
    if ray is None:
        choose_device(common.device)  # raises for a missing device before any work
    list_jobs = functools.partial(_asked, pairs, pairs_order, root, output, preview_s is not None)
    is_single = len(files) == 2 and not any(map(_is_folder, files)) and ray is None
    if is_single and not dry_run:
        (job,) = list_jobs(files)
        made = sync(
            files[0],
            files[1],
            output,
            as_published=as_published,
            overwrite=overwrite,
            preview=preview_s,
            resume=resume,
            **named,
        )
        common.show(asdict(made), str(job.output))
        return
    prepare = functools.partial(make_tools, everywhere(settings) if ray else settings, cache.root, common.device)
    with spooled_last(files) as (at_hand, speech_name):
        asked = [
            replace(job, overwrite=overwrite, resume=resume, preview_s=preview_s, speech_name=speech_name)
            for job in list_jobs(at_hand)
        ]
        if is_single:
            tried = try_job(Tools(settings, cache, str(choose_device(common.device))), asked[0])
            common.show(asdict(tried), tried.text())
        elif dry_run:
            _try_many(asked, prepare, common)
        else:
            _sync_many(asked, prepare, common, jobs, ray)


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder of several inputs; one of pictures is one video."""
    return path.is_dir() and not is_sequence(path)


def _named_faces(faces: tuple[str, ...], speeches: tuple[Path, ...]) -> dict[str, Any]:
    """Return the settings that --face and --speech give."""
    if not speeches:
        if len(faces) > 1:
            raise ConfigError(f"--face is given {len(faces)} times; name what each says with --speech, or one --face")
        return {"face": faces[0] if faces else None}
    if len(faces) != len(speeches):
        raise ConfigError(f"{len(faces)} --face and {len(speeches)} --speech; give each --face one --speech")
    return {"cast": [[whose, str(speech)] for whose, speech in zip(faces, speeches)]}


def _check_cast(settings: SyncSettings, files: tuple[Path, ...], pairs: Path | None) -> None:
    """Refuse a cast for more than one video, and speeches that are not there."""
    if not settings.cast:
        return
    if pairs or not 1 <= len(files) <= 2:
        raise ConfigError("several --face with a --speech each are of one VIDEO: w2l sync VIDEO [SPEECH] --face ...")
    for _, speech in settings.cast:
        if not Path(speech).is_file():
            raise ConfigError(f"--speech {speech} is not a file; name a file with sound")


def _try_many(asked: Sequence[Job], prepare: Callable[[], Tools], common: Common) -> None:
    """Print what would be made for each job."""
    outcomes = run_all(try_job, [(job.name, (job,)) for job in asked], prepare)
    tried = [outcome.result for outcome in outcomes if outcome.result is not None]
    common.show([asdict(one) for one in tried], "\n\n".join(one.text() for one in tried))
    name_failures(outcomes)


def _sync_many(
    asked: Sequence[Job], prepare: Callable[[], Tools], common: Common, n_jobs: int, ray: str | None
) -> None:
    """Make all outputs and print their paths."""
    for folder in {job.output.parent for job in asked}:
        folder.mkdir(parents=True, exist_ok=True)
    tasks = [(job.name, (job.absolute() if ray else job,)) for job in asked]
    outcomes = run_all(run, tasks, prepare, n_jobs, ray)
    done = [outcome.result for outcome in outcomes if outcome.result is not None]
    common.show([asdict(result) for result in done], "\n".join(str(result.output) for result in done))
    name_failures(outcomes)


def _asked(
    pairs: Path | None, order: Order, root: Path | None, output: Path | None, preview: bool, files: tuple[Path, ...]
) -> list[Job]:
    """Return the jobs given by the arguments."""
    if pairs is None:
        if root is not None or order != "auto":
            raise ConfigError("--root and --pairs-order require a list; give one with --pairs")
        return jobs_of_files(files, output, preview)
    if files:
        raise ConfigError(f"with --pairs, videos and speeches come from {pairs}; leave out {files[0]}")
    return jobs_of_pairs(pairs, root, order, output, preview)


def _check_ray(ray: str | None, files: tuple[Path, ...]) -> None:
    """Raise ConfigError for a file given as a cluster's address, after an option with an optional value, and a pipe."""
    if ray and Path(ray).is_file():
        raise ConfigError(f"--ray {ray} is a file, not a cluster; write --ray {HERE} before it")
    if ray and files and is_stream(files[-1]):
        raise ConfigError(f"{name_of(files[-1])} does not reach other machines; write the speech to a file for --ray")


def _parse_box(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box {text!r} must be four numbers x1,y1,x2,y2") from error

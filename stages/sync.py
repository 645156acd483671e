"""sync: a video and a speech -> the video with a mouth that says the speech."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import click

from stages.batch import name_failures, run_all
from stages.options import HERE, WORK, Common, HeadedCommand, common_options, option, ray_option, setting
from w2l.api.sync import sync, sync_settings
from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.data.sources.pairs import Order
from w2l.media.encoders import DEFAULT_CRF, DEFAULT_PRESET, Codec, Hardware
from w2l.media.timeline import Extend
from w2l.syncing.compose import Blend
from w2l.syncing.estimate import dry_run as try_job
from w2l.syncing.jobs import Job, everywhere, jobs_of_files, jobs_of_pairs
from w2l.syncing.record import STAGE
from w2l.syncing.run import run
from w2l.syncing.settings import Alignment, Fit, OnMissing, Silence, SyncSettings
from w2l.syncing.tools import Tools, make_tools

PAIRS, FACES, PICTURE, SOUND, OUTPUT = "Pairs", "Faces", "Picture", "Time and sound", "Output"
_set = functools.partial(setting, SyncSettings)


@click.command(STAGE, cls=HeadedCommand)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="VIDEO... SPEECH")
@option("--pairs", type=click.Path(path_type=Path), metavar="LIST", heading=PAIRS,
        help="A file with one video and its speech a line, in place of VIDEO... SPEECH; -o names a folder, which"
             " gets LINE.mp4 for each, lines counted from 0.")  # fmt: skip
@option("--pairs-order", type=click.Choice(get_args(Order)), default="auto", heading=PAIRS,
        help="Which comes first in a line: audio in lists of LRS2, LRS3, LRW; video in ReSyncED's.  [auto: as the"
             " names look]")  # fmt: skip
@option("--root", type=click.Path(path_type=Path), metavar="FOLDER", heading=PAIRS,
        help="Where the names in the list begin.  [the list's folder]")  # fmt: skip
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
@option("--as-published", is_flag=True, heading=PICTURE,
        help="Draw what the published inference draws, for public models: alignment and smoothing, reference, blend,"
             " silence and extend at the same time.")  # fmt: skip
@_set("blend", "--blend", heading=PICTURE, type=click.Choice(get_args(Blend)), help="How the mouth is pasted.")
@_set("reference", "--reference", heading=PICTURE, metavar="FROM",
      help="Where looks are copied from: memory (the person's own mouths, chosen by sound), closed (closed mouths of"
           " like pose), auto (memory where the generator moves pixels, else closed), same (the frame itself, as"
           " published), seconds of the video such as 1.5,4, or a picture.")  # fmt: skip
@option("--mouths", multiple=True, metavar="VIDEO", heading=PICTURE,
        help="Another video of the same person, whose mouths --reference memory may show, too; may be given again.")
@_set("detail", "--detail", heading=PICTURE, type=int,
      help="How many times finer than the generator's crops looks are copied, where the generator moves them.",
      default_text="as the face is, up to 3")  # fmt: skip
@_set("silence", "--silence", heading=PICTURE, type=click.Choice(get_args(Silence)),
      help="The mouth in pauses: close it, show the source's, or whatever the model makes.")  # fmt: skip
@_set("alignment", "--alignment", heading=PICTURE, type=click.Choice(get_args(Alignment)),
      help="What each frame hears: as in training, or as the published inference.")  # fmt: skip
@_set("fit", "--fit", heading=SOUND, type=click.Choice(get_args(Fit)), help="What the length follows.")
@_set("extend", "--extend", heading=SOUND, type=click.Choice(get_args(Extend)),
      help="How a video shorter than the speech goes on.")  # fmt: skip
@_set("fps", "--fps", heading=SOUND, type=float, help="Frame rate.", default_text="the source's; 25 for a still")
@_set("speech_track", "--speech-track", heading=SOUND, type=int, metavar="NUMBER",
      help="Which sound track of SPEECH, counted from 0.", default_text="the one that speaks")  # fmt: skip
@_set("drive", "--drive", heading=SOUND, metavar="FILE",
      help="The sound that moves the mouth, such as the voice of SPEECH without its music; SPEECH stays in the output.")
@_set("keep_streams", "--keep-streams/--no-keep-streams", heading=SOUND, default=None,
      help="Copy the source's other sound and subtitle streams.", default_text="no")  # fmt: skip
@option("-o", "--output", type=click.Path(path_type=Path), heading=OUTPUT,
        help="A file (.mp4, .m4v, .mov, .mkv, .webm) or a folder  [VIDEO-synced.mp4, here]")  # fmt: skip
@option("-y", "--overwrite", is_flag=True, heading=OUTPUT, help="Replace an existing result.")
@_set("encoding.codec", "--codec", heading=OUTPUT, type=click.Choice(get_args(Codec)), help="Of the picture.")
@_set("encoding.crf", "--crf", heading=OUTPUT, type=int, help="Quality: 0 is best, lower is larger.",
      default_text=f"{DEFAULT_CRF['h264']} for h264, alike for others")  # fmt: skip
@_set("encoding.preset", "--preset", heading=OUTPUT, help="The encoder's trade of time for size.",
      default_text=f"{DEFAULT_PRESET}, alike for others")  # fmt: skip
@_set("encoding.hardware", "--hardware", heading=OUTPUT, type=click.Choice(get_args(Hardware)),
      help="Encode on the graphics card where it can.")  # fmt: skip
@option("--preview", "preview_s", type=float, metavar="SECONDS", heading=WORK,
        help="Make only the second around this time, to look at settings.")  # fmt: skip
@option("--dry-run", is_flag=True, heading=WORK,
        help="Look and plan, try one second, print what would be done; write nothing.")  # fmt: skip
@option("--resume", is_flag=True, heading=WORK,
        help="Go on with an interrupted job: behind its last finished part, past what is done.")  # fmt: skip
@option("--jobs", type=click.IntRange(1), default=1, heading=WORK,
        help="Videos worked on at once, each by one core (and the encoder).  [1, by all cores]")  # fmt: skip
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
    as_published: bool,
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
    w2l sync --pairs lrs2.txt --root mvlrs_v1/main -o lrs2-made --jobs 8 --resume

    Of many outputs one that fails is named at the end (exit status 1); the others are made. --resume makes what is
    missing.
    """
    given["mouths"] = list(given["mouths"]) or None
    named = common.given(box=_parse_box(box), **given)
    settings = sync_settings(named["settings"], as_published, named["config"])
    if settings.drive and pairs:
        raise ConfigError("--drive is the voice of one SPEECH, and --pairs has many; leave one of them out")
    asked = [
        replace(job, overwrite=overwrite, resume=resume, preview_s=preview_s)
        for job in _asked(files, pairs, pairs_order, root, output, preview_s is not None)
    ]
    _check_ray(ray)
    cache = Cache.open(common.cache, create=True)
    if ray is None:
        choose_device(common.device)  # refuses one that is not there before any work
    if len(files) == 2 and ray is None:
        if dry_run:
            tried = try_job(Tools(settings, cache, str(choose_device(common.device))), asked[0])
            common.show(asdict(tried), tried.text())
            return
        made = sync(
            *files, output, as_published=as_published, overwrite=overwrite, preview=preview_s, resume=resume, **named
        )
        common.show(asdict(made), str(asked[0].output))
        return
    prepare = functools.partial(make_tools, everywhere(settings) if ray else settings, cache.root, common.device)
    if dry_run:
        _try_many(asked, prepare, common)
    else:
        _sync_many(asked, prepare, common, jobs, ray)


def _try_many(asked: Sequence[Job], prepare: Callable[[], Tools], common: Common) -> None:
    """Print what would be made of each job."""
    outcomes = run_all(try_job, [(job.name, (job,)) for job in asked], prepare)
    tried = [outcome.result for outcome in outcomes if outcome.result is not None]
    common.show([asdict(one) for one in tried], "\n\n".join(one.text() for one in tried))
    name_failures(outcomes)


def _sync_many(
    asked: Sequence[Job], prepare: Callable[[], Tools], common: Common, n_jobs: int, ray: str | None
) -> None:
    """Make all outputs and print where they are."""
    for folder in {job.output.parent for job in asked}:
        folder.mkdir(parents=True, exist_ok=True)
    tasks = [(job.name, (job.absolute() if ray else job,)) for job in asked]
    outcomes = run_all(run, tasks, prepare, n_jobs, ray)
    done = [outcome.result for outcome in outcomes if outcome.result is not None]
    common.show([asdict(result) for result in done], "\n".join(str(result.output) for result in done))
    name_failures(outcomes)


def _asked(
    files: tuple[Path, ...], pairs: Path | None, order: Order, root: Path | None, output: Path | None, preview: bool
) -> list[Job]:
    """Return the jobs that the arguments name."""
    if pairs is None:
        if root is not None or order != "auto":
            raise ConfigError("--root and --pairs-order say how a list is read; name one with --pairs")
        return jobs_of_files(files, output, preview)
    if files:
        raise ConfigError(f"with --pairs videos and speeches come from {pairs}; leave out {files[0]}")
    return jobs_of_pairs(pairs, root, order, output, preview)


def _check_ray(ray: str | None) -> None:
    """Refuse a file for a cluster's address, behind an option whose value may be left out."""
    if ray and Path(ray).is_file():
        raise ConfigError(f"--ray {ray} is a file and no cluster; write --ray {HERE} before it")


def _parse_box(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(side) for side in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box {text!r} must be four numbers x1,y1,x2,y2") from error

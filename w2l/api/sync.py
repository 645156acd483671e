"""`w2l.sync`: redraw the mouth of a video to fit a speech."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from w2l.api.given import (
    PathLike,
    Settings,
    Time,
    given_path,
    named_settings,
    open_cache,
    path_of,
    paths_of,
    seconds_of,
    settings_of,
)
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.core.progress import ProgressCallback, reported_to
from w2l.marks.settings import Layers, Place
from w2l.media.encoding import ChromaChoice, Codec, Hardware
from w2l.media.sequence import is_sequence
from w2l.media.timeline import Extend
from w2l.syncing.jobs import Job, jobs_of_files
from w2l.syncing.record import STAGE, SyncResult
from w2l.syncing.run import run
from w2l.syncing.settings import (
    PUBLISHED,
    Alignment,
    Blend,
    Fit,
    OnCovered,
    OnMissing,
    Silence,
    SyncSettings,
    check_published,
)
from w2l.syncing.spool import spooled_last
from w2l.syncing.tools import Tools


def sync(
    video: PathLike,
    speech: PathLike,
    output: PathLike | None = None,
    *,
    face: str | None = None,
    box: tuple[float, float, float, float] | None = None,
    on_missing: OnMissing | None = None,
    on_covered: OnCovered | None = None,
    start: Time | None = None,
    end: Time | None = None,
    model: str | None = None,
    as_published: bool = False,
    blend: Blend | None = None,
    reference: str | None = None,
    mouths: PathLike | Sequence[PathLike] = (),
    detail: int | None = None,
    silence: Silence | None = None,
    alignment: Alignment | None = None,
    fit: Fit | None = None,
    extend: Extend | None = None,
    fps: float | None = None,
    speech_track: int | None = None,
    drive: PathLike | None = None,
    keep_streams: bool | None = None,
    overwrite: bool = False,
    codec: Codec | None = None,
    bits: int | None = None,
    chroma: ChromaChoice | None = None,
    crf: int | None = None,
    preset: str | None = None,
    hardware: Hardware | None = None,
    mark: Layers | None = None,
    i_disclose_otherwise: bool = False,
    label: str | None = None,
    label_place: Place | None = None,
    consent: str | None = None,
    preview: Time | None = None,
    look_ahead: Time | None = None,
    resume: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> SyncResult:
    """Write `output`: the video with a mouth that says the speech.

    What is left out is as `config` or `settings` say, else as the default says. An output is complete or absent: no
    half file is left behind when the call is interrupted, and `resume` continues a long one.

    Parameters
    ----------
    video : path
        A video, a picture, or pictures: a numbered name (``seq/f%04d.png``), a glob or a folder.
    speech : path
        Any file with sound, also a video, or a pipe; ``-`` is standard input.
    output : path, optional
        A file (.mp4, .m4v, .mov, .mkv, .webm), a folder, or pictures (``out/f%04d.png``); default: VIDEO-synced.mp4
        in the current folder.
    face : str
        Whose mouth: ``auto`` (default), ``largest``, ``left``, ``right``, ``all``, a number as in `w2l.detect`,
        ``x,y[@seconds]`` or a picture of the person.
    box : (x1, y1, x2, y2)
        The face's place in pixels, instead of detection.
    on_missing : "keep", "hold" or "fail"
        Frames without the face: keep the source (default), hold its last place, or raise NoFaceError.
    on_covered : "keep" or "redraw"
        Frames with something in front of the mouth: keep the source (default), or redraw anyway.
    start, end : float or str
        Times of the output between which the mouth is redrawn: seconds, or timecodes such as ``"1:02.5"``.
    model : str
        The generator: ``w2l`` (shipped, the default), an imported model, a run of the cache, or a file.
    as_published : bool
        Draw what the published inference draws, for public models.
    blend : "soft", "laplacian" or "hard"
        How the mouth is pasted; default ``soft``.
    reference : str
        What looks are copied from: ``auto`` (default), ``memory``, ``closed``, ``same``, seconds of the video
        (``1.5,4``) or a picture.
    mouths : path or sequence of paths
        Further videos of the same person, whose mouths may be copied, too.
    detail : int
        Resolution of copied mouths relative to the generator's crops; default: that of the face, up to 3.
    silence : "close", "source" or "model"
        The mouth in pauses; default ``close``.
    alignment : "training" or "reference"
        Which sound each frame takes: as in training (default), or as the published inference.
    fit : "speech", "video" or "shortest"
        What the length follows; default ``speech``.
    extend : "bounce", "loop" or "hold"
        How a video shorter than the speech continues; default ``bounce``.
    fps : float
        Frame rate; default: the source's, 25 for pictures, whose own rate it is, too.
    speech_track : int
        Audio track of the speech, counted from 0; default: the one with speech.
    drive : path
        The sound that moves the mouth, such as the voice of the speech without its music.
    keep_streams : bool
        Copy the source's other sound and subtitle streams.
    overwrite : bool
        Replace an existing output.
    codec, bits, chroma, crf, preset, hardware
        How the picture is encoded, as the options of ``w2l sync``.
    mark : "full", "record" or "off"
        How the output is marked as made by w2l: an imperceptible mark in the picture, record, tag and manifest
        (default); record and tag (default with `as_published`); the record alone, which asks for
        `i_disclose_otherwise`.
    i_disclose_otherwise : bool
        That the output is disclosed in another way.
    label, label_place : str
        A visible label, and its corner: ``bottom-right`` (default), ``bottom-left``, ``top-right``, ``top-left``.
    consent : str
        How the person shown agreed; kept in the record.
    preview : float or str
        Make only the second around this time: seconds, or a timecode.
    look_ahead : float or str
        What is analysed before drawing begins: ``all`` of the video (default), or so many seconds ahead of what is
        drawn; around a preview, 5 seconds of a video of more than a minute by default.
    resume : bool
        Continue an interrupted call: finished parts, and a finished output, are kept.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``sync``. Stages are ``faces`` and ``sync``, in frames.

    Returns
    -------
    SyncResult
        Where the output is, what was redrawn and what passed through; also in OUTPUT.w2l.json.

    Raises
    ------
    MediaError, NoFaceError, CheckpointError, CacheError, ConfigError
        See `w2l.errors`.
    """
    chosen = sync_settings(
        {
            "face": face, "box": box, "on_missing": on_missing, "on_covered": on_covered, "start_s": start,
            "end_s": end, "model": model, "blend": blend, "reference": reference,
            "mouths": [str(path) for path in paths_of(mouths)] or None,
            "detail": detail, "silence": silence, "alignment": alignment, "fit": fit, "extend": extend, "fps": fps,
            "speech_track": speech_track, "drive": None if drive is None else str(drive),
            "look_ahead": None if look_ahead is None else str(look_ahead),
            "keep_streams": keep_streams, "encoding.codec": codec, "encoding.bits": bits, "encoding.chroma": chroma,
            "encoding.crf": crf, "encoding.preset": preset, "encoding.hardware": hardware,
            "disclosure.mark": mark, "disclosure.otherwise": i_disclose_otherwise or None, "disclosure.label": label,
            "disclosure.label_place": label_place, "disclosure.consent": consent,
        },
        as_published, config, settings,
    )  # fmt: skip
    tools = Tools(chosen, open_cache(cache, create=True), str(choose_device(device)))
    with (
        spooled_last((given_path(video), given_path(speech))) as ((source, spoken), speech_name),
        reported_to(progress),
    ):
        job = replace(_job(source, spoken, path_of(output), preview is not None), speech_name=speech_name)
        return run(tools, replace(job, overwrite=overwrite, resume=resume, preview_s=seconds_of(preview, "preview")))


def _job(video: Path, speech: Path, output: Path | None, preview: bool) -> Job:
    """Return the job of a call; raise ConfigError for folders as inputs."""
    for path in (video, speech):
        if path.is_dir() and not is_sequence(path):
            raise ConfigError(f"{path} is a folder, and a call makes one output; name a file, or call for each of them")
    (job,) = jobs_of_files([video, speech], output, preview)
    return job


def sync_settings(
    options: Settings, as_published: bool = False, config: PathLike | None = None, settings: Settings | None = None
) -> SyncSettings:
    """Return the settings of `sync` from options by their settings' names, a file and other settings.

    Raises ConfigError for what cannot be, and with `as_published` for what contradicts the published inference.
    """
    if as_published:
        named = named_settings(STAGE, config, settings, options)
        check_published(named)
        options = {**options, **PUBLISHED}
        if "mark" not in named.get("disclosure", {}):
            options["disclosure.mark"] = "record"  # its other pixels are the source's
    return settings_of(SyncSettings, STAGE, config, settings, options)

"""`w2l.detect`: find the faces of a video."""

from w2l.api.given import PathLike, Settings, given_path, open_cache, path_of, settings_of
from w2l.core.device import choose_device
from w2l.core.progress import ProgressCallback, reported_to
from w2l.faces.detect import STAGE, DetectResult, run
from w2l.faces.preview import check_preview
from w2l.faces.scan import DetectSettings


def detect(
    video: PathLike,
    *,
    preview: PathLike | None = None,
    overwrite: bool = False,
    force: bool = False,
    fps: float | None = None,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> DetectResult:
    """Find the faces of a video, or read them from the cache, where `w2l.sync` finds them, too.

    Parameters
    ----------
    video : path
        A video, a picture, or pictures: a numbered name (``seq/f%04d.png``), a glob or a folder.
    preview : path, optional
        Draw the faces into this file: .png (a sheet of frames) or a video.
    overwrite : bool
        Replace an existing preview.
    force : bool
        Search again where the faces are known.
    fps : float, optional
        The rate of a sequence of pictures; default 25. Of a video it must be left out.
    cache : path, optional
        The cache folder; default: $W2L_CACHE, else ./w2l-cache. It is created where it is missing.
    device : "auto", "cpu" or "cuda"
    config : path, optional
        A YAML file of settings; its section ``detect`` counts.
    settings : mapping, optional
        Settings by name, see ``w2l settings detect``: ``{"min_face": 20}``.
    progress : callable, optional
        Called with the stage, the frames that are done and their number, or None where it is not known.

    Returns
    -------
    DetectResult
        One `FoundTrack` for each face of each shot; its place in `seen` is the N of ``face="N"``.

    Raises
    ------
    NoFaceError
        When no face is found.
    MediaError, ConfigError, CacheError
        When the video cannot be read, a setting is wrong, or the cache cannot be used.
    """
    chosen = settings_of(DetectSettings, STAGE, config, settings)
    opened = open_cache(cache, create=True)
    with reported_to(progress):
        where = str(choose_device(device))
        source, drawn = given_path(video), path_of(preview)
        if drawn is not None:
            check_preview(drawn, source, overwrite)
        return run(chosen, source, opened, drawn, force, where, fps)

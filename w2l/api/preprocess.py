"""`w2l.preprocess`: prepare a folder of talking clips for training."""

from collections.abc import Sequence

from w2l.api.given import PathLike, Settings, given_path, open_cache, paths_of, settings_of
from w2l.core.device import choose_device
from w2l.core.progress import ProgressCallback, reported_to
from w2l.data.prepare.clip import PrepareSettings
from w2l.data.prepare.run import STAGE, PrepareOptions, PrepareResult, run
from w2l.data.sources.listing import find_videos


def preprocess(
    folder: PathLike,
    *,
    layout: str = "auto",
    filelist: PathLike | Sequence[PathLike] = (),
    strict: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    force: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> PrepareResult:
    """Prepare the clips in a folder for training: 25 fps crops of every face and the mel of its sound, in the cache.

    A clip that cannot be used is set aside with its reason; the others continue. Called again, it does what is left.

    Parameters
    ----------
    folder : path
        The dataset, or any folder of videos.
    layout : str
        How the dataset names its clips, splits and speakers; ``auto``: as the paths look.
    filelist : path or sequence of paths
        Only the clips listed; train.txt, val.txt and test.txt also say their split.
    strict : bool
        Raise MediaError at the first clip that cannot be used.
    jobs : int
        Clips worked on at the same time, in processes of their own.
    ray : str, optional
        Address of a Ray cluster with a shared disk: ``auto``, ``local`` or ``host:port``.
    force : bool
        Prepare again what is ready.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``preprocess``. Progress counts clips.

    Returns
    -------
    PrepareResult
        How many clips were prepared, and why others were set aside.

    Raises
    ------
    MediaError, CacheError, ConfigError
        See `w2l.errors`.
    """
    chosen = settings_of(PrepareSettings, STAGE, config, settings)
    if ray is None:
        choose_device(device)  # refuses one that is not there before any work
    listing = find_videos(given_path(folder), paths_of(filelist), layout)
    opened = open_cache(cache, create=True)
    with reported_to(progress):
        return run(chosen, listing, opened, device, PrepareOptions(jobs, ray, force, strict))

"""`w2l.score`: measure how well mouths and voices agree, and how good the pictures are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from w2l.api.given import PathLike, Settings, path_of, paths_of, settings_of
from w2l.api.scores import Scores
from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.core.files import check_writable
from w2l.core.progress import ProgressCallback, reported_to
from w2l.core.reading import real_path
from w2l.data.sources.pairs import Order
from w2l.scoring.metrics.columns import GROUPS, MeasureGroup
from w2l.scoring.run import ScoreRequest, ScoreWork, run
from w2l.scoring.settings import ScoreSettings, Variant, plain_settings

STAGE = "score"


def score(
    outputs: PathLike | Sequence[PathLike] = (),
    *,
    measures: Sequence[MeasureGroup] | Literal["all"] | None = None,
    reference: PathLike | Sequence[PathLike] = (),
    root: PathLike | None = None,
    pairs_order: Order = "auto",
    judge: str | None = None,
    variant: Variant | None = None,
    allow_teacher: bool = False,
    inception: PathLike | None = None,
    lpips: Sequence[PathLike] = (),
    recogniser: PathLike | None = None,
    landmarks: PathLike | None = None,
    words: PathLike | None = None,
    csv: PathLike | None = None,
    report: PathLike | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    force: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> Scores:
    """Score videos, beside the real videos that they were made from and what chance would score.

    A clip that cannot be scored has its reason in its row; the others continue. What is known from an earlier call with
    the same files and settings is taken from the cache.

    Parameters
    ----------
    outputs : path or sequence of paths
        Videos, folders (each a system, compared clip by clip) or lists; default: all that `w2l.sync` made with the
        cache.
    measures : sequence or "all"
        Any of ``lse`` (the default), ``fid``, ``quality``, ``mouth``, ``identity``: the flags of ``w2l score``.
    reference : path or sequence of paths
        Real videos, folders or lists; default: what `w2l.sync` recorded.
    root : path
        The folder that names in lists begin from.
    pairs_order : "auto", "audio" or "video"
        Which comes first in a list of pairs.
    judge : str
        ``w2l`` (shipped, the default), a run of the cache, or a file such as syncnet_v2.model.
    variant : "face", "lrs" or "real"
        What the judge sees: the main face (default); whole frames, or long face tracks, as published.
    allow_teacher : bool
        Let an expert judge a generator that it taught.
    inception, lpips, recogniser, landmarks, words
        Files for FID, LPIPS, identity and mouth, as the options of ``w2l score``.
    csv, report : path
        Also write a table, or a page with plots and the worst clips.
    overwrite : bool
        Replace these files.
    jobs, ray, force, cache, device, config, settings, progress
        As for `w2l.preprocess`; the section of `config` is ``score``. Progress counts clips.

    Returns
    -------
    Scores
        `rows` and `systems` are lists of plain dicts; `to_pandas()`; a table in a notebook.

    Raises
    ------
    MediaError, CheckpointError, CacheError, ConfigError
        See `w2l.errors`.
    """
    files = {"inception": inception, "recogniser": recogniser, "landmarks": landmarks, "words": words}
    chosen = settings_of(
        ScoreSettings,
        STAGE,
        config,
        settings,
        {
            "measures": list(GROUPS) if measures == "all" else None if measures is None else list(measures),
            "judge": judge,
            "variant": variant,
            "allow_teacher": allow_teacher or None,
            "lpips": [str(path) for path in lpips] or None,
            **{name: None if path is None else str(path) for name, path in files.items()},
        },
    )
    results = tuple(Path(path) for path in (csv, report) if path is not None)
    _check_results(results, overwrite, path_of(config))
    request = ScoreRequest(paths_of(outputs), paths_of(reference), path_of(root), pairs_order, results)
    if ray is None:
        choose_device(device)  # refuses one that is not there before any work
    else:  # other machines work elsewhere
        request, chosen = request.everywhere(), chosen.everywhere()
    opened = Cache.open(path_of(cache), create=bool(request.outputs))
    with reported_to(progress):
        scored = run(request, chosen, opened, ScoreWork(device, jobs, ray, force))
    found = Scores(scored.report, scored.columns, plain_settings(chosen))
    if csv is not None:
        found.write_csv(csv)
    if report is not None:
        found.write_page(report)
    return found


def _check_results(results: tuple[Path, ...], overwrite: bool, config: Path | None) -> None:
    """Refuse files that cannot be written, or would be lost: ConfigError, or CacheError."""
    if len({real_path(path) for path in results}) < len(results):
        raise ConfigError(f"--csv and --report are the same file, {results[0]}; choose two files")
    for path in results:
        if config is not None and real_path(path) == real_path(config):
            raise ConfigError(f"{path} is the settings file; name another file for the result")
        if path.is_file() and not overwrite:
            raise ConfigError(f"{path} exists; overwrite it with -y or name another file")
        check_writable(path)

"""`w2l.embed`: what the networks that judge lip sync make of a clip."""

from typing import Literal

from w2l.api.given import PathLike, Settings, given_path, open_cache, path_of, settings_of
from w2l.core.progress import ProgressCallback, reported_to
from w2l.models import registry
from w2l.scoring.embeddings import ClipEmbeddings, embed_clip
from w2l.scoring.settings import ScoreSettings
from w2l.scoring.tools import open_bench


def embed(
    video: PathLike,
    speech: PathLike | None = None,
    *,
    network: Literal["judge", "expert"] = "judge",
    model: str | None = None,
    max_shift: int | None = None,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> ClipEmbeddings:
    """Return the embeddings of the main face of a video and of its sound, and their distances.

    Parameters
    ----------
    video : path
    speech : path, optional
        Another sound to set beside the picture; default: the video's own.
    network : "judge" or "expert"
        SyncNet v2's kind of network, on whole faces, or the expert that teaches generators, on lower halves.
    model : str
        ``w2l`` (shipped, the default), a run of the cache, or a file.
    max_shift : int
        Largest shift of sound against picture, in frames at 25 fps; default 15.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``score``.

    Returns
    -------
    ClipEmbeddings
        `video` and `speech` (windows, features), `distances` (windows, shifts), `curve`, `shifts`, `times`, `values`.

    Raises
    ------
    MediaError, NoFaceError, CheckpointError, CacheError, ConfigError
        See `w2l.errors`.
    """
    opened = open_cache(cache, create=True)
    named = settings_of(ScoreSettings, "score", config, settings, {"judge": model, "max_shift": max_shift})
    options: dict[str, object] = {"judge": model, "max_shift": max_shift, "measures": ["lse"], "variant": "face"}
    if network == "expert":
        options["judge"] = str(registry.find(named.judge, "expert", opened))
    chosen = settings_of(ScoreSettings, "score", config, settings, options)
    with reported_to(progress):
        return embed_clip(given_path(video), open_bench(chosen, opened.root, device), path_of(speech))

"""The folder of the cache where no --cache is given."""

import functools
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)
HERE = "w2l-cache"
"""Name of the cache in the working directory."""


def default_root(create: bool = False) -> Path:
    """Return ``$W2L_CACHE``, else ``w2l-cache`` in the working directory, else the user's cache folder.

    The last one is for a working directory that cannot be written; a warning says so, once per process. A cache that
    is there and read-only is read; with `create`, something is to be written and the user's folder takes its place.
    """
    if named := os.environ.get("W2L_CACHE"):
        return Path(named)
    here = Path(HERE)
    if (here.exists() and not create) or _is_writable(here if here.exists() else Path()):
        return here
    from platformdirs import user_cache_path

    return _instead_of(here.absolute(), user_cache_path("w2l", appauthor=False))


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


@functools.cache
def _instead_of(here: Path, theirs: Path) -> Path:
    logger.warning("%s cannot be written; the cache is %s (see --cache and $W2L_CACHE)", here, theirs)
    return theirs

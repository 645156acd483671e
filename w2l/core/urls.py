"""URLs in place of file names: they are refused with their name whole."""

import re
from pathlib import Path

from w2l.core.errors import ConfigError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
COLLAPSED = re.compile(r"((?:https?|ftps?|sftp|rtsps?|rtmps?|srt|udp|tcp|s3|gs|hls|file|data|pipe|concat):/)(?!/)")
"""What `pathlib` makes of a URL: it removes the second slash."""
REMEDY = "is a URL; only files are read, so download it and name the file"


def refuse_url(text: str, where: str = "") -> None:
    """Raise ConfigError for a URL in place of a file name; `where` precedes it in the error."""
    if URL.match(text):
        raise ConfigError(f"{f'{where}: ' if where else ''}{text} {REMEDY}")


def url_in_path(path: Path) -> str:
    """Return the URL that a path was made from, with both slashes; empty for other paths."""
    text = str(path)
    return COLLAPSED.sub(r"\1/", text, count=1) if COLLAPSED.match(text) else ""

"""The errors that the functions of `w2l` raise; each message says what is wrong, where, and what to do.

`W2LError` is the root of all. Beside these only OSError (a full disk, missing permissions), KeyboardInterrupt and what
a progress callback raises come through.
"""

from w2l.core.errors import (
    CacheError,
    CheckpointError,
    ConfigError,
    MediaError,
    NoFaceError,
    TrainingError,
    W2LError,
)

__all__ = ["CacheError", "CheckpointError", "ConfigError", "MediaError", "NoFaceError", "TrainingError", "W2LError"]

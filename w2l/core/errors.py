"""Errors shown to the user; each says what is wrong, where, and what to do."""


class W2LError(Exception):
    """Base of all errors that the command line prints as one line; ``exit_status`` is the exit code of the process."""

    exit_status = 1


class MediaError(W2LError):
    """A video, image or audio file that cannot be read or written."""


class NoFaceError(W2LError):
    """No face was found where one is required."""


class CacheError(W2LError):
    """A cache that is missing, empty, in use or of another version."""


class CheckpointError(W2LError):
    """A model file or training state that is damaged or of the wrong kind."""


class TrainingError(W2LError):
    """A training run that cannot continue: unusable data or a loss that is not a number."""


class ConfigError(W2LError):
    """Settings that are unknown, out of range or contradictory."""

    exit_status = 2

"""The errors a user can meet; each says what, where and what to try."""


class W2LError(Exception):
    """Root of all errors that the command line prints as one line; ``exit_status`` is what the process ends with."""

    exit_status = 1


class MediaError(W2LError):
    """A video, picture or sound file that cannot be read or written."""


class NoFaceError(W2LError):
    """No face where one is needed."""


class CacheError(W2LError):
    """A cache that is missing, of another version, empty or in use."""


class CheckpointError(W2LError):
    """A model file or training state that is damaged or of another kind."""


class TrainingError(W2LError):
    """A training run that cannot go on: unusable data, a loss that is no number."""


class ConfigError(W2LError):
    """Settings that are unknown, out of range or contradict each other."""

    exit_status = 2

"""Settings of face detection, importable without networks."""

from dataclasses import dataclass

from w2l.core.errors import ConfigError


@dataclass(frozen=True)
class DetectSettings:
    """Settings of face detection."""

    detector: str = "auto"
    """`auto`, `mtcnn`, `insightface:PATH` or `yunet:PATH`."""
    stride: int = 2
    """Frames between two detections of a known face; boxes between are interpolated."""
    min_face: int = 40
    """Smallest face searched for, in pixels of the source."""

    def __post_init__(self) -> None:
        """Reject numbers out of range."""
        if self.stride < 1:
            raise ConfigError(f"stride {self.stride} must be at least 1")
        if self.min_face < 12:
            raise ConfigError(f"min_face {self.min_face} must be at least 12 pixels")

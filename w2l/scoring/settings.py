"""Settings of a score: the judge, the variant, the measures and the files of their networks."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from w2l.core.config import plain
from w2l.core.errors import ConfigError
from w2l.core.timing import MAX_SHIFT
from w2l.faces.settings import DetectSettings
from w2l.models import packs
from w2l.models.choices import SHIPPED
from w2l.scoring.metrics.choices import BATCH, FidRegion
from w2l.scoring.metrics.columns import GROUPS, MeasureGroup

Variant = Literal["face", "lrs", "real"]
VARIANTS: dict[Variant, str] = {
    "face": "the main face, however short its track",
    "lrs": "whole frames that are already face crops: as published for LRS2, LRS3 and LRW",
    "real": "each face track of more than 100 frames and 100 px: as published for other videos",
}
"""Input of the judge; all with the published arithmetic."""


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of a score."""

    judge: str = SHIPPED
    """`w2l` (the shipped one), a run of the cache, or a file."""
    allow_teacher: bool = False
    """Whether an expert may judge a generator trained with it."""
    variant: Variant = "face"
    """`face`: the main face of whole frames; `lrs`: frames that are the crop of a face; `real`: long face tracks."""
    measures: tuple[MeasureGroup, ...] = ("lse",)
    """Any of lse, fid, quality, mouth, identity."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are detected: detect.detector, detect.stride, detect.min_face."""
    max_shift: int = MAX_SHIFT
    """Largest shift tried, in frames at 25 fps, both ways."""
    batch: int = BATCH
    """Windows per batch; affects only speed."""
    min_track: int = 100
    """`real` only: smallest track length, exclusive, in frames at 25 fps..."""
    min_track_px: float = 100.0
    """... and smallest mean side, exclusive, in pixels."""
    inception: str = ""
    """Weights of the FID network: fid-inception (downloaded) or a file; else FD-judge, in the judge's features."""
    fid_region: FidRegion = "face"
    """`face` or whole `frame`."""
    fid_every: int = 1
    """Frames between two FID features."""
    lpips: tuple[str, ...] = ()
    """Files of the LPIPS weights: AlexNet's and the layers', or one with both."""
    recogniser: str = ""
    """File of an insightface recogniser (.onnx), for --identity; without it only likeness is measured."""
    landmarks: str = ""
    """File of insightface's 106-point model (.onnx), for --mouth; without it lips are measured in the picture."""
    words: str = ""
    """Table of word times (clip, start_s, end_s, word; tabs): closure is then measured at b, p, m."""
    seed: int = 0
    """Seed of the shuffled row and the intervals."""

    def __post_init__(self) -> None:
        """Reject unknown names and empty ranges."""
        if self.variant not in VARIANTS:
            raise ConfigError(f"variant {self.variant!r} is unknown; choose {', '.join(VARIANTS)}")
        object.__setattr__(self, "measures", tuple(group for group in GROUPS if group in self.measures))
        if not self.measures:
            raise ConfigError(f"nothing to measure; choose from {', '.join(GROUPS)}")
        if self.fid_region not in get_args(FidRegion):
            raise ConfigError(f"fid_region {self.fid_region!r} is unknown; choose face or frame")
        for name in ("max_shift", "batch", "min_track", "fid_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least 1")
        for path in (*self.files, *((self.words,) if self.words else ())):
            if path not in packs.PACKS and not Path(path).is_file():
                raise ConfigError(f"{path} does not exist; check the path")

    @property
    def idle(self) -> list[str]:
        """Return a line for each file given for a measure that is not requested."""
        needs: dict[str, MeasureGroup] = {
            "inception": "fid", "lpips": "quality", "landmarks": "mouth", "words": "mouth", "recogniser": "identity",
        }  # fmt: skip
        named = {name: group for name, group in needs.items() if getattr(self, name)}
        return [
            f"--{name} has no effect without --{group}" for name, group in named.items() if group not in self.measures
        ]

    @property
    def files(self) -> tuple[str, ...]:
        """Return the given model files, except the judge's."""
        return tuple(path for path in (self.inception, *self.lpips, self.recogniser, self.landmarks) if path)

    def everywhere(self) -> "ScoreSettings":
        """Return the settings with absolute file names, for machines with other working folders."""

        def whole(name: str) -> str:
            return str(Path(name).absolute()) if Path(name).is_file() else name

        names = ("judge", "inception", "recogniser", "landmarks", "words")
        named: dict[str, Any] = {name: whole(getattr(self, name)) for name in names}
        return replace(self, **named, lpips=tuple(map(whole, self.lpips)))


def plain_settings(settings: ScoreSettings) -> dict[str, object]:
    """Return the settings that are not empty, for a page or a file."""
    return {name: value for name, value in plain(settings).items() if value not in ("", [], ())}

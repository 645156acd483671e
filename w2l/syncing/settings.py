"""How a video is lip-synced: every choice of `sync`, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from w2l.core.errors import ConfigError
from w2l.faces.scan import DetectSettings
from w2l.marks.settings import Disclosure
from w2l.media.encoders import Encoding
from w2l.media.timeline import Extend
from w2l.models.registry import SHIPPED
from w2l.models.runtime import Backend
from w2l.syncing.compose import Blend

Alignment = Literal["training", "reference"]
Silence = Literal["close", "source", "model"]
Fit = Literal["speech", "video", "shortest"]
OnMissing = Literal["keep", "hold", "fail"]

MIN_BOX = 16
"""Smallest side in pixels of a box given by hand."""
MIN_FPS, MAX_FPS = 1.0, 240.0
MAX_DETAIL = 3
"""Finer than that faces are pasted slowly, and what the generator draws itself looks coarse beside them."""


PUBLISHED = {"alignment": "reference", "reference": "same", "blend": "hard", "silence": "model", "extend": "loop"}
"""The settings that draw what the published inference draws, frame by frame. Its averages of boxes follow from
`alignment`."""


@dataclass(frozen=True)
class SyncSettings:
    """How a video is lip-synced."""

    model: str = SHIPPED
    """The generator: `w2l` (the shipped one), an imported one, a run of the cache, or a file."""
    face: str = "auto"
    """Whose mouth is redrawn: auto, largest, left, right, all, a number that `w2l detect` shows, x,y[@seconds] (a point
    in the face), or a picture of the person."""
    box: tuple[float, float, float, float] | None = None
    """The face's box x1, y1, x2, y2 in pixels, for the whole video; without it faces are detected."""
    start_s: float | None = None
    """Time of the output at which redrawing starts, in seconds or as a timecode (1:02.5); before it the source passes
    through."""
    end_s: float | None = None
    """Time of the output at which redrawing ends, in seconds or as a timecode."""
    on_missing: OnMissing = "keep"
    """Frames in which the face is not seen: `keep` the source, `hold` its last place, or `fail`."""
    fit: Fit = "speech"
    """What the length of the output follows."""
    extend: Extend = "bounce"
    """How a video that is too short is extended: backwards and forwards, from its beginning, or on its last frame."""
    fps: float | None = None
    """Frame rate of the output; null: as the source's, 25 for a still picture."""
    alignment: Alignment = "training"
    """`training`: the same audio window per frame as in training; `reference`: the published inference loop."""
    blend: Blend = "soft"
    """`soft`: mouth and jaw fade in; `laplacian`: each octave in its own width; `hard`: all that is generated shows."""
    silence: Silence = "close"
    """The mouth in pauses: it comes to rest (`close`), is the source's (`source`), or what the generator makes."""
    reference: str = "auto"
    """What the generator copies looks from: `memory` (the person's own mouths, chosen by sound), `closed` (closed
    mouths of like pose), `auto` (`memory` for a generator that moves pixels, else `closed`), `same` (the frame itself,
    as published), times of the video (`1.5,1:04`), or a picture file."""
    mouths: tuple[str, ...] = ()
    """Further videos of the same person, whose mouths `memory` may show as well."""
    recogniser: str = ""
    """File of an insightface recogniser (.onnx) that checks whether `mouths` show the same person."""
    own_pixels: bool = False
    """Whether a generator that moves pixels draws none, not even inside the mouth; for comparisons."""
    detail: int = 0
    """How many times finer than the generator's own crops its references are moved, where it moves them; 0: as fine as
    the face is in the video, up to 3 times."""
    speech_track: int | None = None
    """Audio track of the speech's file that is used, counted from 0; null: the one a player would choose, or another
    where that one holds no speech."""
    drive: str | None = None
    """A file whose sound moves the mouth in place of the speech's, which stays in the output: such as the voice without
    its music. Both begin at the same time."""
    cast: tuple[tuple[str, str], ...] = ()
    """Several people at once: a face, as `face` names it, and the file of what it says, of each. The speech that is
    named beside them is then heard and moves no mouth."""
    keep_streams: bool = False
    """Copy the source's other sound and subtitle streams."""
    batch: int = 16
    """Largest number of faces per batch; affects only speed and memory."""
    backend: Backend = "auto"
    """What computes the generator."""
    encoding: Encoding = field(default_factory=Encoding)
    """How the output is encoded: encoding.codec, encoding.bits, encoding.chroma, encoding.crf, encoding.preset,
    encoding.hardware."""
    disclosure: Disclosure = field(default_factory=Disclosure)
    """How the output says that it was made: disclosure.mark, disclosure.label, disclosure.consent."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """How faces are found: detect.detector, detect.stride, detect.min_face."""

    def __post_init__(self) -> None:
        """Refuses numbers out of range and contradictions."""
        if self.batch < 1:
            raise ConfigError(f"batch {self.batch} must be at least 1")
        if not 0 <= self.detail <= MAX_DETAIL:
            raise ConfigError(f"detail {self.detail} must lie between 0 (as the video has it) and {MAX_DETAIL}")
        if self.box is not None and not _is_box(self.box):
            raise ConfigError(f"box {self.box} must be x1,y1,x2,y2 from 0 on, x2 and y2 at least {MIN_BOX} px larger")
        if self.box is not None and self.face != "auto":
            raise ConfigError("--box and --face exclude each other; give one of them")
        if self.cast and (self.box is not None or self.face != "auto" or self.drive):
            raise ConfigError("a cast names faces and speeches; leave out --box, --drive and a face besides")
        if len({face for face, _ in self.cast}) < len(self.cast):
            raise ConfigError("each --face of a cast must be another; one of them is named twice")
        if self.speech_track is not None and self.speech_track < 0:
            raise ConfigError(f"--speech-track must not be negative (got {self.speech_track}); tracks count from 0")
        if self.fps is not None and not MIN_FPS <= self.fps <= MAX_FPS:
            raise ConfigError(f"fps {self.fps} must lie between {MIN_FPS:.0f} and {MAX_FPS:.0f}")
        start_s = self.start_s or 0.0
        if start_s < 0:
            raise ConfigError(f"start {start_s:g} s must not be negative")
        if self.end_s is not None and self.end_s <= start_s:
            raise ConfigError(f"start {start_s:g} s and end {self.end_s:g} s leave nothing between them; end later")


def check_published(named: Mapping[str, Any]) -> None:
    """Refuse settings, by name, that contradict those of the published inference."""
    for name, value in named.items():
        if name in PUBLISHED and value != PUBLISHED[name]:
            raise ConfigError(f"--as-published sets {name} to {PUBLISHED[name]}, not {value}; leave out one of the two")
        if name == "detail" and value not in (0, 1):
            raise ConfigError(f"--as-published has no finer looks; leave out detail {value}")


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, tuple) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)
    return numbers and min(box) >= 0 and box[2] - box[0] >= MIN_BOX and box[3] - box[1] >= MIN_BOX

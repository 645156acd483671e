"""Settings of `sync`, validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from w2l.core.errors import ConfigError
from w2l.core.timecodes import parse_seconds
from w2l.faces.settings import DetectSettings
from w2l.marks.settings import Disclosure
from w2l.media.encoding import Encoding
from w2l.media.timeline import Extend
from w2l.models.choices import SHIPPED, Backend, InferencePrecision

Alignment = Literal["training", "reference"]
Silence = Literal["close", "source", "model"]
Fit = Literal["speech", "video", "shortest"]
Blend = Literal["soft", "laplacian", "hard"]
OnMissing = Literal["keep", "hold", "fail"]
OnCovered = Literal["keep", "redraw"]

MIN_BOX = 16
"""Smallest side in pixels of a box given by the user."""
MIN_FPS, MAX_FPS = 1.0, 240.0
MIN_AHEAD_S = 1.0
"""Fewest seconds before and after a preview from which faces and mouths are taken."""
WHOLE = ("auto", "all")
"""Values of `look_ahead` with which all of the video is analysed for an output."""
MAX_DETAIL = 6
"""Higher values slow down pasting, and pixels drawn by the generator look coarse in comparison."""


PUBLISHED = {
    "alignment": "reference", "reference": "same", "blend": "hard", "silence": "model", "extend": "loop",
    "on_covered": "redraw",
}  # fmt: skip
"""Settings with which frames equal those of the published inference. Its averages of boxes follow from
`alignment`."""


@dataclass(frozen=True)
class SyncSettings:
    """Settings of `sync`."""

    model: str = SHIPPED
    """Generator: `w2l` (the shipped one), an imported one, a run of the cache, or a file."""
    face: str = "auto"
    """Face to redraw: auto, largest, left, right, all, a number shown by `w2l detect`, x,y[@seconds] (a point
    in the face), or a picture of the person."""
    box: tuple[float, float, float, float] | None = None
    """Box of the face x1, y1, x2, y2 in pixels, for the whole video; by default faces are detected."""
    start_s: float | None = None
    """Time of the output at which redrawing starts, in seconds or as a timecode (1:02.5); before it the source passes
    through."""
    end_s: float | None = None
    """Time of the output at which redrawing ends, in seconds or as a timecode."""
    on_missing: OnMissing = "keep"
    """Frames in which the face is missing: `keep` the source, `hold` the last position, or `fail`."""
    on_covered: OnCovered = "keep"
    """Frames in which something covers the mouth (a hand, a cup, a mask): `keep` the source, or `redraw` anyway."""
    fit: Fit = "speech"
    """Input that determines the length of the output."""
    extend: Extend = "bounce"
    """How to extend a video that is too short: play it backwards and forwards, repeat it, or hold its last frame."""
    fps: float | None = None
    """Frame rate of the output; null: that of the source, 25 for a still picture."""
    alignment: Alignment = "training"
    """`training`: the same audio window per frame as in training; `reference`: the published inference loop."""
    blend: Blend = "soft"
    """`soft`: mouth and jaw with a soft edge; `laplacian`: multi-band blending; `hard`: all generated rows."""
    silence: Silence = "close"
    """The mouth in pauses: closed (`close`), that of the source (`source`), or that of the generator (`model`)."""
    reference: str = "auto"
    """Reference images of the generator: `memory` (the person's own mouths, chosen by audio), `closed` (closed
    mouths of similar pose), `auto` (`memory` for a generator that moves pixels, else `closed`), `same` (the frame
    itself, as published), times of the video (`1.5,1:04`), or a picture file."""
    mouths: tuple[str, ...] = ()
    """Further videos of the same person whose mouths `memory` may use."""
    recogniser: str = ""
    """File of an insightface recogniser (.onnx) that checks whether `mouths` show the same person."""
    own_pixels: bool = False
    """Whether a generator that moves pixels draws none, not even inside the mouth; for comparisons."""
    detail: int = 0
    """Resolution of the references relative to the generator's crops, for generators that move pixels; 0: that of the
    face in the video, up to 6."""
    speech_track: int | None = None
    """Index of the audio track of the speech file; null: the one a player would choose, or another if that one does not
    contain speech."""
    drive: str | None = None
    """A file whose audio drives the mouth instead of the speech, such as the voice without its music; the output keeps
    the speech. Both start at the same time."""
    cast: tuple[tuple[str, str], ...] = ()
    """Several people: pairs of a face, as for `face`, and the file of its speech. The speech argument is then the audio
    of the output and drives no face."""
    look_ahead: str = "auto"
    """What is analysed before drawing begins: `all` of the video, or so many seconds of it (or a timecode): ahead of
    what is drawn, or around a preview; `auto`: 5 s around a preview of a video of more than a minute, else all."""
    keep_streams: bool = False
    """Copy the source's other audio and subtitle streams."""
    batch: int = 16
    """Largest number of faces per batch; affects only speed and memory."""
    backend: Backend = "auto"
    """Library that runs the generator: `torch`, `onnx` (ONNX Runtime, on the CPU) or `auto`: by the size of the
    weights; for small ones as measured on this machine before an output of half a minute, and kept in the cache."""
    precision: InferencePrecision = "auto"
    """Precision of the generator: `float32`, `half` (on a GPU), `bf16` (about twice as fast on processors with
    instructions for it; a few pixels change by more than one grey level), or `auto`: half on a GPU, else float32."""
    encoding: Encoding = field(default_factory=Encoding)
    """Encoding of the output: encoding.codec, encoding.bits, encoding.chroma, encoding.crf, encoding.preset,
    encoding.hardware."""
    disclosure: Disclosure = field(default_factory=Disclosure)
    """Disclosure of the output as synthetic: disclosure.mark, disclosure.label, disclosure.consent."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    """Face detection: detect.detector, detect.stride, detect.min_face."""

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range and contradictions."""
        if self.batch < 1:
            raise ConfigError(f"batch {self.batch} must be at least 1")
        if not 0 <= self.detail <= MAX_DETAIL:
            raise ConfigError(f"detail {self.detail} must be between 0 (that of the video) and {MAX_DETAIL}")
        if self.box is not None and not _is_box(self.box):
            raise ConfigError(
                f"box {self.box} must be x1,y1,x2,y2, not negative and at least {MIN_BOX} px in each side"
            )
        if self.box is not None and self.face != "auto":
            raise ConfigError("--box and --face are mutually exclusive; use one of them")
        if self.cast and (self.box is not None or self.face != "auto" or self.drive):
            raise ConfigError(
                "several --face FACE=SPEECH exclude --box, --drive and a --face without speech; remove them"
            )
        if len({face for face, _ in self.cast}) < len(self.cast):
            raise ConfigError("the same --face is given twice; give each person once")
        if self.speech_track is not None and self.speech_track < 0:
            raise ConfigError(f"--speech-track must not be negative (got {self.speech_track}); tracks count from 0")
        if self.fps is not None and not MIN_FPS <= self.fps <= MAX_FPS:
            raise ConfigError(f"fps {self.fps} must be between {MIN_FPS:.0f} and {MAX_FPS:.0f}")
        if self.look_ahead not in WHOLE and not _is_time(self.look_ahead):
            raise ConfigError(f"look_ahead {self.look_ahead!r} must be auto, all or seconds (at least {MIN_AHEAD_S:g})")
        start_s = self.start_s or 0.0
        if start_s < 0:
            raise ConfigError(f"start {start_s:g} s must not be negative")
        if self.end_s is not None and self.end_s <= start_s:
            raise ConfigError(f"end {self.end_s:g} s must be after start {start_s:g} s")

    @property
    def look_ahead_s(self) -> float | None:
        """Seconds that are analysed ahead of what is drawn; None for the whole video."""
        return None if self.look_ahead in WHOLE else parse_seconds(self.look_ahead)


def check_published(named: Mapping[str, Any]) -> None:
    """Raise ConfigError for settings, by name, that contradict those of the published inference."""
    for name, value in named.items():
        if name in PUBLISHED and value != PUBLISHED[name]:
            raise ConfigError(f"--as-published sets {name} to {PUBLISHED[name]}, not {value}; remove one of the two")
        if name == "detail" and value not in (0, 1):
            raise ConfigError(f"--as-published does not support detail {value}; remove one of the two")


def _is_time(text: str) -> bool:
    try:
        return parse_seconds(text) >= MIN_AHEAD_S
    except ValueError:
        return False


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, tuple) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)
    return numbers and min(box) >= 0 and box[2] - box[0] >= MIN_BOX and box[3] - box[1] >= MIN_BOX

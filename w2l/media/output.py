"""Specification of a video to write: path, format of its pictures, audio and other streams."""

from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from w2l.media.encoders import VideoShape
from w2l.media.encoding import Encoding
from w2l.media.picture import Colour
from w2l.media.soundtrack import inspect_speech
from w2l.media.streams import Beside, inspect_kept
from w2l.media.unfinished import Unfinished

VARIABLE_BASE = Fraction(1, 90000)
"""Seconds per unit of the timestamps of a video with a variable rate."""


@dataclass(frozen=True)
class Output:
    """A video to write.

    Sound and picture start together. The sound is copied when the container takes its codec and can say where it
    begins, else encoded (AAC at 192 kb/s; Opus in WebM). Raises ValueError for sizes and rates that cannot be.
    """

    path: Path
    """Ends in .mp4, .m4v, .mov, .mkv or .webm (AV1 or VP9)."""
    width: int
    """Of the pictures, pixels; an odd one that the codec cannot have is padded by repeating the last column."""
    height: int
    """Of the pictures, pixels; an odd one that the codec cannot have is padded by repeating the last row."""
    fps: float
    """Pictures per second; with `variable`, their average, and how long the last one is shown."""
    _: KW_ONLY
    speech: Path | None = None
    """Any file with sound. Its first sample falls on the first picture."""
    speech_origin_s: float | None = None
    """Time in the clock of `speech` that falls on the first picture instead: `VideoInfo.start_s` for a video's own."""
    speech_stream: int | None = None
    """Which stream of `speech` it is; by default the one a player would choose."""
    until_s: float | None = None
    """When the video ends, in seconds: sound and subtitles are cut there, and with `variable` the last picture lasts
    until then. Copied sound ends with the packet that holds that time (AAC: at most 23 ms later), of which the
    container says that only the part before it counts. Without it, the audio continues to its end."""
    speech_until_s: float | None = None
    """When the speech alone is cut, if not at `until_s`; infinity for not at all."""
    encoding: Encoding = field(default_factory=Encoding)
    """Codec, quality and speed."""
    colour: Colour | None = None
    """Of the pictures; by default that of the first."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    variable: bool = False
    """Whether pictures come with times, which are kept to 1/90000 s (Matroska rounds them to milliseconds)."""
    keep: Path | None = None
    """A source whose further sound, subtitles, chapters and metadata come along; with `speech`, that takes the place
    of the stream of sound a player would choose, or of itself where it is the source's, else all sound is kept."""
    keep_origin_s: float | None = None
    """Time in the clock of `keep` that falls on the first picture; without it, that of its own first picture."""
    comment: str = ""
    """What the file's tags say of it."""

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible size or rate."""
        if self.width < 1 or self.height < 1 or self.fps <= 0:
            raise ValueError(f"a video of {self.width} x {self.height} pixels at {self.fps} fps is not possible")

    @property
    def shape(self) -> VideoShape:
        """What the pictures have in common."""
        rate = Fraction(self.fps).limit_denominator(1001)
        base = VARIABLE_BASE if self.variable else 1 / rate
        return VideoShape(self.width, self.height, rate, base, self.pixel_aspect)

    def end_pts(self, last: int) -> int:
        """Return when the last picture, shown from the timestamp `last` on, ends, in units of the time base.

        That is one usual period later; at a variable rate, at `until_s`, where it is given.
        """
        shape = self.shape
        end = round(self.until_s / shape.time_base) if self.variable and self.until_s is not None else last
        return end if end > last else last + max(1, round(1 / (shape.rate * shape.time_base)))

    def pictures_alone(self, path: Path) -> "Output":
        """Return a video of the same form at `path`, with nothing beside the pictures."""
        return replace(
            self, path=path, speech=None, speech_origin_s=None, speech_stream=None, until_s=None, speech_until_s=None,
            keep=None, keep_origin_s=None, comment="",
        )  # fmt: skip

    def begin(self) -> tuple[Unfinished, Beside]:
        """Return the file to write and what comes beside the pictures, both checked and not yet begun.

        Raises MediaError for an ending or a folder that cannot be written, and for unusable speech.
        """
        speech_until_s = self.until_s if self.speech_until_s is None else self.speech_until_s
        sound = None
        if self.speech is not None:
            sound = inspect_speech(self.speech, self.speech_origin_s, speech_until_s, self.speech_stream)
        file = Unfinished(self.path, self.encoding.coder)
        kept = None
        if self.keep is not None:
            kept = inspect_kept(self.keep, file.muxer, self.keep_origin_s, self.until_s, sound)
        return file, Beside(sound, kept, self.comment)

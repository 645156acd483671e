"""How a video is encoded, as settings say it: importable without PyAV."""

from dataclasses import dataclass
from typing import Literal, get_args

from w2l.core.config import check_word
from w2l.core.errors import ConfigError
from w2l.media.chroma import STEPS, Chroma
from w2l.media.encoder_options import PRESETS

Codec = Literal["h264", "hevc", "av1", "vp9", "prores"]
CodecChoice = Literal["auto", "h264", "hevc", "av1", "vp9", "prores"]
ChromaChoice = Literal["auto", "420", "keep"]
Hardware = Literal["auto", "off"]

EVEN_CODECS = ("h264", "hevc", "prores")
"""Codecs whose pictures have an even size where two pixels share a sample of chroma; the others take odd ones. ProRes
does, but its encoder spoils the last column of chroma."""
DEFAULT_CRF: dict[str, int] = {"h264": 18, "hevc": 18, "av1": 24, "vp9": 28, "prores": 0}
"""The quality of each codec with which they are equally close to the picture, by their squared error; ProRes has one
quality alone."""
MAX_CRF: dict[str, int] = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63, "prores": 51}


@dataclass(frozen=True)
class Encoding:
    """Video encoding."""

    codec: CodecChoice = "auto"
    """`h264` plays everywhere; `hevc`, `av1` and `vp9` are smaller and slower; `prores` (.mov alone) is for editing.
    `auto`: `h264`, or what suits the file and the pictures: `av1` in WebM, `hevc` for 10 bits in MP4 and MOV, `prores`
    in MOV for ProRes sources, and for transparent ones `prores` in MOV, `vp9` in WebM."""
    crf: int | None = None
    """Quality: 0 is lossless, 51 (av1: 63) the worst; by default 18 for h264 and equivalent values for the others."""
    preset: str | None = None
    """Trade-off between time and size, `ultrafast` to `veryslow`; by default `veryfast`."""
    hardware: Hardware = "off"
    """`auto`: encode on the graphics card if possible."""
    bits: int | None = None
    """Bits per sample, 8 or 10; null: those of the pictures."""
    chroma: ChromaChoice = "auto"
    """How finely colours are sampled: `420` (all players), `keep` (as the source, where the codec can), or `auto`:
    as the source in MKV and with `prores`, 4:2:0 in other files."""

    def __post_init__(self) -> None:
        """Raise ConfigError for unknown values and numbers out of range."""
        check_word("codec", self.codec, get_args(CodecChoice))
        check_word("hardware", self.hardware, get_args(Hardware))
        if self.preset is not None:
            check_word("preset", self.preset, PRESETS)
        if self.crf is not None and not 0 <= self.crf <= MAX_CRF[self.coder]:
            raise ConfigError(f"crf {self.crf} must be between 0 and {MAX_CRF[self.coder]} for {self.coder}")
        if self.bits not in (None, 8, 10):
            raise ConfigError(f"bits must be 8 or 10 (got {self.bits})")
        check_word("chroma", self.chroma, get_args(ChromaChoice))
        if self.codec == "prores" and (self.bits == 8 or self.chroma == "420"):
            raise ConfigError("prores has 10 bits and chroma from 4:2:2 on; leave out bits 8 and chroma 420")

    @property
    def coder(self) -> Codec:
        """The codec in use."""
        return "h264" if self.codec == "auto" else self.codec

    @property
    def quality(self) -> int:
        """The `crf` in use."""
        return DEFAULT_CRF[self.coder] if self.crf is None else self.crf

    def coded_size(self, width: int, height: int, chroma: Chroma) -> tuple[int, int]:
        """Return the width and height that pictures are padded to, pixels."""
        down, across = (2, 2) if self.hardware == "auto" else STEPS[chroma] if self.coder in EVEN_CODECS else (1, 1)
        return -(-width // across) * across, -(-height // down) * down

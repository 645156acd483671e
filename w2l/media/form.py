"""How pictures of a source are written: codec, chroma subsampling, alpha and range, and what is not kept."""

import logging
from dataclasses import replace
from pathlib import Path

from w2l.media.chroma import STEPS, Chroma
from w2l.media.encoders import ALPHA_CHROMA, CHROMAS
from w2l.media.encoding import EVEN_CODECS, Codec, Encoding
from w2l.media.picture import Colour
from w2l.media.picture_files import is_pictures_output
from w2l.media.video import VideoInfo

log = logging.getLogger(__name__)

HEVC_SUFFIXES = (".mp4", ".m4v", ".mov")
"""Suffixes of files whose players decode HEVC of 10 bits, and no other codec of 10 bits."""
WEBM_SUFFIX = ".webm"
MOV_SUFFIX = ".mov"
FINE_SUFFIX = ".mkv"
"""Suffix of files whose players decode every chroma subsampling, so that the source's is kept by default."""
NAMES = {"prores": "ProRes", "vp9": "VP9"}
SOURCE_STEPS = {str(name): steps for name, steps in STEPS.items()} | {"4:4:0": (2, 1), "4:1:1": (1, 4), "4:1:0": (4, 4)}
"""Rows and columns of pixels that share a chroma sample, by subsampling of the source."""


def for_file(encoding: Encoding, path: Path) -> Encoding:
    """Return the encoding; if its codec is `auto` and the file's kind alone decides, with that codec."""
    return _with(encoding, "av1") if encoding.codec == "auto" and path.suffix.lower() == WEBM_SUFFIX else encoding


def suited_encoding(encoding: Encoding, path: Path, info: VideoInfo) -> Encoding:
    """Return the encoding; if its codec is `auto`, with the one that suits the file and the source's pictures.

    In WebM that is AV1, or VP9 where the pictures are transparent, or where fine chroma of 8 bits is to be kept. In
    QuickTime files it is ProRes for what is transparent or was ProRes before. In these and in MP4 it is HEVC for 10
    bits: few players show H.264 of 10 bits.
    """
    suffix = path.suffix.lower()
    is_deep = (encoding.bits or info.colour.depth) == 10 or (info.colour.curve is not None and encoding.bits is None)
    if encoding.codec != "auto":
        return encoding
    if suffix == WEBM_SUFFIX:
        keeps_chroma = encoding.chroma == "keep" and _source_chroma(info) in CHROMAS["vp9"][1:] and not is_deep
        return _with(encoding, "vp9" if info.has_alpha or keeps_chroma else "av1")
    is_for_editing = info.has_alpha or info.codec == "prores"
    if suffix == MOV_SUFFIX and is_for_editing and encoding.bits != 8 and encoding.chroma != "420":
        return _with(encoding, "prores")
    return _with(encoding, "hevc") if is_deep and suffix in HEVC_SUFFIXES else encoding


def as_written(encoding: Encoding, path: Path, info: VideoInfo) -> VideoInfo:
    """Return the properties of a source, with the colour properties with which its pictures are written."""
    return replace(info, colour=written_colour(suited_encoding(encoding, path, info), path, info))


def written_colour(encoding: Encoding, path: Path, info: VideoInfo) -> Colour:
    """Return the colour properties with which the pictures are written, and must be read.

    `encoding` is that of `suited_encoding`; picture files keep all chroma.
    """
    if is_pictures_output(path):
        return replace(info.colour, has_alpha=False, chroma="4:4:4")
    codec, source = encoding.coder, _source_chroma(info)
    colour = replace(info.colour, has_alpha=info.has_alpha and codec in ALPHA_CHROMA)
    if codec == "prores":
        chroma: Chroma = "4:4:4" if colour.has_alpha or source == "4:4:4" else "4:2:2"
        return replace(colour, chroma=chroma, full_range=False)  # players take it for limited in any case
    is_kept = encoding.chroma == "keep" or (
        encoding.chroma == "auto" and path.suffix.lower() == FINE_SUFFIX and not info.is_rgb
    )
    known = (ALPHA_CHROMA[codec],) if colour.has_alpha else CHROMAS[codec]
    return replace(colour, chroma=next((one for one in known if is_kept and one == source), known[0]))


def report(encoding: Encoding, chosen: Encoding, path: Path, info: VideoInfo) -> None:
    """Log which codec was chosen because of the pictures, and what is not kept of them, in one line each.

    `chosen` is that of `suited_encoding`, and the colour of `info` that of `written_colour`.
    """
    if is_pictures_output(path):
        if info.has_alpha:
            log.warning("%s: not kept of its pictures: transparency (what it hid is seen)", info.path)
        return
    if encoding.codec == "auto" and chosen.coder in ("hevc", "prores", "vp9"):
        log.info("%s: %s; --codec%s", path, *_why(chosen, info))
    if chosen.coder == "prores" and chosen.crf is not None:
        log.warning("%s: ProRes has one quality, which is not lossless; crf %d is not used", path, chosen.crf)
    if lost := not_kept(info, chosen):
        log.warning("%s: the output does not keep: %s", info.path, lost)


def not_kept(info: VideoInfo, encoding: Encoding) -> str:
    """Return what an output does not keep of a source's pictures, in a few words; empty if it keeps everything.

    The colour of `info` is that of `written_colour`, `encoding` that of `suited_encoding`.
    """
    colour, codec = info.colour, encoding.coder
    lost = []
    if info.has_alpha and not colour.has_alpha:
        lost.append("transparency (what it hid is seen; prores in .mov and vp9 in .webm keep it)")
    if any(had < has for had, has in zip(SOURCE_STEPS.get(info.chroma, (2, 2)), colour.steps)):
        lost.append(f"{info.chroma} chroma (becomes {colour.chroma}{_way_to_keep(info, codec)})")
    if info.bits > colour.depth and encoding.bits is None and info.codec != "prores":  # whose decoder pads to 12
        lost.append(f"{info.bits} bits a sample (become {colour.depth})")
    sizes = encoding.coded_size(info.width, info.height, colour.chroma)
    sides = (("width", "column", info.width, sizes[0]), ("height", "row", info.height, sizes[1]))
    way = f": {codec} of {colour.chroma} is even, av1 is not" if codec in EVEN_CODECS else ""
    lost += [
        f"{name} {size} px (becomes {coded}, the last {line} repeated{way})"
        for name, line, size, coded in sides
        if coded != size
    ]
    return ", ".join(lost)


def _source_chroma(info: VideoInfo) -> str:
    """Return the chroma subsampling of a source; 4:4:4 for RGB."""
    return "4:4:4" if info.is_rgb else info.chroma


def _with(encoding: Encoding, codec: Codec) -> Encoding:
    return replace(encoding, codec=codec)


def _why(chosen: Encoding, info: VideoInfo) -> tuple[str, str]:
    """Return which pictures are encoded with which codec, and which option other than --codec changes that."""
    if chosen.codec == "hevc":
        what = "of high dynamic range" if info.colour.curve is not None else "of 10 bits a sample"
        return f"pictures {what} are encoded as HEVC (hvc1)", " and --bits change that"
    if info.colour.has_alpha:
        return f"transparent pictures are encoded as {NAMES[chosen.coder]}, which keeps them so", " changes that"
    if chosen.codec == "prores":
        return "pictures of ProRes are encoded as ProRes", " changes that"
    return "pictures of fine chroma are encoded as VP9, which keeps it", " and --chroma change that"


def _way_to_keep(info: VideoInfo, codec: Codec) -> str:
    """Return how to keep the chroma of a source; empty if it cannot be kept."""
    if info.chroma not in STEPS:
        return ""
    if info.colour.has_alpha:
        return f"; {codec} has no other with alpha"
    return "; --chroma keep keeps it" if info.chroma in CHROMAS[codec] else f"; {codec} has no other here"

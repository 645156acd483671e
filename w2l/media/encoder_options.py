"""The options of each encoder, in its own words."""

import os
from collections.abc import Mapping

import cv2

from w2l.media.chroma import LEFT_SITED
from w2l.media.picture import Colour

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
DEFAULT_PRESET = "veryfast"
SVT_PRESETS = dict(zip(PRESETS, (12, 11, 10, 9, 8, 6, 4, 3, 2)))
"""SVT-AV1 counts from slow (0) to fast (13)."""
NVENC_PRESETS = dict(zip(PRESETS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7")))
SITINGS = {
    (0.0, 0.0): "topleft",
    (0.5, 0.0): "top",
    (0.5, 0.5): "center",
    (0.0, 1.0): "bottomleft",
    (0.5, 1.0): "bottom",
}
"""Words for where chroma samples lie; what is not here is left unsaid, which means left."""
AVX_512F = 13
"""OpenCV's number of the instructions that AVX-512 begins with, which come with AVX2."""
VP9_SPEEDS = dict(zip(PRESETS, (8, 7, 6, 5, 5, 4, 3, 2, 1)))
"""libvpx counts from slow (0) to fast (8)."""
VP9_QUICK = PRESETS[:4]
"""Presets with libvpx's mode for live video: at 512 px 8 times as fast as the other, and 0.8 dB closer at the same
`crf` and 3 % more bytes."""
PRORES_PROFILES = {"4:2:2": "hq", "4:4:4": "4444"}
"""ProRes 422 HQ, and 4444, which may hold alpha."""


def options_for(name: str, preset: str, crf: int, colour: Colour) -> dict[str, str]:
    """Return the encoder's own options for a preset and a `crf`; libraries that print to stderr are silenced."""
    lossless = crf == 0
    siting = SITINGS.get(colour.siting) if colour.siting != LEFT_SITED else None
    options: Mapping[str, str]
    if name == "libx264":
        options = {"preset": preset} | ({"qp": "0"} if lossless else {"crf": str(crf)}) | _steady_asm()
    elif name == "libx265":
        # Without the note on its settings in the stream, which differ between machines, parts fit together.
        parameters = "log-level=none:info=0" + (":lossless=1" if lossless else "")
        options = {"preset": preset, "crf": str(crf), "x265-params": parameters}
    elif name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "0")
        siting = siting if siting == "topleft" else None
        # On several threads SVT-AV1 4.1 hung, merged two frames' packets or wrote a damaged file in 4 of 1,080 short
        # encodes on busy cores, and on one in none of 600, for about half the speed (720p: 33 frames/s).
        options = {"preset": str(SVT_PRESETS[preset]), "svtav1-params": "lp=1" + (":lossless=1" if lossless else "")}
        options |= {} if lossless else {"crf": str(crf)}
    elif name == "libvpx-vp9":
        # Frames that are not shown, which it would refer to, cannot have alpha.
        deadline = "realtime" if preset in VP9_QUICK else "good"
        options = {"deadline": deadline, "cpu-used": str(VP9_SPEEDS[preset]), "b": "0"}
        options |= {"auto-alt-ref": "0"} if colour.has_alpha else {}
        options |= {"lossless": "1"} if lossless else {"crf": str(crf)}
    elif name == "prores_ks":
        options = {"profile": PRORES_PROFILES[colour.chroma], "alpha_bits": "16" if colour.has_alpha else "0"}
    elif name.endswith("_nvenc"):
        quality = {"tune": "lossless"} if lossless else {"tune": "hq", "rc": "vbr", "cq": str(crf), "b": "0"}
        options = {"preset": NVENC_PRESETS[preset]} | quality
    elif name.endswith("_videotoolbox"):
        options = {"flags": "+qscale", "global_quality": str(118 * max(1, 100 - 2 * crf))}
    else:
        options = {"preset": preset, "global_quality": str(max(1, crf))}
    return dict(options) | ({"chroma_sample_location": siting} if siting else {})


def _steady_asm() -> dict[str, str]:
    """Keep x264 from its AVX-512 code, with which equal pictures give one of several files from run to run.

    Of 30 encodes of one clip of 352x288, 15 were alike with it, and 218 of 218 without it (several widths from 350 to
    366), whatever the padding held; 24 pictures of 720p took 0.40 s of processor time either way. x265 is steady.
    """
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(AVX_512F) else {}

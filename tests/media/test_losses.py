"""What an output cannot keep of a source's pictures is said in one line."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.coded_media import make_coded
from w2l.core.arrays import Image
from w2l.media.losses import not_kept
from w2l.media.video import probe


def made_of(path: Path, codec: str, pix_fmt: str, alpha: int = 255, size: tuple[int, int] = (48, 64)) -> Path:
    """Three grey pictures, a corner of them as transparent as `alpha` says."""
    image: Image = np.full((*size, 4), 120, np.uint8)
    image[..., 3] = 255
    image[:20, :20, 3] = alpha
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size  # type: ignore[attr-defined]
        stream.pix_fmt = pix_fmt  # type: ignore[attr-defined]
        for _ in range(1 if codec == "png" else 3):
            frame = av.VideoFrame.from_ndarray(image, format="rgba")
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "alpha", "wanted"),
    [
        ("a.png", "png", "rgba", 0, True),
        ("a.png", "png", "rgba", 255, False),
        ("a.png", "png", "rgb24", 0, False),
        ("a.mov", "prores_ks", "yuva444p10le", 0, True),
        ("a.mov", "qtrle", "argb", 100, True),
        ("a.mkv", "ffv1", "yuva420p", 0, True),
        ("a.webm", "libvpx-vp9", "yuva420p", 0, True),
        ("a.webm", "libvpx-vp9", "yuv420p", 0, False),
        ("a.apng", "apng", "rgba", 0, True),
    ],
)
def test_transparency(tmp_path: Path, name: str, codec: str, pix_fmt: str, alpha: int, wanted: bool) -> None:
    path = made_of(tmp_path / name, codec, pix_fmt, alpha)
    assert ("transparency" in not_kept(probe(path))) == wanted


@pytest.mark.parametrize(
    ("pix_fmt", "wanted"),
    [
        ("yuv420p", ""),
        ("yuv420p10le", ""),
        ("yuv422p", "4:2:2 chroma (becomes 4:2:0)"),
        ("yuv422p10le", "4:2:2 chroma (becomes 4:2:0)"),
        ("yuv444p", "4:4:4 chroma (becomes 4:2:0)"),
    ],
)
def test_fine_chroma(tmp_path: Path, pix_fmt: str, wanted: str) -> None:
    assert not_kept(probe(make_coded(tmp_path / "a.mkv", 2, pix_fmt=pix_fmt))) == wanted


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((48, 64), []),
        ((48, 65), ["width 65 px (becomes 66, the last column repeated)"]),
        ((49, 64), ["height 49 px (becomes 50, the last row repeated)"]),
        ((49, 65), ["width 65", "height 49"]),
    ],
)
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], wanted: list[str]) -> None:
    said = not_kept(probe(made_of(tmp_path / "a.png", "png", "rgb24", size=size)))
    assert all(words in said for words in wanted)
    assert bool(said) == bool(wanted)

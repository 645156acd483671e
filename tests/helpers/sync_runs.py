"""What the tests of sync share: one run of the command line, small models, made media, and what a result changed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from w2l.core.arrays import Image
from w2l.data.puppets import Puppet, draw_face
from w2l.faces.follow import fixed_face
from w2l.features.crop import CropSpec, footprint
from w2l.media.audio import write_wav
from w2l.media.coded import read_coded
from w2l.media.picture import Picture
from w2l.models.checkpoint import ModelCard, save_model
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.syncing.compose import Compositor

BOX = (40.0, 20.0, 104.0, 100.0)
"""Where the face of `pattern` is said to be; there is none."""
BOX_OPTION = ",".join(f"{side:.0f}" for side in BOX)
SIZE = (120, 144)
"""Height and width of `pattern`."""
ROOM = (240, 320)
"""Height and width of the pictures with drawn faces."""
ANN = Puppet()
BOB = Puppet(skin=(140, 96, 72), hair=(20, 16, 14), lips=(120, 50, 60))
SPEECH_S = 1.0
"""Seconds of `speech.wav`."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


def one_line(outcome: Outcome, status: int, *said: str, n_logged: int = 0) -> None:
    """One line of error on stderr that says so, behind as many of the log; nothing on stdout, and that status."""
    assert outcome.status == status, outcome.err
    assert outcome.out == ""
    *logged, last, end = outcome.err.split("\n")
    assert end == ""
    assert last.startswith("error: ")
    assert len(logged) == n_logged, outcome.err
    assert "Traceback" not in outcome.err
    for words in said:
        assert words in last


def listing(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder and in those under it, the cache and what it holds left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.relative_to(folder).parts[0] != "cache"
    }


def pattern(count: int, size: tuple[int, int] = SIZE, first: int = 0) -> Iterator[Image]:
    """Pictures (height, width, 3) of coloured waves, each unlike the others."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    for k in range(first, first + count):
        waves = [127 + 80 * np.sin(x / (9 + c) + k / 3) * np.cos(y / 11 + k / 5) for c in range(3)]
        yield np.stack(waves, -1).round().astype(np.uint8)


def voice(seconds: float, rate: int = 16000) -> NDArray[np.float32]:
    """A buzz with overtones (samples,) that comes and goes three times a second."""
    times = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 150 * k * times + k * k) / k for k in range(1, 21))
    return np.asarray(0.25 * buzz * (np.sin(2 * np.pi * 3 * times) > 0), dtype=np.float32)


def room(faces: Sequence[tuple[Puppet, float, float, float]], mouth: float = 0.0) -> Image:
    """A grey room with drawn faces: (look, x, y, half width), the last in front."""
    image = np.full((*ROOM, 3), (70, 110, 140), dtype=np.uint8)
    for look, x, y, half_width in faces:
        draw_face(image, x, y, half_width, mouth, look)
    return image


def write_pictures(
    path: Path,
    images: Iterable[Any],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 25,
    source_format: str = "rgb24",
    muxer: str | None = None,
    interlaced: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Pictures (height, width, channels) as a video of any codec and pixel format."""
    with av.open(str(path), "w", format=muxer) as container:
        stream: Any = None
        for idx, image in enumerate(images):
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=options or {})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = Fraction(1, fps)
                if interlaced:
                    stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source_format)
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = idx, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_models(folder: Path) -> None:
    """Small generators for aligned faces and for boxes, an expert, and a file cut short."""
    torch.manual_seed(0)
    for rows, kind in (("lower", "aligned"), ("full", "box")):
        dims = GeneratorDimensions(width=2, rows=rows)  # type: ignore[arg-type]
        card = ModelCard("generator", asdict(dims), CropSpec(kind, 96), step=7)  # type: ignore[arg-type]
        generator = Generator(dims)
        for layer in generator.audio_encoder.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data *= 4  # untrained, it would hardly hear
        save_model(folder / f"{kind}.safetensors", generator, card)
    expert = ExpertDimensions(width=2)
    save_model(folder / "expert.safetensors", Expert(expert), ModelCard("expert", asdict(expert)))
    (folder / "cut.safetensors").write_bytes((folder / "aligned.safetensors").read_bytes()[:-5000])


def make_media(folder: Path) -> None:
    """clip.mp4 (15 frames, 25 fps, no sound), speech.wav (1 s), short.wav, models, and what is no video."""
    make_models(folder)
    write_wav(folder / "speech.wav", voice(SPEECH_S))
    write_wav(folder / "short.wav", voice(0.2)[:3000])
    write_pictures(folder / "clip.mp4", pattern(15), options={"crf": "12", "g": "5"})
    (folder / "mute.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "junk.mp4").write_bytes(b"this is no video" * 100)


def pictures(path: Path) -> list[Picture]:
    """All pictures of a file, as they were coded."""
    return [frame.picture for frame in read_coded(path)]


def frame_times(path: Path) -> NDArray[np.float64]:
    """When each picture of a file is shown, (frames,) seconds from the first."""
    return np.array([frame.time_s for frame in read_coded(path)])


def support(width: int, height: int, box: tuple[float, ...] = BOX, blend: str = "soft") -> NDArray[np.bool_]:
    """(height, width): the pixels of which a redrawn face in `box`, aligned, shows anything."""
    spec = CropSpec("aligned", 96)
    face = fixed_face(box).at(0)[0]  # type: ignore[arg-type]
    weight = Compositor(spec, "lower", blend).weight  # type: ignore[arg-type]
    found = footprint(weight, face.box, face.points, spec, width, height)
    assert found is not None
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[found.rows, found.columns] = found.moved_weight(weight) > 0
    return mask


def same(made: Picture, source: Picture, mask: NDArray[np.bool_] | None = None) -> bool:
    """Whether all samples are equal that show outside `mask` (height, width): a chroma sample shows in four pixels."""
    luma = np.zeros(source.y.shape, np.bool_) if mask is None else mask
    height, width = (2 * side for side in source.u.shape)
    padded = np.zeros((height, width), np.bool_)
    padded[: luma.shape[0], : luma.shape[1]] = luma
    chroma = padded.reshape(height // 2, 2, width // 2, 2).all(axis=(1, 3))
    return all(
        np.array_equal(ours[~inside], theirs[~inside])
        for ours, theirs, inside in (
            (made.y, source.y, luma), (made.u, source.u, chroma), (made.v, source.v, chroma)
        )
    )  # fmt: skip


def change(made: Picture, source: Picture, mask: NDArray[np.bool_] | None = None) -> float:
    """Mean difference of luma within `mask`, in grey levels of 8 bits."""
    inside = np.ones(source.y.shape, np.bool_) if mask is None else mask
    away = np.abs(made.y[inside].astype(int) - source.y[inside]).mean()
    return float(away) / 2 ** (source.colour.depth - 8)


def order_of(made: Sequence[Picture], source: Sequence[Picture], mask: NDArray[np.bool_]) -> list[int]:
    """For each picture of a lossless result the one picture of the source that it is outside `mask`."""
    order = []
    for picture in made:
        found = [idx for idx, other in enumerate(source) if same(picture, other, mask)]
        assert len(found) == 1, f"picture {len(order)} is like {found}"
        order += found
    return order


def streams(path: Path) -> list[tuple[str, str]]:
    """Kind and codec of each stream."""
    with av.open(str(path)) as container:
        return [(stream.type, stream.codec_context.codec.canonical_name) for stream in container.streams]

"""Measure the imperceptible mark: visibility, robustness, false alarms and cost."""

import io
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from w2l.data.puppets import babble, talk
from w2l.marks.code import CHECK_BITS, record_id
from w2l.marks.detect import N_MORE_WORDS, N_WORDS, THRESHOLD, analysed, candidates, search
from w2l.marks.embed import Marker
from w2l.media.coded import read_coded
from w2l.media.picture import Picture

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Luma and both chroma planes of a picture."""
Clip = list[Planes]

SECONDS = 5
"""Length of a clip, that of a segment searched by `w2l verify`."""
FPS = 25
EVERY = 6
"""Interval of the pictures that are searched, as in `w2l verify`."""
ENDINGS = {".mp4", ".mkv", ".mov", ".webm", ".m4v"}
HD = (1280, 720)


def coded(clip: Clip, codec: str, fps: int = FPS, **options: str) -> Clip:
    """Return the pictures of a clip encoded and decoded."""
    buffer = io.BytesIO()
    height, width = (side - side % 2 for side in clip[0][0].shape)
    with av.open(buffer, "w", format="matroska") as out:
        stream: Any = out.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for idx, planes in enumerate(clip):
            frame = av.VideoFrame(width, height, "yuv420p")
            for target, plane in zip(frame.planes, planes):
                samples = np.frombuffer(target, np.uint8).reshape(target.height, -1)
                samples[:, : target.width] = plane[: target.height, : target.width]
            frame.pts, frame.time_base = idx, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return [_planes(frame) for frame in source.decode(video=0)]


def _planes(frame: Any) -> Planes:
    planes = (np.frombuffer(one, np.uint8).reshape(one.height, -1)[:, : one.width].copy() for one in frame.planes)
    y, u, v = planes
    return y, u, v


def h264(clip: Clip, crf: int) -> Clip:
    """Return the clip encoded as H.264 with that quality and decoded."""
    return coded(clip, "libx264", crf=str(crf), preset="medium")


def scaled(clip: Clip, factor: float) -> Clip:
    """Return the clip scaled by `factor`."""
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    made = []
    for y, _, _ in clip:
        width, height = (2 * round(side * factor / 2) for side in y.shape[::-1])
        made.append((cv2.resize(y, (width, height), interpolation=way), *_grey(width, height)))
    return made


def _grey(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    return grey, grey


def cropped(clip: Clip) -> Clip:
    """Return the clip without a tenth of each side."""
    height, width = clip[0][0].shape
    rows, columns = slice(round(0.1 * height), round(0.9 * height)), slice(round(0.1 * width), round(0.9 * width))
    made = [np.ascontiguousarray(y[rows, columns]) for y, _, _ in clip]
    return [(y, *_grey(y.shape[1] + 1, y.shape[0] + 1)) for y in made]


def at_30_fps(clip: Clip) -> Clip:
    """Return the clip at 30 pictures per second, each the nearest in time."""
    return [clip[min(len(clip) - 1, round(idx * FPS / 30))] for idx in range(len(clip) * 30 // FPS)]


def brighter(clip: Clip) -> Clip:
    """Return the clip with brightness and contrast raised by 15 %."""
    return [(np.clip((y - 128.0) * 1.15 + 128 + 0.15 * 128, 0, 255).astype(np.uint8), u, v) for y, u, v in clip]


CHANGES: dict[str, Callable[[Clip], Clip]] = {
    "as encoded by sync (crf 18)": lambda clip: clip,
    "H.264 crf 18": lambda clip: h264(clip, 18),
    "H.264 crf 23": lambda clip: h264(clip, 23),
    "H.264 crf 28": lambda clip: h264(clip, 28),
    "H.264 crf 33": lambda clip: h264(clip, 33),
    "HEVC crf 28": lambda clip: coded(clip, "libx265", crf="28", preset="fast", **{"x265-params": "log-level=none"}),
    "VP9 crf 36": lambda clip: coded(clip, "libvpx-vp9", crf="36", b="0", deadline="realtime", **{"cpu-used": "7"}),
    "scaled to 0.5, crf 23": lambda clip: h264(scaled(clip, 0.5), 23),
    "scaled to 1.5, crf 23": lambda clip: h264(scaled(clip, 1.5), 23),
    "cropped by 10 % each side, crf 23": lambda clip: h264(cropped(clip), 23),
    "25 to 30 fps, crf 23": lambda clip: coded(at_30_fps(clip), "libx264", 30, crf="23"),
    "brightness, contrast 15 %, crf 23": lambda clip: h264(brighter(clip), 23),
    "encoded twice, crf 23 and 28": lambda clip: h264(h264(clip, 23), 28),
    "scaled to 0.5, crf 33 (reported)": lambda clip: h264(scaled(clip, 0.5), 33),
}
"""Name of an alteration of a marked clip -> function that applies it."""


def marks(videos: Sequence[Path], n_clips: int, n_unmarked: int) -> None:
    """Print the table of all measurements."""
    cv2.setNumThreads(1)
    clips = [(name, clip) for name, clip in islice(_clips(videos), n_clips)]
    found: dict[str, list[float]] = {what: [] for what in CHANGES}
    wrong, levels = 0, []
    for idx, (name, clip) in enumerate(clips):
        record = record_id(f"{name} {idx}")
        height, width = clip[0][0].shape
        marker = Marker(record, width, height)
        made = [(marker.marked(y), u, v) for y, u, v in clip]
        error = np.mean([(one[0].astype(float) - other[0]) ** 2 for one, other in zip(made[::EVERY], clip[::EVERY])])
        levels.append(10 * math.log10(255**2 / error))
        made = coded(made, "libx264", crf="18", preset="veryfast")
        for what, change in CHANGES.items():
            scores = {one.record: one.score for one in search(_total(change(made)))}
            found[what] += [score for one, score in scores.items() if one == record]
            wrong += len(set(scores) - {record})
        print(f"{idx + 1} of {len(clips)} clips", file=sys.stderr, flush=True)
    print(f"{len(clips)} clips of {SECONDS} s: {', '.join(sorted({name for name, _ in clips}))}\n")
    print("| what | measured |\n|---|---|")
    print(f"| PSNR of marked over unmarked luma, dB (least, mean) | {min(levels):.2f}, {np.mean(levels):.2f} |")
    for what, agreements in found.items():
        share = f"{len(agreements)} of {len(clips)} ({100 * len(agreements) / len(clips):.0f} %)"
        least = f", least agreement {min(agreements):.1f}" if agreements else ""
        print(f"| found, bits right: {what} | {share}{least} |")
    print(f"| wrong records read in marked clips | {wrong} |", flush=True)
    if n_unmarked:
        _print_chance([clip for _, clip in clips], n_unmarked)
    _print_cost()


def _print_chance(clips: Sequence[Clip], n_unmarked: int) -> None:
    """Print the false alarms in unmarked segments: the clips as they are, then shifted, mirrored and with noise."""
    random = np.random.default_rng(0)
    alarms, scores, n_read, n_done = 0, [], 0, 0
    for number, clip in enumerate(islice(cycle(clips), n_unmarked)):
        round_idx = number // len(clips)
        read = candidates(_total([(_varied(y, round_idx, random), u, v) for y, u, v in clip[::EVERY]], 1))
        alarms += any(one.record and one.score >= THRESHOLD for one in read)
        scores += [max((one.score for one in read), default=0.0)]
        n_read += sum(one.score >= THRESHOLD for one in read)
        n_done += 1
    n_words = 2 * N_WORDS + N_MORE_WORDS
    bound = f"{n_words * max(n_read, 3) / n_done * 2.0**-CHECK_BITS:.1e}"  # 3: the 95 % bound if none was counted
    print(f"| unmarked segments of {SECONDS} s | {n_done} |")
    print(f"| false alarms in them | {alarms} |")
    print(f"| highest agreement by chance, without the checksum (threshold {THRESHOLD:.1f}) | {max(scores):.1f} |")
    said = f"{n_words} words tried where one is above the threshold x 2^-{CHECK_BITS}"
    print(f"| false alarms per segment, at most: {said} | {bound} |", flush=True)


def _varied(luma: np.ndarray, round_idx: int, random: np.random.Generator) -> np.ndarray:
    """Return a variant of a real segment that earlier rounds did not use: moved, mirrored, scaled, noisier."""
    if not round_idx:
        return luma
    turned = np.roll(luma[:, ::-1] if round_idx % 2 else luma, (17 * round_idx, 29 * round_idx), axis=(0, 1))
    factor = 1.0 + 0.05 * (round_idx % 5)
    sized = cv2.resize(turned, None, fx=factor, fy=factor)
    return np.clip(sized + random.normal(0, 0.5 * (round_idx % 7), sized.shape), 0, 255).astype(np.uint8)


def _print_cost() -> None:
    """Print the time of marking and of searching."""
    luma = cv2.resize(np.random.default_rng(0).integers(0, 256, (90, 160), dtype=np.uint8), HD)
    began = time.process_time()
    marker = Marker("0" * 10, *HD)
    prepared = time.process_time()
    for _ in range(100):
        marker.marked(luma)
    marked = time.process_time()
    total = analysed(luma)
    seen = time.process_time()
    search(total)
    done = time.process_time()
    print(f"| marking, ms of one core per picture of 720p | {10 * (marked - prepared):.2f} |")
    print(f"| preparing the pattern, ms once | {1000 * (prepared - began):.0f} |")
    times = f"{1000 * (seen - marked):.0f}, {1000 * (done - seen):.0f}"
    print(f"| verifying: ms per picture read, ms per segment searched | {times} |")


def _total(clip: Clip, every: int = EVERY) -> Any:
    return sum(analysed(y) for y, _, _ in clip[::every])


def _clips(videos: Sequence[Path]) -> Iterator[tuple[str, Clip]]:
    """Yield named clips of 5 s: a drawn face, then clips of each folder; short videos of one size are joined."""
    wanted = SECONDS * FPS
    yield "puppet", [_of(Picture.from_rgb(image)) for image in islice(talk(babble(float(SECONDS), seed=3)), wanted)]
    folders: dict[Path, list[Path]] = {}
    for file in files_in(videos):
        folders.setdefault(file.parent, []).append(file)
    running = [_joined(found, wanted) for found in folders.values()]
    while running:
        for one in list(running):
            clip = next(one, None)
            if clip is None:
                running.remove(one)
            else:
                yield clip


def files_in(videos: Sequence[Path]) -> list[Path]:
    """Return the videos among files and in folders."""
    files = [file for path in videos for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file for file in files if file.suffix.lower() in ENDINGS]


def _joined(files: Sequence[Path], wanted: int) -> Iterator[tuple[str, Clip]]:
    """Yield clips of `wanted` pictures from the files of a folder."""
    kept: Clip = []
    for file in files:
        for frame in read_coded(file):
            if kept and kept[0][0].shape != frame.picture.y.shape:
                kept = []
            kept.append(_of(frame.picture))
            if len(kept) == wanted:
                yield (file.parent.name if file.parent.name != "clips" else file.stem), kept
                kept = []
                break


def _of(picture: Picture) -> Planes:
    if picture.colour.depth != 8:
        raise ValueError("the benchmark supports only videos of 8 bits")
    return picture.y, picture.u, picture.v

"""Mutated media for `w2l sync`, and a process that takes them: used by test_fuzz, one case a seed."""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np

from w2l.data.puppets import babble, talk

LIMIT_S = 60.0
"""Seconds after which a case counts as hanging."""
VIDEOS = {
    "h264.mp4": ("libx264", "aac"),
    "h264.mkv": ("libx264", "flac"),
    "mpeg4.avi": ("mpeg4", "pcm_s16le"),
    "mpeg2.ts": ("mpeg2video", "mp2"),
    "vp9.webm": ("libvpx-vp9", "libopus"),
    "mjpeg.mov": ("mjpeg", "pcm_s16le"),
}
SOUNDS = {"pcm.wav": "pcm_s16le", "flac.flac": "flac", "mp3.mp3": "libmp3lame", "opus.ogg": "libopus", "aac.m4a": "aac"}
BOX = "110,60,210,200"


def make_seeds(folder: Path) -> None:
    """Whole files of many kinds, each with a drawn face or speech of 0.8 s."""
    wave = babble(0.8, seed=1)
    images = list(talk(wave))
    for name, (codec, sound) in VIDEOS.items():
        with av.open(str(folder / name), "w") as container:
            _write(container, codec, images, sound, wave)
    for name, sound in SOUNDS.items():
        with av.open(str(folder / name), "w") as container:
            _write(container, None, [], sound, wave)
    for name, codec in (("still.png", "png"), ("still.jpg", "mjpeg")):
        frame = av.VideoFrame.from_ndarray(images[0], format="rgb24")
        context: Any = av.CodecContext.create(codec, "w")
        context.width, context.height, context.time_base = 320, 240, Fraction(1, 25)
        context.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        packets = context.encode(frame.reformat(format=context.pix_fmt)) + context.encode(None)
        (folder / name).write_bytes(b"".join(bytes(packet) for packet in packets))


def _write(container: Any, codec: str | None, images: list[Any], sound: str, wave: Any) -> None:
    video: Any = None
    if codec is not None:
        video = container.add_stream(codec, rate=25)
        video.width, video.height = 320, 240
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    audio = container.add_stream(sound, rate=48000, layout="mono")
    for idx, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = idx, Fraction(1, 25)
        container.mux(video.encode(frame))
    loud = np.repeat(wave, 3)[None].astype(np.float32)
    resampler = av.AudioResampler(format=audio.format.name, layout="mono", rate=48000)
    fifo = av.AudioFifo()
    whole = av.AudioFrame.from_ndarray(loud, "fltp", "mono")
    whole.sample_rate, whole.pts, whole.time_base = 48000, 0, Fraction(1, 48000)
    for piece in resampler.resample(whole):
        fifo.write(piece)
    size = audio.codec_context.frame_size or 1024
    while piece := fifo.read(size, partial=True):
        container.mux(audio.encode(piece))
    for stream in (video, audio):
        if stream is not None:
            container.mux(stream.encode(None))


def _flip(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 8, 64, 512])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _flip_head(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(len(data), 512))] = rng.randrange(256)
    return data


def _cut_end(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _cut_start(data: bytearray, rng: random.Random) -> bytearray:
    return data[rng.randrange(len(data)) :]


def _cut_middle(data: bytearray, rng: random.Random) -> bytearray:
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:start] + data[stop:]


def _noise(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice([16, 256, 4096]))
    data[start:stop] = rng.randbytes(stop - start)
    return data


def _zeros(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice([16, 256, 4096]))
    data[start:stop] = bytes(stop - start)
    return data


def _twice(data: bytearray, rng: random.Random) -> bytearray:
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:stop] + data[start:]


def _only_noise(data: bytearray, rng: random.Random) -> bytearray:
    return bytearray(rng.randbytes(rng.choice([0, 1, 100, 5000])))


MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flip, _flip, _flip, _flip_head, _flip_head, _cut_end, _cut_end, _cut_start, _cut_middle, _noise, _zeros, _twice,
    _only_noise,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One seed's mutated inputs."""

    seed: int
    told: str
    """What was done, for a person."""
    arguments: tuple[str, ...]


def make_case(seed: int, originals: Path, folder: Path) -> Case:
    """The mutated files of a seed in `folder`, and the command line for them."""
    rng = random.Random(seed)
    video, sound = rng.choice([*VIDEOS, "still.png", "still.jpg"]), rng.choice([*SOUNDS, *VIDEOS])
    swapped = rng.random() < 0.1
    if swapped:
        video, sound = sound, video
    told, paths = [], []
    broken = rng.choice(["video", "video", "video", "speech", "both"])
    for role, name in (("video", video), ("speech", sound)):
        data = bytearray((originals / name).read_bytes())
        if broken in (role, "both"):
            mutation = rng.choice(MUTATIONS)
            data = mutation(data, rng)
            told.append(f"{role} {name} {mutation.__name__.strip('_')}")
        suffix = rng.choice([Path(name).suffix] * 5 + [".mp4", ".wav", ".bin"])
        path = folder / f"{role}{suffix}"
        path.write_bytes(data)
        paths.append(str(path))
    output = str(folder / f"out{rng.choice(['.mp4', '.mkv', '.mov'])}")
    extra = rng.choice([["--box", BOX], ["--box", BOX], [], ["--keep-streams", "--box", BOX], ["--fit", "video"]])
    arguments = ("sync", *paths, "-o", output, "--cache", str(folder / "cache"), *extra)
    return Case(seed, f"{'swapped; ' if swapped else ''}{', '.join(told)}; {' '.join(extra)}", arguments)


@dataclass(frozen=True)
class Verdict:
    """How a case ended."""

    case: Case
    status: int | str
    """Exit status, or what happened instead."""
    stderr: str
    took_s: float
    left: tuple[str, ...]
    """Files beside the inputs and the cache."""

    @property
    def fault(self) -> str:
        """What is wrong with it; empty when it was answered well."""
        if self.status not in (0, 1, 2):
            return f"ended with {self.status}"
        if "Traceback" in self.stderr or "Error:" in self.stderr.replace("error:", ""):
            return "a traceback"
        lines = [line for line in self.stderr.splitlines() if line.startswith("error:")]
        if (self.status != 0) != (len(lines) == 1):
            return f"status {self.status} with {len(lines)} lines of error"
        expected = {Path(self.case.arguments[4]).name, Path(self.case.arguments[4]).stem + ".w2l.json"}
        if set(self.left) != (expected if self.status == 0 else set()):
            return f"status {self.status} left {self.left}"
        return ""


def _serve(pipe: Connection, log: str) -> None:
    """Runs command lines until none comes; what libraries, and a last traceback, write goes to `log`."""
    from stages.cli import main

    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    while (arguments := pipe.recv()) is not None:
        stderr = StringIO()
        status: Any = 0
        with redirect_stderr(stderr), redirect_stdout(StringIO()):
            try:
                main(list(arguments))
            except SystemExit as error:
                status = error.code or 0
        pipe.send((status, stderr.getvalue()))


class Worker:
    """A process that runs one case after the other; a new one takes over when it hangs or dies."""

    def __init__(self) -> None:
        self._process: Any = None
        self._log = Path(tempfile.mkstemp(prefix="fuzz-log-")[1])

    def run(self, seed: int, originals: Path) -> Verdict:
        """The verdict on a seed."""
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{seed}-"))
        case = make_case(seed, originals, folder)
        given = {path.name for path in folder.iterdir()} | {"cache"}
        began = time.monotonic()
        status, stderr = self._ask(case)
        left = tuple(sorted(path.name for path in folder.iterdir() if path.name not in given))
        shutil.rmtree(folder, ignore_errors=True)
        return Verdict(case, status, stderr, round(time.monotonic() - began, 2), left)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        self._log.unlink(missing_ok=True)

    def _ask(self, case: Case) -> tuple[int | str, str]:
        if self._process is None:
            self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
            started = multiprocessing.get_context("spawn").Process(
                target=_serve, args=(theirs, str(self._log)), daemon=True
            )
            started.start()
            theirs.close()  # so that its end is noticed
            self._process = started
        try:
            self._pipe.send(case.arguments)
            if not self._pipe.poll(LIMIT_S):
                self.close()
                return f"nothing in {LIMIT_S:.0f} s", ""
            status, stderr = self._pipe.recv()
        except (EOFError, OSError):
            last_words = self._log.read_text(errors="replace") if self._log.exists() else ""
            self.close()
            return "its process dead", last_words
        return status, stderr


def main(first: int, last: int) -> None:
    """Prints the faults of the seeds from `first` to `last` (exclusive)."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-originals-"))
    make_seeds(folder)
    worker = Worker()
    counts: dict[Any, int] = {}
    for seed in range(first, last):
        verdict = worker.run(seed, folder)
        counts[verdict.status] = counts.get(verdict.status, 0) + 1
        if verdict.fault:
            print(seed, verdict.fault, "|", verdict.case.told, "|", verdict.stderr[-300:], flush=True)
    worker.close()
    print(counts)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

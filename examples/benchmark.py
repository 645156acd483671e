"""Measures speed and memory on this machine; ratios of one run are what counts, seconds depend on the machine.

    python examples/benchmark.py memory [--short 20] [--long 600]     peak memory of sync, long against short
    python examples/benchmark.py loader CACHE                         training windows a second
    python examples/benchmark.py detect VIDEO                         milliseconds a frame of each detector
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from w2l.cache import Cache
from w2l.data.augment import AugmentSettings
from w2l.data.dataset import crop_spec, expert_batch, open_splits
from w2l.data.puppets import babble, talk
from w2l.faces.detector import make_detector
from w2l.media.audio import write_wav
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter

HD = (1280, 720)
MORE = ("--set", "detect.stride=25")
"""Fewer detections: they take most of the time and none of the memory that could grow."""
LOOP_S = 10.0
"""The long video repeats so many seconds of a drawn face."""


def memory(short_s: float, long_s: float, model: str) -> None:
    """Prints the peak resident memory of `w2l sync` on a short and a long 720p video, detection included."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for seconds in (short_s, long_s):
            video, speech = _make_hd(Path(folder), seconds)
            began = time.monotonic()
            peaks[seconds] = _peak_mb(video, speech, Path(folder), model)
            took_s = time.monotonic() - began
            rate = seconds * 25 / took_s
            print(f"{seconds:6.0f} s of 720p: peak {peaks[seconds]:7.1f} MB, {rate:5.1f} frames/s", flush=True)
    print(f"long over short: {peaks[long_s] / peaks[short_s]:.3f}")


def _make_hd(folder: Path, seconds: float) -> tuple[Path, Path]:
    """A 720p video of a drawn face and another speech, both `seconds` long; the video repeats one piece of it."""
    speech, video = folder / f"speech{seconds:.0f}.wav", folder / f"face{seconds:.0f}.mp4"
    write_wav(speech, np.tile(babble(LOOP_S, seed=4), round(seconds / LOOP_S)))
    piece = folder / "piece.mp4"
    if not piece.exists():
        with VideoWriter(piece, *HD, 25.0) as writer:
            for image in talk(babble(LOOP_S, seed=3)):
                writer.write(cv2.resize(image, HD).astype(np.uint8))
    _repeat(piece, video, round(seconds / LOOP_S))
    return video, speech


def _repeat(piece: Path, target: Path, times: int) -> None:
    """The coded pictures of `piece` again and again, without coding them anew."""
    with av.open(str(target), "w") as out:
        stream = None
        shift = 0
        for _ in range(times):
            with av.open(str(piece)) as source:
                found = source.streams.video[0]
                stream = stream or out.add_stream_from_template(found)
                packets = [packet for packet in source.demux(found) if packet.dts is not None]
                first, length = packets[0].dts or 0, sum(packet.duration or 0 for packet in packets)
                for packet in packets:
                    packet.stream = stream
                    packet.dts = (packet.dts or 0) - first + shift
                    packet.pts = (packet.pts or 0) - first + shift
                    out.mux(packet)
                shift += length


def _peak_mb(video: Path, speech: Path, folder: Path, model: str) -> float:
    """Runs sync in a process of its own, so that its peak is its own."""
    code = (
        "import resource, sys; from stages.cli import group; group.main(sys.argv[1:], standalone_mode=False);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", code, "sync", str(video), str(speech), "-o", str(folder / "out.mp4"), "-y"]
    command += ["--model", model, "--cache", str(folder / "cache"), *MORE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def loader(root: Path, batches: int = 30) -> None:
    """Prints the windows a second that a training run gets from the cache, on one core."""
    cache = Cache.open(root)
    tracks, _ = open_splits(cache, crop_spec(cache))
    began = time.process_time()
    for step in range(batches):
        expert_batch(tracks, 0, step, 16, 4, 5, AugmentSettings())
    rate = batches * 64 / (time.process_time() - began)
    print(f"{rate:.0f} windows/s, augmented; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def detect(video: Path, specs: list[str], n_frames: int = 20) -> None:
    """Prints the milliseconds a frame of each detector."""
    frames = [frame.image for frame, _ in zip(read_frames(video), range(n_frames))]
    for spec in specs:
        detector = make_detector(spec)
        detector.detect(frames[:1])
        began = time.process_time()
        for image in frames:
            detector.detect([image])
        print(f"{spec:12.40s} {1000 * (time.process_time() - began) / len(frames):7.1f} ms/frame")


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("memory")
    one.add_argument("--short", type=float, default=20)
    one.add_argument("--long", type=float, default=600)
    one.add_argument("--model", default="w2l")
    commands.add_parser("loader").add_argument("cache", type=Path)
    one = commands.add_parser("detect")
    one.add_argument("video", type=Path)
    one.add_argument("detectors", nargs="*", default=["mtcnn"])
    arguments = parser.parse_args()
    if arguments.command == "memory":
        memory(arguments.short, arguments.long, arguments.model)
    elif arguments.command == "loader":
        loader(arguments.cache)
    else:
        detect(arguments.video, arguments.detectors)


if __name__ == "__main__":
    main()

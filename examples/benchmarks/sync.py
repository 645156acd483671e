"""Measure the whole `sync` command, each run in its own process."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from examples.benchmarks.published import PEAK_MB, comparison, copy_of, run_published, save_checkpoint
from w2l.data.puppets import babble, talk
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter

PIECE_S = 10.0
"""Seconds of video that the long video repeats."""
PUBLIC_S = 8.0
"""Seconds of the video for the public dimensions."""


def sync(long_s: float, video: Path | None, published: Path | None = None, rounds: int = 3) -> None:
    """Print a table of speed, start-up and peak memory.

    With a checkout of the public tool, the first row alternates with it for that many rounds, and the two are compared.
    """
    print("| run | frames | s | frames/s | first frame, s | peak MB |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = folder / "speech.wav"
        write_wav(speech, np.tile(babble(PIECE_S, seed=4), 2))
        small, box = make_video(folder / "small.mp4", video, (512, 512), PUBLIC_S)
        public = save_checkpoint(folder / "public.pth")
        eight = folder / "eight.wav"
        write_wav(eight, babble(PUBLIC_S, seed=4))
        common = ["--model", str(public), "--box", ",".join(map(str, box))]
        copy = copy_of(published, folder) if published else None
        ours, theirs = [], []
        what = f"public dimensions, {PUBLIC_S:.0f} s of 512x512, box given"
        for _ in range(rounds if copy else 1):
            ours.append(_row(what, small, eight, folder, common))
            if copy:
                theirs.append(run_published(copy, public, small, eight, box))
        if theirs:
            print(f"\n{comparison(ours, theirs)}\n")
        piece, _ = make_video(folder / "piece.mp4", video, (1280, 720), PIECE_S)
        twenty = folder / "twenty.mp4"
        repeat_video(piece, twenty, 2)
        _, short = _row("shipped model, 20 s of 720p, from scratch", twenty, speech, folder, [])
        _row("the same, faces known", twenty, speech, folder, [])
        _row("the same, box given", twenty, speech, folder, ["--box", "400,100,880,640"])
        if long_s:
            much, long = folder / "long.wav", folder / "long.mp4"
            write_wav(much, np.tile(babble(PIECE_S, seed=4), round(long_s / PIECE_S)))
            repeat_video(piece, long, round(long_s / PIECE_S))
            _, peak = _row(f"shipped model, {long_s:.0f} s of 720p, from scratch", long, much, folder, [])
            print(f"\npeak memory, long over 20 s: {peak / short:.3f}")


def _row(what: str, video: Path, speech: Path, folder: Path, more: list[str]) -> tuple[float, float]:
    """Run sync and print its row: seconds of the whole command and peak MB."""
    code = (
        "import sys, time; from w2l.syncing.draw import Watch; first, seen = Watch.first, [];"
        "Watch.first = lambda watch: (seen or seen.append(time.monotonic()), first(watch))[1];"
        "from stages.cli import group; group.main(sys.argv[1:], standalone_mode=False);"
        f"print({PEAK_MB}, seen[0])"
    )
    arguments = ["sync", str(video), str(speech), "-o", str(folder / "out.mp4"), "-y", "-q", "--json"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--cache", str(folder / "cache"), *more],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    took_s = time.monotonic() - began
    result, end = json.JSONDecoder().raw_decode(done.stdout)
    peak, first_s = float(done.stdout[end:].split()[0]), float(done.stdout[end:].split()[1]) - began
    n_frames = result["frames"]
    print(f"| {what} | {n_frames} | {took_s:.1f} | {n_frames / took_s:.1f} | {first_s:.1f} | {peak:.0f} |", flush=True)
    return took_s, peak


def make_video(
    path: Path, video: Path | None, size: tuple[int, int], seconds: float
) -> tuple[Path, tuple[int, int, int, int]]:
    """Make a video of that size and length at 25 fps; return it and a box around its face."""
    width, height = size
    images = talk(babble(seconds, seed=3)) if video is None else (frame.image for frame in read_frames(video))
    n_frames = round(seconds * 25)
    kept: list[np.ndarray] = []
    with VideoWriter(Output(path, width, height, 25.0)) as writer:
        for image in images:
            kept.append(_fitted(image, width, height))
            writer.write(kept[-1])
            if len(kept) == n_frames:
                break
        for idx in range(n_frames - len(kept)):
            writer.write(kept[-2 - idx % (len(kept) - 1)])
    x, y, half = width // 2, height // 2, height // 4
    return path, (x - half, y - half, x + half, y + half)


def _fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the image scaled to fit, on a blurred copy of itself that fills the rest."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    whole = cv2.GaussianBlur(cv2.resize(image, (width, height)), (0, 0), 20)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    whole[top : top + size[1], left : left + size[0]] = cv2.resize(image, size)
    return np.asarray(whole, dtype=np.uint8)


def repeat_video(piece: Path, target: Path, times: int) -> None:
    """Repeat the coded pictures of `piece` without re-encoding."""
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

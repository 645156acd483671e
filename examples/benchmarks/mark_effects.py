"""Measure what the imperceptible mark changes elsewhere: the judge's scores, and the cost of `sync`."""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import w2l
from examples.benchmarks.marks import FPS, HD, files_in
from examples.benchmarks.published import PEAK_MB
from examples.benchmarks.sync import make_video
from w2l.data.puppets import babble
from w2l.marks.code import record_id
from w2l.marks.embed import Marker
from w2l.media.audio import write_wav
from w2l.media.coded import read_coded
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import probe
from w2l.media.writer import VideoWriter
from w2l.scoring.metrics.statistics import bootstrap_mean

PLAIN, MARKED = "plain", "marked"
SCORE_S = 10.0
"""Most seconds of a video that are scored."""
SYNC_S = 4.0
"""Seconds of 720p that are redrawn to measure the cost."""
MEASURED = (
    "import resource, sys; from stages.cli import group; group.main(sys.argv[1:], standalone_mode=False);"
    f"used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime, {PEAK_MB})"
)
"""Code that runs a command and prints its seconds of processor time and its peak memory in MB."""


def print_score_change(videos: Sequence[Path], n_videos: int) -> None:
    """Print the change of LSE-C and LSE-D by the mark, on real videos without encoding in between."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = random.Random(0).sample(found := files_in(videos), min(n_videos, len(found)))
        for number, video in enumerate(chosen):
            _write_both(folder, video, number)
        rows = w2l.score([folder / PLAIN, folder / MARKED], cache=folder / "cache").rows
    for measure, title in (("lse_c", "LSE-C"), ("lse_d", "LSE-D")):
        values = {(row["system"], row["clip"]): row[measure] for row in rows if row[measure] is not None}
        both = [clip for system, clip in values if system == PLAIN and (MARKED, clip) in values]
        changes = bootstrap_mean([values[MARKED, clip] - values[PLAIN, clip] for clip in both])
        said = f"{changes.mean:.3f} ({changes.low:.3f} to {changes.high:.3f})"
        print(f"| {title}, shipped judge, {len(both)} videos: mean change, 95 % interval | {said} |", flush=True)


def _write_both(folder: Path, video: Path, number: int) -> None:
    """Write a video without loss, as it is and with a mark."""
    info = probe(video)
    marker = Marker(record_id(f"{video} {number}"), info.width, info.height)
    frames = list(islice(read_coded(video), round(SCORE_S * info.fps)))
    lossless = Encoding(codec="h264", crf=0, preset="ultrafast")
    with ExitStack() as stack:
        writers = {}
        for kind in (PLAIN, MARKED):
            path = folder / kind / f"{number:04d}.mkv"
            path.parent.mkdir(exist_ok=True)
            sound = {"speech": video, "speech_origin_s": info.start_s, "until_s": len(frames) / info.fps}
            output = Output(path, info.width, info.height, info.fps, encoding=lossless, **sound)
            writers[kind] = stack.enter_context(VideoWriter(output))
        for frame in frames:
            writers[PLAIN].write(frame.picture)
            writers[MARKED].write(replace(frame.picture, y=marker.marked(frame.picture.y)))


def print_sync_cost(rounds: int) -> None:
    """Print processor time and memory of `sync` without and with the mark, which run in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, _ = make_video(folder / "in.mp4", None, HD, SYNC_S)
        speech = folder / "speech.wav"
        write_wav(speech, babble(SYNC_S, seed=4))
        used: dict[str, list[tuple[float, float]]] = {"record": [], "full": []}
        for idx in range(rounds + 1):
            for mark, runs in used.items():
                figures = _sync(folder, video, speech, mark)
                runs += [figures] if idx else []  # the first round finds the faces
    times = {mark: median(seconds for seconds, _ in runs) for mark, runs in used.items()}
    peaks = {mark: median(peak for _, peak in runs) for mark, runs in used.items()}
    ratios = sorted(full[0] / record[0] for full, record in zip(used["full"], used["record"]))
    what = f"`sync` of {SYNC_S:.0f} s of 720p at {FPS} fps, {rounds} pairs in turn, processor time"
    share = f"{100 * (median(ratios) - 1):+.1f} % ({100 * (ratios[0] - 1):+.1f} to {100 * (ratios[-1] - 1):+.1f})"
    seconds = " and ".join(f"{one:.1f} s" for one in times.values())
    memory = " and ".join(f"{one:.0f} MB" for one in peaks.values())
    print(f"| cost in {what} | {share}; {seconds}, {memory} |", flush=True)


def _sync(folder: Path, video: Path, speech: Path, mark: str) -> tuple[float, float]:
    """Run sync; return its seconds of processor time and its peak memory in MB."""
    options = ["-o", folder / "out.mkv", "--mark", mark, "--cache", folder / "cache", "-y", "-q", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "sync", *map(str, (video, speech, *options))],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    _, end = json.JSONDecoder().raw_decode(done.stdout)
    seconds, peak = done.stdout[end:].split()
    return float(seconds), float(peak)

"""Whole commands as alternatives: each run is a process of its own, start-up included."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from examples.benchmarks.published import PEAK_MB, copy_of, run_published, save_checkpoint
from examples.benchmarks.sync import PIECE_S, PUBLIC_S, make_video, repeat_video
from w2l.data.puppets import babble
from w2l.media.audio import write_wav

MEASURED = f"import sys; from stages.cli import group; group.main(sys.argv[1:], standalone_mode=False);print({PEAK_MB})"
"""Code that runs a command of w2l and prints the peak of its memory in MB."""
FPS = 25


class Command:
    """A command to be timed.

    Parameters
    ----------
    run : callable
        Runs it and returns the peak of its memory in MB.
    """

    def __init__(self, run: Callable[[], float]) -> None:
        self._run = run
        self.peaks_mb: list[float] = []
        """Peak memory of each run so far."""

    def __call__(self) -> None:
        """Run it once."""
        self.peaks_mb.append(self._run())


def command_groups(
    folder: Path, seconds: float, video: Path | None, published: Path | None
) -> list[tuple[str, str, int, Mapping[str, Command]]]:
    """Return name, unit, frames and ways of each group, with inputs made in `folder`."""
    small, box = make_video(folder / "small.mp4", video, (512, 512), PUBLIC_S)
    public = save_checkpoint(folder / "public.pth")
    piece, _ = make_video(folder / "piece.mp4", video, (1280, 720), PIECE_S)
    times = max(1, round(seconds / PIECE_S))
    repeat_video(piece, long := folder / "long.mp4", times)
    brief, speech = folder / "brief.wav", folder / "speech.wav"
    write_wav(brief, babble(PUBLIC_S, seed=4))
    write_wav(speech, np.tile(babble(PIECE_S, seed=4), times))

    def w2l(video: Path, speech: Path, *options: str, known: bool = True) -> Command:
        cache = folder / ("known" if known else "fresh")

        def run() -> float:
            if not known:
                shutil.rmtree(cache, ignore_errors=True)
            return _peak_of(["sync", str(video), str(speech), "--cache", str(cache), *options], folder / "out.mp4")

        return Command(run)

    ways: dict[str, Command] = {}
    if published:
        copy = copy_of(published, folder)
        ways["public tool"] = Command(lambda: run_published(copy, public, small, brief, box)[1])
    given = ("--model", str(public), "--box", ",".join(map(str, box)))
    ways["w2l, no mark"] = w2l(small, brief, *given, "--mark", "record")
    ways["w2l"] = w2l(small, brief, *given)
    shipped = {
        "w2l, closed references, no mark": w2l(long, speech, "--reference", "closed", "--mark", "record"),
        "w2l, memory, no mark": w2l(long, speech, "--mark", "record"),
        "w2l": w2l(long, speech),
        "w2l, faces not known": w2l(long, speech, known=False),
    }
    return [
        (f"sync, public dimensions, {PUBLIC_S:.0f} s of 512x512, box", "frames/s", round(PUBLIC_S * FPS), ways),
        (f"sync, shipped, {times * PIECE_S:.0f} s of 720p", "frames/s", round(times * PIECE_S * FPS), shipped),
    ]


def _peak_of(arguments: Sequence[str], output: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments, "-o", str(output), "-y", "-q"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])

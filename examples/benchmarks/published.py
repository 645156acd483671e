"""Run a checkout of the public tool (github.com/Rudrabha/Wav2Lip) for comparison, in a copy patched for new librosa."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

from w2l.nets.generator import Generator

MEL_CALL = re.compile(r"(librosa\.filters\.mel\(\s*)(?!sr\s*=)([\w.]+)(\s*,\s*)(?!n_fft\s*=)([\w.]+)")
"""The call whose first two arguments are keyword-only since librosa 0.10."""
PEAK_MB = "next(int(line.split()[1]) / 1024 for line in open('/proc/self/status') if line.startswith('VmHWM'))"
"""Expression for the peak memory of a process in MB; that of `resource` begins with that of the parent process."""
MEASURED = (
    "import runpy, sys; sys.argv[0] = 'inference.py'; runpy.run_path('inference.py', run_name='__main__');"
    f"print({PEAK_MB})"
)
"""Code that runs the tool's own script in its folder, then prints the peak memory in MB."""
Box = tuple[int, int, int, int]


def copy_of(checkout: Path, folder: Path) -> Path:
    """Copy the checkout into `folder`, without its history and weights, and patch the copy for librosa 0.10."""
    if not (checkout / "inference.py").is_file():
        raise SystemExit(f"--published {checkout}: no inference.py found; pass a checkout of the public tool")
    if shutil.which("ffmpeg") is None:
        raise SystemExit("--published: the public tool needs the ffmpeg program on the PATH; install it")
    copy = folder / "published"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git", "*.pth", "*.pt", "*.mp4"))
    audio = copy / "audio.py"
    if audio.is_file():
        audio.write_text(MEL_CALL.sub(r"\1sr=\2\3n_fft=\4", audio.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("temp", "results"):
        (copy / name).mkdir(exist_ok=True)
    return copy


def save_checkpoint(path: Path) -> Path:
    """Write a generator of the published dimensions, with random weights, as the public tool reads them."""
    torch.manual_seed(0)
    torch.save({"state_dict": Generator().state_dict()}, path)
    return path


def run_published(copy: Path, checkpoint: Path, video: Path, speech: Path, box: Box) -> tuple[float, float]:
    """Run the public tool; return the seconds of the whole command and its peak memory in MB, without ffmpeg's."""
    output = copy / "results" / "made.mp4"
    output.unlink(missing_ok=True)
    x1, y1, x2, y2 = box
    places = [str(place) for place in (y1, y2, x1, x2)]
    arguments = ["--checkpoint_path", checkpoint, "--face", video, "--audio", speech, "--outfile", output]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments), "--box", *places],
        capture_output=True, text=True, cwd=copy, check=False,
    )  # fmt: skip
    took_s = time.monotonic() - began
    if done.returncode or not output.is_file():
        raise SystemExit(f"the public tool in {copy} wrote no output:\n{done.stderr[-2000:]}")
    return took_s, float(done.stdout.split()[-1])


def comparison(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> str:
    """Return the median ratio of time with its range, and that of memory, of alternating runs."""
    times = sorted(other[0] / own[0] for own, other in zip(ours, theirs))
    memory = sorted(other[1] / own[1] for own, other in zip(ours, theirs))
    middle = len(times) // 2
    return (
        f"published tool over ours, {len(times)} runs of each in turn: {times[middle]:.2f}"
        f" ({times[0]:.2f} to {times[-1]:.2f}) in time, {memory[middle]:.2f} in memory"
    )

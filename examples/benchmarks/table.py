"""Measure whole commands, generator, judge and training in one run and write one table, as JSON and as Markdown.

Alternatives run in turns. A ratio compares an alternative with the first of its group in the same round; the table has
the median over rounds and the range.
"""

import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch

from examples.benchmarks.commands import Command, command_groups
from examples.benchmarks.generator import shown_from, ways_of
from examples.benchmarks.score import noise as judge_noise
from examples.benchmarks.score import ways_of as judge_ways
from examples.benchmarks.timing import Work, in_turns
from examples.benchmarks.train import PEAK_SIDE, noise, peak_of, settings_of, steps_of
from w2l.core.files import write_text
from w2l.core.timing import WINDOW_FRAMES
from w2l.models.checkpoint import Model, ModelCard, dimensions_of
from w2l.models.choices import InferencePrecision
from w2l.models.registry import load_by_name
from w2l.models.runtime import Runner
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.judge import Judge
from w2l.nets.warping import WarpingGenerator
from w2l.scoring.metrics.choices import BATCH as JUDGE_BATCH

PAGE = """# Speed and memory

Written by `python -m examples.benchmarks {name} docs`. The ways of a group ran in turn, after a round that is not
counted, so that changes of the machine's speed affect all of them alike. Compare ratios: each is that of one round, and
the table has their median and range. Rates of other machines do not compare.

`sync` is the whole command, start-up included; each run is a process of its own. "Public tool" is the inference script
of github.com/Rudrabha/Wav2Lip with the box of the face given; its generator has random weights, and so has ours in that
group. `rows`: only those rows of a face that are pasted are computed.
"""
"""Head of the page."""
PACKAGES = ("torch", "numpy", "onnxruntime", "av", "opencv-python")


@dataclass(frozen=True)
class Sizes:
    """Amounts of work."""

    faces: int
    """Faces per batch of a generator."""
    frames: int
    """Frames of the clip that is scored."""
    windows: int
    """Windows of five frames per training step."""
    shapes: tuple[tuple[str, str], ...]
    """Layouts and scales of the generators that are trained."""
    peak: int
    """Side of the matrices that measure the peak."""
    for_gpu: bool = False
    """Whether the ways of running a generator are those of a GPU."""
    sync_s: float = 0.0
    """Seconds of video that whole commands redraw; 0: none are run."""


CPU_SIZES = Sizes(16, 100, 4, (("published", "small"), ("warping", "small")), 2048, sync_s=20.0)
GPU_SIZES = Sizes(256, 400, 128, (("published", "base"), ("warping", "base")), PEAK_SIDE, for_gpu=True)
TINY_SIZES = Sizes(1, 7, 2, (("warping", "nano"),), 64)
"""To check on any machine that everything runs."""


@dataclass(frozen=True)
class Row:
    """One alternative of one group."""

    group: str
    way: str
    unit: str
    rate: float
    """Median over rounds."""
    lowest: float
    highest: float
    ratio: float
    """Median over rounds of the speed over that of the first way of the group."""
    ratio_lowest: float
    ratio_highest: float
    peak_share: float | None = None
    """Share of the measured peak of bf16 matrix products, where operations are counted."""
    peak_mb: float | None = None
    """Median over rounds of the peak memory of a whole command."""


@dataclass(frozen=True)
class Source:
    """Inputs that not every machine has."""

    video: Path | None = None
    """Real video for whole commands; None: a drawn face."""
    published: Path | None = None
    """Checkout of the public tool, which then runs in turn with ours."""


def write_table(folder: Path, sizes: Sizes, rounds: int, device: torch.device, source: Source = Source()) -> None:
    """Measure everything and write ``numbers.json`` and ``numbers.md`` into a folder; print each group when done."""
    torch.manual_seed(0)
    peak = peak_of(device, sizes.peak)
    machine = describe(device, peak)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for group, unit, n_items, ways, flops in _groups(sizes, device, Path(scratch), source):
            with torch.inference_mode(unit != "frames/s of training"):
                rows += rows_of(group, unit, n_items, ways, rounds, flops / peak if flops else 0.0)
            print(markdown(rows[-len(ways) :]), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "rounds": rounds, "rows": [asdict(row) for row in rows]}
    write_text(folder / "numbers.json", json.dumps(content, indent=1) + "\n")
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    name = "gpu" if sizes.for_gpu else "all"
    page = f"{PAGE.format(name=name)}\n{facts}\n- rounds: {rounds}\n\n{markdown(rows)}\n"
    write_text(folder / "numbers.md", page)


def rows_of(
    group: str, unit: str, n_items: int, ways: Mapping[str, Work], rounds: int, peak_s: float = 0.0
) -> list[Row]:
    """Run the ways of a group in turns and return their rows; `peak_s`: seconds of the work at the device's peak."""
    timed = {name: each.clock for name, each in in_turns(ways, rounds).items()}
    first = next(iter(timed.values()))
    rows = []
    for name, seconds in timed.items():
        rates = sorted(n_items / each for each in seconds)
        ratios = sorted(before / now for before, now in zip(first, seconds))
        share = peak_s / median(seconds) if peak_s else None
        way = ways.get(name)
        peak_mb = median(way.peaks_mb[1:]) if isinstance(way, Command) else None
        spread = (median(rates), rates[0], rates[-1], median(ratios), ratios[0], ratios[-1])
        rows.append(Row(group, name, unit, *spread, share, peak_mb))
    return rows


def markdown(rows: list[Row]) -> str:
    """Return the rows as a table."""
    heads = ("what", "way", "rate, median (range)", "over the first way", "share of the peak", "peak MB")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        rate = f"{row.rate:.1f} ({row.lowest:.1f} to {row.highest:.1f}) {row.unit}"
        ratio = f"{row.ratio:.2f} ({row.ratio_lowest:.2f} to {row.ratio_highest:.2f})"
        share = "" if row.peak_share is None else f"{row.peak_share:.1%}"
        memory = "" if row.peak_mb is None else f"{row.peak_mb:.0f}"
        lines.append(f"| {row.group} | {row.way} | {rate} | {ratio} | {share} | {memory} |")
    return "\n".join(lines)


def describe(device: torch.device, peak: float) -> dict[str, str]:
    """Return the facts of the machine that a rate depends on."""
    is_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_gpu else platform.processor() or platform.machine()
    cores = f"{len(os.sched_getaffinity(0))} CPU cores, {torch.get_num_threads()} threads"
    return {
        "device": f"{device.type} ({name}), {cores}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "peak of bf16 matrix products": f"{peak / 1e12:.2f} TFLOP/s",
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


Group = tuple[str, str, int, Mapping[str, Work], int]
"""Name, unit, items per call, the ways, floating point operations per call (0: not counted)."""


def _groups(sizes: Sizes, device: torch.device, scratch: Path, source: Source) -> list[Group]:
    """Return everything that is measured; whole commands first, while this process is small."""
    public = Generator(GeneratorDimensions()).eval().to(device)
    shipped = load_by_name("w2l", "generator", device=device).network
    groups: list[Group] = []
    if sizes.sync_s:
        groups += [(*group, 0) for group in command_groups(scratch, sizes.sync_s, source.video, source.published)]
    for name, network in (("generator, public dimensions", public), ("generator, shipped", shipped)):
        assert isinstance(network, Generator | WarpingGenerator)
        make = _gpu_ways if sizes.for_gpu else _cpu_ways
        groups.append((f"{name}, batch {sizes.faces}", "faces/s", sizes.faces, make(network, sizes.faces), 0))
    frames, wave = judge_noise(sizes.frames)
    ways = judge_ways(Judge().eval().to(device), frames, wave, [JUDGE_BATCH])
    groups.append(("judge, published dimensions", "windows/s", sizes.frames - WINDOW_FRAMES, ways, 0))
    with tempfile.TemporaryDirectory() as folder:
        data = noise(Path(folder), 96)
        for layout, scale in sizes.shapes:
            steps = steps_of(settings_of(layout, scale, sizes.windows), data, 96, device)
            name = f"training step, {layout} {scale}, {sizes.windows} windows"
            groups.append((name, "frames/s of training", steps.n_frames, steps.ways, steps.flops()))
    return groups


def _cpu_ways(network: Generator | WarpingGenerator, n_faces: int) -> dict[str, Callable[[], object]]:
    return ways_of(network, shown_from(network.dimensions.size), n_faces, torch.get_num_threads())


def _gpu_ways(network: Generator | WarpingGenerator, n_faces: int) -> dict[str, Callable[[], object]]:
    """Return the eager network on arrays that are on the GPU, and ours from arrays to arrays in both precisions.

    On the CPU, where half precision does not exist, bf16 replaces it.
    """
    dims = network.dimensions
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (n_faces, dims.size, dims.size, 3 * (1 + dims.n_references)), dtype=np.uint8)
    mels = rng.uniform(-4, 4, (n_faces, 80, 16)).astype(np.float32)
    device = next(network.parameters()).device
    seen = torch.from_numpy(faces).permute(0, 3, 1, 2).float().to(device) / 255
    heard = torch.from_numpy(mels)[:, None].to(device)
    model = Model(network, ModelCard("generator", dimensions_of(network)), Path("made"))
    first = shown_from(dims.size)
    lower: InferencePrecision = "half" if device.type == "cuda" else "bf16"
    single, half = (Runner(model, first, "torch", n_faces, precision) for precision in ("float32", lower))
    return {
        "eager, float32, input on the device": lambda: network(heard, seen).cpu(),
        "w2l, float32, from arrays to arrays": lambda: single(mels, faces),
        f"w2l, {lower}, from arrays to arrays": lambda: half(mels, faces),
    }

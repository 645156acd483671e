"""Measure speed and memory on this machine; compare ratios within one run, as absolute times depend on the machine.

python -m examples.benchmarks --help           list the benchmarks
python -m examples.benchmarks NAME --help      show the options of one of them
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from examples.benchmarks.data import index, loader
from examples.benchmarks.detect import detect
from examples.benchmarks.generator import generator
from examples.benchmarks.mark_effects import print_score_change, print_sync_cost
from examples.benchmarks.marks import marks
from examples.benchmarks.score import score
from examples.benchmarks.sync import sync
from examples.benchmarks.table import CPU_SIZES, GPU_SIZES, TINY_SIZES, Source, write_table
from examples.benchmarks.train import train

Benchmark = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], None]]
"""Description, function that adds its arguments, and function that runs it."""


def _sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--long", type=float, default=600, help="length of the long video in seconds; 0 to skip it")
    parser.add_argument("--video", type=Path, help="real video, scaled to 512x512 and 720p  [a drawn face]")
    parser.add_argument(
        "--published", type=Path, metavar="FOLDER", help="checkout of the public tool, to alternate with ours"
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each tool with --published")


def _loader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cache", type=Path)
    parser.add_argument("--clips", type=int, default=200, help="number of tracks copied to each store")


def _index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clips", type=int, default=10_000, help="number of records from which the index is rebuilt")


def _detect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", type=Path)
    parser.add_argument("detectors", nargs="*", default=["mtcnn"])


def _generator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batches", type=int, nargs="+", default=[16])
    parser.add_argument("--threads", type=int, nargs="+", default=[0], help="0 for the number of cores")
    parser.add_argument("--rounds", type=int, default=6)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layouts", nargs="+", default=["published", "warping"])
    parser.add_argument("--scales", nargs="+", default=["nano", "small", "base"])
    parser.add_argument("--batch", type=int, default=4, help="windows of five frames; 128 or more on a GPU")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--compile", action="store_true", help="also measure compiled networks, which takes minutes longer"
    )


def _score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=int, default=100, help="number of frames of the generated clip")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 20, 80])
    parser.add_argument("--rounds", type=int, default=4)


def _marks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("videos", type=Path, nargs="*", help="videos, or folders of them; short ones are joined to 5 s")
    parser.add_argument("--clips", type=int, default=40, help="most clips of 5 s to mark and alter")
    parser.add_argument("--unmarked", type=int, default=2000, help="number of unmarked segments of 5 s to search")
    parser.add_argument("--scored", type=int, default=160, help="most videos to score without and with the mark")
    parser.add_argument("--rounds", type=int, default=5, help="runs of sync without and with the mark, in turn")


def _all_of_marks(given: argparse.Namespace) -> None:
    marks(given.videos, given.clips, given.unmarked)
    if given.scored and given.videos:
        print_score_change(given.videos, given.scored)
    if given.rounds:
        print_sync_cost(given.rounds)


def _table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where numbers.json and numbers.md are written")
    parser.add_argument("--rounds", type=int, default=5, help="number of times the alternatives run in turn")
    parser.add_argument(
        "--tiny", action="store_true", help="little work, to check that everything runs; on any machine"
    )


def _table_of_cpu(parser: argparse.ArgumentParser) -> None:
    _table(parser)
    parser.add_argument("--video", type=Path, help="real video for whole commands  [a drawn face]")
    parser.add_argument("--published", type=Path, metavar="FOLDER", help="checkout of the public tool, run in turn")


def _all(a: argparse.Namespace) -> None:
    write_table(
        a.folder, TINY_SIZES if a.tiny else CPU_SIZES, a.rounds, torch.device("cpu"), Source(a.video, a.published)
    )


def _gpu(a: argparse.Namespace) -> None:
    if not torch.cuda.is_available() and not a.tiny:
        raise SystemExit("PyTorch finds no CUDA GPU; use `all` for the CPU, or --tiny to check that everything runs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    write_table(a.folder, replace(TINY_SIZES, for_gpu=True) if a.tiny else GPU_SIZES, a.rounds, device)


BENCHMARKS: dict[str, Benchmark] = {
    "all": ("one table of commands, networks and training on the CPU, as JSON and Markdown", _table_of_cpu, _all),
    "gpu": ("the same on a GPU, with shares of its measured peak", _table, _gpu),
    "sync": ("speed, start-up and peak memory of sync", _sync, lambda a: sync(a.long, a.video, a.published, a.rounds)),
    "loader": ("training windows per second, raw and as JPEG", _loader, lambda a: loader(a.cache, a.clips)),
    "index": ("seconds to open a large cache and to sample from it", _index, lambda a: index(a.rows, a.clips)),
    "detect": ("milliseconds per frame of each detector", _detect, lambda a: detect(a.video, a.detectors)),
    "generator": (
        "frames per second of the generator, plain and optimised",
        _generator,
        lambda a: generator(a.batches, a.threads, a.rounds),
    ),
    "marks": (
        "visibility, robustness and cost of the imperceptible mark",
        _marks,
        _all_of_marks,
    ),
    "train": (
        "frames per second of training, published loop and ours",
        _train,
        lambda a: train(a.layouts, a.scales, a.batch, a.size, a.rounds, a.compile),
    ),
    "score": (
        "windows per second of the judge, published loop and ours",
        _score,
        lambda a: score(a.frames, a.batches, a.rounds),
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the benchmark it names."""
    names = "\n".join(f"  {name:10s} {what}" for name, (what, _, _) in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        "python -m examples.benchmarks",
        description=__doc__,
        epilog=f"names:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="NAME", required=True, help="one of the names below")
    for name, (what, add_arguments, run) in BENCHMARKS.items():
        one = commands.add_parser(name, description=what)
        add_arguments(one)
        one.set_defaults(run=run)
    given = parser.parse_args(arguments)
    given.run(given)


if __name__ == "__main__":
    main()

"""Measures speed and memory on this machine; ratios of one run are what counts, seconds depend on the machine.

python -m examples.benchmarks sync [--long 600] [--video 720p.mp4]  speed, start-up and peak memory of sync
python -m examples.benchmarks loader CACHE [--clips 200]            training windows a second, raw and as JPEG
python -m examples.benchmarks index [--rows 1000000]                seconds to open a large cache and to draw from it
python -m examples.benchmarks detect VIDEO                          milliseconds a frame of each detector
python -m examples.benchmarks generator [--batches 16 8 4 1]        frames a second of the generator, plain and quick
python -m examples.benchmarks train [--scales small base]           frames a second of training, published and ours
python -m examples.benchmarks score [--batches 4 20 80]             windows a second of the judge, published and ours
"""

import argparse
import time
from pathlib import Path

from examples.benchmarks.data import index, loader
from examples.benchmarks.generator import generator
from examples.benchmarks.score import score
from examples.benchmarks.sync import sync
from examples.benchmarks.train import train
from w2l.faces.detectors.factory import make_detector
from w2l.media.video import read_frames


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
    one = commands.add_parser("sync")
    one.add_argument("--long", type=float, default=600, help="seconds of the long video; 0: leave it out")
    one.add_argument("--video", type=Path, help="a real one, scaled to 512x512 and 720p  [a drawn face]")
    one = commands.add_parser("loader")
    one.add_argument("cache", type=Path)
    one.add_argument("--clips", type=int, default=200, help="tracks that are copied, once in each store")
    one = commands.add_parser("index")
    one.add_argument("--rows", type=int, default=1_000_000)
    one.add_argument("--clips", type=int, default=10_000, help="records of which the index is built anew")
    one = commands.add_parser("detect")
    one.add_argument("video", type=Path)
    one.add_argument("detectors", nargs="*", default=["mtcnn"])
    one = commands.add_parser("generator")
    one.add_argument("--batches", type=int, nargs="+", default=[16])
    one.add_argument("--threads", type=int, nargs="+", default=[0], help="0: as many as there are cores")
    one.add_argument("--rounds", type=int, default=6)
    one = commands.add_parser("train")
    one.add_argument("--layouts", nargs="+", default=["published", "warping"])
    one.add_argument("--scales", nargs="+", default=["nano", "small", "base"])
    one.add_argument("--batch", type=int, default=4, help="windows of five frames; 128 or more on a GPU")
    one.add_argument("--size", type=int, default=96)
    one.add_argument("--rounds", type=int, default=4)
    one.add_argument("--compile", action="store_true", help="also what PyTorch compiles: minutes more")
    one = commands.add_parser("score")
    one.add_argument("--frames", type=int, default=100, help="of the made clip")
    one.add_argument("--batches", type=int, nargs="+", default=[4, 20, 80])
    one.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.command == "sync":
        sync(arguments.long, arguments.video)
    elif arguments.command == "loader":
        loader(arguments.cache, arguments.clips)
    elif arguments.command == "index":
        index(arguments.rows, arguments.clips)
    elif arguments.command == "generator":
        generator(arguments.batches, arguments.threads, arguments.rounds)
    elif arguments.command == "train":
        a = arguments
        train(a.layouts, a.scales, a.batch, a.size, a.rounds, a.compile)
    elif arguments.command == "score":
        score(arguments.frames, arguments.batches, arguments.rounds)
    else:
        detect(arguments.video, arguments.detectors)


if __name__ == "__main__":
    main()

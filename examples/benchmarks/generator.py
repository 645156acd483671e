"""Measure the generator alone: in eager PyTorch, folded, limited to the lower rows, and in ONNX Runtime."""

import os

import numpy as np
import torch

from examples.benchmarks.timing import Work, best_of
from w2l.models.onnx_export import graph, session
from w2l.models.registry import load_by_name
from w2l.nets.folded.generator import fold
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator
from w2l.syncing.compose import soft_weight


def generator(batches: list[int], threads: list[int], rounds: int) -> None:
    """Print frames per second for each batch size and number of threads, alternating; the best round counts."""
    torch.manual_seed(0)
    shipped = load_by_name("w2l", "generator").network
    for n_threads in threads:
        n_cores = n_threads or len(os.sched_getaffinity(0))
        torch.set_num_threads(n_cores)
        for name, network in (("public", Generator(GeneratorDimensions()).eval()), ("shipped", shipped)):
            first_row = shown_from(network.dimensions.size)
            print(f"{name} dimensions, {n_cores} threads; rows from {first_row} on where limited")
            for batch in batches:
                with torch.inference_mode():
                    best = best_of(ways_of(network, first_row, batch, n_cores), rounds)
                _show(batch, best)


def shown_from(size: int) -> int:
    """Return the first row of a generated face that is pasted."""
    return int(np.flatnonzero(soft_weight(size).any(axis=1))[0])


def ways_of(network: Generator | WarpingGenerator, first_row: int, batch: int, n_threads: int) -> dict[str, Work]:
    """Return name -> function that runs one batch, with faces in the memory layout that suits it."""
    dims = network.dimensions
    mel = torch.rand(batch, 1, 80, 16) * 8 - 4
    faces = torch.rand(batch, 3 * (1 + dims.n_references), dims.size, dims.size)
    last = faces.contiguous(memory_format=torch.channels_last)
    given = {"mel": mel.numpy(), "faces": faces.numpy()}
    folded, limited = fold(network), fold(network, first_row)
    runtimes = [session(graph(made).SerializeToString(), n_threads) for made in (folded, limited)]
    return {
        "eager, contiguous": lambda: network(mel, faces),
        "folded, channels last": lambda: folded(mel, last),
        "the same, rows": lambda: limited(mel, last),
        "ONNX Runtime": lambda: runtimes[0].run(None, given),
        "the same, rows ": lambda: runtimes[1].run(None, given),
    }


def _show(batch: int, best: dict[str, tuple[float, float]]) -> None:
    plain = next(iter(best.values()))[0]
    for name, (seconds, used) in best.items():
        rate = f"{batch / seconds:7.1f} frames/s  x {plain / seconds:4.2f}"
        print(f"  batch {batch:2d}  {name:22s} {rate}  {1000 * used / batch:6.1f} ms of CPU per frame", flush=True)

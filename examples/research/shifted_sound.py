"""Shift the audio of real clips by -15..15 frames and count how often the judge finds the shift.

    python -m examples.research.shifted_sound grid/ grid/test.txt [--judge NAME|PATH] [--cache DIR]

Positive: the audio comes later; the gap is silence. A clip whose own offset is not 0 cannot give the shift itself, so
the shift relative to the clip's own offset is counted as well.
"""

import json
import sys
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from stages.log import set_up_logging
from w2l.cache.store import Cache
from w2l.core.errors import MediaError, NoFaceError, W2LError
from w2l.core.progress import progress
from w2l.core.timing import MAX_SHIFT, SAMPLES_PER_FRAME
from w2l.data.sources.listing import find_videos
from w2l.media.audio import read_audio
from w2l.media.video import probe, read_frames
from w2l.models import registry as weights
from w2l.scoring.faces import main_face
from w2l.scoring.metrics.lse import NEAR, lse_values
from w2l.scoring.settings import ScoreSettings
from w2l.scoring.tools import Bench, open_bench


def offsets_of(path: Path, bench: Bench) -> dict[int, float]:
    """Return the offset that the judge finds for each shift of the clip's audio, in frames."""
    shown = main_face(path, bench.scan(path), bench.crop)
    eyes, row = bench.embedder(), 0
    for frame in read_frames(path):
        while row < len(shown) and shown.source_idx[row] == frame.idx:
            eyes.add(shown.picture(frame.image, row, bench.crop))
            row += 1
    lip = eyes.finish()
    wave = read_audio(path, origin_s=probe(path).start_s)[shown.first_frame * SAMPLES_PER_FRAME :]
    return {
        shift: lse_values(lip, bench.hear(shifted(wave, shift), len(shown))).values["offset"]
        for shift in range(-MAX_SHIFT, MAX_SHIFT + 1)
    }


def shifted(wave: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Delay the audio by `frames` video frames, keeping its length."""
    n_samples = frames * SAMPLES_PER_FRAME
    late = np.roll(wave, n_samples)
    if n_samples > 0:
        late[:n_samples] = 0
    elif n_samples < 0:
        late[n_samples:] = 0
    return late


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("filelist", type=click.Path(path_type=Path))
@click.option("--judge", default=weights.SHIPPED, show_default=True)
@click.option("--cache", "cache_root", type=click.Path(path_type=Path), default=Path("w2l-cache"), show_default=True)
def main(folder: Path, filelist: Path, judge: str, cache_root: Path) -> None:
    """Shift the audio of each clip and print how often the judge finds the shift."""
    set_up_logging(0)
    cache = Cache.open(cache_root, create=True)
    bench = open_bench(ScoreSettings(judge=judge), cache.root, "cpu")
    found: dict[str, dict[int, float]] = {}
    sources = find_videos(folder, [filelist]).sources
    with progress("shift", len(sources), "clips") as advance:
        for source in sources:
            try:
                found[source.clip_id] = offsets_of(source.path, bench)
            except (MediaError, NoFaceError) as error:
                print(f"left out: {error}", file=sys.stderr)
            advance()
    # Late audio has a negative offset; shifts beyond the largest one tried cannot be found.
    literal = [abs(offset + shift) <= NEAR for told in found.values() for shift, offset in told.items()]
    own = [
        abs(offset + shift - told[0]) <= NEAR
        for told in found.values()
        for shift, offset in told.items()
        if abs(told[0] - shift) <= MAX_SHIFT
    ]
    out = {clip: told[0] for clip, told in found.items() if abs(told[0]) > NEAR}
    print(f"{len(found)} clips, {len(literal)} shifts: {np.mean(literal):.2%} within {NEAR} frame")
    print(f"relative to the clip's own offset: {np.mean(own):.2%} of {len(own)}")
    print(f"clips that are out of sync themselves: {json.dumps(out)}")


if __name__ == "__main__":
    try:
        main()
    except W2LError as error:
        sys.exit(f"error: {error}")

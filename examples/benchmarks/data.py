"""Measure data loading: windows per second from each store, and an index of a million tracks."""

import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from w2l.cache.crops import FILES, STORES
from w2l.cache.index import Builder, Rows, TrackRow
from w2l.cache.records import DONE, ClipRecord, PreprocessOutcome, TrackRecord
from w2l.cache.store import OLD_INDEX, UNSURE_NS, Cache
from w2l.cache.typed_json import to_json
from w2l.core.config import plain
from w2l.data.batches.augment import AugmentSettings
from w2l.data.batches.expert import ExpertSampling, expert_batch
from w2l.data.batches.tracks import Tracks, crop_spec, open_splits
from w2l.features.crop import CropSpec

OFF = AugmentSettings(flip=0, colour=0, gain_db=0, tilt_db=0, noise=0)
STRONG = AugmentSettings(
    contrast=0.2, gamma=0.3, grey=0.3, blur=1.0, shift=0.02, scale=0.05, turn=4, muffle=0.2, mask_bands=8,
    mask_columns=2,
)  # fmt: skip
AUGMENTATIONS = {"as they are": OFF, "augmented": AugmentSettings(), "augmented strongly": STRONG}


def loader(root: Path, n_clips: int, batches: int = 40, rounds: int = 3) -> None:
    """Print the windows per second that one core loads from each store: the best of some rounds, by CPU time."""
    cv2.setNumThreads(1)
    source = Cache.open(root)
    crop, rows = crop_spec(source), source.tracks()
    rows = rows[:: max(1, len(rows) // n_clips)][:n_clips]
    print("| store | bytes per frame | " + " | ".join(f"{name}, windows/s" for name in AUGMENTATIONS) + " |")
    print("|---|---|" + "---|" * len(AUGMENTATIONS))
    with tempfile.TemporaryDirectory() as folder:
        for store in STORES:
            cache = Cache.open(Path(folder) / store, create=True)
            for row in rows:
                crops, mel = source.load_track(row)
                cache.clip(row.clip).write_track(row.track, crops[:], crops.shape, {"mel": mel}, store)  # type: ignore[arg-type]
            size = sum(path.stat().st_size for path in cache.root.rglob(FILES[store]))
            tracks = Tracks(cache, rows, crop)
            found = [
                _windows_per_s(tracks, ExpertSampling(augment=each), batches, rounds) for each in AUGMENTATIONS.values()
            ]
            size_of_one = size / rows.numbers("n_frames").sum()
            print(
                f"| {store} | {size_of_one:,.0f} | " + " | ".join(f"{rate:,.0f}" for rate in found) + " |", flush=True
            )
    print(f"\n{len(rows)} tracks, crops of {crop.size} px; peak {_peak_mb():.0f} MB")


def _windows_per_s(tracks: Tracks, sampling: ExpertSampling, batches: int, rounds: int) -> float:
    best = 0.0
    for number in range(rounds + 1):  # the first one reads the files
        began = time.process_time()
        n = sum(len(expert_batch(tracks, sampling, number, step).faces) for step in range(batches))
        best = max(best, n / (time.process_time() - began))
    return best


def index(n_rows: int, n_clips: int) -> None:
    """Print the seconds for operations on an index of `n_rows`, and for building one from `n_clips` records."""
    took = Table()
    crop = CropSpec()
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache.open(Path(folder) / "large", create=True)
        path = cache.root / "index.npz"
        rows = took(f"make {n_rows:,} rows", lambda: _rows(n_rows, crop))
        with path.open("wb") as file:
            took("write them", lambda: rows.write(file))
        print(f"| megabytes on disk | {path.stat().st_size / 1e6:.0f} |")
        opened = took("open", cache.tracks)
        took("choose a split", lambda: opened.select(opened.has("split", "train")))
        took("find how crops were cut", lambda: crop_spec(cache))
        train, _ = took("open to train and to validate", lambda: open_splits(cache, crop))
        took("ask for 1,000 rows", lambda: [train.rows[k * len(train) // 1000] for k in range(1000)])

        small = Cache.open(Path(folder) / "small", create=True)
        _write_records(small, n_clips, crop)
        took(f"index {n_clips:,} clips from their records", small.build_index)
        small.invalidate_index()
        old = small.root / OLD_INDEX
        future = old.stat().st_mtime_ns + 10 * UNSURE_NS  # the records were written just now, which is too late
        os.utime(old, ns=(future, future))
        took("again, when none of them changed", small.build_index)
    print(f"\npeak {_peak_mb():.0f} MB")


class Table:
    """Prints a Markdown table of timings, row by row."""

    def __init__(self) -> None:
        print("| operation | seconds |\n|---|---|")

    def __call__(self, what: str, work: Callable[[], Any]) -> Any:
        """Run `work`, print its row and return its result."""
        began = time.perf_counter()
        result = work()
        print(f"| {what} | {time.perf_counter() - began:.2f} |", flush=True)
        return result


def _rows(n_rows: int, crop: CropSpec) -> Rows:
    """Return tracks in the proportions of LRS3 and VoxCeleb2: 40 clips per speaker."""
    rng, text = np.random.default_rng(0), json.dumps(plain(crop), sort_keys=True)
    builder = Builder()
    for k, n_frames in enumerate(rng.integers(25, 250, n_rows).tolist()):
        speaker = f"id{k // 40:05d}"
        split = "val" if k % 2000 < 40 else "train"
        n_columns = 1 + n_frames * 16 // 5
        builder.add(TrackRow(f"{split}/{speaker}/{k:011d}", 0, n_frames, n_columns, split, speaker), text)
    return builder.finish()


def _write_records(cache: Cache, n_clips: int, crop: CropSpec) -> None:
    for k in range(n_clips):
        quality = {"face_px": 120.5, "score": 0.98, "blur": 220.1, "yaw": 0.1, "silent_share": 0.2, "length_s": 3.0}
        outcome = PreprocessOutcome(
            "0" * 16, outcome=DONE, crop=plain(crop), tracks=(TrackRecord(75, 241, 0, 0.0, quality),)
        )
        clip = cache.clip(f"{k // 40:04d}/{k % 40:05d}")
        (clip.folder / "tracks" / "0").mkdir(parents=True)
        record = ClipRecord(clip.id, split="train", speaker=f"{k // 40:04d}").noted(outcome)
        (clip.folder / "clip.json").write_text(json.dumps(to_json(record), indent=1))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

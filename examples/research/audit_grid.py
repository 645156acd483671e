"""Evaluate the sync audit: shift the audio of 30 % of a cache's training clips, and count how many it finds.

    python -m examples.research.audit_grid make CACHE OUT
        OUT/clean, OUT/dirty (hard links), OUT/truth.json
    python -m examples.research.audit_grid audit OUT EXPERT
        audits OUT/repaired and prints how many were found, by threshold
    python -m examples.research.audit_grid train OUT --config examples/recipes/expert.yaml
        trains one recipe on all three caches and tests it on clean

The source of a clip is read again and its audio moved by whole frames before the mel is computed, with silence in the
gap, as if the clip had been recorded so. Real clips have a lag of up to one frame, which the audit finds and corrects
together with the shift; --own measures it on the clean copy, so that both can be separated. Validation and test clips
are not changed. Everything is determined by the seed.
"""

import functools
import json
import os
import shutil
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from stages.log import set_up_logging
from w2l.cache.records import EXCLUDED
from w2l.cache.store import Cache, Clip
from w2l.core import config
from w2l.core.device import choose_device
from w2l.core.errors import CacheError
from w2l.core.files import fingerprint, read_json, write_atomic, write_json
from w2l.core.progress import progress
from w2l.core.timing import SAMPLES_PER_FRAME
from w2l.data.batches.tracks import Tracks, crop_spec
from w2l.features.mel import mel_spectrogram
from w2l.media.audio import read_audio
from w2l.media.video import probe
from w2l.models.checkpoint import load_model
from w2l.training.audit.run import audit_cache
from w2l.training.audit.table import audit_table
from w2l.training.audit.verdicts import AuditSettings, LagMeasurement, find_zero, judge_track
from w2l.training.expert.evaluate import score_pairs
from w2l.training.expert.pairing import pairing_of
from w2l.training.expert.run import train_expert
from w2l.training.expert.settings import ExpertSettings
from w2l.training.scores import best_threshold, calibrate, score_summary

SHIFTS = (2, 10)
"""Smallest and largest shift, in frames."""
SHIFT_ODDS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
"""Values of `min_shift_odds` that the sweep tries."""
SHOWN = ("accuracy", "voiced", "auc", "offset_within_1", "bce")


def shift_sound(wave: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return the audio, (samples,), `frames` video frames earlier, or later if negative; silence fills the gap."""
    moved = np.zeros_like(wave)
    n = abs(frames) * SAMPLES_PER_FRAME
    if frames > 0:
        moved[: len(wave) - n] = wave[n:]
    else:
        moved[n:] = wave[: len(wave) - n]
    return moved


def draw_shifts(clips: list[str], share: float, seed: int) -> dict[str, int]:
    """Return clip -> frames by which its audio is to run ahead, for a `share` of clips, evenly over sign and size."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(sorted(clips), round(share * len(clips)), replace=False)
    sizes = rng.integers(SHIFTS[0], SHIFTS[1] + 1, len(chosen)) * rng.choice([-1, 1], len(chosen))
    return {str(clip): int(size) for clip, size in zip(chosen, sizes)}


def copy_cache(source: Path, target: Path) -> Cache:
    """Copy a cache without runs, using hard links if the disk allows: cache files are never modified in place."""
    if not (target / "cache.json").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source / "clips", target / "clips", copy_function=_link, ignore=shutil.ignore_patterns(".*"))
        shutil.copy2(source / "cache.json", target / "cache.json")
    return Cache.open(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def spoil(clip: Clip, frames: int) -> None:
    """Shift the audio of all tracks of a clip; its crops stay."""
    record = clip.record()
    path = Path(record.source or "")
    if not path.is_file():
        raise CacheError(f"{path}, the source of clip {clip.id}, does not exist; restore it")
    wave = shift_sound(read_audio(path, origin_s=probe(path).start_s), frames)
    for number, facts in enumerate(record.preprocess.tracks):
        start = (facts.first_frame or 0) * SAMPLES_PER_FRAME
        mel = mel_spectrogram(wave[start : start + facts.n_frames * SAMPLES_PER_FRAME])
        if mel.shape[1] != facts.n_columns:
            raise CacheError(f"clip {clip.id} track {number}: {path} has changed since it was preprocessed")
        write_atomic(clip.folder / "tracks" / str(number) / "mel.npy", functools.partial(np.save, arr=mel))


@dataclass(frozen=True)
class Found:
    """Results of an audit of clips whose shifts are known, as shares of 1."""

    shifted: int
    exact: float
    """Corrected by exactly the shift."""
    exact_own: float
    """Corrected by the shift and the clip's own lag; nan if that is unknown."""
    within_1: float
    missed: float
    """Kept unchanged."""
    aside: float
    others: int
    others_shifted: float
    others_aside: float

    def row(self) -> str:
        """Return the cells of a Markdown table."""
        values = (getattr(self, one.name) for one in fields(self))
        return " | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in values)


def compare(
    measured: dict[str, LagMeasurement],
    truth: dict[str, int],
    settings: AuditSettings,
    clean: dict[str, LagMeasurement],
) -> Found:
    """Compare the verdicts on these tracks, one per clip, with the truth; the zero is that of all of them.

    `clean`: measurements of the same clips before they were shifted; may be empty.
    """
    zero = find_zero(list(measured.values()), settings).lag
    verdicts = {clip: judge_track(one, zero, settings) for clip, one in measured.items()}
    own = {clip: round(one.lag.offset - zero) for clip, one in clean.items() if one.lag}
    with_own = [(verdicts[clip], truth[clip] + own[clip]) for clip in verdicts if clip in truth and clip in own]
    bad = [(verdicts[clip], truth[clip]) for clip in verdicts if clip in truth]
    good = [verdicts[clip] for clip in verdicts if clip not in truth]

    def share(which: list[bool]) -> float:
        return float(np.mean(which)) if which else float("nan")

    return Found(
        len(bad),
        share([verdict.verdict == "shifted" and verdict.offset == true for verdict, true in bad]),
        share([verdict.verdict == "shifted" and verdict.offset == true for verdict, true in with_own]),
        share([verdict.verdict == "shifted" and abs(verdict.offset - true) <= 1 for verdict, true in bad]),
        share([verdict.verdict == "kept" for verdict, _ in bad]),
        share([verdict.verdict == EXCLUDED for verdict, _ in bad]),
        len(good),
        share([verdict.verdict == "shifted" for verdict in good]),
        share([verdict.verdict == EXCLUDED for verdict in good]),
    )


def measured_of(cache: Cache) -> dict[str, LagMeasurement]:
    """Return the audit's measurement of the first track of each training clip."""
    found = {}
    for clip in cache.clips():
        record = clip.record()
        if record.audit.measured and record.audit.measured.tracks and record.split == "train":
            found[clip.id] = config.build(LagMeasurement, record.audit.measured.tracks[0])
    return found


def sweep(measured: dict[str, LagMeasurement], truth: dict[str, int], clean: dict[str, LagMeasurement]) -> str:
    """Return a markdown table: thresholds by halves of the clips (one to choose on, one to report)."""
    names = [one.name for one in fields(Found)]
    lines = ["| half | min_shift_odds | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for odds in SHIFT_ODDS:
        settings = replace(AuditSettings(), min_shift_odds=odds)
        for parity, name in enumerate(("first", "second")):
            half = {clip: one for clip, one in measured.items() if int(fingerprint(clip), 16) % 2 == parity}
            lines.append(f"| {name} | {odds:g} | {compare(half, truth, settings, clean).row()} |")
    return "\n".join(lines)


def evaluate(model: Path, cache: Cache, device: str) -> dict[str, float]:
    """Score an expert on the test clips of a cache, with the threshold and calibration of its validation clips."""
    expert = load_model(model, "expert", choose_device(device))
    pairing, crop, rows = pairing_of(expert.network), crop_spec(cache), cache.tracks()
    n_frames = int(expert.card.dimensions["n_frames"])
    val, test = (
        score_pairs(
            Tracks(cache, rows.select(rows.has("split", split)), crop, n_frames), pairing, choose_device(device)
        )
        for split in ("val", "test")
    )
    return score_summary(test, best_threshold(val), calibrate(val))


@click.group()
def main() -> None:
    """Evaluate the sync audit."""
    set_up_logging(0)


@main.command()
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--share", default=0.3, show_default=True, help="Share of the training clips to shift.")
@click.option("--seed", default=0, show_default=True)
@click.option("--leave-out", default="puppet*", show_default=True, help="Pattern of clips that are not copied.")
def make(cache: Path, out: Path, share: float, seed: int, leave_out: str) -> None:
    """Make the clean and the dirty copy."""
    clean = copy_cache(Cache.open(cache).root, out / "clean")
    for unwanted in [clip.folder for clip in clean.clips() if fnmatchcase(clip.id, leave_out)]:
        shutil.rmtree(unwanted)
    dirty = copy_cache(clean.root, out / "dirty")
    clips = [clip for clip in dirty.clips() if clip.record().split == "train"]
    shifts = draw_shifts([clip.id for clip in clips if clip.record().preprocess.tracks], share, seed)
    with progress("make", len(shifts), "clips") as advance:
        for clip, frames in shifts.items():
            spoil(dirty.clip(clip), frames)
            advance()
    write_json(out / "truth.json", {"share": share, "seed": seed, "shifts": shifts})
    click.echo(f"{len(shifts)} of {len(clips)} training clips shifted")


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("expert")
@click.option("--own", is_flag=True, help="Also measure the clean clips, for their own lag.")
@click.option("--device", default="auto", show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the audit.")
def audit(out: Path, expert: str, own: bool, device: str, assignments: tuple[str, ...]) -> None:
    """Audit a copy of the dirty cache and compare the findings with the truth."""
    truth: dict[str, int] = read_json(out / "truth.json")["shifts"]
    settings = config.load(AuditSettings, "audit", None, assignments)
    repaired = copy_cache(out / "dirty", out / "repaired")
    result = audit_cache(repaired, expert, settings, choose_device(device))
    measured = measured_of(repaired)
    clean: dict[str, LagMeasurement] = {}
    if own:
        reference = copy_cache(out / "clean", out / "reference")
        audit_cache(reference, expert, settings, choose_device(device))
        clean = measured_of(reference)
    found = compare(measured, truth, settings, clean)
    click.echo(f"{audit_table(result)}\n\n{json.dumps(vars(found), indent=1)}\n\n{sweep(measured, truth, clean)}")


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--config", "recipe", type=click.Path(path_type=Path), help="The recipe.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the training.")
@click.option("--run", default="audit-grid", show_default=True, help="Name of the runs.")
@click.option("--device", default="auto", show_default=True)
def train(out: Path, recipe: Path | None, assignments: tuple[str, ...], run: str, device: str) -> None:
    """Train on the clean, the dirty and the repaired cache; print a row of scores on the clean test clips for each."""
    settings: Any = config.load(ExpertSettings, "train-expert", recipe, assignments)
    clean = Cache.open(out / "clean")
    click.echo("| trained on | " + " | ".join(SHOWN) + " |\n" + "|---" * (len(SHOWN) + 1) + "|")
    for name in ("clean", "dirty", "repaired"):
        model = train_expert(settings, Cache.open(out / name), run, device).model
        scores = evaluate(model, clean, device)
        click.echo(f"| {name} | " + " | ".join(f"{scores.get(key, float('nan')):.4f}" for key in SHOWN) + " |")


if __name__ == "__main__":
    main()

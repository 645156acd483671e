"""train: crops and mels of the cache, and an expert -> a generator."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from stages.options import Common, common_options
from w2l import config, weights
from w2l.cache import Cache
from w2l.data.dataset import crop_spec, open_splits
from w2l.device import choose
from w2l.files import fingerprint
from w2l.training.generator_task import GeneratorSettings, GeneratorTask
from w2l.training.loop import fit

logger = logging.getLogger(__name__)
STAGE = "train"


@dataclass(frozen=True)
class Result:
    """What the training ended with."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Of the last validation."""
    samples: Path
    """Folder of the sample sheets."""


def run(
    settings: GeneratorSettings, cache: Cache, name: str = "generator", device: str = "auto", force: bool = False
) -> Result:
    """Trains the run `name`, or goes on with it, until its steps are done."""
    crop = crop_spec(cache)
    where = choose(device)
    expert = weights.load(settings.expert, "expert", cache, where) if settings.sync else None
    init = weights.load(settings.init, "generator", cache, where) if settings.init else None
    train, val = open_splits(cache, crop)
    taught = f"taught by {expert.path}" if expert else "reconstruction only"
    logger.info("%d tracks to train on, %d to validate on; %s", len(train), len(val), taught)
    folder = cache.run_folder(name)
    identity = config.plain(settings)
    identity["loop"] = {"steps": settings.loop.steps}
    identity["models"] = [fingerprint(config.plain(model.card)) for model in (expert, init) if model]
    task = GeneratorTask(settings, train, val, crop, expert, where, f"{len(train)} tracks", init)
    text = config.dump(settings, STAGE)
    progress = fit(task, folder, settings.loop, identity, settings.warm_up, text, anew=force)
    return Result(folder / "generator-best.safetensors", progress.step, progress.scores, folder / "samples")


@click.command(STAGE)
@click.option("--run", "name", default="generator", show_default=True, help="Name of the run in the cache.")
@click.option("--expert", help="Run, file or `w2l` (shipped) that teaches sync  [expert]")
@click.option("--force", is_flag=True, help="Start the run anew.")
@common_options
def command(name: str, expert: str | None, force: bool, common: Common) -> None:
    """Trains the generator: L1 + sync from the frozen expert + an adversarial term.

    Run it again to go on after a stop; the result is the same as without the stop. Look at the sheets in the run's
    samples folder: reference, masked, generated, real.

    \b
    w2l train --config examples/wav2lip-gan.yaml
    w2l train --expert w2l --set width=8 --set loop.steps=5000
    """
    settings = common.settings(GeneratorSettings, STAGE, expert=expert)
    result = run(settings, Cache.open(common.cache), name, common.device, force)
    scores = ", ".join(f"{key} {value:.4f}" for key, value in result.scores.items())
    common.show(asdict(result), f"{result.model}\n{result.steps} steps; {scores}; samples in {result.samples}")

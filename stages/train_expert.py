"""train-expert: crops and mels of the cache -> an expert that tells in sync from off sync."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from stages.options import Common, common_options
from w2l import config
from w2l.cache import Cache
from w2l.data.dataset import crop_spec, open_splits
from w2l.device import choose
from w2l.errors import ConfigError
from w2l.training.expert_task import ExpertSettings, ExpertTask
from w2l.training.loop import fit

logger = logging.getLogger(__name__)
STAGE = "train-expert"


@dataclass(frozen=True)
class Result:
    """What the training ended with."""

    model: Path
    """The best model file."""
    steps: int
    scores: dict[str, float]
    """Of the last validation."""


def run(
    settings: ExpertSettings, cache: Cache, name: str = "expert", device: str = "auto", force: bool = False
) -> Result:
    """Trains the run `name`, or goes on with it, until its steps are done."""
    crop = crop_spec(cache)
    if (settings.arch == "judge") != (crop.kind == "judge"):
        raise ConfigError(
            f"arch={settings.arch} does not fit the cache's crops ({crop.kind}): a judge needs crops made with "
            "--set crop.kind=judge, an expert needs aligned or box crops; use a cache of its own for each"
        )
    train, val = open_splits(cache, crop)
    logger.info("%d tracks to train on, %d to validate on", len(train), len(val))
    folder = cache.run_folder(name)
    identity = config.plain(settings)
    identity["loop"] = {"steps": settings.loop.steps}
    task = ExpertTask(settings, train, val, crop, choose(device), f"{len(train)} tracks")
    text = config.dump(settings, STAGE)
    progress = fit(task, folder, settings.loop, identity, settings.warm_up, text, anew=force)
    return Result(folder / f"{settings.arch}-best.safetensors", progress.step, progress.scores)


@click.command(STAGE)
@click.option("--run", "name", help="Name of the run in the cache  [the arch]")
@click.option("--arch", type=click.Choice(["expert", "judge"]), help="What to train  [expert]")
@click.option("--force", is_flag=True, help="Start the run anew.")
@common_options
def command(name: str | None, arch: str | None, force: bool, common: Common) -> None:
    """Trains the expert: given five frames of a mouth and 0.2 s of sound, do they belong together?

    Run it again to go on after a stop; the result is the same as without the stop. Accuracies are those of all windows
    of the validation clips, with off-sync pairs from the same clip.

    \b
    w2l train-expert --config examples/expert.yaml
    w2l train-expert --set width=16 --set loop.steps=4000
    """
    settings = common.settings(ExpertSettings, STAGE, arch=arch)
    result = run(settings, Cache.open(common.cache), name or settings.arch, common.device, force)
    scores = ", ".join(f"{key} {value:.3f}" for key, value in result.scores.items())
    common.show(asdict(result), f"{result.model}\n{result.steps} steps; {scores}")

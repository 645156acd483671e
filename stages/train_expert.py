"""train-expert: train a sync expert on the crops and mels of the cache."""

import logging
from dataclasses import asdict

import click

from stages.options import Common, common_options
from w2l.api.train_expert import train_expert
from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import TrainingError
from w2l.training.expert.run import STAGE, check_training, open_data
from w2l.training.expert.settings import ExpertSettings
from w2l.training.parallel import is_first


@click.command(STAGE)
@click.option("--run", "name", help="Name of the run in the cache  [the arch]")
@click.option("--arch", type=click.Choice(["expert", "judge"]), help="What to train  [expert]")
@click.option("--init", help="Run, file (also a public one) or `w2l` (shipped) to start from  [none]")
@click.option("--check", is_flag=True, help="Only check the data and overfit one small batch.")
@click.option("--bootstrap", "twice", is_flag=True, help="Train on all tracks, audit, train on those in sync.")
@click.option("--force", is_flag=True, help="Restart the run.")
@common_options
def command(
    name: str | None, arch: str | None, init: str | None, check: bool, twice: bool, force: bool, common: Common
) -> None:
    """Train the sync expert, which scores whether a few frames of a mouth match their audio.

    Rerun the command to resume; the result is the same as without the interruption. Accuracies are over all windows of
    the validation clips, with off-sync pairs from the same clip. A new run begins with the checks of --check, and one
    that does not learn ends with a diagnosis. The run's folder contains log.jsonl and curves.png.

    Several GPUs, on one machine or on several with a shared disk, share one batch under torchrun; n_clips is
    the total of all of them, and must be at least their number. The -- prevents torchrun from reading --run as its own.

    \b
    w2l train-expert --config examples/recipes/expert.yaml
    w2l train-expert --set width=16 --set loop.steps=4000
    w2l train-expert --config examples/recipes/expert-public.yaml --init lipsync_expert.pth
    w2l train-expert --bootstrap --run repaired
    torchrun --nproc-per-node 2 -m -- stages.cli train-expert --run large --config examples/recipes/expert-large.yaml
    """
    if not is_first():
        logging.getLogger("w2l").setLevel(logging.CRITICAL)  # the first process logs for all
    if check:
        settings = common.settings(ExpertSettings, STAGE, arch=arch, init=init)
        return _check(settings, Cache.open(common.cache), common)
    result = train_expert(run=name, bootstrap=twice, force=force, **common.given(arch=arch, init=init))
    if is_first():
        scores = ", ".join(f"{key} {value:.3f}" for key, value in result.scores.items())
        common.show(asdict(result), f"{result.model}\n{result.steps} steps; {scores}")
    return None


def _check(settings: ExpertSettings, cache: Cache, common: Common) -> None:
    findings = check_training(settings, open_data(settings, cache), choose_device(common.device))
    common.show([asdict(finding) for finding in findings], "\n".join(map(str, findings)))
    if any(finding.severity == "error" for finding in findings):
        raise TrainingError("no expert can be trained on these data; see the findings marked as errors")

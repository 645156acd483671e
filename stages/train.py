"""train: train a generator with an expert on the cache, or tune one to clips of one person."""

import logging
from dataclasses import asdict
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.api.train import train
from w2l.training.generator.run import PERSON, STAGE
from w2l.training.parallel import is_first


@click.command(STAGE)
@click.option("--run", "name", help=f"Name of the run in the cache  [generator, or {PERSON} with --person]")
@click.option("--expert", help="Run, file or `w2l` (shipped) used as sync loss  [expert, or w2l with --person]")
@click.option("--init", help="Run, file or `w2l` (shipped) to start from  [none, or w2l with --person]")
@click.option("--discriminator-init", help="Discriminator (run or file, also a public one) to start from  [none]")
@click.option("--person", "clips", multiple=True, type=FILE,
              help="A clip of the person to tune to; may be repeated. The cache's clips are not used.")  # fmt: skip
@click.option("--force", is_flag=True, help="Restart the run.")
@common_options
def command(
    name: str | None, expert: str | None, init: str | None, discriminator_init: str | None, clips: tuple[Path, ...],
    force: bool, common: Common,
) -> None:  # fmt: skip
    """Train the generator: L1, sync loss from the frozen expert, and the other terms of the recipe.

    Rerun the command to resume; the result is the same as without the interruption. See report.html in the run's
    folder: curves, and sheets of reference, masked, generated and real faces.

    With --person a trained generator is tuned to one face: seconds at the end of each clip are held out, and the run
    ends when they stop improving. Ten seconds are hardly enough; a few minutes are good.

    Several GPUs train one batch together under torchrun, as with train-expert.

    \b
    w2l train --config examples/recipes/wav2lip-gan.yaml
    w2l train --expert w2l --set scale=small --set loop.steps=5000
    w2l train --init w2l --person interview.mp4 --person statement.mp4
    """
    if not is_first():
        logging.getLogger("w2l").setLevel(logging.CRITICAL)  # the first process logs for all
    result = train(
        run=name, expert=expert, init=init, discriminator_init=discriminator_init, person=clips, force=force,
        **common.given(),
    )  # fmt: skip
    if is_first():
        scores = ", ".join(f"{key} {value:.4f}" for key, value in result.scores.items())
        common.show(asdict(result), f"{result.model}\n{result.steps} steps; {scores}; samples in {result.samples}")

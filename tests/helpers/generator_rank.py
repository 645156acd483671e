"""One process of a generator's training, for test_parallel."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.makers import CPU, SAMPLING, TINY, task_for
from w2l.cache.store import Cache
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings, Schedule
from w2l.training.generator.task import GeneratorTask
from w2l.training.loop import Surroundings, fit
from w2l.training.parallel import joined_ranks
from w2l.training.run_folder import Destination
from w2l.training.settings import LoopSettings

SETTINGS: GeneratorSettings = replace(
    TINY, layout="warping", sampling=replace(SAMPLING, batch_size=4, swap=0.3), adversarial=0.07, ema=0.9,
    discriminator=DiscriminatorSettings(width=2), schedule=Schedule(sync=(0, 0)), loop=LoopSettings(3, 1, 2, 3),
)  # fmt: skip


def trained(task: GeneratorTask, folder: Path) -> dict[str, Any]:
    """Trains; gives the gradients of the first step as the optimisers saw them, and all states at the end."""
    gradients: dict[str, list[Tensor]] = {}
    update = task.guard.update

    def watched(name: str, optimiser: Any, parameters: Any, scaler: Any = None) -> Tensor:
        mine = list(parameters)
        gradients.setdefault(name, [each.grad.clone() for each in mine if each.grad is not None])
        return update(name, optimiser, mine, scaler)

    task.guard.update = watched  # type: ignore[method-assign]
    around = Surroundings(ranks=task.ranks, others=task.others)
    progress = fit(task, Destination(folder, {}), task.settings.loop, task.settings.rates, around)
    networks: dict[str, nn.Module] = task.networks
    states = {name: network.state_dict() for name, network in networks.items()}
    return {"gradients": gradients, "networks": states, "best": progress.best}


def logged(folder: Path) -> list[dict[str, float]]:
    """The terms of each step in the log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "grad_norm" in line]


def main(root: Path, folder: Path) -> None:
    """Trains as one of the processes that the environment tells of; what it found goes to ``folder``.pt."""
    with joined_ranks(CPU) as ranks:
        found = trained(task_for(Cache.open(root), SETTINGS, ranks=ranks), folder)
    torch.save(found, folder.with_suffix(".pt"))

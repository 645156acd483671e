r"""Average the weights of models of the same dimensions, such as an expert and the one it was fine-tuned from.

\b
    python -m examples.research.average_weights OUT.safetensors A.safetensors=0.5 B.safetensors=0.5
    python -m examples.research.average_weights LIPS.npz A.npz=0.6 B.npz=0.4

The second form is for lip readers. The card is that of the first model, with the ancestors and the teachers of all. Its
scores and calibration are no longer valid and are left out; `calibrate_expert.py` fits them again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import click
import torch
from torch import Tensor

from w2l.core.files import read_arrays
from w2l.models.checkpoint import load_model, marks_of, save_model
from w2l.models.lineage import merged
from w2l.models.lip_reader import load_lips, save_lips

LIPS = ".npz"
"""File extension of a lip reader."""


def average(out: Path, parts: Mapping[Path, float]) -> None:
    """Write the weighted mean of models; the weights are normalised to a sum of 1."""
    shares = list(parts.values())
    if out.suffix == LIPS:
        lips = [load_lips(path) for path in parts]
        _check(lip.dimensions for lip in lips)
        lips[0].load_state_dict(mean_of([lip.state_dict() for lip in lips], shares))
        card = json.loads(read_arrays(next(iter(parts)))["card"].tobytes())
        save_lips(out, lips[0], **{name: fact for name, fact in card.items() if name != "dimensions"})
        return
    models = [load_model(path, None) for path in parts]
    _check(model.card.dimensions for model in models)
    card = replace(
        models[0].card, scores={}, calibrated=False, scale=1.0, bias=0.0,
        ancestors=merged(*map(marks_of, models)),
        teachers=tuple(dict.fromkeys(teacher for model in models for teacher in model.card.teachers)),
    )  # fmt: skip
    models[0].network.load_state_dict(mean_of([model.network.state_dict() for model in models], shares))
    save_model(out, models[0].network, card)


def mean_of(states: list[dict[str, Tensor]], shares: list[float]) -> dict[str, Tensor]:
    """Return the weighted mean of networks' tensors; integer tensors are those of the first network."""
    weights = torch.tensor(shares, dtype=torch.float64) / sum(shares)
    mean = dict(states[0])
    for key, value in mean.items():
        if torch.is_floating_point(value):
            stacked = torch.stack([state[key].double() for state in states])
            mean[key] = torch.tensordot(weights, stacked, dims=1).to(value.dtype)
    return mean


def _parsed(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[Path, float]:
    parts = {}
    for each in given:
        name, __, share = each.rpartition("=")
        number = float(share) if share.replace(".", "", 1).isdecimal() else 0.0
        if not name or not number:
            raise click.BadParameter(f"{each!r}: expected a file and a share above 0, such as model.safetensors=0.5")
        parts[Path(name)] = number
    return parts


def _check(dimensions: Iterable[object]) -> None:
    first, *others = dimensions
    if any(other != first for other in others):
        raise SystemExit("error: the models have different dimensions; pass models of one kind and size")


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("parts", metavar="MODEL=SHARE...", nargs=-1, required=True, callback=_parsed)
def main(out: Path, parts: dict[Path, float]) -> None:
    """Average MODELs by their shares and write OUT."""
    average(out, parts)


if __name__ == "__main__":
    main()

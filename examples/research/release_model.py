"""Write a trained model for release: with data and licence in its card, optionally in half precision.

    python -m examples.research.release_model MODEL OUT --data TEXT --licence TEXT [--half] [--flow-blur X] [--moves X]

A warping generator may be given another `flow_blur`, so that weights trained without one can be averaged with others
trained with it, and a factor for its displacements. Half precision halves the file; loading it converts it to single
precision. The card lists MODEL among the ancestors.
"""

from dataclasses import asdict, replace
from pathlib import Path

import click

from w2l.models.checkpoint import load_model, marks_of, save_model
from w2l.nets.warping import WarpingGenerator


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", default="", help="Description of the data for the card  [unchanged]")
@click.option("--licence", default="", help="Licence of the weights for the card  [unchanged]")
@click.option("--half", is_flag=True, help="Store weights in half precision.")
@click.option("--flow-blur", type=float, help="Smooth the flow of a warping generator by so many sides of the face.")
@click.option("--moves", type=float, default=1.0, show_default=True, help="Factor for its displacements.")
def main(model: Path, out: Path, data: str, licence: str, half: bool, flow_blur: float | None, moves: float) -> None:
    """Write the model with its new card."""
    loaded = load_model(model, None)
    network = loaded.network
    card = loaded.card
    card = replace(card, data=data or card.data, licence=licence or card.licence, ancestors=marks_of(loaded))
    if flow_blur is not None or moves != 1:
        if not isinstance(network, WarpingGenerator):
            raise click.UsageError(f"{model} is not a warping generator; leave --flow-blur and --moves out")
        weights = {
            name: each * moves if name.startswith("flow.") else each for name, each in network.state_dict().items()
        }
        if flow_blur is not None:
            network = WarpingGenerator(replace(network.dimensions, flow_blur=flow_blur))
        network.load_state_dict(weights)
        card = replace(card, dimensions=asdict(network.dimensions))
    save_model(out, network.half() if half else network, card)


if __name__ == "__main__":
    main()

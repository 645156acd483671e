"""Write a trained model for release: with data and licence in its card, optionally in half precision.

    python -m examples.research.release_model MODEL OUT --data TEXT --licence TEXT [--half]

Half precision halves the file; loading it converts it to single precision. The card lists MODEL among the ancestors.
"""

from dataclasses import replace
from pathlib import Path

import click

from w2l.models.checkpoint import load_model, marks_of, save_model


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", default="", help="Description of the data for the card  [unchanged]")
@click.option("--licence", default="", help="Licence of the weights for the card  [unchanged]")
@click.option("--half", is_flag=True, help="Store weights in half precision.")
def main(model: Path, out: Path, data: str, licence: str, half: bool) -> None:
    """Write the model with its new card."""
    loaded = load_model(model, None)
    card = loaded.card
    card = replace(card, data=data or card.data, licence=licence or card.licence, ancestors=marks_of(loaded))
    save_model(out, loaded.network.half() if half else loaded.network, card)


if __name__ == "__main__":
    main()

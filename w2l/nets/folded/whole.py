"""A generator that is run unchanged: only the visible rows are returned."""

import copy

from torch import Tensor, nn

from w2l.nets.generator import Generator


class Whole(nn.Module):
    """A copy of a generator whose layout cannot be folded; it returns the rows from `first_row` on."""

    def __init__(self, generator: Generator, first_row: int) -> None:
        super().__init__()
        self.dimensions = generator.dimensions
        self.first_row = first_row
        self.generator = copy.deepcopy(generator)

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Run `Generator.forward` for the rows from `first_row` on: (batch, 3, size - first_row, size)."""
        made: Tensor = self.generator(mel, faces)
        return made[..., self.first_row :, :]

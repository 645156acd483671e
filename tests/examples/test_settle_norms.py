"""`examples/research/settle_norms.py`: statistics that fit the weights."""

import numpy as np
from torch import Tensor, nn

from examples.research.settle_norms import settle


class Norm:
    """A pairing with one batch norm over the frames' mean level."""

    def __init__(self) -> None:
        self.network = nn.Sequential(nn.BatchNorm1d(1))

    def embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        level = faces.float().flatten(1).mean(dim=1, keepdim=True)
        return level, self.network(level)

    def similarity(self, audio: Tensor, face: Tensor) -> Tensor:
        return audio @ face.T


class Levels:
    """Two people: one with nine clips of level 0, one with a single clip of level 200."""

    of_speakers = (np.arange(9), np.array([9]))
    counts = np.full(10, 3)

    def seen(self, track: int, start: int) -> np.ndarray:
        return np.full((5, 2, 2, 3), 200 if track == 9 else 0, dtype=np.uint8)

    def heard(self, track: int, start: int) -> np.ndarray:
        return np.zeros((80, 16), dtype=np.float32)


def test_statistics_count_every_person_alike_and_the_net_is_left_in_eval_mode() -> None:
    pairing = Norm()
    norm = pairing.network[0]
    norm.running_mean.fill_(-5.0)
    settle(pairing, Levels(), 8, np.random.default_rng(0))
    assert abs(float(norm.running_mean) - 100.0) < 15.0
    assert abs(float(norm.running_var) - 100.0**2) < 1500.0
    assert not norm.training
    assert norm.momentum == 0.1

"""How much of the source's own texture is kept under a patch."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats
from w2l.syncing.texture import source_share

SHAPE = (50, 96)


def flat(value: float) -> NDArray[np.float32]:
    """(rows, columns) of one value."""
    return np.full(SHAPE, value, np.float32)


def texture(seed: int) -> Floats:
    """(rows, columns): detail without structure, of standard deviation 3."""
    noise = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    return 3 * noise


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0, 2.0])
def test_the_sum_of_both_is_as_strong_as_the_source(strength: float, share: float) -> None:
    source, patch = texture(0), strength * texture(1)
    kept, _ = source_share(flat(share), patch**2, source**2, flat(1.0))
    both = (1 - share) * patch + kept * source
    assert kept.min() >= share - 1e-6
    assert kept.max() <= 1
    if ((1 - share) * strength) ** 2 + share**2 <= 1:
        assert both.std() == pytest.approx(source.std(), rel=0.1)


def test_where_either_shows_a_mouth_nothing_is_added() -> None:
    skin = flat(1.0)
    skin[20:30, 30:60] = 0
    kept, completed = source_share(flat(0.2), flat(0.0), texture(0) ** 2, skin)
    assert completed[20:30, 30:60].max() == 0
    np.testing.assert_allclose(kept[20:30, 30:60], 0.2, atol=1e-6)
    assert kept[:10].min() > 0.7


def test_an_edge_of_the_source_is_not_texture() -> None:
    """A jaw or a fold that the patch has in another place would show twice."""
    source = texture(0)
    source[24:26] += 40
    kept, _ = source_share(flat(0.0), flat(0.0), source**2, flat(1.0))
    assert kept[23:27].max() < 0.15
    assert kept[:15].mean() > 0.7


def test_skin_without_texture_stays_smooth() -> None:
    kept, _ = source_share(flat(0.3), flat(0.0), flat(0.0), flat(1.0))
    assert np.isfinite(kept).all()
    alone, _ = source_share(flat(0.3), flat(0.0), flat(0.0), flat(0.0))
    np.testing.assert_allclose(alone, 0.3, atol=1e-6)


def test_a_patch_with_weak_texture_on_one_side_gets_it_there() -> None:
    patch = texture(1)
    patch[:, 48:] *= 0.2
    kept, _ = source_share(flat(0.0), patch**2, cv2.GaussianBlur(texture(0) ** 2, (0, 0), 2.0), flat(1.0))
    assert kept[:, :40].mean() < 0.35
    assert kept[:, 56:].mean() > 0.8

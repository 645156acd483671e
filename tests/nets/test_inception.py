"""The FID network: the reference vectors, a second network written from the tables; folding."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tests.helpers.golden import golden_seeds, golden_vectors, published_keys, published_state
from w2l.nets.inception import TAPS, Inception, fitted, fold_inception

Golden = dict[str, NDArray[Any]]
Weights = Callable[[int], dict[str, Tensor]]
FORKS = "3x3_1 3x3_2a | 3x3_1 3x3_2b | 3x3dbl_1 3x3dbl_2 3x3dbl_3a | 3x3dbl_1 3x3dbl_2 3x3dbl_3b"
CHAINS = {
    **dict.fromkeys(["5b", "5c", "5d"], "1x1 | 5x5_1 5x5_2 | 3x3dbl_1 3x3dbl_2 3x3dbl_3 | average _pool"),
    "6a": "3x3/2 | 3x3dbl_1 3x3dbl_2 3x3dbl_3/2 | maximum/2",
    **dict.fromkeys(
        ["6b", "6c", "6d", "6e"],
        "1x1 | 7x7_1 7x7_2 7x7_3 | 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 | average _pool",
    ),
    "7a": "3x3_1 3x3_2/2 | 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4/2 | maximum/2",
    **{block: f"1x1 | {FORKS} | {pool} _pool" for block, pool in (("7b", "average"), ("7c", "maximum"))},
}
"""Each block's branches, as `reference/fid.md` lists them."""
STEM = "2d_1a_3x3/2 2d_2a_3x3 2d_2b_3x3+ maximum/2 2d_3b_1x1 2d_4a_3x3 maximum/2"


@pytest.fixture(scope="module")
def published_weights() -> Weights:
    made: dict[int, dict[str, Tensor]] = {}

    def weights(seed: int) -> dict[str, Tensor]:
        if seed not in made:
            made[seed] = published_state("fid_inception", seed)
        return made[seed]

    return weights


def network_of(weights: dict[str, Tensor]) -> Inception:
    network = Inception()
    left = network.load_state_dict(weights, strict=False)
    assert not left.missing_keys
    assert set(left.unexpected_keys) == {"fc.weight", "fc.bias"}
    return network.eval()


def test_names_shapes_and_order_are_published() -> None:
    with torch.device("meta"):
        ours = Inception().state_dict()
    published = [(key, tuple(shape)) for key, shape, _ in published_keys("fid_inception") if not key.startswith("fc.")]
    assert [(key, tuple(value.shape)) for key, value in ours.items()] == published
    assert sum(value.numel() for key, value in ours.items() if "running" not in key and "num_" not in key) == 21_785_568


@pytest.mark.parametrize("seed", golden_seeds("fid"))
def test_golden_pictures(seed: int, golden_rule: ModuleType, published_weights: Weights) -> None:
    golden = golden_vectors(f"fid_seed{seed}")
    network = fold_inception(network_of(published_weights(seed)))
    for name, images in (
        ("96", golden_rule.fid_images(seed, 4, 96, 96)),
        ("320", golden_rule.fid_images(seed, 2, 200, 320)),
    ):
        pictures = fitted(torch.from_numpy(images))
        np.testing.assert_allclose(golden_rule.subsample(pictures.numpy(), 2500), golden[f"input{name}"], atol=1e-5)
        with torch.inference_mode():
            maps = network.maps(pictures)
        for stage, width in TAPS.items():
            features = maps[stage].mean(dim=(2, 3)).numpy()[:, :: 4 if width >= 768 else 1]
            np.testing.assert_allclose(features, golden[f"feat{width}_{name}"], atol=5e-5, rtol=1e-4)
        if name == "96":
            check_stages(maps, golden)


def check_stages(maps: dict[str, Tensor], golden: Golden) -> None:
    *names, last = golden["block_names"].tolist()
    assert [*maps] == names
    assert last == "avgpool"
    stats = []
    for value in [*maps.values(), maps["Mixed_7c"].mean(dim=(2, 3))]:
        second = value[1].flatten()
        stats.append([value.mean(), value.std(correction=0), value.abs().max(), second[0], second[-1]])
    np.testing.assert_allclose(np.array(stats, dtype=np.float64), golden["block_stats"], rtol=1e-3, atol=1e-6)


def from_the_tables(weights: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """Features (batch, 2048) in double precision, step by step as `reference/fid.md` lists them."""

    def unit(x: Tensor, key: str, stride: int) -> Tensor:
        conv = weights[f"{key}.conv.weight"].double()
        rows, columns = conv.shape[2:]
        is_stem = key.startswith("Conv2d_")
        padding = (0, 0) if stride == 2 or (is_stem and "2b" not in key) else (rows // 2, columns // 2)
        mean, variance, scale, shift = (
            weights[f"{key}.bn.{name}"].double()[:, None, None]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return ((F.conv2d(x, conv, None, stride, padding) - mean) / (variance + 0.001).sqrt() * scale + shift).clamp(0)

    def chain(x: Tensor, steps: str, prefix: str) -> Tensor:
        for step in steps.split():
            name, _, stride = step.rstrip("+").partition("/")
            if name == "average":
                ones = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype)
                counts = F.conv2d(torch.ones_like(x[:1, :1]), ones[:1], padding=1)
                x = F.conv2d(x, ones, padding=1, groups=x.shape[1]) / counts
            elif name == "maximum":
                x = F.max_pool2d(x, 3, int(stride or 1), 0 if stride else 1)
            else:
                x = unit(x, prefix + name, int(stride or 1))
        return x

    x = chain(pictures.double(), STEM, "Conv")
    for block, branches in CHAINS.items():
        x = torch.cat([chain(x, steps, f"Mixed_{block}.branch") for steps in branches.split(" | ")], dim=1)
    return x.mean(dim=(2, 3))


@pytest.mark.parametrize("seed", [7])
def test_other_weights_against_a_network_from_the_tables(
    seed: int, golden_rule: ModuleType, published_weights: Weights
) -> None:
    weights = published_weights(seed)
    pictures = fitted(torch.from_numpy(golden_rule.fid_images(seed, 1, 120, 80)))
    plain = network_of(weights)
    with torch.inference_mode():
        expected = from_the_tables(weights, pictures)
        assert float(expected.std()) > 0.1
        for network in (plain, fold_inception(plain)):
            torch.testing.assert_close(network(pictures).double(), expected, atol=5e-5, rtol=1e-4)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules()), "fold changed its argument"


def test_fitting_is_bilinear_between_pixel_centres_without_averaging() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (400, 310, 3), dtype=np.uint8)
    got = fitted(torch.from_numpy(image)[None])[0].permute(1, 2, 0).numpy()
    value = image / 127.5 - 1
    for axis, n in ((0, 400), (1, 310)):
        at = np.clip((np.arange(299) + 0.5) * n / 299 - 0.5, 0, n - 1)
        low = np.minimum(at.astype(int), n - 2)
        part = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        value = np.take(value, low, axis) * (1 - part) + np.take(value, low + 1, axis) * part
    np.testing.assert_allclose(got, value, atol=1e-4)

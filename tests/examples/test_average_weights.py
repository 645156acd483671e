"""The mean of models: each parameter's, with the card of the first one, uncalibrated."""

import json
from pathlib import Path

import pytest
import torch

from examples.research import average_weights
from w2l.core.files import read_arrays
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, marks_of, save_model
from w2l.models.lip_reader import load_lips, save_lips
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.lips import N_EXTRAS, LipDimensions, Lips


def saved(path: Path, seed: int, width: int = 2) -> Path:
    torch.manual_seed(seed)
    network = Expert(ExpertDimensions(32, width=width, signed=True))
    card = ModelCard("expert", dimensions_of(network), CropSpec(size=32), calibrated=True, scale=9.0)
    save_model(path, network, card)
    return path


def test_its_ancestors_are_its_parts(tmp_path: Path) -> None:
    """By file and by weights, so that none of them is a fair judge of what another taught."""
    paths = [saved(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate("abc")]
    average_weights.average(tmp_path / "ab.safetensors", {paths[0]: 1, paths[1]: 1})
    average_weights.average(tmp_path / "abc.safetensors", {tmp_path / "ab.safetensors": 1, paths[2]: 1})
    ancestors = set(load_model(tmp_path / "abc.safetensors", "expert").card.ancestors)
    assert all(set(marks_of(load_model(path, "expert"))) <= ancestors for path in paths)


def test_it_is_the_weighted_mean(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.safetensors", 1), saved(tmp_path / "b.safetensors", 2)
    average_weights.average(tmp_path / "out.safetensors", {first: 3, second: 1})
    a, b, out = (load_model(path, "expert") for path in (first, second, tmp_path / "out.safetensors"))
    assert not out.card.calibrated
    for one, two, mean in zip(a.network.parameters(), b.network.parameters(), out.network.parameters()):
        torch.testing.assert_close(mean, 0.75 * one + 0.25 * two, atol=1e-6, rtol=1e-5)


def test_networks_of_other_sizes_are_refused(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.safetensors", 1), saved(tmp_path / "b.safetensors", 2, width=4)
    with pytest.raises(SystemExit, match="different dimensions"):
        average_weights.average(tmp_path / "out.safetensors", {first: 1, second: 1})


def saved_lips(path: Path, seed: int, features: int = 8) -> Path:
    torch.manual_seed(seed)
    save_lips(
        path, Lips(LipDimensions(width=2, features=features, extras=N_EXTRAS)), data=f"mouths {seed}", licence="MIT"
    )
    return path


def test_lip_readers_are_averaged_with_the_card_of_the_first(tmp_path: Path) -> None:
    first, second = saved_lips(tmp_path / "a.npz", 1), saved_lips(tmp_path / "b.npz", 2)
    average_weights.average(tmp_path / "out.npz", {first: 0.6, second: 0.4})
    a, b, out = (load_lips(path).state_dict() for path in (first, second, tmp_path / "out.npz"))
    for key in a:
        if a[key].is_floating_point():
            torch.testing.assert_close(out[key], 0.6 * a[key] + 0.4 * b[key], atol=1e-3, rtol=1e-3)
    assert json.loads(read_arrays(tmp_path / "out.npz")["card"].tobytes())["data"] == "mouths 1"
    with pytest.raises(SystemExit, match="different dimensions"):
        average_weights.average(tmp_path / "out.npz", {first: 1, saved_lips(tmp_path / "c.npz", 3, features=16): 1})

"""Models that diverged, and cards that lie about sizes: refused when they are loaded, or when they first draw."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from w2l.cache.store import Cache
from w2l.core.errors import CheckpointError
from w2l.models import registry
from w2l.models.checkpoint import ModelCard, build_network, load_model, save_model
from w2l.models.lip_reader import WEIGHTS, load_lips
from w2l.models.runtime import Runner

SMALL: dict[str, dict[str, Any]] = {
    "generator": {"size": 64, "width": 2}, "expert": {"width": 2}, "discriminator": {"width": 2},
    "judge": {"size": 112, "width": 8}, "patches": {"width": 4}, "pairs": {"width": 4},
}  # fmt: skip


def saved(folder: Path, kind: str, spoil: float | None = None, whole: bool = False) -> Path:
    """A small model; `spoil` stands in one weight, or in all."""
    card = ModelCard(kind, SMALL[kind])  # type: ignore[arg-type]
    network = build_network(card)
    weights = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    for tensor in weights if whole else weights[-1:]:
        if spoil is not None:
            tensor.view(-1)[slice(None) if whole else slice(-1, None)] = spoil
    path = folder / f"{kind}.safetensors"
    save_model(path, network, card)
    return path


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(("spoil", "whole"), [(float("nan"), True), (float("nan"), False), (-float("inf"), False)])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, kind: str, spoil: float, whole: bool) -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(saved(tmp_path, kind, spoil, whole), None)
    assert load_model(saved(tmp_path, kind), None).card.kind == kind


@pytest.mark.parametrize("kind", ["expert", "judge"])
def test_variances_are_not_negative(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, kind)
    model = load_model(path, None)
    next(tensor for name, tensor in model.network.state_dict().items() if name.endswith("running_var"))[0] = -1.0
    save_model(path, model.network, model.card)
    with pytest.raises(CheckpointError, match=r"negative variances, in .*running_var"):
        load_model(path, None)


def test_they_are_refused_at_import_and_from_any_wrapping(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "cache", create=True)
    with pytest.raises(CheckpointError, match="not finite"):
        registry.bring(saved(tmp_path, "expert", float("nan")), "mine", cache)
    assert not list(cache.models.glob("*"))
    state = build_network(ModelCard("expert", {})).state_dict()
    state["face_encoder.0.conv_block.0.weight"][0, 0, 0, 0] = float("inf")
    torch.save({"state_dict": state}, tmp_path / "public.pth")
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(tmp_path / "public.pth", "expert")
    arrays = dict(np.load(WEIGHTS))
    name = next(name for name in arrays if name != "card")
    arrays[name] = arrays[name] * np.float16("nan")
    np.savez(tmp_path / "lips.npz", **arrays)
    with pytest.raises(CheckpointError, match="not finite"):
        load_lips(tmp_path / "lips.npz")


@pytest.mark.parametrize("layout", ["published", "warping"])
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_what_is_drawn_is_a_number(tmp_path: Path, layout: str, backend: Any) -> None:
    """Weights that are numbers, so large that what they make is none."""
    torch.manual_seed(0)
    dimensions = {"size": 64, "width": 2, "layout": layout, "rows": "lower"}
    card = ModelCard("generator", dimensions)
    network = build_network(card)
    for weight in network.parameters():
        weight.data.mul_(1e30)
    save_model(tmp_path / "large.safetensors", network, card)
    model = load_model(tmp_path / "large.safetensors", "generator")
    runner = Runner(model, backend=backend)
    mels, faces = np.ones((2, 80, 16), np.float32), np.full((2, 64, 64, 6), 200, np.uint8)
    with pytest.raises(CheckpointError, match=r"large\.safetensors returns non-finite values"):
        runner(mels, faces)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(
    "lie", [{"width": 4096}, {"width": 10**9}, {"size": 4096}, {"width": -1}, {"width": "8"}, {"size": [96]}], ids=str
)
def test_a_card_that_lies_about_sizes_takes_no_memory(tmp_path: Path, kind: str, lie: dict[str, Any]) -> None:
    """A network of width 4096 would have hundreds of gigabytes."""
    path = saved(tmp_path, kind)
    model = load_model(path, None)
    save_model(path, model.network, replace(model.card, dimensions={**model.card.dimensions, **lie}))
    with pytest.raises(CheckpointError, match=r"dimensions|not a complete"):
        load_model(path, None)


@pytest.mark.parametrize("kind", [*SMALL, "blurred"])
def test_a_loaded_network_is_a_built_one_with_other_weights(tmp_path: Path, kind: str) -> None:
    """It takes memory of its own, in the network's precision, also where the file's tensors share memory or are halves.

    Counters that public checkpoints lack are zero; constants that no file contains are there.
    """
    dimensions = (
        {**SMALL["generator"], "layout": "warping", "rows": "lower", "flow_blur": 0.02}
        if kind == "blurred"
        else SMALL[kind]
    )
    card = ModelCard("generator" if kind == "blurred" else kind, dimensions)  # type: ignore[arg-type]
    built = build_network(card)
    save_model(tmp_path / "first.safetensors", built.half(), card)
    loaded = load_model(tmp_path / "first.safetensors", card.kind).network
    wanted, found = built.float().state_dict(), loaded.state_dict()
    assert {name: (value.dtype, value.shape) for name, value in found.items()} == {
        name: (value.dtype, value.shape) for name, value in wanted.items()
    }
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert len({value.data_ptr() for value in found.values()}) == len(found)
    constants = {name: value for name, value in build_network(card).named_buffers() if name not in wanted}
    buffers = dict(loaded.named_buffers())
    assert all(torch.equal(buffers[name], value) for name, value in constants.items())
    assert {name for name, one in loaded.named_parameters() if one.requires_grad} == {
        name for name, one in built.named_parameters() if one.requires_grad
    }

"""The file of the FID weights: taken as published and without what FID never uses; anything else is refused by name."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from w2l.core.errors import CheckpointError
from w2l.models.inception import InceptionWeights, load_inception
from w2l.nets.inception import Inception


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Random weights under the names of the published file."""
    torch.manual_seed(0)
    state = Inception().state_dict()
    for key, value in state.items():
        if key.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return {**state, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


@pytest.fixture(scope="module")
def file(published: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save({key: value for key, value in published.items() if not key.endswith("tracked")}, path)
    return path


def test_a_file_gives_the_network_and_says_where_it_is_from(file: Path, published: dict[str, Tensor]) -> None:
    """Here without batch counters, which FID never reads; `fc` is no matter."""
    loaded = load_inception(file)
    expected = Inception()
    expected.load_state_dict(published, strict=False)
    pictures = torch.rand(1, 3, 299, 299) * 2 - 1
    with torch.inference_mode():
        features = loaded.network(pictures)
        torch.testing.assert_close(features, expected.eval()(pictures), atol=1e-5, rtol=1e-4)
    assert features.shape == (1, 2048)
    assert not loaded.network.training
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not loaded.standard
    assert loaded.title == f"weights of unknown origin, inception.pth, sha256 {loaded.sha256[:8]}"


def test_the_published_file_is_known_by_its_sum() -> None:
    weights = InceptionWeights(Inception(), Path("renamed.pth"), "6726825d" + 56 * "0")
    assert weights.standard
    assert weights.title == "pt_inception-2015-12-05, sha256 6726825d"


def changed(published: dict[str, Tensor], **changes: Any) -> dict[str, Tensor]:
    """A small part of the weights, which is read first, with changes."""
    return {key: published[key] for key in list(published)[:12]} | changes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "is missing"),
        ({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}, r"\(32, 1, 3, 3\), not \(32, 3, 3, 3\)"),
        ({"Conv2d_1a_3x3.conv.weight": 3}, "Conv2d_1a_3x3.conv.weight is missing"),
        ({"AuxLogits.conv0.conv.weight": torch.zeros(1)}, "torchvision's"),
    ],
    ids=["incomplete", "other shape", "no tensor", "torchvision"],
)
def test_other_networks_are_refused(
    published: dict[str, Tensor], changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save(changed(published, **changes), path)
    with pytest.raises(CheckpointError, match=told) as error:
        load_inception(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_weights_are_refused(file: Path, tmp_path: Path) -> None:
    cut, code = tmp_path / "cut.pth", tmp_path / "code.pth"
    cut.write_bytes(file.read_bytes()[:100_000])
    code.write_bytes(pickle.dumps({"Conv2d_1a_3x3.conv.weight": Path.cwd}))
    for path in (cut, code, tmp_path / "nowhere.pth"):
        with pytest.raises(CheckpointError, match=path.name):
            load_inception(path)

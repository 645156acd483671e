"""The lip reader's file, its batches and its arithmetic of places."""

from pathlib import Path

import numpy as np
import pytest
import torch

from w2l.core.errors import CheckpointError
from w2l.features.crop import TEMPLATE
from w2l.models.lip_reader import BATCH, WEIGHTS, LipReader, load_lips, read_lips, read_mouths, save_lips
from w2l.nets.lips import EYE_DISTANCE, N_EXTRAS, LipDimensions, Lips, mouth_region

MAX_BYTES = 300_000


@pytest.fixture
def untrained() -> Lips:
    torch.manual_seed(0)
    return Lips(LipDimensions(width=2, features=8)).eval()


def test_the_shipped_one_is_small_and_loads() -> None:
    assert WEIGHTS.stat().st_size < MAX_BYTES
    assert isinstance(load_lips(), Lips)


def test_it_comes_back_from_its_file(tmp_path: Path, untrained: Lips) -> None:
    save_lips(tmp_path / "lips.npz", untrained, data="none", licence="none")
    again = load_lips(tmp_path / "lips.npz")
    assert again.dimensions == untrained.dimensions
    faces = torch.rand(2, 3, 96, 96)
    for first, second in zip(untrained(faces), again(faces)):
        torch.testing.assert_close(first, second, atol=2e-3, rtol=0)
    assert not any(parameter.requires_grad for parameter in again.parameters())


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
def test_what_is_no_lip_reader_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lips.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"lips\.npz is not a lip reader"):
        load_lips(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"lips\.npz"):
        load_lips(path)


def test_batches_do_not_change_what_is_read(untrained: Lips) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 96, 96, 3), dtype=np.uint8)
    gaps, points = read_lips(faces, untrained)
    assert gaps.shape == (BATCH + 3,)
    assert points.shape == (BATCH + 3, 6, 2)
    last, _ = read_lips(faces[-2:], untrained)
    np.testing.assert_allclose(gaps[-2:], last, atol=1e-5)
    empty, _ = LipReader(untrained).finish()
    assert empty.shape == (0,)


def test_extras_leave_points_and_gap_where_they_are() -> None:
    torch.manual_seed(0)
    network = Lips(LipDimensions(width=2, features=8, extras=N_EXTRAS)).eval()
    faces = np.random.default_rng(1).integers(0, 256, (BATCH + 3, 96, 96, 3), dtype=np.uint8)
    gaps, points = read_lips(faces, network)
    mouths = read_mouths(faces, network)
    np.testing.assert_allclose(mouths.gaps, gaps, atol=1e-6)
    np.testing.assert_allclose(mouths.points, points, atol=1e-6)
    assert mouths.widths.shape == (BATCH + 3,)
    for chances in (mouths.teeth, mouths.covered):
        assert ((chances > 0) & (chances < 1)).all()
    assert read_mouths(faces[:0], network).points.shape == (0, 6, 2)


def test_extras_are_refused_of_a_reader_without(untrained: Lips) -> None:
    with pytest.raises(ValueError, match="only points and gaps"):
        read_mouths(np.zeros((1, 96, 96, 3), np.uint8), untrained)


def test_it_tells_places_in_the_whole_crop(untrained: Lips) -> None:
    # With nothing to say, the last layer puts all points home: where the mouth of an aligned face is.
    torch.nn.init.zeros_(untrained.head[-1].weight)
    torch.nn.init.zeros_(untrained.head[-1].bias)
    points, gaps = untrained(torch.rand(1, 3, 96, 96))
    assert np.abs(points[0, 0].detach().numpy() - TEMPLATE[3]).max() < 0.02
    assert gaps.item() == 0
    assert TEMPLATE[1, 0] - TEMPLATE[0, 0] == pytest.approx(EYE_DISTANCE)


def test_light_and_colour_casts_hardly_matter() -> None:
    network = load_lips()
    faces = torch.rand(3, 3, 12, 12)
    faces = torch.nn.functional.interpolate(faces, (96, 96), mode="bicubic").clamp(0, 1) * 0.5
    cast = 1.6 * faces + torch.tensor([0.05, 0.0, 0.1])[:, None, None]
    for first, second in zip(network(faces), network(cast)):
        assert float((first - second).abs().max()) < 0.02


def test_gradients_reach_the_picture() -> None:
    faces = torch.rand(1, 3, 96, 96, requires_grad=True)
    load_lips()(faces)[1].sum().backward()
    assert faces.grad is not None
    assert mouth_region(faces.grad).abs().max() > 0
    assert not faces.grad[:, :, :48].any()

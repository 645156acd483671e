"""The runner: the same pictures from every backend and batch; a GPU's memory that is too small; what is refused."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.models import runtime as running
from w2l.models.checkpoint import Model, ModelCard
from w2l.models.runtime import Runner
from w2l.nets.generator import GeneratorDimensions
from w2l.nets.warping import WarpingGenerator, make_generator

BACKENDS = ("torch", "onnx")


def model(**dimensions: Any) -> Model:
    torch.manual_seed(0)
    dims = GeneratorDimensions(**{"size": 64, "width": 2, **dimensions})
    network = make_generator(dims)
    if isinstance(network, WarpingGenerator):
        nn.init.normal_(network.flow.weight, 0, 0.3)  # untrained, it would move nothing
    return Model(network.eval(), ModelCard("generator", asdict(dims)), Path("made.safetensors"))


def inputs(made: Model, count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    dims = GeneratorDimensions(**made.card.dimensions)
    random = np.random.default_rng(1)
    faces = random.integers(0, 256, (count, dims.size, dims.size, 3 * (1 + dims.n_references)), dtype=np.uint8)
    return random.uniform(-4, 4, (count, 80, 16)).astype(np.float32), faces


def eager(made: Model, mels: NDArray[np.float32], faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        seen = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
        generated = made.network(torch.from_numpy(mels)[:, None], seen.contiguous())
    return np.asarray(255 * generated.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("layout", "rows", "n_references", "first_row", "expected_first"), [
    ("published", "full", 1, 0, 0), ("published", "full", 2, 37, 37),
    ("published", "lower", 1, 0, 32), ("published", "lower", 2, 40, 40),
    ("warping", "lower", 1, 0, 32), ("warping", "lower", 3, 40, 40),
])  # fmt: skip
def test_it_gives_the_rows_of_the_eager_network(
    backend: Any, layout: str, rows: str, n_references: int, first_row: int, expected_first: int
) -> None:
    made = model(layout=layout, rows=rows, n_references=n_references)
    mels, faces = inputs(made, 7)
    runner = Runner(made, first_row, backend, batch=3)
    pictures = runner(mels, faces)
    assert (runner.backend, runner.first_row) == (backend, expected_first)
    assert pictures.shape == (7, 64 - expected_first, 64, 3)
    assert pictures.dtype == np.float32
    np.testing.assert_allclose(pictures, eager(made, mels, faces)[:, -pictures.shape[1] :], atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_finer_references_give_finer_rows_of_the_same_picture(backend: Any, times: int) -> None:
    made = model(layout="warping", rows="lower", n_references=2)
    mels, faces = inputs(made, 4)
    runner = Runner(made, 40, backend, batch=3)
    fine = faces[..., 3:].repeat(times, axis=1).repeat(times, axis=2)
    rows = runner(mels, faces, fine)
    assert rows.shape == (4, 24 * times, 64 * times, 3)
    coarse = rows.reshape(4, 24, times, 64, times, 3).mean(axis=(2, 4))
    expected = runner(mels, faces)
    assert np.abs(coarse - expected).mean() < (0.01 if times == 1 else 0.15 * expected.std())
    assert runner(mels[:0], faces[:0], fine[:0]).shape == (0, 24 * times, 64 * times, 3)


def test_only_what_moves_pixels_takes_finer_references() -> None:
    made = model()
    with pytest.raises(ValueError, match="warps pixels"):
        Runner(made)(*inputs(made, 1), np.zeros((1, 128, 128, 3), np.uint8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_batches_do_not_show(backend: Any) -> None:
    made = model()
    given = inputs(made, 9)
    whole = Runner(made, 20, backend, batch=16)(*given)
    for batch in (1, 4, 9):
        np.testing.assert_allclose(Runner(made, 20, backend, batch)(*given), whole, atol=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_outlive_the_next_call(backend: Any) -> None:
    made = model()
    runner = Runner(made, 32, backend)
    first = runner(*inputs(made, 2))
    kept = first.copy()
    mels, faces = inputs(made, 2)
    runner(-mels, 255 - faces)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_frames_give_no_pictures(backend: Any) -> None:
    made = model()
    assert Runner(made, 40, backend)(*inputs(made, 0)).shape == (0, 24, 64, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_views_of_other_arrays_are_taken(backend: Any) -> None:
    made = model()
    mels, faces = inputs(made, 4)
    mel = np.concatenate([mels[0], mels[1]], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(mel, 16, axis=1).transpose(1, 0, 2)[:4]
    expected = eager(made, np.ascontiguousarray(windows), np.ascontiguousarray(faces[..., ::-1]))
    np.testing.assert_allclose(Runner(made, 0, backend)(windows, faces[..., ::-1]), expected, atol=0.05)


def test_the_choice_of_a_backend() -> None:
    assert Runner(model()).backend == "onnx"
    assert Runner(model(width=16)).backend == "torch"


class Cramped(nn.Module):
    """A folded generator on a GPU whose memory holds `room` frames; it answers with the mean of each mel window."""

    def __init__(self, room: int, first_row: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.room = room
        self.first_row = first_row
        self.tried: list[int] = []

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        self.tried.append(len(faces))
        if len(faces) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        rows = torch.arange(self.first_row, faces.shape[-2])
        return mel.mean(dim=(2, 3), keepdim=True).expand(-1, 3, len(rows), faces.shape[-1])


class TestMemory:
    @pytest.fixture
    def cramped(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Makes a runner on a GPU with room for so many frames."""
        made = model()

        def make(room: int, batch: int = 16) -> tuple[Runner, Cramped, Model]:
            network = Cramped(room, 32)
            monkeypatch.setattr(running, "fold", lambda *_: network)
            return Runner(made, 32, "torch", batch), network, made

        return make

    @pytest.mark.parametrize(("room", "tried"), [
        (16, [16, 7]), (15, [16, 8, 8, 7]), (5, [16, 8, 4, 4, 4, 4, 4, 3]), (1, [16, 8, 4, 2, *[1] * 23]),
    ])  # fmt: skip
    def test_a_batch_that_does_not_fit_is_halved_and_no_frame_is_lost(
        self, cramped: Any, room: int, tried: list[int]
    ) -> None:
        runner, network, made = cramped(room)
        mels, faces = inputs(made, 23)
        pictures = runner(mels, faces)
        assert network.tried == tried
        np.testing.assert_allclose(pictures[:, 0, 0, 0], 255 * mels.mean(axis=(1, 2)), atol=1e-3)

    def test_it_stays_halved(self, cramped: Any) -> None:
        runner, network, made = cramped(4)
        runner(*inputs(made, 16))
        network.tried.clear()
        runner(*inputs(made, 16))
        assert network.tried == [4] * 4
        assert runner.batch == 4

    def test_memory_for_not_even_one_frame(self, cramped: Any) -> None:
        runner, _, made = cramped(0)
        with pytest.raises(ConfigError, match="--device cpu"):
            runner(*inputs(made, 5))

    def test_other_failures_are_not_taken_for_it(self, cramped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        runner, network, made = cramped(16)

        def fail(*_: object) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        monkeypatch.setattr(network, "forward", fail)
        with pytest.raises(RuntimeError, match="mat1"):
            runner(*inputs(made, 5))


@pytest.mark.parametrize(("options", "said"), [
    ({"backend": "tensorrt"}, "choose auto or torch or onnx"),
    ({"precision": "int8"}, "choose auto or float32 or half"),
    ({"precision": "half"}, "half requires a GPU"),
    ({"precision": "bf16", "backend": "onnx"}, "leave out backend onnx"),
    ({"batch": 0}, "at least 1"),
])  # fmt: skip
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Runner(model(), **options)


@pytest.mark.parametrize("layout", ["published", "warping"])
def test_bf16_stays_near_float32(layout: str) -> None:
    """Rounding to eight bits moves pictures by a grey level or so, not more, and does not depend on the batch."""
    made = model(layout=layout, rows="lower")
    mels, faces = inputs(made, 5)
    runner = Runner(made, 32, precision="bf16", batch=2)
    pictures = runner(mels, faces)
    assert (runner.backend, pictures.dtype) == ("torch", np.float32)
    away = np.abs(pictures - Runner(made, 32, precision="float32")(mels, faces))
    assert 0 < away.mean() < 1.0
    np.testing.assert_allclose(runner(mels[:1], faces[:1]), pictures[:1], atol=1.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_on_a_gpu_pictures_stay_within_one_grey_level(precision: Any) -> None:
    made = model(size=96, width=4)
    mels, faces = inputs(made, 9)
    expected = eager(made, mels, faces)[:, 48:]
    made.network.cuda()
    pictures = Runner(made, 48, batch=4, precision=precision)(mels, faces)
    np.testing.assert_allclose(pictures, expected, atol=1.0)
    with pytest.raises(ConfigError, match="onnx runs on the CPU"):
        Runner(made, 48, "onnx")


@pytest.mark.parametrize("backend", BACKENDS)
def test_own_pixels_are_those_of_the_references_alone(backend: Any) -> None:
    """Of a reference of one colour nothing else can be made, unless it is drawn."""
    made = model(layout="warping", rows="lower")
    mels, faces = inputs(made, 3)
    faces[..., 3:] = (200, 40, 90)
    drawing, moving = (Runner(made, 32, backend, own_pixels=own)(mels, faces) for own in (False, True))
    assert np.abs(drawing - (200, 40, 90)).max() > 20
    assert np.abs(moving - (200, 40, 90)).max() < 0.01
    with pytest.raises(ConfigError, match="warps pixels"):
        Runner(model(layout="published"), own_pixels=True)

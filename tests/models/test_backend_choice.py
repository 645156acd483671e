"""The measured choice of what runs a generator: when it differs from the default, what is kept, and that it is safe."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.test_runtime import model
from w2l.models import backend_choice
from w2l.models.backend_choice import Library, choice_key, choose_backend, fastest, is_open, kept_choice
from w2l.models.runtime import Runner

Ways = Mapping[Library, Callable[[], object]]


@pytest.mark.parametrize(("onnx_s", "torch_s", "expected"), [
    (0.2, 0.1, "torch"), (0.1, 0.2, "onnx"), (0.2, 0.19, "onnx"), (3.0, 1.0, "torch"),
])  # fmt: skip
def test_another_library_must_be_clearly_faster(onnx_s: float, torch_s: float, expected: str) -> None:
    now, order = [0.0], []

    def working(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    ways: Ways = {"onnx": lambda: working("onnx", onnx_s), "torch": lambda: working("torch", torch_s)}
    assert fastest(ways, lambda: now[0]) == expected
    assert order == ["onnx", "torch"] * (len(order) // 2)  # in turn
    assert now[0] <= backend_choice.SECONDS + 2 * (onnx_s + torch_s) + 1e-6


def test_both_libraries_draw_the_same_and_the_choice_is_kept(tmp_path: Path) -> None:
    file, made = tmp_path / "models" / "backends.json", model()
    file.parent.mkdir()
    key = choice_key(made, 30, 4)
    assert kept_choice(file, key) is None
    drawn: list[np.ndarray] = []

    def choose(ways: Ways) -> Library:
        assert next(iter(ways)) == Runner(made).backend
        drawn.extend(np.asarray(work()) for work in ways.values())
        return "torch"

    choose_backend(file, made, 30, 4, choose=choose)
    assert len(drawn) == 2
    np.testing.assert_allclose(drawn[0], drawn[1], atol=0.05)
    assert kept_choice(file, key) == "torch"
    assert kept_choice(file, choice_key(made, 31, 4)) is None
    choose_backend(file, made, 31, 4, choose=lambda _: "onnx")
    assert (kept_choice(file, key), kept_choice(file, choice_key(made, 31, 4))) == ("torch", "onnx")


def test_the_key_is_that_of_machine_and_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Other\n")
    made, keys = model(), []
    keys += [choice_key(made, 30, 4), choice_key(made, 30, 8), choice_key(model(width=8), 30, 4)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    keys.append(choice_key(made, 30, 4))
    for path in (tmp_path / "cpuinfo", tmp_path / "none"):
        monkeypatch.setattr(backend_choice, "PROCESSOR", path)
        keys.append(choice_key(made, 30, 4))
    assert len(set(keys)) == len(keys)
    assert choice_key(made, 30, 4) == keys[-1]


@pytest.mark.parametrize("content", ["", "[1]", '{"KEY": "tensorrt"}', '{"KEY": 1}'])
def test_a_damaged_file_is_measured_again(tmp_path: Path, content: str) -> None:
    file, made = tmp_path / "backends.json", model()
    key = choice_key(made, 30, 4)
    file.write_text(content.replace("KEY", key))
    assert kept_choice(file, key) is None
    choose_backend(file, made, 30, 4, choose=lambda _: "torch")
    assert kept_choice(file, key) == "torch"


def test_a_cache_that_cannot_be_written_does_not_end_the_job(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    choose_backend(tmp_path / "models" / "backends.json", model(), 30, 4, choose=lambda _: "torch")


def test_only_small_weights_are_measured() -> None:
    assert is_open(model())
    assert not is_open(model(width=16))  # ONNX Runtime would take half a gigabyte more

"""The mouths that the lip reader learns from: their truth is where the pictures show it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.research import opened_mouths
from examples.research import train_lips as script
from w2l.models.lip_reader import load_lips
from w2l.nets.lips import GAP_UNIT, POINT_UNIT


def test_the_shipped_lip_reader_reads_drawn_mouths_it_never_saw() -> None:
    images, truth = script.draw(np.random.default_rng(987), 120, [], covers=False)
    truth = truth[:, :13]
    with torch.inference_mode():
        found = load_lips().raw(images.float() / 255)
    assert np.corrcoef(found[:, -1], truth[:, -1])[0, 1] > 0.85
    assert float((found - truth)[:, -1].abs().mean()) * GAP_UNIT < 1.3
    assert float((found - truth)[:, :-1].abs().mean()) * POINT_UNIT < 1.2


def test_a_closed_mouth_is_opened_by_what_its_truth_says() -> None:
    rng = np.random.default_rng(5)
    closed = next(mouth for mouth in iter(lambda: script.draw_puppet(rng), None) if mouth.gap == 0)
    region = np.clip(closed.image, 0, 255).astype(np.uint8)
    opened = [opened_mouths.open_mouth(np.random.default_rng(seed), region, closed.points) for seed in range(40)]
    gaps = np.array([mouth.gap for mouth in opened])
    assert (gaps == 0).any()
    assert (gaps > 4).any()
    apart = np.array([mouth.points[4, 1] - mouth.points[3, 1] for mouth in opened])
    assert np.corrcoef(apart, gaps)[0, 1] > 0.97
    images = torch.from_numpy(np.stack([mouth.image for mouth in opened])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found = load_lips().raw(images.clamp(0, 255) / 255)[:, -1] * GAP_UNIT
    assert np.corrcoef(found, gaps)[0, 1] > 0.85


def test_the_script_writes_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "HELD_OUT", 8)
    out = tmp_path / "lips.npz"
    monkeypatch.setattr(sys, "argv", ["train_lips.py", str(out), "--drawn", "72", "--steps", "3"])
    script.main()
    assert "held out" in capsys.readouterr().out
    load_lips(out)

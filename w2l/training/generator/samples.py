"""Sample sheets: the generator's inputs, its outputs and the real frames."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.files import write_atomic
from w2l.data.batches.generator import GeneratorBatch

MAX_ITEMS = 6
"""Number of windows on a sheet."""


def write_sheet(path: Path, batch: GeneratorBatch, generated: Tensor, hidden: NDArray[np.bool_]) -> None:
    """Write a PNG with one row per window: the reference, then masked, generated and real for each of its frames.

    `generated` is (batch, 3, frames, rows, width) in [0, 1], RGB; `hidden` (height, width) is the mask.
    """
    made = (generated.permute(0, 2, 3, 4, 1).clamp(0, 1) * 255).round().byte().cpu().numpy()
    rows = [_row(batch, made, item, hidden) for item in range(min(MAX_ITEMS, len(made)))]
    ok, content = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    if not ok:
        raise ValueError("the sheet could not be encoded as PNG")
    write_atomic(path, lambda file: file.write(content.tobytes()))


def _row(batch: GeneratorBatch, made: NDArray[np.uint8], item: int, hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    target = batch.target[item]
    seen, whole = target.copy(), target.copy()
    seen[:, hidden] = 0
    whole[:, whole.shape[1] - made.shape[2] :] = made[item]
    reference = batch.reference[item, 0, :, :, :3]
    return np.concatenate([reference, *seen, *whole, *target], axis=1)

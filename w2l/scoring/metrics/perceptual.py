"""LPIPS of the parts of a face, in batches of frames."""

import cv2
import numpy as np
import torch

from w2l.core.arrays import Image
from w2l.nets.lpips import Lpips

SIZES = {"face": (192, 192), "lower": (96, 192), "mouth": (96, 128)}
"""Rows and columns that each part is resized to: LPIPS depends on the scale, and clips must be comparable."""
EVERY = 2
"""Every second frame is compared: AlexNet is slow, and neighbouring frames are similar."""
BATCH = 8


class Perceptual:
    """Mean LPIPS of each part over a clip; holds the parts of a batch of frames at most."""

    def __init__(self, network: Lpips) -> None:
        self._network = network
        self._frame = 0
        self._waiting: dict[str, list[tuple[Image, Image]]] = {part: [] for part in SIZES}
        self._total = dict.fromkeys(SIZES, 0.0)
        self._compared = dict.fromkeys(SIZES, 0)

    def add(self, parts: dict[str, tuple[Image, Image]]) -> None:
        """Add the parts of the next frame, RGB, of output and reference."""
        if self._frame % EVERY == 0:
            for name, pair in parts.items():
                self._waiting[name].append((_sized(pair[0], SIZES[name]), _sized(pair[1], SIZES[name])))
                if len(self._waiting[name]) == BATCH:
                    self._compare(name)
        self._frame += 1

    def means(self) -> dict[str, float]:
        """Return the mean by part; a part that never occurred is left out."""
        for name in SIZES:
            self._compare(name)
        return {name: self._total[name] / count for name, count in self._compared.items() if count}

    @torch.inference_mode()
    def _compare(self, name: str) -> None:
        if pairs := self._waiting[name]:
            device = self._network.shift.device
            outputs, references = (
                torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
                for images in zip(*pairs)
            )
            self._total[name] += float(self._network(outputs, references).sum())
            self._compared[name] += len(pairs)
            pairs.clear()


def _sized(image: Image, size: tuple[int, int]) -> Image:
    """Resize the picture (rows, columns, 3), averaging if it shrinks."""
    rows, columns = size
    shrinks = image.shape[0] > rows and image.shape[1] > columns
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=how), dtype=np.uint8)

"""The MediaPipe face mesh as a labelling tool: 468 points of a face, and the lips among them."""

from pathlib import Path

import cv2
import numpy as np

from w2l.core.arrays import Floats, Image

SIDE = 192
"""Side in pixels of the input of the mesh."""
WIDEN = 1.5
"""Side of that input over the side of the box: a quarter more on each side."""
PASSES = 2
"""Number of passes, each within the box of the points found before."""
UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Inner outlines of the lips from the corner at the left of the picture to that at the right."""
INNER = (*UPPER, *LOWER[-2:0:-1])
"""Outline of the area between the lips."""
SIX = (61, 291, 0, 13, 14, 17)
"""Left and right corner, upper edge of the upper lip, its lower edge, upper edge of the lower lip, its lower edge."""
EYES = (33, 263)
"""Outer corners of the eyes."""


class Mesh:
    """The face mesh, read from the user's `face_landmark.tflite`."""

    def __init__(self, path: Path) -> None:
        self._network = cv2.dnn.readNetFromTFLite(str(path))
        self._names = self._network.getUnconnectedOutLayersNames()

    def place(self, image: Image, box: Floats, points: Floats) -> tuple[Floats, float]:
        """Return points (468, 2) in pixels of an RGB `image`, and the probability that they are a face.

        `box` (4,) and `points` (5, 2), eyes first, come from a detector.
        """
        found, score = self.place_in_depth(image, box, points)
        return found[:, :2], score

    def place_in_depth(self, image: Image, box: Floats, points: Floats, passes: int = PASSES) -> tuple[Floats, float]:
        """Return points (468, 3) as `place` does, with their depth in pixels, smaller towards the camera.

        One of `passes` suffices if the box is that of the same face one frame before.
        """
        centre, side = (box[:2] + box[2:]) / 2, float(max(box[2] - box[0], box[3] - box[1]))
        right, down = points[1] - points[0]
        angle, score, found = float(np.degrees(np.arctan2(down, right))), 0.0, np.zeros((468, 3))
        for _ in range(passes):
            matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, SIDE / (WIDEN * side))
            matrix[:, 2] += SIDE / 2 - centre
            upright = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
            self._network.setInput(cv2.dnn.blobFromImage(upright, 1 / 255))
            outputs = self._network.forward(self._names)
            mesh = next(out for out in outputs if out.size == 3 * 468).reshape(468, 3).astype(np.float64)
            flag = float(next(out for out in outputs if out.size == 1).ravel()[0])
            score = float(1 / (1 + np.exp(-flag)))
            inverse = cv2.invertAffineTransform(matrix)
            flat = mesh[:, :2] @ inverse[:, :2].T + inverse[:, 2]
            found = np.column_stack([flat, mesh[:, 2] * np.hypot(inverse[0, 0], inverse[1, 0])])
            low, high = flat.min(axis=0), flat.max(axis=0)
            centre, side = (low + high) / 2, float((high - low).max())
            right, down = flat[EYES[1]] - flat[EYES[0]]
            angle = float(np.degrees(np.arctan2(down, right)))
        return found, score


def lips_of(mesh: Floats) -> tuple[Floats, float]:
    """Return the six points (6, 2) of `w2l.nets.lips` and the gap between the lips, in the unit of `mesh` (468, 2).

    The gap is the mean over the middle third of the mouth, across the line from corner to corner; never below 0.
    """
    six = mesh[list(SIX)]
    along = six[1] - six[0]
    width = float(np.hypot(*along))
    axis = along / max(width, 1e-9)
    frame = np.array([axis, [-axis[1], axis[0]]])  # across the mouth, down
    upper, lower = ((mesh[list(rim)] - six[0]) @ frame.T for rim in (UPPER, LOWER))
    x = np.linspace(width / 3, 2 * width / 3, 15)
    gaps = np.interp(x, lower[:, 0], lower[:, 1]) - np.interp(x, upper[:, 0], upper[:, 1])
    return six, float(max(0.0, gaps.mean()))

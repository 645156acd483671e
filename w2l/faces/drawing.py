"""Drawing of faces into frames, for visual checks; pure."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from w2l.core.arrays import Image
from w2l.faces.tracker import Track

SHEET_COLUMNS = 4
SHEET_WIDTH = 400
"""Width of a frame on a contact sheet, in pixels."""
COLOURS = ((80, 220, 100), (250, 170, 40), (80, 160, 255), (240, 90, 200), (240, 230, 80), (90, 230, 230))
"""RGB colours of the tracks, in turn."""


CUT_COLOUR = (255, 235, 60)


def draw_tracks(image: Image, frame_idx: int, tracks: Sequence[Track], cuts: Iterable[int] = ()) -> Image:
    """Return a copy of a frame with box, points, number and score of each track in it.

    Boxes interpolated in a gap have only corners; the first frame of a shot has a border.
    """
    drawn = image.copy()
    thick = max(1, round(min(image.shape[:2]) / 300))
    if frame_idx in cuts:
        cv2.rectangle(drawn, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), CUT_COLOUR, 6 * thick)
    for number, track in enumerate(tracks):
        row = frame_idx - track.start
        if not 0 <= row < len(track):
            continue
        colour = COLOURS[number % len(COLOURS)]
        x1, y1, x2, y2 = (int(side) for side in np.rint(track.boxes[row]))
        if track.seen[row]:
            cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, thick)
        else:
            for corner in ((x1, y1), (x2 - 1, y1), (x1, y2 - 1), (x2 - 1, y2 - 1)):
                cv2.circle(drawn, corner, 3 * thick, colour, -1)
        for x, y in np.rint(track.points[row]).astype(int):
            cv2.circle(drawn, (int(x), int(y)), 2 * thick, colour, -1)
        label, place = f"{number} {track.scores[row]:.2f}", (x1, max(y1 - 4, 12))
        cv2.putText(drawn, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * thick, colour, thick, cv2.LINE_AA)
    return drawn


def tile(image: Image, label: str = "") -> Image:
    """Return a frame at its width on a contact sheet, with a label in its lower left corner."""
    height = max(1, round(SHEET_WIDTH * image.shape[0] / image.shape[1]))
    small = cv2.resize(image, (SHEET_WIDTH, height), interpolation=cv2.INTER_AREA)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)) if label else ():
        cv2.putText(small, label, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thick, cv2.LINE_AA)
    return np.asarray(small, dtype=np.uint8)


def contact_sheet(tiles: Sequence[Image]) -> Image:
    """Arrange tiles of one size in rows of four on black."""
    height, width = tiles[0].shape[:2]
    n_rows = -(-len(tiles) // SHEET_COLUMNS)
    sheet = np.zeros((n_rows * height, min(len(tiles), SHEET_COLUMNS) * width, 3), dtype=np.uint8)
    for idx, image in enumerate(tiles):
        y, x = idx // SHEET_COLUMNS * height, idx % SHEET_COLUMNS * width
        sheet[y : y + height, x : x + width] = image
    return sheet

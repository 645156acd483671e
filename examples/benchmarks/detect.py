"""Measure the face detectors, one frame at a time, in processor time."""

import time
from pathlib import Path

from w2l.faces.detectors.factory import make_detector
from w2l.media.video import read_frames


def detect(video: Path, specs: list[str], n_frames: int = 20) -> None:
    """Print the milliseconds per frame of each detector."""
    frames = [frame.image for frame, _ in zip(read_frames(video), range(n_frames))]
    for spec in specs:
        detector = make_detector(spec)
        detector.detect(frames[:1])
        began = time.process_time()
        for image in frames:
            detector.detect([image])
        print(f"{spec:12.40s} {1000 * (time.process_time() - began) / len(frames):7.1f} ms/frame")

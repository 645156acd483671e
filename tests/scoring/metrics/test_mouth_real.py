"""Real mouths (GRID); no shipped weights have seen ue, only the lip reader's uf. Skipped without the folder."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.arrays import Floats, Image
from w2l.core.intervals import runs
from w2l.core.timing import MEL_RATE
from w2l.features.aperture import speech_and_rest
from w2l.features.mel import mel_spectrogram
from w2l.features.pauses import pauses
from w2l.media.audio import read_audio
from w2l.media.video import read_frames
from w2l.scoring.metrics.mouth import LipTracker, Mouth
from w2l.scoring.metrics.view import Hearing, View

FPS = 25.0
PLACES = {
    "s1/bbil5a": [[133.4, 157.6], [180.7, 155.8], [160.0, 185.5], [139.9, 214.1], [180.4, 212.4]],
    "ue/lrwp9a": [[158.9, 154.5], [215.7, 151.9], [190.5, 185.5], [166.4, 219.8], [213.0, 218.0]],
    "uf/sbia1a": [[157.4, 151.2], [206.8, 153.6], [180.1, 179.3], [159.7, 205.4], [200.2, 208.2]],
}
"""Median of the five points that a detector finds; the heads move by a pixel or two."""


@dataclass(frozen=True)
class Talker:
    """One clip."""

    images: list[Image]
    points: Floats
    wave: NDArray[np.float32]
    words: tuple[tuple[float, float, str], ...]

    def hearing(self) -> Hearing:
        """Its own sound."""
        return Hearing(self.wave, FPS, self.words, own_speech=True)

    def measured(self, output: list[Image]) -> dict[str, float]:
        """What `Mouth` says of `output` beside the real pictures."""
        measure = Mouth()
        for number, (image, real) in enumerate(zip(output, self.images)):
            measure.add(View(image, real, self.box(), self.points, number / FPS))
        return measure.finish(self.hearing())

    def box(self) -> Floats:
        """A box around the points."""
        return np.concatenate([self.points.min(axis=0) - 40, self.points.max(axis=0) + 40])

    def blurred(self, sigma: float) -> list[Image]:
        """The lower half of the face softened, `sigma` in pixels of a 96 px crop."""
        pixels = sigma * float(np.linalg.norm(self.points[1] - self.points[0])) / (0.34 * 96)
        rows = slice(int(self.points[2, 1]), None)
        soft = [image.copy() for image in self.images]
        for image in soft:
            image[rows] = cv2.GaussianBlur(image, (0, 0), pixels)[rows]
        return soft


@pytest.fixture(scope="module", params=sorted(PLACES))
def talker(request: pytest.FixtureRequest, shared: Path) -> Talker:
    """A real clip."""
    grid = shared / "media" / "grid"
    path = grid / f"{request.param}.mkv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with (grid / "words.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["clip"] == request.param]
    words = tuple((float(row["start_s"]), float(row["end_s"]), row["word"]) for row in rows)
    images = [frame.image for frame in read_frames(path)]
    return Talker(images, np.array(PLACES[request.param]), read_audio(path), words)


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_blurred_real_mouth_still_speaks(talker: Talker, sigma: float) -> None:
    found = talker.measured(talker.blurred(sigma))
    assert found["articulation"] == pytest.approx(1, abs=0.15)
    assert found["aperture_corr"] > 0.97
    assert found["closure_recall"] >= 0.75
    assert found["leak"] < 0.3


def test_an_almost_frozen_real_mouth_does_not(talker: Talker) -> None:
    rng = np.random.default_rng(0)
    still = talker.images[40].astype(np.float64)
    frozen = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in talker.images]
    found = talker.measured(frozen)
    assert found["articulation"] < 0.1
    assert abs(found["aperture_corr"]) < 0.4
    assert "leak" not in found


def test_a_mouth_frozen_in_silence_does_not_leak(talker: Talker) -> None:
    n_frames = len(talker.images)
    speech, _ = speech_and_rest(pauses(mel_spectrogram(talker.wave)), MEL_RATE, FPS, n_frames)
    resting = list(talker.images)
    for start, stop in runs(~speech):
        model = talker.images[min(stop, n_frames - 1) if start == 0 else start]
        rng = np.random.default_rng(start)
        for frame in range(start, stop):
            grain = model + rng.normal(0, 2, model.shape)
            resting[frame] = np.clip(grain, 0, 255).astype(np.uint8)
    assert talker.measured(resting)["leak"] < 0.05


def test_lips_close_for_bilabials_and_open_for_vowels(shared: Path, talker: Talker) -> None:
    if not talker.words:
        pytest.skip("no alignment of this speaker")
    lookout = LipTracker()
    for image in talker.images:
        lookout.add(image, talker.box(), talker.points)
    gaps, _ = lookout.finish()
    starts = {word: (round(start_s * FPS), round(end_s * FPS)) for start_s, end_s, word in talker.words}
    closed = [float(gaps[starts[word][0] - 3 : starts[word][0] + 2].min()) for word in ("bin", "blue")]
    wide = [float(gaps[slice(*starts[word])].max()) for word in ("five", "again")]
    assert max(closed) < 0.03
    assert min(wide) > 0.06

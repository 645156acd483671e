"""Videos before a judge that compares brightness with loudness, so that a shift of three is known to score three."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2l import scoring
from w2l.cache import Cache
from w2l.errors import MediaError, NoFaceError
from w2l.faces.crop import CropSpec
from w2l.faces.detector import Detection
from w2l.media.audio import write_wav
from w2l.media.video import read_frames
from w2l.media.writer import VideoWriter
from w2l.nets.judge import JudgeDimensions
from w2l.score_table import as_csv, as_table
from w2l.scoring import ClipScore, FaceFinder, Row, average, mean_of, score_clip, score_clips, steadied
from w2l.timing import SAMPLE_RATE
from w2l.training.checkpoint import PUBLIC_DATA, Model, ModelCard

Image = NDArray[np.uint8]
MakeClip = Callable[..., Path]
FACE = np.array([50.0, 30.0, 90.0, 70.0])
"""Box of the pretended face; the judge's square around it lies within the lit part of the picture."""
TONE_HZ, TONE_GAIN = 1000, 14.9
"""Sound is a tone; the energy that the MFCC finds in it, for amplitude 1."""
MIDDLE = 0.55
"""Mean level of a frame."""
LOUDEST, STEPS = 0.5, 2.0
"""Amplitude of the loudest frame, and how far (natural logarithm) the quietest lies under it."""


class Brightness(nn.Module):
    """Embeds a window of pictures as its brightness and a window of sound as its loudness, both around 0."""

    dimensions = JudgeDimensions(size=64, width=8)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward_lip(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))[:, None] / 255 - MIDDLE

    def forward_aud(self, mfcc: Tensor) -> Tensor:
        energy = mfcc[:, 0, 0].mean(dim=1, keepdim=True)  # logarithm of the energy in a frame of sound
        loudest = 2 * np.log(32768 * LOUDEST) + np.log(TONE_GAIN)
        level: Tensor = 1 + (energy - loudest) / (2 * STEPS)
        return level - MIDDLE


class OneFace:
    """Sees one face at the same place in every picture whose corner is not black."""

    name = fingerprint = "one face"

    def __init__(self) -> None:
        self.n_seen = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.n_seen += len(images)
        points = FACE[:2] + 40 * np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        return [[Detection(FACE, 0.99, points)] if image[-8:, -8:].mean() > 8 else [] for image in images]


def levels(n_frames: int) -> NDArray[np.float64]:
    """(frames,) How bright and loud each frame is, 0..1."""
    return np.random.default_rng(7).uniform(0.1, 1.0, n_frames)


@pytest.fixture(scope="module")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Makes a video whose picture is as bright as its sound is loud `lag` frames (1/25 s) later."""

    def make(
        name: str, n_frames: int = 60, lag: int = 0, *, fps: float = 25.0, sound: bool = True, face_from: int = 0
    ) -> Path:
        folder = tmp_path_factory.mktemp("clips")
        level = levels(200)
        loud = np.repeat(level[100 - lag : 100 - lag + n_frames], SAMPLE_RATE // 25)
        amplitude = LOUDEST * np.exp(STEPS * (loud - 1))
        tone = np.sin(2 * np.pi * TONE_HZ * np.arange(len(loud)) / SAMPLE_RATE)
        write_wav(folder / "sound.wav", (amplitude * tone).astype(np.float32))
        flicker = np.random.default_rng(1).integers(40, 200, n_frames * 2)
        speech = folder / "sound.wav" if sound else None
        with VideoWriter(folder / name, 160, 120, fps, speech=speech) as writer:
            for idx in range(round(n_frames * fps / 25)):
                image = np.full((120, 160, 3), flicker[idx], np.uint8)
                image[:112, 16:128] = round(255 * level[100 + int(idx * 25 / fps + 1e-6)])
                if idx < face_from:
                    image[-16:, -16:] = 0
                writer.write(image)
        return folder / name

    return make


@pytest.fixture(scope="module")
def judge() -> Model:
    card = ModelCard("judge", {}, CropSpec("judge", 64, smooth_s=0.0), "bgr")
    return Model(Brightness().eval(), card, Path("brightness"))


@pytest.fixture
def finder(tmp_path: Path) -> FaceFinder:
    return FaceFinder(OneFace(), Cache.open(tmp_path / "cache", create=True))


@pytest.mark.parametrize("lag", [0, 3, -4])
def test_a_shift_scores_itself(make_clip: MakeClip, judge: Model, finder: FaceFinder, lag: int) -> None:
    """Sound that comes three frames late has the offset -3."""
    score = score_clip(make_clip("clip.mp4", lag=lag), judge, finder)
    assert score.offset == -lag
    assert score.windows == 55
    assert score.start_s == 0
    assert score.lse_d == pytest.approx(min(score.curve), abs=1e-5)
    assert score.lse_d + score.lse_c == pytest.approx(np.median(score.curve), abs=1e-5)


def test_only_the_face_is_judged(make_clip: MakeClip, judge: Model, finder: FaceFinder) -> None:
    """What flickers around the face spoils the score of whole frames alone."""
    path = make_clip("clip.mp4")
    assert score_clip(path, judge, finder).lse_d < 0.05 < score_clip(path, judge).lse_d


def test_other_frame_rates_are_brought_to_25(make_clip: MakeClip, judge: Model, finder: FaceFinder) -> None:
    score = score_clip(make_clip("clip.mp4", lag=3, fps=50.0), judge, finder)
    assert (score.offset, score.windows) == (-3, 55)


def test_a_face_that_comes_late_keeps_its_time(make_clip: MakeClip, judge: Model, finder: FaceFinder) -> None:
    score = score_clip(make_clip("clip.mp4", lag=2, face_from=18), judge, finder)
    assert score.start_s == pytest.approx(20 / 25)
    assert (score.offset, score.windows) == (-2, 35)


def test_detections_are_kept(make_clip: MakeClip, judge: Model, finder: FaceFinder) -> None:
    path = make_clip("clip.mp4")
    first = score_clip(path, judge, finder)
    n_seen = finder.detector.n_seen  # type: ignore[attr-defined]
    assert score_clip(path, judge, finder) == first
    assert finder.detector.n_seen == n_seen > 0  # type: ignore[attr-defined]


def test_other_crops_are_cut_as_the_judge_was_trained(make_clip: MakeClip, finder: FaceFinder) -> None:
    card = ModelCard("judge", {}, CropSpec("aligned", 64))
    score = score_clip(make_clip("clip.mp4", lag=1), Model(Brightness().eval(), card, Path()), finder)
    assert score.offset == -1


def test_what_cannot_be_scored_is_named_and_the_others_go_on(
    make_clip: MakeClip, judge: Model, finder: FaceFinder, tmp_path: Path
) -> None:
    good, silent = make_clip("good.mp4"), make_clip("silent.mp4", sound=False)
    short, faceless = make_clip("short.mp4", n_frames=5), make_clip("faceless.mp4", n_frames=20, face_from=20)
    missing = tmp_path / "missing.mp4"
    rows = list(score_clips([(path, "output") for path in (silent, short, faceless, missing, good)], judge, finder))
    assert [row.score is None for row in rows] == [True, True, True, True, False]
    assert all(row.clip.name in row.reason and "\n" not in row.reason for row in rows[:4])
    assert "no sound" in rows[0].reason
    assert "no face" in rows[2].reason
    with pytest.raises(NoFaceError):
        score_clip(faceless, judge, finder)
    with pytest.raises(MediaError, match=r"short\.mp4: the clip is too short"):
        score_clip(short, judge)


@pytest.mark.parametrize("n_frames", [6, 7, 12, 13, 14, 40])
def test_a_still_face_keeps_its_place(n_frames: int) -> None:
    """In the middle of the filter; at the ends, where zeros count, it shrinks but never vanishes."""
    boxes = np.tile(FACE, (n_frames, 1))
    steady = steadied(boxes)
    np.testing.assert_array_equal(steady[n_frames // 2], FACE)
    assert (steady[:, 2] - steady[:, 0]).min() > 0


def test_a_jump_of_a_few_frames_is_ignored() -> None:
    boxes = np.tile(FACE, (40, 1))
    boxes[20:25] += 30
    boxes[30, 3] += 50
    np.testing.assert_array_equal(steadied(boxes), steadied(np.tile(FACE, (40, 1))))


def test_a_long_box_becomes_the_square_around_it() -> None:
    np.testing.assert_array_equal(steadied(np.tile([10.0, 20.0, 30.0, 60.0], (20, 1)))[10], [0, 20, 40, 60])


def test_means_are_plain_means_over_clips() -> None:
    first, second = ClipScore(6.0, 4.0, -1, 10, 0.0, ()), ClipScore(8.0, 5.0, 2, 30, 0.0, ())
    rows = [Row(Path("a"), "output", first), Row(Path("b"), "output", reason="no"), Row(Path("c"), "output", second)]
    mean = mean_of(rows, "output")
    assert mean == average([first, second])
    assert mean is not None
    assert (mean.clips, mean.lse_d, mean.lse_c, mean.offset, mean.windows) == (2, 7.0, 4.5, 0.5, 20.0)
    assert mean_of(rows, "real") is None


@pytest.mark.parametrize(
    ("data", "name", "title"),
    [
        ("GRID", "w2l", "LSE with the judge trained by w2l (not comparable with published numbers)"),
        ("GRID", "runs/mine", "LSE with judge mine, trained by w2l (not comparable with published numbers)"),
        (PUBLIC_DATA, "syncnet_v2.model", "LSE with SyncNet v2 (public weights)"),
    ],
)
def test_the_title_names_the_judge(data: str, name: str, title: str) -> None:
    model = Model(nn.Identity(), ModelCard("judge", {}, data=data), Path(name))
    assert scoring.describe(model, name) == title


def rows_of_a_table() -> list[Row]:
    score = ClipScore(7.25, 6.5, -1, 70, 0.0, (7.25, 13.75))
    long = Path("/data/a very long name of a clip, such as people give them, [cut] 2024-03-01 final.mp4")
    return [
        Row(Path("/data/s1/clip.mp4"), "output", score),
        Row(Path("/data/s2/clip.mp4"), "output", score),
        Row(long, "real", score),
        Row(Path("/data/bad.mp4"), "real", reason="/data/bad.mp4: holds no sound"),
    ]


def test_a_table_shows_outputs_then_real() -> None:
    lines = as_table("LSE with a judge", rows_of_a_table(), ["a note"]).splitlines()
    assert lines[0] == "LSE with a judge"
    assert lines[1].split() == ["clip", "LSE-D", "LSE-C", "offset", "windows"]
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["output", "s1/clip.mp4"],
        ["output", "s2/clip.mp4"],
        ["output", "mean"],
    ]
    assert lines[2].split()[2:] == ["7.250", "6.500", "-1", "70"]
    assert "[cut] 2024-03-01 final.mp4 " in lines[5]
    assert lines[-2:] == ["a note", "not scored: /data/bad.mp4: holds no sound"]


def test_a_table_fits_a_terminal() -> None:
    text = as_table("LSE with a judge", rows_of_a_table(), width=80)
    plain = [line for line in text.splitlines() if "not scored" not in line]
    assert max(len(_without_styles(line)) for line in plain) <= 80
    assert "windows" in text


def _without_styles(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_a_table_without_scores_tells_why() -> None:
    row: Any = Row(Path("bad.mp4"), "output", reason="bad.mp4: holds no sound")
    assert as_table("LSE", [row]).splitlines() == ["LSE", "not scored: bad.mp4: holds no sound"]


def test_csv_has_a_line_a_clip() -> None:
    lines = as_csv(rows_of_a_table()).splitlines()
    assert lines[0] == "clip,kind,lse_d,lse_c,offset,windows,reason"
    assert lines[1] == "/data/s1/clip.mp4,output,7.25,6.5,-1,70,"
    assert lines[4] == "/data/bad.mp4,real,,,,,/data/bad.mp4: holds no sound"


def test_the_clip_is_what_it_claims(make_clip: MakeClip) -> None:
    """The pictures carry their levels through the codec."""
    seen = [frame.image[20:100, 30:120].mean() / 255 for frame in read_frames(make_clip("clip.mp4", n_frames=30))]
    np.testing.assert_allclose(seen, levels(200)[100:130], atol=0.03)

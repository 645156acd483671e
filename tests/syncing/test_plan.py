"""What sync decides before it draws, on made faces and sounds: which frames, whose mouths, how much, and why."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, MediaError, NoFaceError
from w2l.core.intervals import fade
from w2l.data.puppets import babble
from w2l.faces.detectors.base import Detection
from w2l.faces.follow import HAND_POINTS
from w2l.faces.scan import DetectSettings
from w2l.features.crop import CropSpec
from w2l.features.pauses import pauses
from w2l.media.audio import write_wav
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.video import VideoInfo, probe
from w2l.media.writer import VideoWriter
from w2l.syncing.hearing import hear
from w2l.syncing.plan import FADE_FRAMES, PAUSE, Plan, make_plan
from w2l.syncing.settings import SyncSettings

SPEC = CropSpec("aligned", 96)
SPEECH_S = 2.0
PLACES = np.array([[20.0, 40.0, 68.0, 100.0], [100.0, 40.0, 148.0, 100.0]])
"""Where the faces are, x1, y1, x2, y2 in pixels."""
BOX = (40.0, 20.0, 104.0, 100.0)


class Marked:
    """A detector that sees a face wherever the picture says so: the grey amid its place is 100 plus its score x 100."""

    name = "marked"
    fingerprint = "marked-1"

    def __init__(self) -> None:
        self.n_looks = 0

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """The faces of each picture (height, width, 3), as far as they are there."""
        self.n_looks += len(images)
        return [[face for face in self.refine(image, PLACES) if face] for image in images]

    def refine(self, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> list[Detection | None]:
        """The face at each box (boxes, 4), if there is one."""
        self.n_looks += len(boxes)
        return [self._face(image, box) for box in boxes]

    def _face(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> Detection | None:
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        grey = image[y - 3 : y + 3, x - 3 : x + 3]
        if not grey.size:  # the picture is turned, and the place outside it
            return None
        score = (float(grey.mean()) - 100) / 100
        return Detection(box, score, box[:2] + HAND_POINTS * (box[2:] - box[:2])) if score > 0.3 else None


def write_marked(path: Path, left: Sequence[float], right: Sequence[float] | None = None, fps: float = 25) -> Path:
    """A video whose faces have those scores, frame by frame; 0 where there is none."""
    with VideoWriter(Output(path, 168, 120, fps, encoding=Encoding(crf=4))) as writer:
        for frame_idx, scores in enumerate(zip(left, right if right is not None else [0.0] * len(left))):
            image = np.full((120, 168, 3), 90, np.uint8)
            image[:20, 4 * (frame_idx % 40) :][:, :8] = 60
            for place, score in zip(PLACES, scores):
                x, y = ((place[:2] + place[2:]) / 2).astype(int)
                image[y - 10 : y + 10, x - 10 : x + 10] = round(100 + 100 * score) if score else 90
            writer.write(image)
    return path


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """speech.wav: 2 s of babble; steady.mp4: one sure face for 1 s; two.mp4: two faces."""
    folder = tmp_path_factory.mktemp("plan")
    wave = babble(SPEECH_S)
    wave[16000:22400] = 0.0
    write_wav(folder / "speech.wav", wave)
    write_marked(folder / "steady.mp4", [0.9] * 25)
    write_marked(folder / "two.mp4", [0.8] * 25, [0.95] * 12 + [0.0] * 13)
    return folder


Make = Callable[..., Plan]


@pytest.fixture
def make(media: Path, tmp_path: Path) -> Make:
    """A plan of a video of `media` or of a path, every frame looked at; settings by name."""

    def plan(
        video: str | Path = "steady.mp4", speech: str = "speech.wav", detector: Any = None, **settings: Any
    ) -> Plan:
        cache = Cache.open(tmp_path / "cache", create=True)
        info: VideoInfo = probe(media / video)
        chosen = SyncSettings(**{"detect": DetectSettings(stride=1), **settings})
        return make_plan(chosen, info, media / speech, SPEC, cache, detector or Marked())

    return plan


class TestFrames:
    def test_every_frame_has_a_window_a_gain_and_a_source(self, make: Make) -> None:
        plan = make()
        assert len(plan) == 50 == len(plan.starts) == len(plan.gain) == len(plan.reasons)
        assert plan.timeline.source.max() == 24
        assert (plan.gain == 1.0).all()
        assert plan.passed_through() == {}
        cues = list(plan.cues(0, 50))
        assert [cue.frame_idx for cue in cues] == plan.timeline.source.tolist()
        assert all(cue.mel.shape == (80, 16) for cue in cues)
        assert all(len(cue.faces) == 1 for cue in cues)

    def test_windows_move_with_time_whatever_the_rate(self, make: Make, tmp_path: Path) -> None:
        slow, fast = (
            make(write_marked(tmp_path / f"{fps}.mp4", [0.9] * fps, fps=fps)) for fps in (10, 50)
        )  # fmt: skip
        assert np.array_equal(slow.starts, fast.starts[::5])
        assert set(np.diff(fast.starts[4:-8])) == {1, 2}  # 80 columns a second, 50 frames

    def test_cues_of_a_stretch_are_those_of_the_whole(self, make: Make) -> None:
        plan = make()
        whole = list(plan.cues(0, 50))
        for start, stop in ((0, 7), (20, 33), (45, 50)):
            for cue, other in zip(plan.cues(start, stop), whole[start:stop], strict=True):
                assert np.array_equal(cue.mel, other.mel)
                assert np.array_equal(cue.canvas.rgb(), other.canvas.rgb())
                assert cue.frame_idx == other.frame_idx
                assert np.array_equal(cue.faces[0].box, other.faces[0].box)

    def test_a_part_says_what_the_whole_says_at_that_time(self, make: Make) -> None:
        plan = make(start_s=0.6)
        part = plan.part(0.5, 1.0)
        assert len(part) == 25
        first = int(np.searchsorted(plan.timeline.times, 0.5 - 1e-6))
        assert part.timeline.times[0] == 0.0
        assert part.skipped_s == pytest.approx(plan.timeline.times[first])
        assert part.timeline.end_s == pytest.approx(1.0)
        assert np.array_equal(part.starts, plan.starts[first : first + 25])
        assert np.array_equal(part.gain, plan.gain[first : first + 25])
        assert np.array_equal(part.timeline.source, plan.timeline.source[first : first + 25])
        assert part.sound_s == pytest.approx(1.0)
        assert part.part(0.2, 0.2).skipped_s == pytest.approx(0.72)

    def test_a_part_ends_with_the_whole_and_has_one_frame_at_least(self, make: Make) -> None:
        plan = make()
        assert plan.part(1.9, 5.0).timeline.end_s == pytest.approx(0.08)
        assert len(plan.part(1.0, 0.001)) == 1
        with pytest.raises(ConfigError, match=r"end of the output, 2\.00 s"):
            plan.part(2.5, 1.0)

    def test_sound_ends_with_what_ends_first(self, make: Make) -> None:
        assert make().sound_s == pytest.approx(2.0)
        assert make(fit="video").sound_s == pytest.approx(1.0)
        assert make().part(1.5, 1.0).sound_s == pytest.approx(0.5, abs=0.03)

    def test_the_published_choice_of_windows(self, make: Make, media: Path) -> None:
        plan = make(alignment="reference")
        mel = hear(media / "speech.wav").mel
        wanted = [int(k * 80 / 25) for k in range(len(plan))]
        assert plan.starts[:-1].tolist() == wanted[:-1]
        assert plan.starts[-1] == mel.shape[1] - 16


class TestGain:
    def test_start_and_end_bound_it_with_a_fade_inside(self, make: Make) -> None:
        plan = make(start_s=0.4, end_s=1.2)
        inside = (plan.timeline.times >= 0.4 - 1e-6) & (plan.timeline.times < 1.2 - 1e-6)
        assert ((plan.gain > 0) == inside).all()
        ramp = np.arange(1, FADE_FRAMES + 1) / (FADE_FRAMES + 1)
        assert plan.gain[10 : 10 + FADE_FRAMES] == pytest.approx(ramp)
        assert plan.gain[30 - FADE_FRAMES : 30] == pytest.approx(ramp[::-1])
        assert (plan.gain[10 + FADE_FRAMES : 30 - FADE_FRAMES] == 1).all()
        assert plan.passed_through() == {"outside --start/--end": 30}

    def test_strength_follows_it(self, make: Make) -> None:
        plan = make(start_s=0.4)
        cues = list(plan.cues(0, 20))
        assert not any(cue.faces for cue in cues[:10])
        assert [cue.faces[0].strength for cue in cues[10:]] == pytest.approx(plan.gain[10:20])

    def test_the_ends_of_the_video_do_not_fade(self, make: Make) -> None:
        assert (make(start_s=0.0, end_s=9.0).gain == 1).all()

    @pytest.mark.parametrize("start_s", [2.0, 7.5])
    def test_a_start_behind_the_end_is_refused(self, make: Make, start_s: float) -> None:
        with pytest.raises(ConfigError, match="past the end"):
            make(start_s=start_s)

    def test_in_pauses_the_source_shows_where_asked(self, make: Make, media: Path) -> None:
        plan = make(silence="source")
        mel = hear(media / "speech.wav").mel
        paused = pauses(mel)[np.minimum((plan.timeline.times * 80 + 1e-6).astype(int), mel.shape[1] - 1)]
        assert paused.any()
        assert not paused.all()
        assert (plan.gain[~paused] == 1).all()
        assert (plan.gain[paused] < 1).all()
        assert plan.passed_through() == {PAUSE: int((plan.gain == 0).sum())}
        assert set(plan.reasons[plan.gain == 0]) == {PAUSE}

    def test_behind_the_speech_the_source_shows_too(self, make: Make, tmp_path: Path) -> None:
        plan = make(write_marked(tmp_path / "long.mp4", [0.9] * 75), silence="source", fit="video")
        assert (plan.gain[55:] == 0).all()

    def test_pauses_are_closed_in_what_is_heard(self, make: Make) -> None:
        close, model = make(silence="close"), make(silence="model")
        quiet = pauses(model.mel)
        assert (close.mel[:, quiet] == -4).all()
        assert np.array_equal(close.mel[:, ~quiet], model.mel[:, ~quiet])
        assert (close.gain == model.gain).all()

    @pytest.mark.parametrize("count", [1, 2, 3, 8])
    def test_a_short_stretch_never_reaches_full_strength_twice(self, count: int) -> None:
        flags = np.zeros(20, np.bool_)
        flags[6 : 6 + count] = True
        ramp = fade(flags, FADE_FRAMES)
        assert ((ramp > 0) == flags).all()
        assert np.abs(np.diff(ramp)).max() <= 1 / (FADE_FRAMES + 1) + 1e-6
        assert np.array_equal(ramp[6 : 6 + count], ramp[6 : 6 + count][::-1])

    @pytest.mark.parametrize("flag", [True, False])
    def test_without_a_change_nothing_fades(self, flag: bool) -> None:
        assert (fade(np.full(9, flag), FADE_FRAMES) == float(flag)).all()


class TestFaces:
    def test_a_gap_passes_through_and_is_named(self, make: Make, tmp_path: Path) -> None:
        scores = [0.9] * 12 + [0.0] * 14 + [0.9] * 14
        plan = make(write_marked(tmp_path / "gap.mp4", scores), fit="video")
        redrawn = [bool(cue.faces) for cue in plan.cues(0, len(plan))]
        assert not any(redrawn[12:26])
        assert all(redrawn[:12])
        assert all(redrawn[26:])
        assert plan.passed_through() == {"no face": 14}

    def test_hold_redraws_through_the_gap(self, make: Make, tmp_path: Path) -> None:
        scores = [0.9] * 12 + [0.0] * 14 + [0.9] * 14
        plan = make(write_marked(tmp_path / "gap.mp4", scores), fit="video", on_missing="hold")
        assert plan.passed_through() == {}

    def test_fail_names_the_time(self, make: Make, tmp_path: Path) -> None:
        path = write_marked(tmp_path / "gap.mp4", [0.9] * 12 + [0.0] * 14 + [0.9] * 14)
        with pytest.raises(NoFaceError, match=r"gap\.mp4.*0\.48 s.*no face.*--on-missing keep"):
            make(path, fit="video", on_missing="fail")
        # What is not redrawn anyway need not be there.
        assert len(make(path, fit="video", on_missing="fail", end_s=0.4)) == 40

    def test_faces_that_are_never_sure_are_an_error_that_says_so(self, make: Make, tmp_path: Path) -> None:
        path = write_marked(tmp_path / "dim.mp4", [0.66] * 25)
        with pytest.raises(NoFaceError, match=r"dim\.mp4.*reliably.*25 frames unsure.*--box"):
            make(path)

    def test_no_face_is_an_error_that_says_what_to_try(self, make: Make, tmp_path: Path) -> None:
        with pytest.raises(NoFaceError, match=r"none\.mp4.*no faces? in 5 frames.*--box"):
            make(write_marked(tmp_path / "none.mp4", [0.0] * 5))

    def test_the_one_seen_longer_is_chosen_and_the_other_told(self, make: Make) -> None:
        plan = make("two.mp4")
        assert all(cue.faces[0].box[0] < 60 for cue in plan.cues(0, 25))
        assert "also seen" in plan.chosen
        other = make("two.mp4", face="right")
        assert [bool(cue.faces) for cue in other.cues(0, 25)] == [True] * 12 + [False] * 13
        assert all(cue.faces[0].box[0] > 60 for cue in other.cues(0, 12))
        both = make("two.mp4", face="all")
        assert [len(cue.faces) for cue in both.cues(0, 25)] == [2] * 12 + [1] * 13

    def test_when_the_other_one_is_seen_the_reason_is_that_it_was_not_chosen(self, make: Make) -> None:
        assert make("two.mp4", face="right", fit="video").passed_through() == {"not chosen": 13}

    def test_faces_are_looked_for_once(self, make: Make) -> None:
        first, second = Marked(), Marked()
        assert make(detector=first).scan_fresh
        assert not make(detector=second, face="left", silence="model").scan_fresh
        assert first.n_looks > 0
        assert second.n_looks == 0

    def test_a_box_needs_no_detector_and_no_pads(self, make: Make) -> None:
        detector = Marked()
        plan = make(box=BOX, detector=detector)
        assert detector.n_looks == 0
        assert plan.spec == replace(SPEC, pads=(0, 0, 0, 0))
        assert all(np.array_equal(cue.faces[0].box, BOX) for cue in plan.cues(0, 50))


class TestSound:
    def test_less_than_a_window_is_an_error(self, make: Make, media: Path) -> None:
        write_wav(media / "blip.wav", babble(0.1))
        with pytest.raises(MediaError, match=r"blip\.wav.*0\.100 s"):
            make(speech="blip.wav")

    def test_another_file_starts_at_its_first_sample(self, make: Make) -> None:
        assert make().speech_origin_s is None

    def test_the_video_itself_keeps_its_clock(self, make: Make, media: Path, tmp_path: Path) -> None:
        path = tmp_path / "own.mp4"
        with VideoWriter(Output(path, 168, 120, 25, speech=media / "speech.wav")) as writer:
            for _ in range(25):
                writer.write(np.full((120, 168, 3), 90, np.uint8))
        plan = make(path, speech=str(path), box=BOX)
        assert plan.speech_origin_s == probe(path).start_s
        mel = hear(media / "speech.wav").mel
        n_both = min(mel.shape[1], plan.mel.shape[1])
        loud = mel[:, :n_both].mean(axis=0) > -2
        assert np.corrcoef(mel[:, :n_both][:, loud].ravel(), plan.mel[:, :n_both][:, loud].ravel())[0, 1] > 0.9

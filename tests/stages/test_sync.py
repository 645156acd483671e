"""sync through the command line: what is made, what stays as it was, and what is recorded."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import CLIP_S, EVENT_S, click_times, click_wave, flash_images, make_video
from tests.helpers.sync_runs import (
    ANN,
    BOB,
    BOX,
    SIZE,
    Outcome,
    Run,
    change,
    one_line,
    order_of,
    pattern,
    pictures,
    room,
    same,
    support,
    voice,
    write_pictures,
)
from w2l.cache.store import Cache
from w2l.core.errors import MediaError
from w2l.faces.detectors.base import Detection, Detector
from w2l.faces.detectors.factory import make_detector
from w2l.media.audio import read_audio, write_wav
from w2l.media.video import probe, read_frames
from w2l.syncing import tools as sync_tools
from w2l.syncing.engine import Redrawer
from w2l.syncing.jobs import Job
from w2l.syncing.run import run
from w2l.syncing.settings import SyncSettings
from w2l.syncing.tools import Tools

BOUNCE = [*range(15), *range(13, 3, -1)]
"""Which frames of the clip of 15 are shown in one second."""


class TestResult:
    def test_it_lasts_as_long_as_the_speech_at_the_rate_of_the_video(self, sync: Run, tmp_path: Path) -> None:
        outcome = sync("-o", "out.mp4")
        assert (outcome.status, outcome.out) == (0, "out.mp4\n")
        info = probe(tmp_path / "out.mp4")
        assert (info.width, info.height, info.fps) == (SIZE[1], SIZE[0], 25.0)
        assert len(pictures(tmp_path / "out.mp4")) == 25
        assert len(read_audio(tmp_path / "out.mp4")) / 16000 == pytest.approx(1.0, abs=0.05)

    def test_run_does_the_same_without_a_command_line(self, media: Path, tmp_path: Path) -> None:
        settings = SyncSettings(model=str(media / "aligned.safetensors"), box=BOX)
        cache = Cache.open(tmp_path / "cache", create=True)
        job = Job(media / "clip.mp4", media / "speech.wav", tmp_path / "out.mp4")
        result = run(Tools(settings, cache, "cpu"), job)
        assert (result.frames, result.fps, result.duration_s) == (25, 25.0, 1.0)
        assert result.record.is_file()
        assert {"look", "references", "draw", "first_frame"} <= set(result.timing)

    def test_quiet_says_nothing_on_stderr(self, sync: Run) -> None:
        assert sync("-o", "out.mp4", "-q").err == ""

    def test_a_still_picture_becomes_a_video(self, sync: Run, media: Path, tmp_path: Path) -> None:
        still = next(iter(read_frames(media / "clip.mp4"))).image
        cv2.imwrite(str(tmp_path / "still.png"), still[..., ::-1])
        assert sync("-o", "out.mp4", video=tmp_path / "still.png").status == 0
        made = pictures(tmp_path / "out.mp4")
        mask = support(SIZE[1], SIZE[0])
        assert len(made) == 25
        assert all(same(picture, made[0], mask) for picture in made)
        assert not all(same(picture, made[0]) for picture in made)  # the mouth moves

    def test_box_crops_with_hard_paste_fill_the_box(self, sync: Run, media: Path, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--blend", "hard", model="box").status == 0
        source, made = pictures(media / "clip.mp4")[0], pictures(tmp_path / "out.mp4")[0]
        inside = np.zeros(SIZE, np.bool_)
        inside[20:100, 40:104] = True
        assert same(made, source, inside)
        assert (np.abs(made.y.astype(int) - source.y)[inside] > 3).mean() > 0.8

    def test_reference_alignment_gives_the_published_number_of_frames(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--alignment", "reference").status == 0
        assert len(pictures(tmp_path / "out.mp4")) == 22  # 81 columns: 21 whole windows, a last one

    def test_a_failure_on_the_way_leaves_nothing(
        self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(self: Redrawer, cues: Any, n_ahead: int = 0) -> Any:
            yield next(iter(cues)).canvas
            raise MediaError("clip.mp4: the disk went away; plug it in")

        monkeypatch.setattr(Redrawer, "redraw", fails)
        one_line(sync("-o", "out.mp4"), 1, "the disk went away", n_logged=1)
        assert [path.name for path in tmp_path.iterdir()] == ["cache"]


class TestTheRest:
    """What is not redrawn is the decoded source, sample by sample."""

    def test_outside_the_mask_eight_bits_are_exact(self, sync: Run, media: Path, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4").status == 0
        source, made = pictures(media / "clip.mp4"), pictures(tmp_path / "out.mp4")
        mask = support(SIZE[1], SIZE[0])
        assert 0.03 < mask.mean() < 0.3
        assert order_of(made, source, mask) == BOUNCE
        assert min(change(ours, source[idx], mask) for ours, idx in zip(made, BOUNCE)) > 3

    def test_outside_the_mask_ten_bits_are_exact(self, sync: Run, media: Path, tmp_path: Path) -> None:
        deep = (image.astype(np.uint16) * 251 + 37 * k for k, image in enumerate(pattern(4)))
        path = write_pictures(tmp_path / "deep.mkv", deep, "ffv1", "yuv420p10le", source_format="rgb48le")
        assert sync("-o", "out.mp4", video=path).status == 0
        source, made = pictures(path), pictures(tmp_path / "out.mp4")
        assert source[0].y.dtype == made[0].y.dtype == np.uint16
        assert (source[0].y % 4).any()  # the last two bits are in use
        mask = support(SIZE[1], SIZE[0])
        order = [0, 1, 2, 3, 2, 1] * 5
        assert order_of(made, source, mask) == order[:25]
        assert change(made[0], source[0], mask) > 3

    @pytest.mark.parametrize("blend", ["laplacian", "hard"])
    def test_of_every_way_to_paste(self, sync: Run, media: Path, tmp_path: Path, blend: str) -> None:
        assert sync("-o", "out.mp4", "--blend", blend, "--fit", "video").status == 0
        mask = support(SIZE[1], SIZE[0], blend=blend)
        for ours, theirs in zip(pictures(tmp_path / "out.mp4"), pictures(media / "clip.mp4"), strict=True):
            assert same(ours, theirs, mask)
            assert not same(ours, theirs)


def bright_times(path: Path) -> list[float]:
    """Seconds at which a flash begins, by the top rows, where nothing is redrawn."""
    frames = list(read_frames(path))
    bright = [frame.image[:10].mean() > 128 for frame in frames]
    return [frame.time_s for frame, now, before in zip(frames, bright, [False, *bright]) if now and not before]


class TestTime:
    @pytest.mark.parametrize(("shift_s", "ending"), [(0.0, "mp4"), (0.24, "mp4"), (0.24, "mkv")])
    def test_a_video_with_its_own_sound_keeps_flash_and_click_together(
        self, sync: Run, tmp_path: Path, shift_s: float, ending: str
    ) -> None:
        """Also where the file's sound starts after its picture."""
        size = (120, 144)
        source = tmp_path / f"flash.{ending}"
        wave = click_wave(48000)[:, round(shift_s * 48000) :]
        make_video(source, flash_images(size), wave=wave, sound_start_s=shift_s)
        assert sync("-o", "out.mp4", video=source, speech=source).status == 0
        assert bright_times(tmp_path / "out.mp4") == pytest.approx(EVENT_S, abs=1e-3)
        heard = click_times(read_audio(tmp_path / "out.mp4", origin_s=probe(tmp_path / "out.mp4").start_s))
        assert heard == pytest.approx(EVENT_S, abs=0.005)

    def test_speech_of_its_own_starts_with_the_picture(self, sync: Run, tmp_path: Path) -> None:
        make_video(tmp_path / "flash.mp4", flash_images((120, 144)))
        write_wav(tmp_path / "click.wav", click_wave(16000)[0])
        assert sync("-o", "out.mp4", video=tmp_path / "flash.mp4", speech=tmp_path / "click.wav").status == 0
        assert bright_times(tmp_path / "out.mp4") == pytest.approx(EVENT_S, abs=1e-3)
        heard = click_times(read_audio(tmp_path / "out.mp4", origin_s=0.0))
        assert heard == pytest.approx(EVENT_S, abs=0.005)
        assert len(pictures(tmp_path / "out.mp4")) == round(25 * CLIP_S)

    def test_each_frame_hears_its_own_moment(self, sync: Run, tmp_path: Path) -> None:
        """Of two speeches that part at 0.6 s the mouths are alike before, and not after."""
        still = write_pictures(tmp_path / "still.mkv", pattern(1))
        wave = voice(1.2)
        other = np.concatenate([wave[:9600], np.zeros(9600, np.float32)])
        mouths = []
        for name, speech in (("a", wave), ("b", other)):
            write_wav(tmp_path / f"{name}.wav", speech)
            given = ("-o", f"{name}.mp4", "--blend", "hard", "--silence", "model", "--extend", "hold")
            assert sync(*given, video=still, speech=tmp_path / f"{name}.wav").status == 0
            mouths.append(pictures(tmp_path / f"{name}.mp4"))
        alike = [same(*pair) for pair in zip(*mouths, strict=True)]
        assert all(alike[:11])  # a window reaches 0.1 s ahead
        assert sum(alike[15:]) < 5


class TestRecords:
    def test_default_name_and_records(self, sync: Run, media: Path, tmp_path: Path) -> None:
        printed = json.loads(sync("--json", "--silence", "model").out)
        output = tmp_path / "clip-synced.mp4"
        beside = json.loads((tmp_path / "clip-synced.w2l.json").read_text())
        records = list((tmp_path / "cache" / "runs").glob("*.json"))
        assert len(records) == 1
        assert json.loads(records[0].read_text()) == beside
        assert Path(printed["output"]) == Path(beside["output"]) == output.resolve()
        for name, file in (("video", "clip.mp4"), ("speech", "speech.wav"), ("model", "aligned.safetensors")):
            assert Path(beside[name]) == (media / file).resolve()
            assert beside["hashes"][name] == hashlib.sha256((media / file).read_bytes()).hexdigest()
        assert (beside["frames"], beside["fps"], beside["duration_s"]) == (25, 25.0, 1.0)
        assert (beside["model_step"], beside["variable_rate"], beside["frames_passed_through"]) == (7, False, {})
        assert beside["settings"]["silence"] == "model"
        assert beside["settings"]["box"] == list(BOX)
        assert beside["versions"]["av"]
        assert "40" in beside["faces"]
        assert 0 < beside["timing"]["first_frame"] <= beside["took_s"] + 0.02

    def test_it_says_which_frames_passed_through_and_why(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--start", 0.4, "--end", 0.8).status == 0
        beside = json.loads((tmp_path / "out.w2l.json").read_text())
        assert beside["frames_passed_through"] == {"outside --start/--end": 15}

    def test_a_failed_run_leaves_an_older_record_alone(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "out.w2l.json").write_text("mine")
        one_line(sync("-o", "out.mp4", speech="short.wav"), 1)
        assert (tmp_path / "out.w2l.json").read_text() == "mine"


class Counting:
    """A detector that counts the pictures it is asked about."""

    def __init__(self, inner: Detector) -> None:
        self._inner = inner
        self.name = inner.name
        self.n_looks = 0

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        self.n_looks += len(images)
        return self._inner.detect(images)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    """The detectors that syncs made, in order."""
    made: list[Counting] = []

    def make(*given: Any, **named: Any) -> Counting:
        made.append(Counting(make_detector(*given, **named)))
        return made[-1]

    monkeypatch.setattr(sync_tools, "make_detector", make)
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of two people side by side, the left one larger."""
    folder = tmp_path_factory.mktemp("pair")
    images = (room([(ANN, 90, 120, 56), (BOB, 240, 120, 44)], mouth) for mouth in np.linspace(0, 1, 12))
    return write_pictures(folder / "pair.mp4", images, options={"crf": "10"})


def halves(made: Path, source: Path) -> tuple[float, float]:
    """How much the left and the right half of a video changed, in grey levels, at most over the frames."""
    both = list(zip(pictures(made), pictures(source)))
    left = np.zeros(both[0][0].y.shape, np.bool_)
    left[:, : left.shape[1] // 2] = True
    return max(change(*pair, left) for pair in both), max(change(*pair, ~left) for pair in both)


class TestFaces:
    def test_a_second_sync_with_other_speech_detects_nothing(
        self, sync: Run, tmp_path: Path, pair: Path, counted: list[Counting]
    ) -> None:
        write_wav(tmp_path / "other.wav", voice(0.4))
        assert sync("-o", "out.mp4", video=pair, faces=True).status == 0
        kept = list((tmp_path / "cache").rglob("faces.npz"))
        assert len(kept) == 1
        before = kept[0].read_bytes()
        assert sync("-o", "again.mp4", video=pair, speech=tmp_path / "other.wav", faces=True).status == 0
        assert [detector.n_looks > 0 for detector in counted] == [True, False]
        assert kept[0].read_bytes() == before
        assert len(pictures(tmp_path / "again.mp4")) == 10

    def test_what_detect_found_is_used(self, w2l: Run, sync: Run, pair: Path, counted: list[Counting]) -> None:
        assert w2l("detect", pair, "--device", "cpu").status == 0
        assert sync("-o", "out.mp4", video=pair, faces=True).status == 0
        assert [detector.n_looks for detector in counted] == [0]

    @pytest.mark.parametrize(("face", "redrawn"), [
        ("auto", (True, False)), ("right", (False, True)), ("all", (True, True)), ("1", (False, True)),
        ("240,130", (False, True)), ("90,130@0.2", (True, False)),
    ])  # fmt: skip
    def test_whose_mouth(
        self, sync: Run, tmp_path: Path, pair: Path, face: str, redrawn: tuple[bool, bool], kept_faces: Path
    ) -> None:
        outcome = sync("-o", "out.mp4", "--face", face, "--cache", kept_faces, video=pair, faces=True)
        assert outcome.status == 0, outcome.err
        left, right = halves(tmp_path / "out.mp4", pair)
        assert (left > 0.3, right > 0.3) == redrawn
        assert (left == 0, right == 0) == (not redrawn[0], not redrawn[1])

    def test_by_a_picture_of_the_person(self, sync: Run, tmp_path: Path, pair: Path, kept_faces: Path) -> None:
        cv2.imwrite(str(tmp_path / "bob.png"), room([(BOB, 160, 120, 70)])[..., ::-1])
        outcome = sync("-o", "out.mp4", "--face", "bob.png", "--cache", kept_faces, video=pair, faces=True)
        assert outcome.status == 0, outcome.err
        assert [half > 0.3 for half in halves(tmp_path / "out.mp4", pair)] == [False, True]

    def test_one_line_tells_who_was_chosen_and_who_else_was_seen(
        self, sync: Run, tmp_path: Path, pair: Path, kept_faces: Path
    ) -> None:
        outcome = sync("-o", "out.mp4", "-v", "--cache", kept_faces, video=pair, faces=True)
        chosen = json.loads((tmp_path / "out.w2l.json").read_text())["faces"]
        assert chosen in outcome.err
        first, _, others = chosen.partition("also seen")
        assert "face 0" in first
        assert "left" in first
        assert "face 1" in others
        assert "right" in others

    @pytest.mark.parametrize(("face", "status", "said"), [
        ("7", 1, "no face 7"), ("5,5", 1, "no face at 5,5"), ("nobody.png", 2, "nobody.png"), ("huge", 2, "huge"),
        ("{wall}", 1, "no face found in this picture"),
    ])  # fmt: skip
    def test_a_face_that_is_not_there(
        self, sync: Run, tmp_path: Path, pair: Path, kept_faces: Path, face: str, status: int, said: str
    ) -> None:
        cv2.imwrite(str(tmp_path / "wall.png"), room([]))
        face = face.format(wall=tmp_path / "wall.png")
        outcome = sync("-o", "out.mp4", "--face", face, "--cache", kept_faces, video=pair, faces=True)
        one_line(outcome, status, said)
        assert not list(tmp_path.glob("*out*"))


@pytest.fixture(scope="module")
def kept_faces(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the faces of `pair` are kept after the first sync."""
    return tmp_path_factory.mktemp("faces")


def test_a_real_clip_is_found_and_its_boxes_are_kept(sync: Run, tmp_path: Path, shared: Path) -> None:
    clips = sorted((shared / "media" / "grid").rglob("*.mkv"))
    if not clips:
        pytest.skip("no GRID clips here")
    given: Callable[..., Outcome] = lambda *extra: sync(*extra, video=clips[0], faces=True)  # noqa: E731
    assert given("--set", "detect.stride=25", "-o", "out.mp4").status == 0
    kept = list((tmp_path / "cache").rglob("faces.npz"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    assert given("--set", "detect.stride=25", "-o", "again.mp4").status == 0
    assert kept[0].stat().st_mtime_ns == written
    source = pictures(clips[0])
    for idx, picture in enumerate(pictures(tmp_path / "out.mp4")):
        assert 0.2 < change(picture, source[idx]) < 12

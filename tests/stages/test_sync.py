"""sync through the command line: what is made, what is recorded, and one line for everything that cannot be."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stages import cli
from w2l.faces.crop import CropSpec
from w2l.media.audio import read_audio, write_wav
from w2l.media.video import probe, read_frames
from w2l.media.writer import VideoWriter
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.training.checkpoint import ModelCard, save_model

BOX = "40,20,104,100"
SIZE = (120, 144)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def w2l(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in an empty folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return Outcome(status, seen.out, seen.err)

    return run


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: clip.mp4 (0.6 s, 25 fps), speech.wav (1 s), short.wav, silent.mp4 (no sound), models, junk."""
    folder = tmp_path_factory.mktemp("media")
    times = np.arange(16000) / 16000
    voice = (0.3 * np.sin(2 * np.pi * 150 * times) * (np.sin(2 * np.pi * 3 * times) > 0)).astype(np.float32)
    write_wav(folder / "speech.wav", voice)
    write_wav(folder / "short.wav", voice[:3000])
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    with VideoWriter(folder / "clip.mp4", SIZE[1], SIZE[0], 25) as writer:
        for k in range(15):
            waves = [127 + 80 * np.sin(x / (9 + c) + k / 3) * np.cos(y / 11 + k / 5) for c in range(3)]
            writer.write(np.stack(waves, -1).round().astype(np.uint8))
    torch.manual_seed(0)
    for rows, kind in (("lower", "aligned"), ("full", "box")):
        dims = GeneratorDimensions(width=2, rows=rows)  # type: ignore[arg-type]
        card = ModelCard("generator", asdict(dims), CropSpec(kind, 96), step=7)  # type: ignore[arg-type]
        save_model(folder / f"{kind}.safetensors", Generator(dims), card)
    expert = ExpertDimensions(width=2)
    save_model(folder / "expert.safetensors", Expert(expert), ModelCard("expert", asdict(expert)))
    (folder / "cut.safetensors").write_bytes((folder / "aligned.safetensors").read_bytes()[:-5000])
    (folder / "empty.mp4").touch()
    (folder / "junk.mp4").write_bytes(b"this is no video" * 100)
    (folder / "mute.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    return folder


@pytest.fixture
def sync(w2l: Run, media: Path) -> Run:
    """`w2l sync` on the clip with the small model and a box by hand, further options added."""

    def run(
        *extra: object, video: object = "clip.mp4", speech: object = "speech.wav", model: str = "aligned"
    ) -> Outcome:
        given = (media / str(video), media / str(speech), "--model", media / f"{model}.safetensors", "--device", "cpu")
        return w2l("sync", *given, "--box", BOX, *extra)

    return run


class TestResult:
    def test_it_lasts_as_long_as_the_speech_at_the_rate_of_the_video(self, sync: Run, tmp_path: Path) -> None:
        outcome = sync("-o", "out.mp4")
        assert (outcome.status, outcome.out) == (0, "out.mp4\n")
        info = probe(tmp_path / "out.mp4")
        frames = list(read_frames(tmp_path / "out.mp4"))
        assert (info.width, info.height, info.fps) == (SIZE[1], SIZE[0], 25.0)
        assert len(frames) == 25
        assert len(read_audio(tmp_path / "out.mp4")) / 16000 == pytest.approx(1.0, abs=0.05)

    def test_only_the_mouth_changes_and_the_clip_starts_again(self, sync: Run, media: Path, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--crf", 1).status == 0
        source = [frame.image.astype(int) for frame in read_frames(media / "clip.mp4")]
        for frame in read_frames(tmp_path / "out.mp4"):
            away = np.abs(frame.image.astype(int) - source[frame.idx % 15])
            assert away[:64].mean() < 3
            assert away[80:92, 60:84].mean() > 10

    def test_default_name_and_records(self, sync: Run, media: Path, tmp_path: Path) -> None:
        outcome = sync("--json", "--silence", "model")
        printed = json.loads(outcome.out)
        output = tmp_path / "clip-synced.mp4"
        records = list((tmp_path / "cache" / "runs").glob("*.json"))
        beside = json.loads((tmp_path / "clip-synced.w2l.json").read_text())
        assert len(records) == 1
        assert json.loads(records[0].read_text()) == beside
        assert Path(printed["output"]) == Path(beside["output"]) == output.resolve()
        assert Path(beside["video"]) == (media / "clip.mp4").resolve()
        assert Path(beside["speech"]) == (media / "speech.wav").resolve()
        assert Path(beside["model"]) == (media / "aligned.safetensors").resolve()
        assert (beside["frames"], beside["frames_without_face"], beside["model_step"]) == (25, 0, 7)
        assert beside["settings"]["silence"] == "model"
        assert beside["settings"]["box"] == [40.0, 20.0, 104.0, 100.0]

    def test_box_crops_with_hard_paste_fill_the_box_exactly(self, sync: Run, media: Path, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--blend", "hard", "--crf", 1, model="box").status == 0
        source = next(iter(read_frames(media / "clip.mp4"))).image.astype(int)
        made = next(iter(read_frames(tmp_path / "out.mp4"))).image.astype(int)
        changed = np.abs(made - source).mean(axis=-1)
        assert changed[24:96, 44:100].mean() > 10
        assert changed[:16].mean() < 3
        assert changed[:, 108:].mean() < 3

    def test_reference_alignment_gives_the_published_number_of_frames(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--alignment", "reference").status == 0
        assert sum(1 for _ in read_frames(tmp_path / "out.mp4")) == 22  # 81 columns: 21 whole windows, a last one

    def test_an_existing_result_is_kept_unless_asked(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").write_bytes(b"precious")
        refused = sync("-o", "out.mp4")
        assert refused.status == 2
        assert "-y" in refused.err
        assert (tmp_path / "out.mp4").read_bytes() == b"precious"
        assert sync("-o", "out.mp4", "-y").status == 0
        assert probe(tmp_path / "out.mp4").width == SIZE[1]

    def test_quiet_says_nothing_on_stderr(self, sync: Run) -> None:
        assert sync("-o", "out.mp4", "-q").err == ""

    def test_a_still_picture_becomes_a_video(self, sync: Run, media: Path, tmp_path: Path) -> None:
        still = next(iter(read_frames(media / "clip.mp4"))).image
        cv2.imwrite(str(tmp_path / "still.png"), still[..., ::-1])
        assert sync("-o", "out.mp4", video=tmp_path / "still.png").status == 0
        assert sum(1 for _ in read_frames(tmp_path / "out.mp4")) == 25

    def test_an_unreadable_middle_is_passed_over(self, sync: Run, media: Path, tmp_path: Path) -> None:
        content = bytearray((media / "clip.mp4").read_bytes())
        middle = content.index(b"mdat") + 4 + (len(content) - content.index(b"mdat")) // 2
        content[middle : middle + 200] = bytes(200)
        (tmp_path / "torn.mp4").write_bytes(content)
        assert sync("-o", "out.mp4", video=tmp_path / "torn.mp4").status == 0
        assert sum(1 for _ in read_frames(tmp_path / "out.mp4")) == 25


def one_line(outcome: Outcome, status: int, *said: str) -> None:
    """One line on stderr that says so, nothing on stdout, and that status."""
    assert outcome.status == status, outcome.err
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    for words in said:
        assert words in outcome.err


class TestBadInput:
    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, w2l: Run, tmp_path: Path) -> object:
        yield
        assert not [path for path in tmp_path.rglob("*") if "out" in path.name or ".tmp-" in path.name]

    @pytest.mark.parametrize(("video", "said"), [
        ("none.mp4", "no such file"), ("junk.mp4", "not a readable"), ("empty.mp4", "empty"),
        ("speech.wav", "no video"), (".", "folder"),
    ])  # fmt: skip
    def test_video(self, sync: Run, video: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", video=video), 1, video if video != "." else "", said)

    @pytest.mark.parametrize(("speech", "said"), [
        ("none.wav", "no such file"), ("mute.mp4", "no sound"), ("short.wav", "0.2 s"), ("empty.mp4", "empty"),
        ("junk.mp4", "not a readable"),
    ])  # fmt: skip
    def test_speech(self, sync: Run, speech: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", speech=speech), 1, speech, said)

    @pytest.mark.parametrize(("model", "said"), [
        ("expert", "is of kind expert, not generator"), ("cut", "damaged"), ("none", "no generator named"),
    ])  # fmt: skip
    def test_model(self, sync: Run, model: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", model=model), 1, f"{model}.safetensors", said)

    @pytest.mark.parametrize("output", ["nowhere/out.mp4", "out.xyz", "out"])
    def test_output_that_cannot_be_written(self, sync: Run, output: str) -> None:
        one_line(sync("-o", output), 1, output)

    def test_output_that_is_an_input(self, sync: Run, media: Path) -> None:
        before = (media / "clip.mp4").read_bytes()
        one_line(sync("-y", "-o", media / "clip.mp4"), 2, "input")
        assert (media / "clip.mp4").read_bytes() == before

    @pytest.mark.parametrize(("extra", "said"), [
        (("--set", "blent=hard"), "did you mean blend"), (("--crf", "60"), "between 0 and 51"),
        (("--box", "1,2,3"), "box"), (("--box", "a,b,c,d"), "four numbers"), (("--box", "0,0,999,50"), "144 x 120"),
        (("--blend", "none"), "--blend"), (("--no-such-option",), "--no-such-option"),
        (("--set", "detect.stride=0"), "stride"),
    ])  # fmt: skip
    def test_usage(self, sync: Run, extra: tuple[str, ...], said: str) -> None:
        one_line(sync("-o", "out.mp4", *extra), 2, said)

    def test_settings_file_with_an_unknown_key(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text("sync: {crfs: 3}\n")
        one_line(sync("-o", "out.mp4", "--config", tmp_path / "mine.yaml"), 2, "did you mean crf")

    def test_no_face_anywhere(self, w2l: Run, media: Path) -> None:
        given = (media / "clip.mp4", media / "speech.wav", "--model", media / "aligned.safetensors", "--device", "cpu")
        one_line(w2l("sync", *given, "-o", "out.mp4"), 1, "clip.mp4", "no face", "--box")

    def test_a_failure_on_the_way_leaves_nothing(self, sync: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        from w2l.errors import MediaError
        from w2l.lipsync import Redrawer

        def fails(self: Redrawer, cues: object) -> object:
            yield np.zeros((*SIZE, 3), dtype=np.uint8)
            raise MediaError("clip.mp4: the disk went away; plug it in")

        monkeypatch.setattr(Redrawer, "redraw", fails)
        one_line(sync("-o", "out.mp4"), 1, "the disk went away")


def test_a_real_clip_is_found_and_its_boxes_are_kept(w2l: Run, media: Path, tmp_path: Path, shared: Path) -> None:
    clips = sorted((shared / "media" / "grid").rglob("*.mkv"))
    if not clips:
        pytest.skip("no GRID clips here")
    given = (clips[0], media / "speech.wav", "--model", media / "aligned.safetensors", "--device", "cpu")
    assert w2l("sync", *given, "--set", "detect.stride=25", "-o", "out.mp4").status == 0
    kept = list((tmp_path / "cache").rglob("faces.npz"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    assert w2l("sync", *given, "--set", "detect.stride=25", "-o", "again.mp4").status == 0
    assert kept[0].stat().st_mtime_ns == written
    source = [frame.image.astype(int) for frame in read_frames(clips[0])]
    for frame in read_frames(tmp_path / "out.mp4"):
        assert 0.2 < np.abs(frame.image.astype(int) - source[frame.idx]).mean() < 12

"""What the options of sync do, alone and over several videos, and how a job that was stopped goes on."""

import json
import os
import signal
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.helpers.made_media import click_wave
from tests.helpers.sync_runs import (
    ANN,
    SIZE,
    Run,
    change,
    frame_times,
    listing,
    one_line,
    order_of,
    pattern,
    pictures,
    room,
    same,
    streams,
    support,
    voice,
    write_pictures,
)
from w2l.core.errors import MediaError
from w2l.core.prefetch import THREAD_NAME
from w2l.media.audio import read_audio, write_wav
from w2l.media.parts import PartWriter
from w2l.media.video import probe
from w2l.models.runtime import Runner
from w2l.syncing import draw as sync_draw

MASK = support(SIZE[1], SIZE[0])


class TestLength:
    """A video of 5 frames (0.2 s), a speech ten times as long, and the other way."""

    @pytest.fixture
    def short(self, tmp_path: Path) -> Path:
        return write_pictures(tmp_path / "short.mp4", pattern(5))

    @pytest.mark.parametrize(("extend", "again"), [
        ("bounce", [3, 2, 1, 0, 1, 2, 3, 4]), ("loop", [0, 1, 2, 3, 4]), ("hold", [4]),
    ])  # fmt: skip
    def test_longer_speech(self, sync: Run, tmp_path: Path, short: Path, extend: str, again: list[int]) -> None:
        write_wav(tmp_path / "long.wav", voice(2.0))
        outcome = sync("-o", "out.mp4", "--extend", extend, video=short, speech=tmp_path / "long.wav")
        assert outcome.status == 0, outcome.err
        wanted = [0, 1, 2, 3, 4, *(50 * again)][:50]
        made, source = pictures(tmp_path / "out.mp4"), pictures(short)
        assert order_of(made, source, MASK) == wanted
        mouths = {picture.y[MASK].tobytes() for picture in made}
        assert len(mouths) > 15  # frames come again, what they say does not
        assert len(read_audio(tmp_path / "out.mp4", origin_s=0.0)) / 16000 == pytest.approx(2.0, abs=0.03)

    @pytest.mark.parametrize(("fit", "n_frames"), [("speech", 50), ("video", 5), ("shortest", 5)])
    def test_what_it_follows_with_longer_speech(
        self, sync: Run, tmp_path: Path, short: Path, fit: str, n_frames: int
    ) -> None:
        write_wav(tmp_path / "long.wav", voice(2.0))
        outcome = sync("-o", "out.mp4", "--fit", fit, video=short, speech=tmp_path / "long.wav")
        assert outcome.status == 0, outcome.err
        assert len(pictures(tmp_path / "out.mp4")) == n_frames
        assert len(read_audio(tmp_path / "out.mp4", origin_s=0.0)) / 16000 == pytest.approx(n_frames / 25, abs=0.03)

    @pytest.mark.parametrize(("fit", "n_frames"), [("speech", 7), ("video", 65), ("shortest", 7)])
    def test_what_it_follows_with_a_longer_video(self, sync: Run, tmp_path: Path, fit: str, n_frames: int) -> None:
        video = write_pictures(tmp_path / "long.mp4", pattern(65))
        write_wav(tmp_path / "word.wav", voice(0.26))
        outcome = sync("-o", "out.mp4", "--fit", fit, video=video, speech=tmp_path / "word.wav")
        assert outcome.status == 0, outcome.err
        assert order_of(pictures(tmp_path / "out.mp4"), pictures(video), MASK) == list(range(n_frames))
        assert len(read_audio(tmp_path / "out.mp4", origin_s=0.0)) / 16000 == pytest.approx(0.26, abs=0.03)

    def test_a_still_has_no_length_to_follow(self, sync: Run, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "still.png"), next(pattern(1)))
        one_line(sync("-o", "out.mp4", "--fit", "video", video=tmp_path / "still.png"), 2, "still.png", "--fit video")
        assert list(listing(tmp_path)) == ["still.png"]

    @pytest.mark.parametrize(("fps", "order"), [
        (50.0, [k // 2 for k in range(30)]), (12.5, list(range(0, 15, 2))),
    ])  # fmt: skip
    def test_frame_rate(self, sync: Run, media: Path, tmp_path: Path, fps: float, order: list[int]) -> None:
        assert sync("-o", "out.mp4", "--fps", fps, "--fit", "video").status == 0
        assert probe(tmp_path / "out.mp4").fps == fps
        made = pictures(tmp_path / "out.mp4")
        found = order_of(made, pictures(media / "clip.mp4"), MASK)
        assert abs(len(found) - len(order)) <= 1
        assert max(abs(ours - theirs) for ours, theirs in zip(found, order)) <= 1
        assert frame_times(tmp_path / "out.mp4") == pytest.approx(np.arange(len(made)) / fps, abs=1e-6)

    def test_frame_rate_of_a_still(self, sync: Run, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "still.png"), next(pattern(1)))
        assert sync("-o", "out.mp4", "--fps", 12, video=tmp_path / "still.png").status == 0
        assert (probe(tmp_path / "out.mp4").fps, len(pictures(tmp_path / "out.mp4"))) == (12.0, 12)


class TestPartOfTheVideo:
    @pytest.mark.parametrize(("start", "end"), [("0.16", "0.48"), ("0:00.16", "00:00:00.48")])
    def test_what_is_outside_start_and_end_passes_through(
        self, sync: Run, media: Path, tmp_path: Path, start: str, end: str
    ) -> None:
        assert sync("-o", "out.mp4", "--fit", "video", "--start", start, "--end", end).status == 0
        made, source = pictures(tmp_path / "out.mp4"), pictures(media / "clip.mp4")
        untouched = [same(*pair) for pair in zip(made, source, strict=True)]
        assert untouched == [not 4 <= idx < 12 for idx in range(15)]
        assert all(same(*pair, MASK) for pair in zip(made, source))
        changes = [change(*pair, MASK) for pair in zip(made, source)]
        assert changes[4] < 0.6 * changes[7]  # it fades in

    def test_the_sound_is_whole(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--start", 0.4).status == 0
        heard = read_audio(tmp_path / "out.mp4", origin_s=0.0)
        assert np.corrcoef(heard[:16000], voice(1.0)[: len(heard[:16000])])[0, 1] > 0.97

    @pytest.mark.parametrize("at_s", [0.5, 1.0, 0.0])
    def test_preview_is_that_second_of_the_whole(self, sync: Run, tmp_path: Path, at_s: float) -> None:
        write_wav(tmp_path / "long.wav", voice(1.8) * np.linspace(0.2, 1, 28800, dtype=np.float32))
        speech = tmp_path / "long.wav"
        assert sync("-o", "whole.mp4", speech=speech).status == 0
        assert sync("--preview", at_s, speech=speech).out == "clip-preview.mp4\n"
        whole, part = pictures(tmp_path / "whole.mp4"), pictures(tmp_path / "clip-preview.mp4")
        first = max(0, round((at_s - 0.5) * 25 + 1e-6))
        assert abs(len(part) - 25) <= 1
        assert all(same(ours, theirs, MASK) for ours, theirs in zip(part, whole[first:]))
        assert max(change(ours, theirs, MASK) for ours, theirs in zip(part, whole[first:])) < 4
        heard = read_audio(tmp_path / "clip-preview.mp4", origin_s=0.0)
        wanted = read_audio(tmp_path / "whole.mp4", origin_s=0.0)[round(first / 25 * 16000) :]
        n_both = min(len(heard), len(wanted), 15000)
        assert n_both > 14000
        assert np.corrcoef(heard[:n_both], wanted[:n_both])[0, 1] > 0.95

    def test_preview_behind_the_end_is_one_line(self, sync: Run, tmp_path: Path) -> None:
        one_line(sync("--preview", 7, "-o", "out.mp4"), 2, "past the end of the output, 1.00 s")
        assert listing(tmp_path) == {}


class TestSilence:
    @pytest.fixture
    def halting(self, tmp_path: Path) -> Path:
        """Speech of two seconds with a pause of digital silence from 0.6 s to 1.4 s."""
        wave = np.tile(voice(0.16), 13)[:32000]
        wave[9600:22400] = 0.0
        write_wav(tmp_path / "halting.wav", wave)
        return tmp_path / "halting.wav"

    def test_source_shows_the_source_in_pauses(self, sync: Run, media: Path, tmp_path: Path, halting: Path) -> None:
        assert sync("-o", "out.mp4", "--silence", "source", speech=halting).status == 0
        made, source = pictures(tmp_path / "out.mp4"), pictures(media / "clip.mp4")
        order = order_of(made, source, MASK)
        untouched = [same(picture, source[idx]) for picture, idx in zip(made, order)]
        assert all(untouched[20:32])
        assert not any(untouched[:13])
        assert not any(untouched[38:])
        passed = json.loads((tmp_path / "out.w2l.json").read_text())["frames_passed_through"]
        assert passed == {"the speech pauses": sum(untouched)}

    @pytest.mark.parametrize("silence", ["close", "model"])
    def test_else_the_mouth_is_drawn_all_the_time(self, sync: Run, tmp_path: Path, halting: Path, silence: str) -> None:
        still = write_pictures(tmp_path / "still.mp4", (next(pattern(1)) for _ in range(5)))
        assert sync("-o", "out.mp4", "--silence", silence, video=still, speech=halting).status == 0
        made, source = pictures(tmp_path / "out.mp4"), pictures(still)
        assert not any(same(picture, source[0]) for picture in made)

    def test_close_keeps_the_mouth_still_in_a_noisy_pause_and_model_does_not(
        self, sync: Run, tmp_path: Path, halting: Path
    ) -> None:
        rng = np.random.default_rng(0)
        noisy = read_audio(halting) + 0.004 * rng.standard_normal(32000).astype(np.float32)
        write_wav(tmp_path / "noisy.wav", noisy)
        still = write_pictures(tmp_path / "still.mp4", (next(pattern(1)) for _ in range(2)))
        moves = {}
        for silence in ("close", "model"):
            out = tmp_path / f"{silence}.mp4"
            assert sync("-o", out, "--silence", silence, video=still, speech=tmp_path / "noisy.wav").status == 0
            pause = pictures(out)[22:28]
            moves[silence] = max(change(a, b, MASK) for a, b in pairwise(pause))
        assert moves["close"] < 0.2
        assert moves["close"] < moves["model"]


class TestReference:
    @pytest.fixture
    def portrait(self, tmp_path: Path) -> Path:
        cv2.imwrite(str(tmp_path / "ann.png"), room([(ANN, 160, 120, 70)])[..., ::-1])
        return tmp_path / "ann.png"

    @pytest.mark.parametrize("reference", ["auto", "same", "0", "0.1,0.5", "{portrait}"])
    def test_every_kind_draws(self, sync: Run, media: Path, tmp_path: Path, portrait: Path, reference: str) -> None:
        given = reference.format(portrait=portrait)
        outcome = sync("-o", "out.mp4", "--fit", "video", "--reference", given)
        assert outcome.status == 0, outcome.err
        for made, source in zip(pictures(tmp_path / "out.mp4"), pictures(media / "clip.mp4"), strict=True):
            assert same(made, source, MASK)
            assert change(made, source, MASK) > 2

    def test_they_differ(self, sync: Run, tmp_path: Path, portrait: Path) -> None:
        mouths = set()
        plainly = ("-y", "-o", "out.mp4", "--fit", "video", "--blend", "hard")
        for reference in ("same", "0", "0.4", str(portrait)):
            assert sync(*plainly, "--reference", reference).status == 0
            mouths.add(b"".join(picture.y.tobytes() for picture in pictures(tmp_path / "out.mp4")))
        assert len(mouths) == 4

    @pytest.mark.parametrize(("reference", "status", "said"), [
        ("9.5", 2, "the video lasts"), ("0.1,99", 2, "99"), ("-1", 2, "-1"), ("nobody.png", 2, "nobody.png"),
        ("best", 2, "--reference best is not a file"), ("wall.png", 1, "no face found in this picture"),
        ("junk.png", 1, "junk.png"), ("nan", 2, "nan"),
    ])  # fmt: skip
    def test_what_is_none_is_one_line(self, sync: Run, tmp_path: Path, reference: str, status: int, said: str) -> None:
        cv2.imwrite(str(tmp_path / "wall.png"), room([]))
        (tmp_path / "junk.png").write_bytes(b"junk" * 100)
        before = listing(tmp_path)
        one_line(sync("-o", "out.mp4", "--reference", reference), status, said, n_logged=1)
        assert listing(tmp_path) == before


class TestDryRun:
    def test_it_tells_and_writes_nothing(self, sync: Run, tmp_path: Path) -> None:
        before = listing(tmp_path)
        outcome = sync("--dry-run", "--start", 0.2, "--on-covered", "keep")
        assert outcome.status == 0, outcome.err
        assert listing(tmp_path) == before
        kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
        assert kept == {"cache.json", "covers.npz"}, "what was looked for is found in the next run"
        for said in ("25 frames", "1.00 s", "25.000 fps", "5 outside --start/--end", "aligned.safetensors", "MB"):
            assert said in outcome.out

    def test_with_a_folder_that_is_not_there_yet(self, sync: Run, media: Path, tmp_path: Path) -> None:
        assert sync("--dry-run", "-o", "new", video=["clip.mp4", "mute.mp4"]).status == 0
        assert listing(tmp_path) == {}

    def test_as_json(self, sync: Run) -> None:
        estimate = json.loads(sync("--dry-run", "--json").out)
        assert (estimate["frames"], estimate["fps"], estimate["duration_s"]) == (25, 25.0, 1.0)
        assert estimate["frames_per_s"] > 0
        assert estimate["peak_mb"] > 50

    def test_what_cannot_be_is_one_line(self, sync: Run, tmp_path: Path) -> None:
        one_line(sync("--dry-run", speech="short.wav"), 1, "short.wav")
        assert listing(tmp_path) == {}


class Stopped:
    """Interrupts the writing of pictures after so many, as Ctrl-C does; counts those that were written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_written = 0
        self.after: int | None = None
        write = PartWriter.write

        def counted(writer: PartWriter, picture: Any) -> None:
            if self.after is not None and self.n_written >= self.after:
                raise KeyboardInterrupt
            self.n_written += 1
            write(writer, picture)

        monkeypatch.setattr(PartWriter, "write", counted)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """See `Stopped`; nothing is interrupted until `after` is set."""
    return Stopped(monkeypatch)


class TestStopping:
    @pytest.fixture
    def in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is longer than half a second is written in parts of 0.2 s."""
        monkeypatch.setattr(sync_draw, "LONG_S", 0.5)
        monkeypatch.setattr(sync_draw, "PART_S", 0.2)

    def test_ctrl_c_leaves_no_file(self, sync: Run, tmp_path: Path, stopped: Stopped) -> None:
        stopped.after = 7
        one_line(sync("-o", "out.mp4"), 130, "interrupted", n_logged=2)
        assert listing(tmp_path) == {}

    def test_ctrl_c_while_other_threads_are_at_work(
        self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The signal comes while the generator runs in a thread of its own."""
        calls: list[int] = []
        generate = Runner.__call__

        def interrupted(runner: Runner, *given: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)
            return generate(runner, *given)

        write_wav(tmp_path / "long.wav", voice(6.0))
        before = listing(tmp_path)
        monkeypatch.setattr(Runner, "__call__", interrupted)
        outcome = sync("-o", "out.mp4", speech=tmp_path / "long.wav")
        one_line(outcome, 130, "interrupted", n_logged=2)
        assert listing(tmp_path) == before
        assert len(calls) < 9  # of 150 frames in batches of 16
        assert not [thread.name for thread in threading.enumerate() if THREAD_NAME in thread.name]

    @pytest.mark.usefixtures("in_parts")
    def test_a_full_disk_in_the_middle_keeps_what_is_finished(
        self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: Stopped
    ) -> None:
        def full(writer: PartWriter, *_: Any) -> None:
            raise MediaError("out.mp4: writing failed (No space left on device); check the disk's free space")

        write = PartWriter.write
        monkeypatch.setattr(PartWriter, "write", lambda w, p: full(w) if stopped.n_written == 13 else write(w, p))
        one_line(sync("-o", "out.mp4"), 1, "space", n_logged=1)
        assert not (tmp_path / "out.mp4").exists()
        monkeypatch.setattr(PartWriter, "write", write)
        stopped.n_written = 0
        assert sync("-o", "out.mp4", "--resume").status == 0
        assert stopped.n_written == 15

    def test_ctrl_c_while_faces_are_looked_for(
        self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("w2l.syncing.seen.scan_clip", interrupted)
        one_line(sync("-o", "out.mp4", faces=True), 130, "interrupted", n_logged=1)
        assert listing(tmp_path) == {}

    @pytest.mark.usefixtures("in_parts")
    @pytest.mark.parametrize("extra", [(), ("--codec", "hevc")], ids=["h264", "hevc"])
    def test_a_stopped_job_goes_on_as_if_it_never_had(
        self, sync: Run, tmp_path: Path, stopped: Stopped, extra: tuple[object, ...]
    ) -> None:
        assert sync("-o", "whole.mp4", *extra, crf=20).status == 0
        assert stopped.n_written == 25
        stopped.n_written, stopped.after = 0, 13
        one_line(sync("-o", "out.mp4", *extra, crf=20), 130, "interrupted", n_logged=2)
        assert not (tmp_path / "out.mp4").exists()
        assert len(list((tmp_path / ".out.mp4.w2l-parts").glob("*.mp4"))) == 2
        stopped.n_written, stopped.after = 0, None
        assert sync("-o", "out.mp4", "--resume", *extra, crf=20).status == 0
        assert stopped.n_written == 15
        assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
        assert not [name for name in listing(tmp_path) if name.startswith(".")]

    @pytest.mark.usefixtures("in_parts")
    @pytest.mark.parametrize(("again", "n_drawn"), [
        (("--resume",), 15), pytest.param((), 25, marks=pytest.mark.slow), (("--resume", "--silence", "model"), 25),
        pytest.param(("--resume", "--fps", "20"), 20, marks=pytest.mark.slow),
    ])  # fmt: skip
    def test_parts_are_used_for_the_same_job_only(
        self, sync: Run, stopped: Stopped, again: tuple[object, ...], n_drawn: int
    ) -> None:
        stopped.after = 13
        assert sync("-o", "out.mp4").status == 130
        stopped.n_written, stopped.after = 0, None
        assert sync("-o", "out.mp4", *again).status == 0
        assert stopped.n_written == n_drawn

    @pytest.mark.usefixtures("in_parts")
    def test_other_speech_of_the_same_name_begins_anew(self, sync: Run, tmp_path: Path, stopped: Stopped) -> None:
        speech = tmp_path / "speech.wav"
        write_wav(speech, voice(1.0))
        stopped.after = 13
        assert sync("-o", "out.mp4", speech=speech).status == 130
        write_wav(speech, 0.5 * voice(1.0))
        os.utime(speech, (1, 1))
        stopped.n_written, stopped.after = 0, None
        assert sync("-o", "out.mp4", "--resume", speech=speech).status == 0
        assert stopped.n_written == 25

    @pytest.mark.usefixtures("in_parts")
    def test_parts_show_what_one_piece_shows(self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the compositor carries from frame to frame begins anew in a part; the rest is the same."""
        assert sync("-o", "parts.mp4").status == 0
        monkeypatch.setattr(sync_draw, "LONG_S", 60.0)
        assert sync("-o", "whole.mp4").status == 0
        parts, whole = pictures(tmp_path / "parts.mp4"), pictures(tmp_path / "whole.mp4")
        assert all(same(a, b, MASK) for a, b in zip(parts, whole, strict=True))
        assert max(change(a, b, MASK) for a, b in zip(parts, whole)) < 2
        assert frame_times(tmp_path / "parts.mp4") == pytest.approx(frame_times(tmp_path / "whole.mp4"), abs=1e-9)
        heard = [read_audio(tmp_path / f"{name}.mp4", origin_s=0.0) for name in ("parts", "whole")]
        assert np.array_equal(*heard)

    def test_resume_without_anything_to_go_on_with_is_a_plain_run(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--resume").status == 0
        assert len(pictures(tmp_path / "out.mp4")) == 25


class TestSeveral:
    @pytest.fixture
    def films(self, media: Path, tmp_path: Path) -> list[Path]:
        """A good clip, one that is none, and another good one."""
        folder = tmp_path / "films"
        folder.mkdir()
        (folder / "one.mp4").write_bytes((media / "clip.mp4").read_bytes())
        (folder / "two.mp4").write_bytes(b"this is no video" * 100)
        (folder / "three.mp4").write_bytes((media / "mute.mp4").read_bytes())
        return [folder / f"{name}.mp4" for name in ("one", "two", "three")]

    @pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_a_failed_one_is_named_at_the_end_and_the_others_are_there(
        self, sync: Run, tmp_path: Path, films: list[Path], jobs: int
    ) -> None:
        outcome = sync("-o", "made", "--jobs", jobs, video=films)
        assert outcome.status == 1
        last = outcome.err.splitlines()[-1]
        assert last.startswith("error: 1 of 3 failed: ")
        assert "two.mp4" in last
        assert "Traceback" not in outcome.err
        names = ["one-synced.mp4", "three-synced.mp4"]
        assert sorted(path.name for path in (tmp_path / "made").glob("*.mp4")) == names
        assert outcome.out.split() == [str((tmp_path / "made" / name).resolve()) for name in names]
        for name in names:
            assert len(pictures(tmp_path / "made" / name)) == 25
            assert (tmp_path / "made" / name).with_suffix(".w2l.json").is_file()
        assert len(list((tmp_path / "made").iterdir())) == 4

    def test_all_good_is_status_0(self, sync: Run, films: list[Path]) -> None:
        outcome = sync("-o", "made", "--json", video=[films[0], films[2]])
        assert outcome.status == 0
        assert [Path(one["video"]).name for one in json.loads(outcome.out)] == ["one.mp4", "three.mp4"]

    def test_one_video_into_a_folder(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "made").mkdir()
        assert sync("-o", "made").out == "made/clip-synced.mp4\n"

    @pytest.mark.parametrize("output", ["out.mp4", "films/one.mp4"])
    def test_several_need_a_folder(self, sync: Run, tmp_path: Path, films: list[Path], output: str) -> None:
        before = listing(tmp_path)
        one_line(sync("-o", output, video=films), 2, output)
        assert listing(tmp_path) == before

    def test_two_of_one_name_are_refused(self, sync: Run, tmp_path: Path, films: list[Path], media: Path) -> None:
        (tmp_path / "one.mp4").write_bytes(b"")
        before = listing(tmp_path)
        one_line(sync("-o", "made", video=[films[0], tmp_path / "one.mp4"]), 2, "same name")
        assert listing(tmp_path) == before

    def test_wrong_usage_is_said_before_a_folder_is_made(self, sync: Run, tmp_path: Path, films: list[Path]) -> None:
        before = listing(tmp_path)
        one_line(sync("-o", "made", "--crf", 99, video=films), 2, "crf")
        assert listing(tmp_path) == before


class TestStreams:
    @pytest.fixture
    def dubbed(self, tmp_path: Path) -> Path:
        """A video with two streams of sound."""
        path = tmp_path / "dubbed.mkv"
        with av.open(str(path), "w") as container:
            video: Any = container.add_stream("libx264", rate=25, options={"crf": "10"})
            video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
            sounds: list[Any] = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(2)]
            for sound, language in zip(sounds, ("eng", "fra")):
                sound.metadata["language"] = language
            for image in pattern(10):
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            for sound in sounds:
                frame = av.AudioFrame.from_ndarray(click_wave(48000)[:, :24000], "fltp", "mono")
                frame.sample_rate, frame.pts = 48000, 0
                container.mux(sound.encode(frame))
            for stream in (video, *sounds):
                container.mux(stream.encode(None))
        return path

    @pytest.mark.parametrize(("extra", "n_sounds"), [((), 1), (("--keep-streams",), 2), (("--no-keep-streams",), 1)])
    def test_other_sound_is_kept_when_asked(
        self, sync: Run, tmp_path: Path, dubbed: Path, extra: tuple[str, ...], n_sounds: int
    ) -> None:
        assert sync("-o", "out.mkv", "--fit", "video", *extra, video=dubbed).status == 0
        kinds = [kind for kind, _ in streams(tmp_path / "out.mkv")]
        assert kinds == ["video", *(n_sounds * ["audio"])]
        if n_sounds == 2:
            with av.open(str(tmp_path / "out.mkv")) as container:
                assert container.streams.audio[1].metadata["language"] == "fra"


class TestEncoding:
    @pytest.mark.parametrize(("ending", "codec"), [("mp4", "hevc"), ("mkv", "av1"), ("webm", "av1"), ("mov", "h264")])
    def test_codecs(self, sync: Run, tmp_path: Path, ending: str, codec: str) -> None:
        outcome = sync("-o", f"out.{ending}", "--codec", codec, "--fit", "video", crf=20)
        assert outcome.status == 0, outcome.err
        assert streams(tmp_path / f"out.{ending}")[0] == ("video", codec)
        assert len(pictures(tmp_path / f"out.{ending}")) == 15

    def test_crf(self, sync: Run, tmp_path: Path) -> None:
        sizes = []
        for crf in (10, 40):
            assert sync("-o", f"{crf}.mp4", crf=crf).status == 0
            sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
        assert sizes[0] > 2 * sizes[1]


@pytest.mark.parametrize(("extra", "said"), [
    (("--set", "blent=hard"), "did you mean blend"), (("--crf", "60"), "between 0 and 51"),
    (("--box", "1,2,3"), "box"), (("--box", "a,b,c,d"), "four numbers"), (("--box", "0,0,999,50"), "144 x 120"),
    (("--box", "0,0,8,8"), "16 px"), (("--box", "50,50,20,20"), "x1,y1,x2,y2"), (("--box", "nan,0,50,50"), "box"),
    (("--face", "left"), "--box and --face"), (("--blend", "none"), "--blend"), (("--preset", "warp"), "warp"),
    (("--no-such-option",), "--no-such-option"), (("--set", "detect.stride=0"), "stride"), (("--fps", "0"), "fps"),
    (("--fps", "nan"), "fps"), (("--fps", "1e9"), "fps"), (("--start", "-1"), "start"), (("--start", "nan"), "start"),
    (("--end", "nan"), "end"), (("--start", "0.5", "--end", "0.5"), "must be after"), (("--jobs", "0"), "--jobs"),
    (("--start", "1:75"), "'1:75' is not a time; write"), (("--preview", "soon"), "'soon' is not a time; write"),
    (("--set", "start_s='1:75'"), "sync.start_s: '1:75' is not a time; write"),
    (("--start", "30"), "past the end"), (("--preview", "nan"), "nan"), (("--preview", "-3"), "-3"),
    (("--codec", "hevc", "--crf", "60"), "between 0 and 51"), (("--look-ahead", "0.5"), "must be auto, all or seconds"),
    (("--look-ahead", "some"), "look_ahead 'some'"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")  # fmt: skip
def test_wrong_usage_is_one_line(sync: Run, tmp_path: Path, extra: tuple[str, ...], said: str) -> None:
    outcome = sync("-o", "out.mp4", *extra)
    one_line(outcome, 2, said)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("files", [(), ("one.mp4",)])
def test_a_video_and_a_speech_are_asked_for(w2l: Run, tmp_path: Path, files: tuple[str, ...]) -> None:
    one_line(w2l("sync", *files), 2, "VIDEO", "SPEECH")
    assert listing(tmp_path) == {}


def test_settings_file_with_an_unknown_key(sync: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("sync: {crfs: 3}\n")
    one_line(sync("-o", "out.mp4", "--config", tmp_path / "mine.yaml"), 2, "crfs")


def test_help_is_grouped_and_shows_defaults_and_examples(w2l: Run) -> None:
    outcome = w2l("sync", "--help")
    assert outcome.status == 0
    for heading in ("Pairs", "Faces", "Picture", "Time and sound", "Output", "Work"):
        assert f"{heading}:\n" in outcome.out
    for default in ("auto", "bounce", "soft", "close", "keep", "speech", "18 for h264; equivalent for others"):
        assert f"[{default}]" in " ".join(outcome.out.split())
    assert outcome.out.count("\n  w2l sync ") == 7
    assert max(len(line) for line in outcome.out.splitlines()) <= 100

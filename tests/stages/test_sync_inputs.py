"""sync of what people have: every odd or broken input gives a good result, or one line of error and nothing else."""

import json
import logging
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.helpers.made_media import QUARTER_TURN, damage, make_sound, make_video
from tests.helpers.sync_runs import (
    ANN,
    BOB,
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
from w2l.cache.store import Cache
from w2l.faces.detectors.factory import make_detector
from w2l.features.crop import CropSpec
from w2l.media.audio import read_audio, write_wav
from w2l.media.video import probe
from w2l.syncing.plan import Plan, make_plan
from w2l.syncing.settings import SyncSettings

ODD_SIZE = (121, 145)
ODD_NAMES = ("a b.mp4", 'it\'s "so".mp4', "Grüße 你好.mp4", "-dash.mp4", "per%03d.mp4", "$HOME;#.mp4", "x:y.mp4")
MASK = support(SIZE[1], SIZE[0])
MAKERS: dict[str, Callable[[Path], Path]] = {
    "odd": lambda to: write_pictures(to / "odd.avi", pattern(4, ODD_SIZE), "ffv1"),
    "one": lambda to: write_pictures(to / "one.mp4", pattern(1)),
    "fast": lambda to: write_pictures(to / "fast.mp4", pattern(12), fps=60),
    "grey": lambda to: write_pictures(to / "grey.mkv", pattern(4), "ffv1", "gray"),
    "deep_grey": lambda to: write_pictures(to / "grey10.mkv", pattern(4), "ffv1", "gray10le"),
    "alpha": lambda to: write_pictures(to / "alpha.mkv", _with_alpha(4), "ffv1", "yuva420p", source_format="rgba"),
    "rgba": lambda to: write_pictures(to / "rgba.mov", _with_alpha(4), "png", "rgba", source_format="rgba"),
    "full": lambda to: write_pictures(to / "full.mov", pattern(4), "mjpeg", "yuvj420p"),
    "yuv444": lambda to: write_pictures(to / "wide.mp4", pattern(4), "libx264", "yuv444p"),
    "interlaced": lambda to: write_pictures(
        to / "woven.mp4", pattern(8), interlaced=True, options={"x264-params": "interlaced=1:tff=1", "crf": "10"}
    ),
    "no_times": lambda to: write_pictures(to / "bare.h264", pattern(12), muxer="h264"),
    "ending": lambda to: write_pictures(to / "film.txt", pattern(4), muxer="mp4"),
    "no_ending": lambda to: write_pictures(to / "film", pattern(4), muxer="matroska"),
}


def _with_alpha(count: int) -> Iterator[Any]:
    for image in pattern(count):
        yield np.dstack([image, np.tile(np.arange(image.shape[1], dtype=np.uint8), (image.shape[0], 1))])


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """After every test: no half-written file, lock or part in sight."""
    yield
    assert not [name for name in listing(tmp_path) if ".tmp-" in name or "w2l-parts" in name]


class TestPictures:
    @pytest.mark.parametrize("kind", MAKERS)
    def test_what_is_not_redrawn_stays_as_it_was_decoded(self, sync: Run, tmp_path: Path, kind: str) -> None:
        source = MAKERS[kind](tmp_path)
        outcome = sync("-o", "out.mp4", "--fit", "video", video=source)
        assert outcome.status == 0, outcome.err
        theirs, ours = pictures(source), pictures(tmp_path / "out.mp4")
        info, made = probe(source), probe(tmp_path / "out.mp4")
        assert len(ours) == len(theirs)
        assert (made.fps, made.pixel_aspect, made.interlaced) == (info.fps, info.pixel_aspect, False)
        assert made.colour.full_range == info.colour.full_range
        mask = support(info.width, info.height)
        for picture, original in zip(ours, theirs):
            whole = picture
            if original.width % 2:  # the last row and column come twice
                half = (original.height + 1) // 2, (original.width + 1) // 2
                assert (picture.height, picture.width) == (2 * half[0], 2 * half[1])
                whole = type(picture)(
                    picture.y[: original.height, : original.width], picture.u, picture.v, picture.colour
                )
            assert same(whole, original, mask)
            assert change(whole, original, mask) > 2
            assert whole.colour.depth == original.colour.depth

    def test_grey_stays_grey(self, sync: Run, tmp_path: Path) -> None:
        source = MAKERS["grey"](tmp_path)
        assert sync("-o", "out.mp4", "--fit", "video", video=source).status == 0
        for picture in pictures(tmp_path / "out.mp4"):
            away = np.abs(picture.u.astype(int) - 128)
            assert away[:8].max() == 0  # the mouth may be drawn in colour, the rest not

    def test_a_variable_rate_keeps_its_timestamps(self, sync: Run, tmp_path: Path) -> None:
        steps = [4, 4, 2, 8, 6, 4, 12, 4, 2, 4]
        times = np.concatenate([[0], np.cumsum(steps)]) / 100
        make_video(tmp_path / "uneven.mp4", pattern(len(times)), times.tolist())
        assert sync("-o", "out.mp4", "--fit", "video", video=tmp_path / "uneven.mp4").status == 0
        assert np.abs(frame_times(tmp_path / "out.mp4") - times).max() < 1e-6
        assert json.loads((tmp_path / "out.w2l.json").read_text())["variable_rate"] is True
        assert order_of(pictures(tmp_path / "out.mp4"), pictures(tmp_path / "uneven.mp4"), MASK) == list(range(11))

    def test_of_a_variable_rate_longer_speech_goes_on_at_its_pace(self, sync: Run, tmp_path: Path) -> None:
        times = np.array([0, 4, 16, 20, 36, 40]) / 100
        make_video(tmp_path / "uneven.mp4", pattern(len(times)), times.tolist())
        assert sync("-o", "out.mp4", video=tmp_path / "uneven.mp4").status == 0
        made = frame_times(tmp_path / "out.mp4")
        assert np.abs(made[:6] - times).max() < 1e-6
        assert (np.diff(made) > 0.01).all()
        assert 0.8 < made[-1] < 1.0

    def test_a_rotated_phone_video_comes_out_upright(self, sync: Run, tmp_path: Path) -> None:
        make_video(tmp_path / "phone.mp4", pattern(4, (144, 120)), matrix=QUARTER_TURN)
        source = pictures(tmp_path / "phone.mp4")
        assert (source[0].height, source[0].width) == (120, 144)
        assert sync("-o", "out.mp4", "--fit", "video", video=tmp_path / "phone.mp4").status == 0
        with av.open(str(tmp_path / "out.mp4")) as container:
            coded = container.streams.video[0]
            assert (coded.height, coded.width) == (120, 144)
            assert not next(container.decode(coded)).rotation
        assert order_of(pictures(tmp_path / "out.mp4"), source, MASK) == [0, 1, 2, 3]

    def test_an_interlaced_video_comes_out_progressive(self, sync: Run, tmp_path: Path) -> None:
        source = MAKERS["interlaced"](tmp_path)
        assert probe(source).interlaced
        assert sync("-o", "out.mp4", "--fit", "video", video=source).status == 0
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert not any(frame.interlaced_frame for frame in container.decode(video=0))

    def test_without_timestamps_the_stated_rate_counts(self, sync: Run, tmp_path: Path) -> None:
        assert sync("-o", "out.mp4", "--fit", "video", video=MAKERS["no_times"](tmp_path)).status == 0
        assert frame_times(tmp_path / "out.mp4") == pytest.approx(np.arange(12) / 25, abs=1e-6)

    def test_a_picture_with_alpha_is_a_still(self, sync: Run, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "cut out.png"), next(_with_alpha(1))[..., [2, 1, 0, 3]])
        assert sync("-o", "out.mp4", video=tmp_path / "cut out.png").status == 0
        assert len(pictures(tmp_path / "out.mp4")) == 25


class TestDamage:
    @pytest.fixture
    def long(self, tmp_path: Path) -> Path:
        return write_pictures(tmp_path / "long.mkv", pattern(40), options={"g": "8", "crf": "20", "bf": "0"})

    def test_a_truncated_file_gives_what_is_there(self, sync: Run, tmp_path: Path, long: Path) -> None:
        content = long.read_bytes()
        (tmp_path / "torn.mkv").write_bytes(content[: len(content) // 2])
        n_there = len(pictures(tmp_path / "torn.mkv"))
        assert 10 < n_there < 30
        assert sync("-o", "out.mp4", "--fit", "video", video=tmp_path / "torn.mkv").status == 0
        assert len(pictures(tmp_path / "out.mp4")) == n_there

    def test_a_truncated_file_without_its_index_is_one_line(self, sync: Run, media: Path, tmp_path: Path) -> None:
        content = (media / "clip.mp4").read_bytes()
        (tmp_path / "torn.mp4").write_bytes(content[: len(content) // 2])
        before = listing(tmp_path)
        one_line(sync("-o", "out.mp4", video=tmp_path / "torn.mp4"), 1, "torn.mp4")
        assert listing(tmp_path) == before

    @pytest.mark.parametrize("by_box", [True, False])
    def test_corrupt_packets_in_the_middle_are_passed_over(
        self, sync: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, by_box: bool
    ) -> None:
        if by_box:
            path = write_pictures(tmp_path / "torn.mp4", pattern(40), options={"g": "8", "crf": "20"})
        else:
            images = (room([(ANN, 150 + k, 120, 56)], k % 5 / 12) for k in range(40))
            path = write_pictures(tmp_path / "torn.mp4", images, options={"g": "8", "crf": "10"})
        whole = pictures(path)
        with av.open(str(path)) as container:
            hit = [packet for packet in container.demux(video=0) if packet.size][17:20]
            places = [(packet.pos, packet.size) for packet in hit]
        content = bytearray(path.read_bytes())
        for start, size in places:
            content[start : start + size] = np.random.default_rng(start).bytes(size)
        path.write_bytes(content)
        n_left = len(pictures(path))
        assert 25 <= n_left < 40
        caplog.set_level(logging.WARNING)
        outcome = sync("-o", "out.mp4", "--fit", "video", video=path, faces=not by_box)
        assert outcome.status == 0, outcome.err
        assert "damaged packets" in outcome.err + caplog.text
        made = pictures(tmp_path / "out.mp4")
        assert 25 <= len(made) <= 40
        mask = support(whole[0].width, whole[0].height) if by_box else None
        if by_box:
            assert same(made[0], whole[0], mask)
            assert same(made[-1], whole[-1], mask)
        assert frame_times(tmp_path / "out.mp4")[-1] == pytest.approx(39 / 25, abs=0.021)

    def test_noise_over_half_of_a_file_ends_well_or_in_one_line(self, sync: Run, tmp_path: Path, long: Path) -> None:
        damage(long, 0.4, 0.9)
        before = listing(tmp_path)
        outcome = sync("-o", "out.mp4", "--fit", "video", video=long)
        if outcome.status:
            one_line(outcome, 1, "long.mkv")
            assert listing(tmp_path) == before
        else:
            assert len(pictures(tmp_path / "out.mp4")) >= 8


SOUNDS: dict[str, tuple[str, int, int, str]] = {
    "8k.wav": ("pcm_s16le", 8000, 1, "aac"),
    "48k.wav": ("pcm_s16le", 48000, 2, "aac"),
    "six.flac": ("flac", 48000, 6, "aac"),
    "six.m4a": ("aac", 48000, 6, "aac"),
    "one.mp3": ("libmp3lame", 44100, 1, "mp3"),
    "one.m4a": ("aac", 44100, 2, "aac"),
    "one.opus": ("libopus", 48000, 1, "aac"),
}
"""Name -> codec, sample rate, channels, and the codec in the MP4 made of it."""
FORMATS = {"libmp3lame": "fltp", "aac": "fltp", "libopus": "flt", "pcm_s16le": "s16", "flac": "s16"}


def write_sound(path: Path, wave: Any, codec: str, rate: int, n_channels: int) -> Path:
    """A mono wave (samples,) on all channels of a sound file."""
    if codec in ("aac", "libmp3lame"):
        return make_sound(path, np.repeat(wave[None], n_channels, axis=0), rate, codec)
    with av.open(str(path), "w") as container:
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[n_channels]
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        kind = FORMATS[codec]
        samples = np.repeat(wave[:, None], n_channels, axis=1).reshape(1, -1)
        samples = samples if kind == "flt" else (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), kind, layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class TestSounds:
    @pytest.mark.parametrize("name", SOUNDS)
    def test_any_sound_is_heard_whole(self, sync: Run, tmp_path: Path, name: str) -> None:
        codec, rate, n_channels, made_of = SOUNDS[name]
        wave = voice(0.8, rate)
        write_sound(tmp_path / name, wave, codec, rate, n_channels)
        outcome = sync("-o", "out.mp4", speech=tmp_path / name)
        assert outcome.status == 0, outcome.err
        assert streams(tmp_path / "out.mp4") == [("video", "h264"), ("audio", made_of)]
        heard = read_audio(tmp_path / "out.mp4", origin_s=0.0)
        assert 20 <= len(pictures(tmp_path / "out.mp4")) <= 21
        wanted = voice(0.8)
        n_both = min(len(heard), len(wanted))
        assert n_both > 0.78 * 16000
        assert np.corrcoef(heard[:n_both], wanted[:n_both])[0, 1] > 0.97

    @pytest.mark.parametrize(("name", "ending", "codec"), [
        ("one.opus", "mkv", "opus"), ("six.flac", "mkv", "flac"), ("one.mp3", "mov", "mp3"), ("one.m4a", "mov", "aac"),
    ])  # fmt: skip
    def test_it_is_copied_where_the_container_takes_it(
        self, sync: Run, tmp_path: Path, name: str, ending: str, codec: str
    ) -> None:
        write_sound(tmp_path / name, voice(0.6, SOUNDS[name][1]), *SOUNDS[name][:3])
        assert sync("-o", f"out.{ending}", speech=tmp_path / name).status == 0
        assert streams(tmp_path / f"out.{ending}")[1] == ("audio", codec)
        with av.open(str(tmp_path / name)) as first, av.open(str(tmp_path / f"out.{ending}")) as second:
            sent, came = ([bytes(packet) for packet in file.demux(audio=0) if packet.size] for file in (first, second))
        assert came == sent[: len(came)]
        assert len(came) >= len(sent) - 2

    def test_sound_of_another_video(self, sync: Run, media: Path, tmp_path: Path) -> None:
        make_video(tmp_path / "talk.mp4", pattern(20, (48, 64)), wave=voice(0.8, 48000)[None])
        assert sync("-o", "out.mp4", speech=tmp_path / "talk.mp4").status == 0
        made = pictures(tmp_path / "out.mp4")
        assert 20 <= len(made) <= 21
        assert same(made[0], pictures(media / "clip.mp4")[0], MASK)

    @pytest.mark.parametrize("seconds", [0.05, 0.01, 0.2])
    def test_too_short_is_one_line(self, sync: Run, tmp_path: Path, seconds: float) -> None:
        write_wav(tmp_path / "blip.wav", voice(seconds + 0.001)[: round(seconds * 16000) - 1])
        before = listing(tmp_path)
        one_line(sync("-o", "out.mp4", speech=tmp_path / "blip.wav"), 1, "blip.wav", "at least", f"{seconds:.2f}"[:3])
        assert listing(tmp_path) == before

    def test_no_sample_at_all_is_one_line(self, sync: Run, tmp_path: Path) -> None:
        write_wav(tmp_path / "none.wav", voice(0))
        one_line(sync("-o", "out.mp4", speech=tmp_path / "none.wav"), 1, "none.wav")

    def test_digital_silence_keeps_the_mouth_at_rest(self, sync: Run, media: Path, tmp_path: Path) -> None:
        write_wav(tmp_path / "mute.wav", np.zeros(16000, np.float32))
        still = write_pictures(tmp_path / "still.mp4", (image for _ in range(5) for image in pattern(1)))
        assert sync("-o", "out.mp4", "--set", "encoding.crf=0", video=still, speech=tmp_path / "mute.wav").status == 0
        made = pictures(tmp_path / "out.mp4")
        assert len(made) == 25
        assert max(change(picture, made[12], MASK) for picture in made[5:]) < 1.5
        assert sync("-o", "src.mp4", "--silence", "source", speech=tmp_path / "mute.wav").status == 0
        assert json.loads((tmp_path / "src.w2l.json").read_text())["frames_passed_through"] == {"the speech pauses": 25}
        assert same(pictures(tmp_path / "src.mp4")[3], pictures(media / "clip.mp4")[3])

    def test_clipping_is_only_loud(self, sync: Run, tmp_path: Path) -> None:
        write_wav(tmp_path / "loud.wav", np.clip(8 * voice(1.0), -1, 1))
        assert sync("-o", "out.mp4", speech=tmp_path / "loud.wav").status == 0
        assert len(pictures(tmp_path / "out.mp4")) == 25
        assert np.abs(read_audio(tmp_path / "out.mp4")).max() > 0.9


class TestRefusals:
    @pytest.mark.parametrize(("video", "said"), [
        ("none.mp4", "no such file"), ("junk.mp4", "not a readable"), ("empty.mp4", "empty"),
        ("speech.wav", "no video"),
    ])  # fmt: skip
    def test_video(self, sync: Run, tmp_path: Path, video: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", video=video), 1, video, said)
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize(("speech", "said"), [
        ("none.wav", "no such file"), ("mute.mp4", "no sound"), ("short.wav", "0.2 s"), ("empty.mp4", "empty"),
        ("junk.mp4", "not a readable"),
    ])  # fmt: skip
    def test_speech(self, sync: Run, tmp_path: Path, speech: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", speech=speech), 1, speech, said)
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize(("model", "said"), [
        ("expert", "is of kind expert, not generator"), ("cut", "damaged"), ("none", "no generator named"),
    ])  # fmt: skip
    def test_model_file_of_another_kind(self, sync: Run, tmp_path: Path, model: str, said: str) -> None:
        one_line(sync("-o", "out.mp4", model=model), 1, f"{model}.safetensors", said)
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize("model", ["clip.mp4", "speech.wav", "."])
    def test_model_that_is_no_model(self, w2l: Run, media: Path, tmp_path: Path, model: str) -> None:
        given = (media / "clip.mp4", media / "speech.wav", "--box", "40,20,104,100", "--device", "cpu")
        one_line(w2l("sync", *given, "--model", media / model, "-o", "out.mp4"), 1, str(media / model))
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize("output", ["nowhere/out.mp4", "out.xyz", "out"])
    def test_output_that_cannot_be_written(self, sync: Run, tmp_path: Path, output: str) -> None:
        one_line(sync("-o", output), 1, output)
        assert listing(tmp_path) == {}

    def test_output_under_a_file(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("precious")
        one_line(sync("-o", "file/out.mp4"), 1, "file/out.mp4", "cannot be written")
        assert listing(tmp_path) == {"file": b"precious"}

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_output_in_a_folder_that_is_read_only(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "locked").mkdir(mode=0o500)
        one_line(sync("-o", "locked/out.mp4"), 1, "locked/out.mp4", "cannot be written")
        assert not list((tmp_path / "locked").iterdir())

    def test_output_that_exists_is_kept_unless_asked(self, sync: Run, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").write_bytes(b"precious")
        one_line(sync("-o", "out.mp4"), 2, "out.mp4 exists", "-y")
        assert listing(tmp_path) == {"out.mp4": b"precious"}
        assert sync("-o", "out.mp4", "-y").status == 0
        assert probe(tmp_path / "out.mp4").width == SIZE[1]

    @pytest.mark.parametrize("which", ["clip.mp4", "speech.wav"])
    def test_output_that_is_an_input(self, sync: Run, media: Path, which: str) -> None:
        before = (media / which).read_bytes()
        one_line(sync("-y", "-o", media / which), 2, "input")
        assert (media / which).read_bytes() == before

    @pytest.mark.parametrize("n_bytes", [1000, 30_000])
    def test_a_full_disk_is_one_line_and_leaves_nothing(
        self, sync: Run, tmp_path: Path, no_more_than: Callable[[int], None], n_bytes: int
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (10, *SIZE, 3), dtype=np.uint8)
        source = write_pictures(tmp_path / "noise.mkv", noise, options={"crf": "10"})
        before = listing(tmp_path)
        no_more_than(n_bytes)
        outcome = sync("-o", "out.mp4", "--on-covered", "keep", video=source)
        no_more_than(-1)
        one_line(outcome, 1, "out.mp4", "space", n_logged=2 if n_bytes < 2000 else 1)  # the cache is full, too
        assert listing(tmp_path) == before

    def test_a_full_disk_keeps_the_result_of_before(
        self, sync: Run, tmp_path: Path, no_more_than: Callable[[int], None]
    ) -> None:
        (tmp_path / "out.mp4").write_bytes(b"precious")
        no_more_than(1000)
        outcome = sync("-o", "out.mp4", "-y", "--on-covered", "keep")
        no_more_than(-1)
        one_line(outcome, 1, "out.mp4", n_logged=2)
        assert listing(tmp_path) == {"out.mp4": b"precious"}


@pytest.fixture
def no_more_than() -> Iterator[Callable[[int], None]]:
    """Lets files of this process grow to so many bytes, as on a disk that is full; -1: to any size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if n_bytes < 0 else n_bytes, hard))

    yield limit
    limit(-1)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_with_odd_characters(w2l: Run, media: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / f"in {name[:4]}"
    folder.mkdir()
    (folder / name).write_bytes((media / "clip.mp4").read_bytes())
    (folder / f"{name}.wav").write_bytes((media / "speech.wav").read_bytes())
    given = (folder / name, folder / f"{name}.wav", "--model", media / "aligned.safetensors", "--device", "cpu")
    outcome = w2l("sync", *given, "--box", "40,20,104,100", "--preset", "ultrafast", "-o", folder / f"out {name}")
    assert (outcome.status, outcome.err.count("error")) == (0, 0), outcome.err
    assert outcome.out == f"{folder / f'out {name}'}\n"
    assert len(pictures(folder / f"out {name}")) == 25
    assert (folder / f"out {Path(name).stem}.w2l.json").is_file()


class TestFaces:
    """Made faces that leave, cross and change places."""

    @pytest.fixture
    def plan_of(self, media: Path, tmp_path: Path) -> Callable[..., Plan]:
        """The plan of a video, faces detected."""

        def plan(path: Path, **settings: Any) -> Plan:
            cache = Cache.open(tmp_path / "cache", create=True)
            chosen = SyncSettings(fit="video", **settings)
            spec = CropSpec("aligned", 96)
            return make_plan(chosen, probe(path), media / "speech.wav", spec, cache, make_detector("auto", "cpu"))

        return plan

    def test_none_at_all(self, sync: Run, tmp_path: Path) -> None:
        write_pictures(tmp_path / "wall.mp4", (room([]) for _ in range(5)))
        before = listing(tmp_path)
        outcome = sync("-o", "out.mp4", video=tmp_path / "wall.mp4", faces=True)
        one_line(outcome, 1, "wall.mp4", "no faces in 5 frames", "--box")
        assert listing(tmp_path) == before

    def test_none_in_the_first_half(self, sync: Run, tmp_path: Path) -> None:
        images = (room([(ANN, 160, 120, 56)] if k >= 12 else [], k % 5 / 12) for k in range(25))
        path = write_pictures(tmp_path / "late.mp4", images, options={"crf": "10"})
        assert sync("-o", "out.mp4", video=path, faces=True).status == 0
        source, made = pictures(path), pictures(tmp_path / "out.mp4")
        assert [same(ours, theirs) for ours, theirs in zip(made, source, strict=True)] == 12 * [True] + 13 * [False]
        beside = json.loads((tmp_path / "out.w2l.json").read_text())
        assert beside["frames_passed_through"] == {"no face": 12}

    def test_a_missing_face_can_fail(self, sync: Run, tmp_path: Path) -> None:
        images = (room([(ANN, 160, 120, 56)] if k >= 5 else []) for k in range(15))
        write_pictures(tmp_path / "late.mp4", images, options={"crf": "10"})
        before = listing(tmp_path)
        outcome = sync("-o", "out.mp4", "--on-missing", "fail", video=tmp_path / "late.mp4", faces=True)
        one_line(outcome, 1, "late.mp4", "0.00 s", "no face")
        assert listing(tmp_path) == before

    def test_of_two_that_cross_the_chosen_one_stays_chosen(self, plan_of: Callable[..., Plan], tmp_path: Path) -> None:
        n_frames = 50
        ann_x = np.linspace(70, 250, n_frames)
        bob_x = ann_x[::-1]
        images = (
            room([(BOB, float(bob), 110, 38), (ANN, float(ann), 125, 46)], k % 5 / 12)
            for k, (ann, bob) in enumerate(zip(ann_x, bob_x))
        )
        path = write_pictures(tmp_path / "cross.mp4", images, options={"crf": "10"})
        for face, truth, other in (("70,125@0", ann_x, bob_x), ("250,110@0", bob_x, ann_x)):
            faces = plan_of(path, face=face).faces
            seen = [idx for idx in range(n_frames) if faces.at(idx)]
            assert len(seen) > 0.6 * n_frames
            for idx in seen:
                (found,) = faces.at(idx)
                x = float(found.box[[0, 2]].mean())
                assert abs(x - truth[idx]) < 25, (face, idx)
                if abs(truth[idx] - other[idx]) > 60:
                    assert abs(x - truth[idx]) < abs(x - other[idx])
            assert {0, n_frames - 1} <= set(seen)

    def test_a_cut_every_second_drags_nothing_along(self, plan_of: Callable[..., Plan], tmp_path: Path) -> None:
        """Shots of a second at 10 fps: left, right, an empty wall, left again."""
        places = [80, 240, None, 90]
        walls = [(0, 0, 0), (60, 30, -40), (-40, 50, 60), (90, -60, 0)]

        def image(k: int) -> Any:
            place, wall = places[k // 10], walls[k // 10]
            drawn = room([] if place is None else [(ANN, place, 120, 50)], k % 3 / 8).astype(int)
            is_wall = (np.abs(drawn - [70, 110, 140]) < 12).all(axis=-1)
            drawn[is_wall] += wall
            return np.clip(drawn, 0, 255).astype(np.uint8)

        path = write_pictures(tmp_path / "cuts.mp4", map(image, range(40)), fps=10, options={"crf": "10"})
        plan = plan_of(path)
        for idx in range(40):
            faces, place = plan.faces.at(idx), places[idx // 10]
            assert len(faces) == (place is not None), idx
            for face in faces:
                assert abs(float(face.box[[0, 2]].mean()) - float(place or 0)) < 12, idx
                assert face.strength == 1.0  # a shot begins with the face at full strength
        assert plan.passed_through() == {"no face": 10}

    def test_one_that_leaves_by_the_edge(self, sync: Run, tmp_path: Path) -> None:
        x = [160 + max(0, k - 5) * 14 for k in range(25)]
        images = (room([(ANN, place, 120, 50)], k % 5 / 12) for k, place in enumerate(x))
        path = write_pictures(tmp_path / "away.mp4", images, options={"crf": "10"})
        assert sync("-o", "out.mp4", video=path, faces=True).status == 0
        untouched = [same(*pair) for pair in zip(pictures(tmp_path / "out.mp4"), pictures(path), strict=True)]
        assert not any(untouched[:8])
        assert all(untouched[idx] for idx in range(25) if x[idx] > 380)
        left = untouched.index(True)
        assert all(untouched[left:])  # it does not flicker on its way out

    def test_one_that_fills_the_picture_by_a_box_at_its_edge(self, sync: Run, tmp_path: Path) -> None:
        outcome = sync("-o", "out.mp4", "--box", f"60,30,{SIZE[1]},{SIZE[0]}")
        assert outcome.status == 0, outcome.err
        assert len(pictures(tmp_path / "out.mp4")) == 25

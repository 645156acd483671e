"""Outputs in parts: put together they are the whole, and no crash, at any moment, leaves half a file."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.made_media import click_times, click_wave, make_sound
from w2l.core.errors import MediaError
from w2l.media.audio import read_audio
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.parts import Parts, part_edges
from w2l.media.picture import Colour, Picture
from w2l.media.writer import VideoWriter

WIDTH, HEIGHT = 96, 64
PLAIN = Colour("bt601")
UNEVEN = np.cumsum([0.0] + [0.04, 0.011, 0.2, 0.0333, 0.05] * 10)[:41]
LOSSLESS = Encoding(crf=0)


def picture(idx: int, colour: Colour = PLAIN) -> Picture:
    """A picture that no other index has: noise that drifts, so that encoders make use of what was before."""
    noise = np.random.default_rng(0).integers(16, 220, (HEIGHT, 2 * WIDTH))
    scale, dtype = (1, np.uint8) if colour.depth == 8 else (4, np.uint16)
    y = (noise[:, idx : idx + WIDTH] * scale).astype(dtype)
    u = np.full((HEIGHT // 2, WIDTH // 2), (80 + idx) * scale, dtype)
    return Picture(y, u, u[::-1] + dtype(3), colour)


def parts_of(
    path: Path, edges: tuple[int, ...], times: NDArray[np.float64], mark: str = "a", resume: bool = False,
    **settings: Any,
) -> Parts:  # fmt: skip
    return Parts(Output(path, WIDTH, HEIGHT, 25.0, **({"colour": PLAIN} | settings)), times, edges, mark, resume)


def write_parts(path: Path, edges: tuple[int, ...], times: NDArray[np.float64], **settings: Any) -> None:
    colour = settings.setdefault("colour", PLAIN)
    with parts_of(path, edges, times, **settings) as parts:
        for part in range(parts.n_parts):
            if not parts.finished(part):
                with parts.writer(part) as writer:
                    for idx in parts.pictures(part):
                        writer.write(picture(idx, colour))
        parts.assemble()


def decoded(path: Path) -> list[tuple[float, tuple[bytes, ...]]]:
    """Time and planes of each picture."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            dtype = np.uint16 if "10" in frame.format.name else np.uint8
            planes = [np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
            pictures.append((float(frame.time), tuple(plane.tobytes() for plane in planes)))
    return pictures


def planes_of(source: Picture) -> tuple[bytes, ...]:
    return tuple(plane.tobytes() for plane in (source.y, source.u, source.v))


def packet_times(path: Path) -> list[tuple[float, float]]:
    """(pts, dts) of each picture's packet, seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (float(packet.pts * packet.time_base), float((packet.dts or 0) * packet.time_base))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("variable", [False, True], ids=["constant", "variable"])
@pytest.mark.parametrize(
    "edges", [(0, 41), (0, 20, 41), (0, 1, 2, 17, 18, 41), (0, 40, 41)], ids=["one", "two", "short", "last-of-one"]
)
def test_parts_are_the_whole(tmp_path: Path, ending: str, variable: bool, edges: tuple[int, ...]) -> None:
    times = UNEVEN if variable else np.arange(41) / 25
    end_s = float(times[-1]) + 0.04
    path = tmp_path / f"out.{ending}"
    write_parts(path, edges, times, encoding=LOSSLESS, variable=variable, until_s=end_s)
    shown = decoded(path)
    tick = 1 / 90000 if ending != "mkv" else 1 / 1000
    np.testing.assert_allclose([time_s for time_s, _ in shown], times, atol=0.51 * tick)
    assert [planes for _, planes in shown] == [planes_of(picture(idx)) for idx in range(41)]
    pts, dts = zip(*packet_times(path))
    assert all(late > early for early, late in itertools.pairwise(dts)) or ending == "mkv"
    assert all(decode <= show for show, decode in zip(pts, dts))
    assert names(tmp_path) == [path.name]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        length = container.duration / 1e6 if ending == "mkv" else float(stream.duration * stream.time_base)
    assert length == pytest.approx(end_s, abs=2e-3)


@pytest.mark.parametrize(
    ("codec", "ending"), [("h264", "mp4"), ("hevc", "mp4"), ("hevc", "mov"), ("av1", "mp4"), ("av1", "webm")]
)
@pytest.mark.parametrize("depth", [8, 10])
def test_every_encoder_in_parts(tmp_path: Path, codec: Any, ending: str, depth: Any) -> None:
    colour = Colour("bt709", depth=depth, primaries=1, transfer=1, space=1)
    path, times = tmp_path / f"out.{ending}", np.arange(30) / 25
    aspect = Fraction(1) if ending == "webm" else Fraction(4, 3)
    write_parts(path, (0, 12, 13, 30), times, encoding=Encoding(codec, crf=0), colour=colour, pixel_aspect=aspect)
    shown = decoded(path)
    assert [planes for _, planes in shown] == [planes_of(picture(idx, colour)) for idx in range(30)]
    np.testing.assert_allclose([time_s for time_s, _ in shown], times, atol=1e-3)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.codec_tag == "hvc1" or codec != "hevc"
        assert container.streams.video[0].sample_aspect_ratio == aspect


def test_a_lossy_output_in_parts_is_as_good_as_in_one(tmp_path: Path) -> None:
    times = np.arange(41) / 25
    write_parts(tmp_path / "parts.mp4", (0, 15, 30, 41), times)
    write_parts(tmp_path / "whole.mp4", (0, 41), times)
    errors = []
    for name in ("parts", "whole"):
        found = [np.frombuffer(planes[0], np.uint8) for _, planes in decoded(tmp_path / f"{name}.mp4")]
        errors.append([np.abs(y.astype(int) - picture(idx).y.ravel()).mean() for idx, y in enumerate(found)])
    # These parts are shorter than the encoder looks ahead, so that it trusts its references less.
    assert np.mean(errors[0]) < 1.3 * np.mean(errors[1])


def test_sound_beside_parts(tmp_path: Path) -> None:
    speech = make_sound(tmp_path / "speech.m4a", click_wave(48000), 48000, "aac")
    path = tmp_path / "out.mp4"
    write_parts(path, (0, 20, 41), np.arange(41) / 25, speech=speech, until_s=41 / 25)
    np.testing.assert_allclose(click_times(read_audio(path, origin_s=0.0))[:2], (0.4, 1.2), atol=1e-3)
    latest_s = {"video": 0.0, "audio": 0.0}
    with av.open(str(path)) as container:
        for packet in sorted((p for p in container.demux() if p.size), key=lambda packet: packet.pos or 0):
            latest_s[packet.stream.type] = float((packet.dts or 0) * packet.time_base)
            assert abs(latest_s["video"] - latest_s["audio"]) < 0.6


class Stopped(Exception):
    """What interrupts a job in a test."""


def write_until(path: Path, edges: tuple[int, ...], stop: int, seen: list[int], **settings: Any) -> None:
    with parts_of(path, edges, np.arange(edges[-1]) / 25, **settings) as parts:
        for part in range(parts.n_parts):
            if parts.finished(part):
                continue
            with parts.writer(part) as writer:
                for idx in parts.pictures(part):
                    if idx == stop:
                        raise Stopped
                    seen.append(idx)
                    writer.write(picture(idx))
        parts.assemble()


def test_a_stopped_job_goes_on_from_its_last_part(tmp_path: Path) -> None:
    path, edges, seen = tmp_path / "out.mp4", (0, 10, 20, 30), list[int]()
    with pytest.raises(Stopped):
        write_until(path, edges, 25, seen, mark="a")
    assert names(tmp_path) == [".out.mp4.w2l-parts"]
    seen.clear()
    write_until(path, edges, -1, seen, mark="a", resume=True)
    assert seen == list(range(20, 30))
    assert len(decoded(path)) == 30
    assert names(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize(
    "settings", [{"mark": "b", "resume": True}, {"mark": "a"}, {"mark": "a", "resume": True, "encoding": LOSSLESS}]
)
def test_parts_of_something_else_are_thrown_away(tmp_path: Path, settings: dict[str, Any]) -> None:
    path, edges, seen = tmp_path / "out.mp4", (0, 10, 20, 30), list[int]()
    with pytest.raises(Stopped):
        write_until(path, edges, 25, seen, mark="a")
    seen.clear()
    write_until(path, edges, -1, seen, **settings)
    assert seen == list(range(30))


@pytest.mark.parametrize(("edges", "stop"), [((0, 30), 29), ((0, 10, 30), 5)], ids=["one-part", "in-the-first"])
def test_nothing_stays_where_nothing_is_finished(tmp_path: Path, edges: tuple[int, ...], stop: int) -> None:
    with pytest.raises(Stopped):
        write_until(tmp_path / "out.mp4", edges, stop, [], mark="a")
    assert names(tmp_path) == []


@pytest.mark.parametrize("edges", [(0, 30), (0, 10, 30)], ids=["one-part", "parts"])
def test_two_at_one_output_is_refused(tmp_path: Path, edges: tuple[int, ...]) -> None:
    def job() -> Parts:
        return parts_of(tmp_path / "out.mp4", edges, np.arange(30) / 25)

    with job(), pytest.raises(MediaError, match=r"out\.mp4: another process"), job():
        pass


def test_a_job_of_one_part_sweeps_what_one_of_many_left(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        write_until(tmp_path / "out.mp4", (0, 10, 20, 30), 25, [], mark="a")
    write_until(tmp_path / "out.mp4", (0, 30), -1, [], mark="a", resume=True)
    assert names(tmp_path) == ["out.mp4"]


def test_edges() -> None:
    assert part_edges(10, 20) == (0, 10)
    assert part_edges(39, 20) == (0, 39)
    assert part_edges(65, 20) == (0, 20, 40, 65)


KILLED = """
import json, os, sys
from pathlib import Path
import numpy as np
from tests.media.test_parts import LOSSLESS, write_parts
root, n_left, target = Path(sys.argv[1]), None, None
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
def watch(event, arguments):
    global n_left
    if n_left is None:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    # Within a folder being removed names are relative to it.
    if (event in CHANGES or writes) and (target.name in str(arguments[0]) or event in ("os.remove", "os.rmdir")):
        if n_left == 0:
            os.kill(os.getpid(), 9)
        n_left -= 1
def write(number):
    global n_left, target
    target, n_left = root / f"killed{number}", number
    write_parts(target / "out.mp4", (0, 4, 8), np.arange(8) / 25, encoding=LOSSLESS)
    os._exit(0)
sys.addaudithook(watch)
statuses = []
while len(statuses) < 100 and 0 not in statuses:
    (root / f"killed{len(statuses)}").mkdir()
    child = os.fork()
    if child == 0:
        try:
            write(len(statuses))
        finally:
            os._exit(1)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(statuses))
"""


def test_kill_9_between_any_two_changes(tmp_path: Path) -> None:
    """Before each change of a file's name or of what is in the folder: no output or a whole one, and it can go on."""
    expected = [planes_of(picture(idx)) for idx in range(8)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    ended = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    *killed, last = json.loads(ended.stdout)
    assert set(killed) == {-signal.SIGKILL}, ended.stderr
    assert last == 0, ended.stderr
    assert len(killed) > 12
    for number in range(len(killed) + 1):
        path = tmp_path / f"killed{number}" / "out.mp4"
        if path.exists():
            assert [planes for _, planes in decoded(path)] == expected
        if number < len(killed):
            write_parts(path, (0, 4, 8), np.arange(8) / 25, encoding=LOSSLESS, resume=True)
            assert [planes for _, planes in decoded(path)] == expected
        assert names(path.parent) == ["out.mp4"]


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may become, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("edges", [(0, 30), (0, 10, 30)], ids=["one-part", "parts"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_full_disk(tmp_path: Path, ending: str, edges: tuple[int, ...], file_limit: Callable[[int], None]) -> None:
    """However much fits: one error that names the file and nothing half-written, or all of it."""
    times = np.arange(30) / 25
    write_parts(tmp_path / f"whole.{ending}", edges, times, encoding=LOSSLESS)
    size = (tmp_path / f"whole.{ending}").stat().st_size
    (tmp_path / f"whole.{ending}").unlink()
    path = tmp_path / f"out.{ending}"
    for limit in (0, 100, size // 3, size // 2, size - 5000, size - 500, size - 1):
        file_limit(limit)
        with pytest.raises(MediaError, match=rf"out\.{ending}") as caught:
            write_parts(path, edges, times, encoding=LOSSLESS, resume=True)
        assert "\n" not in str(caught.value)
        assert set(names(tmp_path)) <= {f".out.{ending}.w2l-parts"}
    file_limit(size + 2000)
    write_parts(path, edges, times, encoding=LOSSLESS, resume=True)
    assert names(tmp_path) == [path.name]


def test_where_nothing_may_be_written(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"out\.mp4: cannot be written"):
        write_parts(tmp_path / "none" / "out.mp4", (0, 4, 8), np.arange(8) / 25)
    with pytest.raises(MediaError, match=r"out\.mp4: cannot be written"):
        VideoWriter(Output(Path("/proc/out.mp4"), 64, 48, 25.0))


def write_pictures(parts: Parts, part: int, n_pictures: int) -> None:
    with parts.writer(part) as writer:
        for idx in range(n_pictures):
            writer.write(picture(idx))


def test_a_miscounted_part_is_an_error(tmp_path: Path) -> None:
    with parts_of(tmp_path / "a.mp4", (0, 3, 9), np.arange(9) / 25) as parts:
        with pytest.raises(ValueError, match="lacks its last 1"):
            write_pictures(parts, 0, 2)
        with pytest.raises(ValueError, match="one more was written"):
            write_pictures(parts, 0, 4)
        with pytest.raises(ValueError, match="not written yet"):
            parts.assemble()
    assert names(tmp_path) == []


def test_parts_need_the_colour_of_their_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colour"), parts_of(tmp_path / "a.mp4", (0, 3, 9), np.arange(9), colour=None):
        pass
    assert names(tmp_path) == []

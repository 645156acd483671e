"""What is shown when, and the frames for it: any slice of a sequence gives what the sequence gives there."""

import gc
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.coded_media import SIZE, make_coded, number_of, numbered_image
from w2l.core.errors import MediaError
from w2l.media import player
from w2l.media.coded import CodedFrame, CodedReader, frame_times, read_coded
from w2l.media.encoding import Encoding
from w2l.media.output import Output
from w2l.media.player import play
from w2l.media.timeline import Extend, end_of, lay_out, output_rate
from w2l.media.video import probe
from w2l.media.writer import VideoWriter

Times = NDArray[np.float64]
EXTENDS: tuple[Extend, ...] = ("bounce", "loop", "hold")
N_FRAMES = 130
LONG_GOP = {"g": "250", "bf": "3", "b_strategy": "0"}
IN_ORDER = Encoding(preset="ultrafast")
"""Without pictures that are decoded in another order than shown."""
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:keyint=40:b-adapt=0"}
CASES = [
    pytest.param("a.mp4", "libx264", LONG_GOP, id="mp4"),
    pytest.param("a.mkv", "libx264", LONG_GOP, id="mkv"),
    pytest.param("a.ts", "libx264", LONG_GOP, id="mpegts"),
    pytest.param("a.webm", "libvpx-vp9", {"g": "250", "deadline": "realtime", "cpu-used": "8"}, id="webm"),
    pytest.param("a.mp4", "libx264", OPEN_GOP, id="open-gop-mp4"),
    pytest.param("a.mkv", "libx264", OPEN_GOP, id="open-gop-mkv"),
    pytest.param("a.ts", "libx264", OPEN_GOP, id="open-gop-mpegts"),
    pytest.param("a.mp4", "libx265", {"x265-params": "keyint=40:open-gop=1:bframes=3:log-level=none"}, id="hevc"),
    pytest.param("a.mp4", "libx264", {"g": "30", "x264-params": "interlaced=1:tff=1"}, id="interlaced"),
    pytest.param("a.avi", "mpeg4", {"g": "30", "bf": "2"}, id="avi"),
    pytest.param("a.mpg", "mpeg2video", {"g": "15", "bf": "2"}, id="mpeg-2"),
    pytest.param("a.h264", "libx264", LONG_GOP, id="no-timestamps"),
]


def uneven(n_frames: int = 40, seed: int = 0) -> Times:
    return np.concatenate([[0.0], np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.12, n_frames - 1))])


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 24 of the pictures made here, so that a bounce needs several blocks."""
    monkeypatch.setattr(player, "HELD_BYTES", 24 * SIZE[0] * SIZE[1] * 3 // 2)


def same(one: CodedFrame, other: CodedFrame) -> bool:
    planes = zip(*((f.picture.y, f.picture.u, f.picture.v) for f in (one, other)))
    return (one.idx, one.time_s) == (other.idx, other.time_s) and all(np.array_equal(a, b) for a, b in planes)


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize(("name", "codec", "options"), CASES)
def test_play_is_frame_exact(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = make_coded(tmp_path / name, N_FRAMES, codec, options=options)
    frames = list(read_coded(path))
    times = np.array([frame.time_s for frame in frames])
    assert [number_of(frame.image) for frame in frames] == list(range(N_FRAMES))
    fps = probe(path).fps
    for extend in EXTENDS:
        laid = lay_out(times, end_of(times, fps), fps, 2.6 * N_FRAMES / fps, extend=extend)
        whole = list(play(path, times, laid.source))
        assert len(whole) == len(laid)
        assert all(same(shown, frames[idx]) for shown, idx in zip(whole, laid.source))
        for start in (1, 47, N_FRAMES - 3, N_FRAMES + 20, 2 * N_FRAMES + 5):
            part = list(play(path, times, laid.source[start : start + 30]))
            assert all(same(a, b) for a, b in zip(part, whole[start : start + 30], strict=True))


def test_middles_are_reached_by_seeking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_decoded = 0
    decoded = CodedReader.decoded

    def counted(self: CodedReader) -> object:
        nonlocal n_decoded
        for found in decoded(self):
            n_decoded += 1
            yield found

    monkeypatch.setattr(CodedReader, "decoded", counted)
    for name in ("a.mp4", "a.mkv", "a.ts"):
        path = make_coded(tmp_path / name, 300, options={"g": "20", "bf": "2"})
        times = frame_times(path)
        n_decoded = 0
        (frame,) = play(path, times, [290])
        assert number_of(frame.image) == 290
        assert n_decoded < 100


def test_any_order_is_played(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.mp4", 60, options={"g": "25", "bf": "2"})
    order = np.random.default_rng(0).integers(0, 60, 80)
    shown = list(play(path, frame_times(path), order))
    assert [number_of(frame.image) for frame in shown] == order.tolist()
    assert list(play(path, frame_times(path), [])) == []
    with pytest.raises(ValueError, match="do not lie"):
        next(play(path, frame_times(path), [60]))


def test_uneven_and_late_videos_are_known_by_their_times(tmp_path: Path) -> None:
    given = uneven(60) + 7.0
    path = make_coded(tmp_path / "a.mkv", 60, options={"g": "12", "bf": "2"}, times_s=given.tolist())
    times = frame_times(path)
    order = [50, 51, 52, 20, 19, 18, 59, 3]
    assert [number_of(frame.image) for frame in play(path, times, order)] == order


def test_lost_frames_are_replaced_by_their_neighbours(tmp_path: Path) -> None:
    path = make_coded(tmp_path / "a.mp4", 30, options={"g": "10", "bf": "0"})
    times = np.sort(np.append(frame_times(path), [0.41, 5.0]))  # frames 11 and 31 are not in the file
    shown = list(play(path, times, [9, 10, 11, 12, 30, 31, 11]))
    assert [frame.idx for frame in shown] == [9, 10, 11, 12, 30, 31, 11]
    assert [number_of(frame.image) for frame in shown] == [9, 10, 10, 11, 29, 29, 10]


def test_another_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(bytes(999))
    with pytest.raises(MediaError, match=r"noise\.mp4"):
        next(play(path, np.arange(9) / 25, [3]))


def test_memory_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (180, 320)
    monkeypatch.setattr(player, "HELD_BYTES", 10 * size[0] * size[1] * 3 // 2)
    path = make_coded(tmp_path / "a.mp4", 100, size=size)
    times = frame_times(path)
    forward, back = np.arange(100), np.arange(99, -1, -1)
    peaks = []
    for order in (forward, np.tile(np.concatenate([forward, back]), 2)):
        tracemalloc.start()
        for _ in play(path, times, order):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    picture = size[0] * size[1] * 3 // 2
    assert peaks[0] < 6 * picture
    assert peaks[1] < 16 * picture


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 60.0])
@pytest.mark.parametrize("extend", EXTENDS)
@pytest.mark.parametrize("share", [0.001, 0.5, 1.0, 1.01, 3.7])
def test_constant_rates_are_kept_exactly(fps: float, extend: Extend, share: float) -> None:
    times = np.round(np.arange(50) / fps, 3)  # as Matroska rounds them
    length_s = share * 50 / fps
    laid = lay_out(times, end_of(times, fps), fps, length_s, extend=extend)
    assert laid.constant
    assert laid.fps == pytest.approx(fps, rel=1e-6)
    np.testing.assert_allclose(laid.times, np.arange(len(laid)) / laid.fps, rtol=0, atol=1e-12)
    assert length_s - 1e-5 <= laid.end_s < length_s + 1.001 / fps
    assert laid.source[: min(50, len(laid))].tolist() == list(range(min(50, len(laid))))


@pytest.mark.parametrize("extend", EXTENDS)
@pytest.mark.parametrize("forced", [None, 25.0, 50.0, 9.5])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 40])
@pytest.mark.parametrize("length_s", [0.02, 1.0, 7.7])
def test_every_layout_covers_what_is_asked(
    extend: Extend, forced: float | None, n_frames: int, length_s: float
) -> None:
    times = uneven(n_frames)
    end_s = end_of(times, 25.0)
    laid = lay_out(times, end_s, 25.0, length_s, forced_fps=forced, extend=extend)
    assert len(laid) == len(laid.times) >= 1
    assert laid.times[0] == 0.0
    assert (np.diff(laid.times) > 0).all()
    assert laid.end_s >= length_s - 1e-4
    assert laid.times[-1] < max(length_s, 1e-3)
    assert laid.end_s > laid.times[-1]
    assert laid.source.min() >= 0
    assert laid.source.max() < n_frames
    if forced is not None:
        assert laid.constant
        assert laid.fps == forced
    first = laid.times < end_s - 1 / (forced or 1e6)
    distances = np.abs(laid.times[first][:, None] - times)
    np.testing.assert_allclose(distances[np.arange(first.sum()), laid.source[first]], distances.min(axis=1), atol=1e-4)


def test_uneven_times_are_kept() -> None:
    times = uneven(40)
    end_s = end_of(times, 25.0)
    laid = lay_out(times, end_s, 25.0, end_s)
    assert not laid.constant
    np.testing.assert_array_equal(laid.source, np.arange(40))
    np.testing.assert_allclose(laid.times, times)
    assert laid.end_s == pytest.approx(end_s)
    assert laid.fps == pytest.approx(40 / end_s)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 30.0, 60000 / 1001, 120.0])
@pytest.mark.parametrize("n_frames", [7, 299, 300, 301])
@pytest.mark.parametrize("rounding", [np.round, np.floor, np.ceil])
def test_rounded_timestamps_add_no_frame(fps: float, n_frames: int, rounding: Callable[[Times], Times]) -> None:
    times = rounding(np.arange(n_frames) / fps * 1000) / 1000
    times -= times[0]
    end_s = end_of(times, fps)
    for length_s in (end_s, n_frames / fps, max(end_s, n_frames / fps), end_s - 1e-7):
        for forced in (None, fps):
            laid = lay_out(times, end_s, fps, length_s, forced_fps=forced, extend="loop")
            assert laid.source.tolist() == list(range(n_frames))
            assert laid.end_s == pytest.approx(n_frames / fps, abs=2.5e-3)
    if n_frames < 200:  # else the rate is not known so well
        return
    longer = lay_out(times, end_s, fps, n_frames / fps + 0.0015, extend="loop")
    assert longer.source.tolist() == [*range(n_frames), 0]


@pytest.mark.parametrize("extend", EXTENDS)
@pytest.mark.parametrize("forced", [24.0, 25.0, 23.976, 50.0, 7.0])
@pytest.mark.parametrize("n_frames", [1, 99, 100, 101, 300])
def test_another_rate_shows_nothing_twice_over(extend: Extend, forced: float, n_frames: int) -> None:
    times = np.round(np.arange(n_frames) * 1001 / 30000, 3)
    end_s = end_of(times, 29.97)
    laid = lay_out(times, end_s, 29.97, end_s, forced_fps=forced, extend=extend)
    assert (np.diff(laid.source) >= 0).all()
    assert laid.source[-1] >= n_frames - 1 - 30 / forced
    assert laid.end_s == pytest.approx(end_s, abs=1 / forced)


def test_the_last_frame_lasts_as_the_file_says() -> None:
    times = uneven(40)
    mean_s = end_of(times, 25.0)
    for stated_s in (times[-1] + 0.25, times[-1] + 0.001):
        end_s = end_of(times, 25.0, stated_s)
        assert end_s == stated_s
        laid = lay_out(times, end_s, 25.0, end_s)
        assert len(laid) == 40
        assert laid.end_s == pytest.approx(end_s)
    for broken_s in (0.0, times[-1] - 1.0, times[-1], times[-1] + 3600.0):
        assert end_of(times, 25.0, broken_s) == mean_s
    steady = np.round(np.arange(40) / 30, 3)
    assert end_of(steady, 30.0, steady[-1] + 0.2) == end_of(steady, 30.0)


def test_where_a_file_says_its_pictures_end(tmp_path: Path) -> None:
    """Whatever its clock begins with."""
    for starts_s in (0.0, 1.5):
        given = np.round(uneven(40), 3) + starts_s
        path = tmp_path / "a.mp4"
        output = Output(path, 64, 48, 25.0, variable=True, until_s=given[-1] + 0.33, encoding=IN_ORDER)
        with VideoWriter(output) as writer:
            for time_s in given:
                writer.write(numbered_image(0, (48, 64)), time_s)
        assert frame_times(path)[-1] + given[0] == pytest.approx(given[-1], abs=1e-3)
        assert probe(path).end_s == pytest.approx(given[-1] + 0.33 - given[0], abs=1e-3)
    assert probe(make_coded(tmp_path / "a.mkv", 10)).end_s == 0.0
    reordered = make_coded(tmp_path / "b.mp4", 40, options={"bf": "2"}, times_s=uneven(40).tolist())
    assert probe(reordered).end_s == 0.0


@pytest.mark.parametrize("fps", [30, 60])
@pytest.mark.parametrize("extend", EXTENDS)
def test_a_matroska_file_is_as_long_as_it_is(tmp_path: Path, fps: int, extend: Extend) -> None:
    path = make_coded(tmp_path / "a.mkv", 100, fps=fps)
    times, info = frame_times(path), probe(path)
    end_s = end_of(times, info.fps, info.end_s)
    assert lay_out(times, end_s, info.fps, end_s, extend=extend).source.tolist() == list(range(100))


@pytest.mark.parametrize("times", [np.arange(40) / 25, uneven(40)])
def test_a_bounce_runs_back_as_it_came(times: Times) -> None:
    end_s = end_of(times, 25.0)
    laid = lay_out(times, end_s, 25.0, 3 * end_s, extend="bounce")
    there_and_back = [*range(40), *range(38, -1, -1), *range(1, 40)]
    assert laid.source[:118].tolist() == there_and_back[: len(laid)]
    assert (np.abs(np.diff(laid.source)) == 1).all()
    lasting = np.append(np.diff(laid.times), laid.end_s - laid.times[-1])
    for idx in range(40):
        np.testing.assert_allclose(lasting[laid.source == idx], lasting[idx], atol=1e-9)


@pytest.mark.parametrize("times", [np.arange(40) / 25, uneven(40)])
def test_loop_and_hold(times: Times) -> None:
    end_s = end_of(times, 25.0)
    loop = lay_out(times, end_s, 25.0, 2.5 * end_s, extend="loop")
    assert loop.source[:100].tolist() == ([*range(40)] * 3)[: len(loop)][:100]
    np.testing.assert_allclose(loop.times[40:80], times + end_s, atol=1e-9)
    hold = lay_out(times, end_s, 25.0, 2.5 * end_s, extend="hold")
    assert (hold.source[40:] == 39).all()
    assert np.ptp(np.diff(hold.times)[40:]) < 1e-9


def test_frames_of_one_time_count_once() -> None:
    times = np.array([0.0, 0.0, 0.04, 0.12, 0.12, 0.12, 0.2])
    laid = lay_out(times, 0.25, 25.0, 0.25)
    assert laid.source.tolist() == [1, 2, 5, 6]
    np.testing.assert_allclose(laid.times, [0.0, 0.04, 0.12, 0.2])


@pytest.mark.parametrize(
    ("stated", "measured", "rate"),
    [(25.0, None, 25.0), (30.0, 29.97, 30.0), (29.97, None, 30000 / 1001), (90.0, 22.13, 22.13), (25.0, 25.2, 25.2)],
)
def test_the_stated_rate_wins_unless_it_is_wrong(stated: float, measured: float | None, rate: float) -> None:
    assert output_rate(stated, measured) == pytest.approx(rate, rel=1e-5)


def test_a_rate_that_is_stated_wrongly_is_measured() -> None:
    times = np.arange(2000) * 1001 / 30000
    laid = lay_out(times, end_of(times, 30.0), 30.0, 60.0)
    assert laid.constant
    assert laid.fps == pytest.approx(30000 / 1001)


def test_nothing_cannot_be_laid_out() -> None:
    with pytest.raises(ValueError, match="laid out"):
        lay_out(np.zeros(0), 0.0, 25.0, 1.0)
    with pytest.raises(ValueError, match="laid out"):
        lay_out(np.zeros(1), 1.0, 25.0, 1.0, forced_fps=0.0)


def test_the_end_of_a_real_variable_rate(shared: Path) -> None:
    path = shared / "media" / "clips" / "news-22fps-vfr.mp4"
    if not path.is_file():
        pytest.skip("the clip is not here")
    info = probe(path)
    assert end_of(frame_times(path), info.fps, info.end_s) == pytest.approx(6.1, abs=1e-3)


def test_real_clips_play_backwards(shared: Path) -> None:
    clips = [*(shared / "media" / "clips").glob("*512*.mp4"), *(shared / "media" / "clips").glob("*vfr*.mp4")]
    if not clips:
        pytest.skip("the clips are not here")
    for path in clips:
        frames = {frame.idx: frame.picture.y for frame in read_coded(path) if frame.idx >= 60}
        times = frame_times(path)
        for shown in play(path, times, np.arange(len(times) - 1, len(times) - 50, -1)):
            np.testing.assert_array_equal(shown.picture.y, frames[shown.idx])


@pytest.mark.parametrize("count", [10, N_FRAMES])
def test_nothing_stays_open_when_all_was_played(tmp_path: Path, count: int) -> None:
    """A decoder in a cycle of references lives on, with its threads, until a collection that may never come."""
    path = make_coded(tmp_path / "a.mp4", N_FRAMES)
    times = frame_times(path)
    gc.collect()
    gc.disable()
    try:
        deque(play(path, times, [*range(count), *range(count - 2, 0, -1)]), maxlen=0)
        left = [thing for thing in gc.get_objects() if type(thing) in (CodedReader, CodedFrame)]
    finally:
        gc.enable()
    assert not left


@pytest.mark.parametrize(("more_s", "n_frames"), [(0.0, 30), (0.003, 30), (0.009, 30), (0.03, 31), (0.1, 32)])
def test_a_clock_of_hundredths_asks_for_no_further_frame(more_s: float, n_frames: int) -> None:
    times = np.floor(np.arange(30) * 100 / 15) / 100  # as a GIF of 15 pictures a second has them
    end_s = end_of(times, 15.08, 1.99)
    assert len(lay_out(times, end_s, 15.08, end_s + more_s)) == n_frames

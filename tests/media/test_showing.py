"""Frames have the times at which they are shown, also where their container counts in the order of decoding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers.coded_media import make_coded, number_of
from w2l.core.errors import MediaError
from w2l.media import showing
from w2l.media.coded import frame_times, read_coded
from w2l.media.player import play
from w2l.media.showing import counts_as_decoded
from w2l.media.video import probe, read_frames

N_FRAMES = 60
GOPS = {
    "none": {"bf": "0"},
    "two": {"bf": "2"},
    "pyramid": {"bf": "3", "b_strategy": "0", "b-pyramid": "normal"},
    "open": {"bf": "2", "b_strategy": "0", "x264-params": "open-gop=1"},
}


def made(path: Path, gop: str, n_frames: int = N_FRAMES, **options: Any) -> Path:
    quick = {"preset": "veryfast", "g": "12", "crf": "10"} | GOPS[gop]
    return make_coded(path, n_frames, options=quick | options)


def in_order_of_decoding(path: Path, source: Path) -> Path:
    """The same packets with times that rise from each to the next, as careless programs write them."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as target:
        stream = whole.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        packets = [packet for packet in whole.demux(stream) if packet.size]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        for packet, time in zip(packets, times, strict=True):
            packet.pts = packet.dts = time
            packet.stream = copy
            target.mux(packet)
    return path


def check(path: Path) -> None:
    """All frames are there, in order, one every 40 ms, however they are read."""
    wanted = np.arange(N_FRAMES) / 25
    for read in (read_frames, read_coded):
        frames = list(read(path))
        assert [number_of(frame.image) for frame in frames] == list(range(N_FRAMES))
        np.testing.assert_allclose([frame.time_s for frame in frames], wanted, atol=1.1e-3)
    np.testing.assert_allclose(frame_times(path), wanted, atol=1.1e-3)


@pytest.mark.parametrize("gop", GOPS)
@pytest.mark.parametrize("ending", ["avi", "asf", "mxf", "mp4", "mov", "mkv", "flv", "ts", "nut", "h264"])
def test_every_frame_is_shown_once_and_in_time(tmp_path: Path, ending: str, gop: str) -> None:
    path = made(tmp_path / f"clip.{ending}", gop)
    check(path)
    assert counts_as_decoded(path) == (ending in ("avi", "asf", "mxf") and gop != "none")


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_wrong_times_in_a_good_container_are_put_right(tmp_path: Path, ending: str) -> None:
    path = in_order_of_decoding(tmp_path / f"wrong.{ending}", made(tmp_path / "right.mp4", "pyramid"))
    assert counts_as_decoded(path)
    check(path)


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_other_codecs_in_avi(tmp_path: Path, codec: str) -> None:
    check(make_coded(tmp_path / "clip.avi", N_FRAMES, codec, options={"bf": "2", "g": "12", "qscale": "2"}))


@pytest.mark.parametrize("gop", GOPS)
@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_frames_are_found_again_in_any_order(tmp_path: Path, ending: str, gop: str) -> None:
    path = made(tmp_path / f"clip.{ending}", gop, n_frames=320)
    times = frame_times(path)
    order = [310, 311, 40, 39, 38, 200, 319, 0, 1, 150]
    assert [number_of(frame.image) for frame in play(path, times, order)] == order


@pytest.mark.parametrize("lost", [5, 6, 13])
def test_a_lost_packet_does_not_shift_what_follows(tmp_path: Path, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "clip.avi", "two")
    from_file = showing.packets
    assert counts_as_decoded(path)

    def holed(*given: Any) -> Iterator[Any]:
        return (packet for number, packet in enumerate(from_file(*given)) if number != lost)

    monkeypatch.setattr("w2l.media.container.packets", holed)
    frames = list(read_frames(path))
    assert len(frames) < N_FRAMES
    for frame in frames[-15:]:
        assert frame.time_s == pytest.approx(number_of(frame.image) / 25, abs=1e-3)


def test_ordinary_files_are_told_by_a_few_packets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "clip.mp4", "two")
    monkeypatch.setattr(showing, "decode", None)
    read: list[Any] = []
    from_file = showing.packets

    def counted(*given: Any) -> Iterator[Any]:
        for packet in from_file(*given):
            read.append(packet)
            yield packet

    monkeypatch.setattr(showing, "packets", counted)
    assert not counts_as_decoded(path)
    assert 0 < len(read) <= showing.N_LOOKED_AT


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    path = made(tmp_path / "clip.avi", "two")
    assert counts_as_decoded(path)
    made(path, "none")
    assert not counts_as_decoded(path)
    assert probe(path).start_s == pytest.approx(0.0, abs=0.05)


def test_packets_of_which_none_can_be_decoded_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "clip.mp4", "two")
    monkeypatch.setattr("w2l.media.coded.decode", lambda *given: iter(()))
    with pytest.raises(MediaError, match=r"clip\.mp4: no picture can be decoded"):
        frame_times(path)

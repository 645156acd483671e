"""preprocess killed at any moment, or run twice at once: in the end the cache equals that of one undisturbed run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.cache.store import Cache
from w2l.core.arrays import Image
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter

N_KILLS = int(os.environ.get("W2L_KILLS", "6"))
"""How often a run of several jobs is killed at a random moment."""
DrawFace = Callable[[Image, float, float, float], NDArray[np.float64]]

KILLED_EVERYWHERE = '''
import json, os, pathlib, shutil, signal, sys, traceback
import cv2
import numpy as np
import w2l.data.prepare.run
import w2l.core.locks
import w2l.core.jobs.tasks
from w2l.cache.store import Cache
from w2l.data.prepare.gates import GateSettings
from w2l.data.sources.listing import find_videos
from w2l.data.prepare.clip import PrepareSettings
from w2l.features.crop import CropSpec
from w2l.faces.detectors.base import Detection
from w2l.faces.scan import DetectSettings
from w2l.features.mel import mel_filters

videos, work = map(pathlib.Path, sys.argv[1:3])
step = int(sys.argv[3])
root = work / "cache"
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
left = None


class OneFace:
    name = fingerprint = "one face"

    def detect(self, images):
        points = np.array([[18.0, 18], [30, 18], [24, 24], [20, 30], [28, 30]])
        return [[Detection(np.array([12.0, 8, 36, 40]), 0.99, points)] for _ in images]


def count(event, arguments):
    """Kills the process before its n-th change of a file of the cache."""
    global left
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if left is not None and (writes or event in CHANGES) and str(root) in str(arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def run(size=48, force=False):
    gates = GateSettings(min_track_s=0.2, min_face_px=20.0)
    settings = PrepareSettings(CropSpec(size=size), DetectSettings(stride=2), gates)
    options = w2l.data.prepare.run.PrepareOptions(force=force)
    w2l.data.prepare.run.run(settings, find_videos(videos), Cache.open(root, create=True), options=options)


def fork(kill_at=None, **disturbed):
    global left
    pid = os.fork()
    if pid:
        return pid
    left = kill_at
    try:
        run(**disturbed)
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)


def wait(pid):
    """How a process ended: its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def contents():
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


w2l.data.prepare.run.make_detector = lambda *_: OneFace()
w2l.data.prepare.run.logger.disabled = True
w2l.core.jobs.tasks.BUSY_S = 0.02
w2l.core.locks.UNSIGNED_S = 0.1
os.fsync = lambda _: None  # matters when the power fails, not here
mel_filters()  # once, for all children
cv2.setNumThreads(0)  # its threads would not be there in children
sys.addaudithook(count)
run()
expected = contents()
shutil.copytree(root, work / "whole")
report = {"files": sorted(expected)}
runs = [("first run", None, {}), ("forced to another size", "whole", {"size": 32, "force": True})]
for name, start, disturbed in runs:
    report[name] = 0
    for kill_at in range(1, 1000, step):
        shutil.rmtree(root)
        if start:
            shutil.copytree(work / start, root)
        ended = wait(fork(kill_at, **disturbed))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, ended
        run()
        found = contents()
        assert found.keys() == expected.keys(), (name, kill_at, found.keys() ^ expected.keys())
        assert found == expected, (name, kill_at, [key for key in found if found[key] != expected[key]])
        report[name] = kill_at
for _ in range(3):
    shutil.rmtree(root)
    assert [wait(pid) for pid in [fork(), fork(), fork()]] == [0, 0, 0]
    assert contents() == expected
print(json.dumps(report))
'''


def make_clip(path: Path, image: Image, n_frames: int, speech: Path | None) -> None:
    height, width = image.shape[:2]
    with VideoWriter(Output(path, width, height, 25, speech=speech)) as writer:
        for idx in range(n_frames):
            writer.write(np.roll(image, idx // 3, axis=1))


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_changes_of_files_and_three_at_once(tmp_path: Path, step: int) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    speech = tmp_path / "speech.wav"
    write_wav(speech, np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32))
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    make_clip(videos / "a.mp4", image, 8, speech)
    make_clip(videos / "b.mp4", image, 6, None)
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(videos), str(tmp_path / "work"), str(step)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=900)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["files"] == sorted([
        "cache.json", "index.npz", "clips/a/clip.json", "clips/a/faces.npz", "clips/a/tracks/0/frames.npy",
        "clips/a/tracks/0/mel.npy", "clips/b/clip.json",
    ])  # fmt: skip
    assert report["first run"] > 20
    assert report["forced to another size"] > 20


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory, draw_face: DrawFace) -> Path:
    """A folder of clips with drawn faces, and one clip without a sound."""
    folder = tmp_path_factory.mktemp("talking")
    image = np.full((120, 160, 3), (40, 70, 90), np.uint8)
    draw_face(image, 80, 64, 42)
    speech = folder.parent / "speech.wav"
    write_wav(speech, np.random.default_rng(0).uniform(-0.3, 0.3, 20000).astype(np.float32))
    for name in ("a", "b", "c"):
        make_clip(folder / f"{name}.mp4", image, 30, speech)
    make_clip(folder / "d.mp4", image, 10, None)
    return folder


def start(videos: Path, cache: Path, *more: str) -> "subprocess.Popen[str]":
    """`w2l preprocess` in a process of its own."""
    command = [sys.executable, "-m", "stages.cli", "preprocess", str(videos), "--cache", str(cache), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.slow
def test_a_killed_run_and_then_two_at_once_equal_one_undisturbed(talking: Path, tmp_path: Path) -> None:
    undisturbed, cache = start(talking, tmp_path / "undisturbed"), tmp_path / "cache"
    killed = start(talking, cache)
    deadline = time.monotonic() + 120
    while not list(cache.glob("clips/b/.lock")):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (cache / "clips" / "a" / "clip.json").exists()
    both = [start(talking, cache), start(talking, cache)]
    results = []
    for process in [undisturbed, *both]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        assert "Traceback" not in err
        results.append(json.loads(out))
    for result in results:
        assert (result["done"] + result["skipped"], result["tracks"], list(result["set_aside"])) == (4, 3, ["d"])
    assert results[0]["done"] == 4
    assert sum(result["done"] for result in results[1:]) in (2, 3)
    assert contents(cache) == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_jobs_killed_at_random_moments_leave_a_readable_cache_and_the_same_end(
    talking: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    undisturbed = start(talking, tmp_path / "undisturbed", "--jobs", "2")
    assert json.loads(undisturbed.communicate()[0])["tracks"] == 3
    took_s = time.monotonic() - began
    rng, cache = np.random.default_rng(4), tmp_path / "cache"
    for number in range(N_KILLS):
        # Another size each time, so that there is always something to do, and to remove.
        killed = start(talking, cache, "--jobs", "2", "--set", f"crop.size={(96, 64)[number % 2]}")
        time.sleep(took_s * rng.uniform(0.3, 1.1))
        killed.kill()
        killed.communicate()
        if (cache / "cache.json").exists():
            opened = Cache.open(cache)
            for row in opened.all_tracks():
                assert len(opened.load_track(row)[0]) == row.n_frames
            assert all(clip.record().id == clip.id for clip in opened.clips())
    last = start(talking, cache, "--jobs", "2")
    found = json.loads(last.communicate()[0])
    assert (found["tracks"], list(found["set_aside"])) == (3, ["d"])
    assert contents(cache) == contents(tmp_path / "undisturbed")

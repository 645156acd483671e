"""One speech for each face in one pass of sync: whose mouth moves by which, the sound of the output, and refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sync_runs import ANN, BOB, Outcome, Run, change, one_line, pictures, room, voice, write_pictures
from w2l.media.audio import read_audio, write_wav

Cast = Callable[..., Outcome]
BOTH = ("--face", "left", "--speech", "ann.wav", "--face", "right", "--speech", "bob.wav")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of two people side by side."""
    images = (room([(ANN, 90, 120, 56), (BOB, 240, 120, 44)], mouth) for mouth in np.linspace(0, 1, 12))
    return write_pictures(tmp_path_factory.mktemp("pair") / "pair.mp4", images, options={"crf": "10"})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that keeps the faces of `pair`."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def cast(w2l: Run, media: Path, pair: Path, kept: Path, tmp_path: Path) -> Cast:
    """`w2l sync` of the pair, in a folder with the speeches ann.wav (0.48 s) and bob.wav (0.4 s)."""
    buzz = voice(1.0)
    write_wav(tmp_path / "ann.wav", buzz[: round(0.48 * 16000)])
    write_wav(tmp_path / "bob.wav", 0.5 * buzz[4000 : 4000 + round(0.4 * 16000)][::-1])

    def run(*given: object, speech: tuple[object, ...] = (), output: str = "out.mkv") -> Outcome:
        model = ("--model", media / "aligned.safetensors", "--device", "cpu", "--cache", kept)
        exact = ("--crf", 0, "--preset", "ultrafast", "--mark", "record")  # tests compare samples
        return w2l("sync", pair, *speech, *given, *model, *exact, "-o", output)

    return run


def halves_differ(ours: Path, theirs: Path) -> tuple[float, float]:
    """How much the left and the right halves of two outputs differ at most over the frames they share."""
    both = list(zip(pictures(ours), pictures(theirs)))
    left = np.zeros(both[0][0].y.shape, np.bool_)
    left[:, : left.shape[1] // 2] = True
    return max(change(*each, left) for each in both), max(change(*each, ~left) for each in both)


def test_each_mouth_moves_by_its_own_speech(cast: Cast, tmp_path: Path) -> None:
    assert (outcome := cast(*BOTH)).status == 0, outcome.err
    assert cast("--face", "left", speech=("ann.wav",), output="left.mkv").status == 0
    assert cast("--face", "right", speech=("ann.wav",), output="same.mkv").status == 0
    write_wav(tmp_path / "long.wav", np.concatenate([read_audio(tmp_path / "bob.wav"), np.zeros(1280, np.float32)]))
    assert cast("--face", "right", speech=("long.wav",), output="right.mkv").status == 0
    out = tmp_path / "out.mkv"
    assert len(pictures(out)) == 12
    assert halves_differ(out, tmp_path / "left.mkv")[0] == 0
    assert halves_differ(out, tmp_path / "right.mkv")[1] == 0
    assert halves_differ(out, tmp_path / "same.mkv")[1] > 0.05


def test_the_sounds_are_mixed_or_one_is_chosen(cast: Cast, tmp_path: Path) -> None:
    assert cast(*BOTH).status == 0
    ann, bob = (read_audio(tmp_path / f"{name}.wav") for name in ("ann", "bob"))
    mixed = read_audio(tmp_path / "out.mkv")
    assert abs(len(mixed) - len(ann)) <= 16
    expected = ann.copy()
    expected[: len(bob)] += bob
    count = min(len(mixed), len(expected))
    assert np.corrcoef(mixed[:count], expected[:count])[0, 1] > 0.99
    assert cast(*BOTH, speech=("ann.wav",), output="chosen.mkv").status == 0
    chosen = read_audio(tmp_path / "chosen.mkv")
    assert np.corrcoef(chosen[: len(ann)], ann[: len(chosen)])[0, 1] > 0.999
    assert halves_differ(tmp_path / "chosen.mkv", tmp_path / "out.mkv") == (0, 0)


def test_record_resume_preview_and_dry_run_know_of_it(cast: Cast, tmp_path: Path) -> None:
    assert cast(*BOTH).status == 0
    record = json.loads((tmp_path / "out.w2l.json").read_text())
    assert record["settings"]["cast"] == [["left", "ann.wav"], ["right", "bob.wav"]]
    assert {"speech of left", "speech of right"} <= record["hashes"].keys()
    assert "says ann.wav | " in record["faces"]
    before = (tmp_path / "out.mkv").stat().st_mtime_ns
    assert cast(*BOTH, "--resume").status == 0
    assert (tmp_path / "out.mkv").stat().st_mtime_ns == before
    write_wav(tmp_path / "bob.wav", voice(0.4)[::-1])
    assert cast(*BOTH, "--resume", "-y").status == 0
    assert (tmp_path / "out.mkv").stat().st_mtime_ns > before
    assert cast(*BOTH, "--preview", "0.2", output="preview.mkv").status == 0
    assert (said := cast(*BOTH, "--dry-run", output="none.mkv")).status == 0
    assert "says bob.wav" in said.out
    assert not (tmp_path / "none.mkv").exists()


def test_one_whose_speech_pauses_stays_as_it_is_while_the_other_talks(cast: Cast, tmp_path: Path) -> None:
    write_wav(tmp_path / "bob.wav", np.zeros(6400, np.float32))
    assert cast(*BOTH, "--silence", "source").status == 0
    assert cast("--face", "left", speech=("ann.wav",), output="left.mkv").status == 0
    assert halves_differ(tmp_path / "out.mkv", tmp_path / "left.mkv")[1] == 0


@pytest.mark.parametrize(("given", "speech", "status", "said"), [
    (("--face", "left", "--face", "right"), ("ann.wav",), 2, "--face is given 2 times"),
    (("--face", "left", "--speech", "ann.wav", "--speech", "bob.wav"), (), 2, "1 --face and 2 --speech"),
    (("--speech", "ann.wav"), (), 2, "0 --face and 1 --speech"),
    (("--face", "left", "--speech", "ann.wav", "--face", "left", "--speech", "bob.wav"), (), 2, "given twice"),
    ((*BOTH, "--box", "1,2,60,70"), (), 2, "exclude --box"),
    ((*BOTH, "--drive", "ann.wav"), (), 2, "--drive"),
    (BOTH, ("ann.wav", "bob.wav"), 2, "one VIDEO"),
    (("--face", "left", "--speech", "ann.wav", "--face", "auto", "--speech", "bob.wav"), (), 1, "choose the same face"),
    (("--face", "left", "--speech", "gone.wav"), (), 2, "gone.wav is not a file"),
    (("--face", "left", "--speech", "ann.wav", "--face", "9", "--speech", "bob.wav"), (), 1, "no face 9"),
])  # fmt: skip
def test_what_cannot_be_is_refused(
    cast: Cast, tmp_path: Path, given: tuple[str, ...], speech: tuple[str, ...], status: int, said: str
) -> None:
    one_line(cast(*given, speech=speech), status, said)
    assert not list(tmp_path.glob("*out*"))

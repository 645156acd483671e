"""sync of folders, and of what is not a VIDEO and a SPEECH: URLs, arguments in the wrong order."""

import shutil
from pathlib import Path

import av
import pytest

import w2l
from tests.helpers.sync_runs import Run, one_line, pictures, voice
from w2l.errors import ConfigError
from w2l.media.audio import write_wav


@pytest.fixture
def talks(media: Path, tmp_path: Path) -> Path:
    """A folder with three videos, one of them in a folder, and what is no video."""
    for name in ("a.mp4", "sub/b.mp4", "lone.mp4"):
        (tmp_path / "talks" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(media / "clip.mp4", tmp_path / "talks" / name)
    (tmp_path / "talks" / "notes.txt").write_text("none")
    return tmp_path / "talks"


@pytest.fixture
def dubs(tmp_path: Path) -> Path:
    """Speeches of 0.3 s and 0.5 s for two of them, one of them beside a video of its name, and a speech for none."""
    folder = tmp_path / "dubs"
    (folder / "sub").mkdir(parents=True)
    write_wav(folder / "a.wav", voice(0.3))
    (folder / "a.mp4").write_bytes(b"not to be read: there is sound of this name")
    write_wav(folder / "sub" / "b.wav", voice(0.5))
    write_wav(folder / "other.wav", voice(0.3))
    return folder


def made_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.mp4"))


def test_the_videos_of_a_folder_say_one_speech(sync: Run, talks: Path, tmp_path: Path) -> None:
    outcome = sync("-o", "made", video=talks, speech="short.wav", crf=30)
    assert outcome.status == 1  # that speech is too short for all
    assert "error: 3 of 3 failed" in outcome.err
    outcome = sync("-o", "made/", "--fit", "video", video=talks, crf=30)
    assert outcome.status == 0, outcome.err
    assert made_in(tmp_path / "made") == ["a-synced.mp4", "lone-synced.mp4", "sub/b-synced.mp4"]


def test_videos_and_speeches_pair_by_name_and_the_rest_is_named(
    sync: Run, talks: Path, dubs: Path, tmp_path: Path
) -> None:
    outcome = sync("-o", "made", video=talks, speech=dubs, crf=30)
    assert outcome.status == 0, outcome.err
    lengths = {name: len(pictures(tmp_path / "made" / name)) for name in made_in(tmp_path / "made")}
    assert lengths == {"a-synced.mp4": pytest.approx(8, abs=1), "sub/b-synced.mp4": pytest.approx(13, abs=1)}
    assert f"for 1 of 3 videos: {talks / 'lone.mp4'}" in outcome.err
    assert f"no video for 1 of 3 speeches: {dubs / 'other.wav'}" in outcome.err


def test_one_folder_may_hold_both(sync: Run, talks: Path, tmp_path: Path) -> None:
    write_wav(talks / "a.wav", voice(0.3))
    outcome = sync("-o", "made", video=talks, speech=talks, crf=30)
    assert outcome.status == 0, outcome.err
    assert made_in(tmp_path / "made") == ["a-synced.mp4"]


def test_folders_that_cannot_be_paired_are_one_line(sync: Run, talks: Path, dubs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one_line(sync("-o", "made", video=tmp_path / "empty"), 2, "no videos in", "pass a folder that contains videos")
    one_line(sync("-o", "made", video=talks, speech=tmp_path / "empty"), 2, "no audio", "--pairs")
    shutil.move(dubs / "sub" / "b.wav", dubs / "sub" / "c.wav")
    shutil.move(dubs / "a.wav", dubs / "d.wav")
    (dubs / "a.mp4").unlink()
    one_line(sync("-o", "made", video=talks, speech=dubs), 2, "the videos are a, lone, sub/b", "d, other, sub/c")
    write_wav(dubs / "a.wav", voice(0.3))
    shutil.copy(dubs / "a.wav", dubs / "a.flac")
    one_line(sync("-o", "made", video=talks, speech=dubs), 2, "a.flac", "a.wav", "same name")
    one_line(sync("-o", "made.mp4", video=talks), 2, "require an output folder, not made.mp4")
    assert not (tmp_path / "made").exists()


def test_webm_chooses_its_codec(sync: Run, tmp_path: Path) -> None:
    assert sync("-o", "out.webm", crf=50).status == 0
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].codec_context.name in ("av1", "libdav1d")
    one_line(sync("-o", "x.webm", "--codec", "h264"), 1, "choose the codec av1")


def test_the_wrong_order_is_named_whatever_the_names_say(sync: Run, media: Path, tmp_path: Path) -> None:
    right = f"w2l sync {media / 'clip.mp4'} {media / 'speech.wav'}"
    one_line(sync("-o", "out.mp4", video="speech.wav", speech="clip.mp4"), 2, "wrong order", right)
    shutil.copy(media / "speech.wav", tmp_path / "thing")
    one_line(sync("-o", "out.mp4", video=tmp_path / "thing", speech="clip.mp4"), 2, "wrong order", "clip.mp4")
    one_line(sync("-o", "out.mp4", video="speech.wav"), 1, "holds no video")  # two sounds are not in a wrong order


URL = "https://example.com/talks//in.mp4?id=1"


@pytest.mark.parametrize("arguments", [
    ("sync", URL, "speech.wav"), ("sync", "clip.mp4", URL), ("sync", "a", "b", "-o", URL), ("detect", URL),
    ("score", URL), ("verify", URL), ("preprocess", URL), ("weights", "import", URL),
])  # fmt: skip
def test_a_url_is_refused_with_its_name_whole(w2l: Run, arguments: tuple[str, ...]) -> None:
    one_line(w2l(*arguments), 2, f"{URL} is a URL; only files are read")


def test_a_url_as_a_setting_or_a_path_is_refused_too(sync: Run, media: Path) -> None:
    one_line(sync("-o", "out.mp4", "--drive", "https://example.com/a.wav"), 2, "https://example.com/a.wav is a URL")
    with pytest.raises(ConfigError, match=r"https://example.com/in.mp4 is a URL"):
        w2l.sync("https://example.com/in.mp4", media / "speech.wav")
    with pytest.raises(ConfigError, match=r"rtmp://example.com/in.mp4 is a URL"):
        w2l.detect(Path("rtmp://example.com/in.mp4"), cache=media / "cache")


def test_a_call_makes_one_output(talks: Path, media: Path) -> None:
    with pytest.raises(ConfigError, match="a call makes one output"):
        w2l.sync(talks, media / "speech.wav")

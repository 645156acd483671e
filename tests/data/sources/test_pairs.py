"""Lists of pairs in every order and writing that the published ones, and people, use."""

import random
from pathlib import Path
from typing import cast

import pytest

from w2l.core.errors import ConfigError
from w2l.data.sources.pairs import Order, read_pair_list


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of empty files as LRS2 and ReSyncED name them."""
    root = tmp_path / "data"
    for name in (
        "6330/00001.mp4", "6330/00002.mp4", "a.mp4", "b.mp4", "c.mov", "a.wav", "b.mp3", "my clip.mp4", "its speech.wav"
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(tmp_path: Path, text: str | bytes, name: str = "list.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(path: Path, root: Path, order: str = "auto") -> list[tuple[str, str, str]]:
    """Video, speech and name of each pair; files below the root."""
    pairs = read_pair_list(path, root, cast(Order, order))
    return [(str(one.video.relative_to(root)), str(one.speech.relative_to(root)), one.name) for one in pairs]


def test_lrs_lists_name_the_speech_first_and_no_suffix(tmp_path: Path, root: Path) -> None:
    path = write(tmp_path, "6330/00001 6330/00002\n6330/00002 6330/00001\n")
    assert told(path, root) == [
        ("6330/00002.mp4", "6330/00001.mp4", "6330/00002"), ("6330/00001.mp4", "6330/00002.mp4", "6330/00001")
    ]  # fmt: skip


def test_resynced_lists_name_the_video_first(tmp_path: Path, root: Path) -> None:
    assert told(write(tmp_path, "a.mp4 b.mp4\nb.mp4 c.mov\n"), root) == [
        ("a.mp4", "b.mp4", "a"), ("b.mp4", "c.mov", "b")
    ]  # fmt: skip
    assert told(write(tmp_path, "a.mp4 b.mp3\n"), root) == [("a.mp4", "b.mp3", "a")]


def test_a_sound_file_is_the_speech_wherever_it_stands(tmp_path: Path, root: Path) -> None:
    """One line with a sound file settles the whole list."""
    assert told(write(tmp_path, "b.mp4 a.mp4\na.WAV b.mp4\n"), root)[1] == ("b.mp4", "a.WAV", "b")


@pytest.mark.parametrize(("order", "video"), [("audio-video", "b.mp4"), ("video-audio", "a.mp4")])
def test_a_named_order_holds(tmp_path: Path, root: Path, order: str, video: str) -> None:
    assert told(write(tmp_path, "a.mp4 b.mp4\n"), root, order)[0][0] == video
    assert told(write(tmp_path, "a b\n"), root, order)[0][0] == video


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"my clip.mp4" "its speech.wav"', id="quoted"),
        pytest.param("'my clip.mp4' 'its speech.wav'", id="single quotes"),
        pytest.param("my clip.mp4\tits speech.wav", id="tab"),
        pytest.param("my clip.mp4 its speech.wav", id="told by the suffixes"),
        pytest.param("\ufeffmy clip.mp4\tits speech.wav\r\n", id="BOM, CRLF"),
    ],
)
def test_names_may_hold_blanks(tmp_path: Path, root: Path, text: str) -> None:
    assert told(write(tmp_path, text), root) == [("my clip.mp4", "its speech.wav", "my clip")]


def test_numbers_count_all_lines_as_the_published_tool_does(tmp_path: Path, root: Path) -> None:
    """A line that is commented out leaves the numbers of the others alone."""
    path = write(tmp_path, b"\xef\xbb\xbfa b\r\n# b c\r\n\r\n  b   a\t\r\n")
    assert [(pair.number, pair.line) for pair in read_pair_list(path, root)] == [(0, 1), (3, 4)]


def test_a_heading_names_columns_and_outputs(tmp_path: Path, root: Path) -> None:
    path = write(tmp_path, 'name,Audio,video\n"s1, take 2",a.wav,b.mp4\nx/second.mp4,b.mp3,a\n', "list.csv")
    assert told(path, root) == [("b.mp4", "a.wav", "s1, take 2"), ("a.mp4", "b.mp3", "x/second")]
    assert told(write(tmp_path, "video;speech\na.mp4;a.wav\n", "semicolons.csv"), root) == [("a.mp4", "a.wav", "a")]
    assert told(write(tmp_path, "audio_source video\nb a\n"), root) == [("a.mp4", "b.mp4", "a")]


def test_outputs_are_named_after_their_clips_each_differently(tmp_path: Path, root: Path) -> None:
    """The first of a video has its name; later ones add the speech, and the same pair again its line."""
    lines = "6330/00001 6330/00002\n6330/00001 6330/00002\n6330/00002 6330/00002\n6330/00001 6330/00002\n"
    names = [name for _, _, name in told(write(tmp_path, lines), root)]
    assert names == ["6330/00002", "6330/00002-6330-00001", "6330/00002-6330-00002", "6330/00002-6330-00001-3"]
    shorter = [name for _, _, name in told(write(tmp_path, "".join(lines.splitlines(True)[:2])), root)]
    assert shorter == names[:2]  # a list may grow, and what is made keeps its name


def test_a_video_elsewhere_gives_its_last_name(tmp_path: Path, root: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "v1.5.mp4").touch()
    assert [pair.name for pair in read_pair_list(write(tmp_path, f"{tmp_path}/else/v1.5.mp4 b.mp3\n"), root)] == [
        "v1.5"
    ]


def test_a_url_is_refused_whole(tmp_path: Path, root: Path) -> None:
    path = write(tmp_path, "a.mp4 a.wav\na.mp4 https://example.com/b.wav\n")
    with pytest.raises(ConfigError, match=r"line 2: https://example.com/b.wav is a URL"):
        read_pair_list(path, root)


def test_names_without_suffix_mean_files_that_are_there(tmp_path: Path, root: Path) -> None:
    """``.mp4`` first, as published, then other videos; for the speech also sound."""
    assert told(write(tmp_path, "a c\n"), root) == [("c.mov", "a.mp4", "c")]
    (root / "a.mp4").unlink()
    assert told(write(tmp_path, "a c\n"), root) == [("c.mov", "a.wav", "c")]


def test_without_a_root_names_begin_beside_the_list(tmp_path: Path, root: Path) -> None:
    path = write(root, f"a.mp4 {root / 'b.mp3'}\n")
    assert read_pair_list(path)[0].video == root / "a.mp4"
    assert read_pair_list(path)[0].speech == root / "b.mp3"


def test_windows_folders_and_other_bytes_are_names_too(tmp_path: Path, root: Path) -> None:
    assert told(write(tmp_path, "6330\\00001 6330\\00002"), root)[0][0] == "6330/00002.mp4"
    pairs = read_pair_list(write(tmp_path, b"a.mp4 caf\xe9.wav\n"), root)
    assert bytes(pairs[0].speech).endswith(b"caf\xe9.wav")


def test_some_missing_videos_are_left_to_who_opens_them(tmp_path: Path, root: Path) -> None:
    assert [video for video, _, _ in told(write(tmp_path, "a gone\na b\n"), root)] == ["gone.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected"),
        ("# nothing\n\n", "is empty; expected"),
        ("video audio\n", "empty below its heading"),
        ("a b\nlonely\n", "line 2: only one name"),
        ("a b\na b c\n", "line 2: 3 names.*quote names"),
        ('a b\n"a b\n', "line 2: a quote is not closed"),
        ("a.mp4 a.wav\na.wav b.mp4\n", "line 1 and line 2 have video and speech in different order"),
        ("a.wav b.mp3\n", "line 1: two audio files"),
        ("a.mp4 b.mp4\na b\n", "line 2: only some names have a suffix.*--pairs-order"),
        ("a b.mp4\n", "line 1: only some names have a suffix"),
        ("x/1 x/2\n", "none of its 1 videos exists.*x/2.mp4.*--root"),
        ("video name\na x\n", "must name a video and a speech"),
        ("video\tspeech\nb\ta\n\ta\n", "line 3"),
        ("video speech name\na b x\nb a x\n", "line 3: the name x is also used in line 2"),
        ("video speech name\na b ../x\n", "line 2: the name '../x' leads out"),
        ("video speech name\na b /x\n", "line 2: the name '/x' leads out"),
        (b"\xff\xfea\x00 \x00b\x00", "UTF-16"),
        (b"a\x00b", "null bytes"),
    ],
)
def test_a_bad_list_is_one_line_that_names_the_place(
    tmp_path: Path, root: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path, text, "list.tsv" if isinstance(text, str) and "\t" in text else "list.txt")
    with pytest.raises(ConfigError, match=message) as caught:
        read_pair_list(path, root)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wrong_order_is_seen_by_the_suffixes(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1: a\.wav is audio, not video"):
        read_pair_list(write(tmp_path, "a.wav b.mp4\n"), root, "video-audio")


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pair_list(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pair_list(tmp_path)
    with pytest.raises(ConfigError, match="order 'sideways'"):
        read_pair_list(tmp_path, order=cast(Order, "sideways"))


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv"])
def test_any_bytes_are_pairs_or_one_error(tmp_path: Path, root: Path, suffix: str) -> None:
    rng = random.Random(suffix)
    pieces = [
        b"a.mp4",
        b"b",
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b'"',
        b"'",
        b",",
        b"#",
        b"\xff",
        b"\xe2\x80\xa8",
        b"video",
        b"audio",
    ]
    n_read, errors = 0, ""
    for _ in range(400):
        path = write(tmp_path, b"".join(rng.choices(pieces, k=rng.randrange(1, 12))), f"fuzz{suffix}")
        try:
            n_read += bool(read_pair_list(path, root))
        except ConfigError as error:
            errors += str(error)
    assert n_read
    assert errors
    assert "\n" not in errors
    with pytest.raises(ConfigError):
        read_pair_list(write(tmp_path, b"x" * 200_000, f"long{suffix}"), root)

"""Pictures as a video: which ones, in which order, read one at a time, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.sync_runs import pattern
from w2l.core.errors import MediaError
from w2l.media import container
from w2l.media.coded import frame_times, read_coded
from w2l.media.picture_files import PictureParts, are_written, check_pictures
from w2l.media.player import play
from w2l.media.sequence import hash_of, is_sequence, numbered, pictures_of, source_mark
from w2l.media.video import probe, read_frames, sequence_at

SIZE = (48, 64)
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes six pictures of a size under given names; returns their folder."""

    def make(*names: str, size: tuple[int, int] = SIZE) -> Path:
        folder = tmp_path / "seq"
        folder.mkdir(exist_ok=True)
        for name, image in zip(names, pattern(len(names), size)):
            cv2.imwrite(str(folder / name), image[..., ::-1])
        return folder

    return make


NAMES = [f"f{number:04d}.png" for number in range(8, 14)]


@pytest.mark.parametrize("named", ["f%04d.png", "f*.png", "f%d.png", ""])
def test_names_of_sequences(make: Make, named: str) -> None:
    """By zero-padded numbers, by a glob, by plain numbers, and by the folder alone; numbers count as numbers."""
    names = [f"f{number}.png" for number in range(8, 14)] if named == "f%d.png" else NAMES
    folder = make(*names)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("notes")
    path = folder / named if named else folder
    assert is_sequence(path)
    assert [file.name for file in pictures_of(path)] == names


def test_what_is_not_a_sequence(make: Make, tmp_path: Path) -> None:
    folder = make(*NAMES, "100%d.png")
    assert not is_sequence(folder / NAMES[0])
    assert not is_sequence(folder / "100%d.png"), "a file of that name is that file"
    assert not is_sequence(tmp_path), "a folder with folders in it"
    (folder / "clip.mp4").write_bytes(b"")
    assert not is_sequence(folder), "a folder of videos"


def test_numbers_in_names_count_as_numbers(make: Make) -> None:
    folder = make("a2.png", "a10.png", "a1.png")
    assert [file.name for file in pictures_of(folder)] == ["a1.png", "a2.png", "a10.png"]
    assert numbered(Path("o/f%03d.png"), 7) == Path("o/f007.png")


def test_it_is_read_like_a_video(make: Make) -> None:
    folder = make(*NAMES)
    info = probe(folder)
    assert (info.width, info.height, info.fps, info.n_frames) == (64, 48, 25.0, 6)
    assert (info.is_sequence, info.is_still, info.has_sound) == (True, False, False)
    assert sequence_at(info, 50).duration_s == pytest.approx(6 / 50)
    frames = list(read_frames(folder))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(6) / 25)
    assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, pattern(6, SIZE)))
    assert frame_times(folder) == pytest.approx(np.arange(6) / 25)
    coded = [frame.picture.y for frame in read_coded(folder)]
    order = [0, 1, 5, 4, 3, 3, 0, 5]
    for times in (np.arange(6) / 25, np.arange(6) / 24):
        assert all(np.array_equal(one.picture.y, coded[idx]) for one, idx in zip(play(folder, times, order), order))


def test_one_picture_is_open_at_a_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened, most = make(*NAMES), list[object](), list[int]()
    real = container.av.open

    def spy(*given: object, **named: object) -> object:
        opened.append(real(*given, **named))
        most.append(sum(one.streams.video[0].codec_context.is_open for one in opened if one.streams))  # type: ignore[attr-defined]
        return opened[-1]

    monkeypatch.setattr(container.av, "open", spy)
    assert len(list(read_coded(folder))) == len(opened) == 6
    assert max(most) <= 1


def test_gaps_are_named(make: Make) -> None:
    folder = make("f0001.png", "f0002.png", "f0005.png")
    with pytest.raises(MediaError, match=r"2 pictures missing between f0001.png and f0005.png: f0003.png, f0004.png;"):
        probe(folder / "f%04d.png")
    assert probe(folder).n_frames == 3


@pytest.mark.parametrize(("named", "said"), [
    ("g%04d.png", "no pictures with such names"), ("g*.png", "no pictures there"), ("no/f%d.png", "cannot be read"),
])  # fmt: skip
def test_no_pictures(make: Make, named: str, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        probe(make(*NAMES) / named)


def test_another_size_and_damage_are_named(make: Make) -> None:
    folder = make(*NAMES)
    cv2.imwrite(str(folder / NAMES[3]), np.zeros((50, 64, 3), np.uint8))
    for read in (read_frames, read_coded):
        with pytest.raises(MediaError, match=r"f0011.png: the picture is 64x50, those before it are 64x48; scale it"):
            list(read(folder))  # type: ignore[operator]
    (folder / NAMES[3]).write_bytes(b"not a picture")
    with pytest.raises(MediaError, match=r"f0011\.png: "):
        list(read_coded(folder))


def test_a_changed_picture_changes_the_mark_and_the_hash(make: Make) -> None:
    folder = make(*NAMES)
    before = source_mark(folder), hash_of(folder)
    assert before == (source_mark(folder), hash_of(folder))
    assert len(before[1]) == 64
    (folder / NAMES[5]).write_bytes((folder / NAMES[4]).read_bytes())
    assert all(one != other for one, other in zip(before, (source_mark(folder), hash_of(folder))))


def test_pictures_appear_all_or_not_at_all(tmp_path: Path) -> None:
    path, images = tmp_path / "new" / "p%02d.png", list(pattern(5, SIZE))
    check_pictures(path, overwrite=False)
    short = pytest.raises(ValueError, match="lacks its last 2")
    with PictureParts(path, (0, 3, 5), "mark") as parts, short, parts.writer(0) as writer:
        writer.write(images[0])
    assert not are_written(path, 5)
    assert list(path.parent.glob("p*")) == []
    numbered(path, 9).write_bytes(b"of an earlier output")
    with pytest.raises(MediaError, match=r"p09.png exists; overwrite such pictures with -y"):
        check_pictures(path, overwrite=False)
    with PictureParts(path, (0, 3, 5), "other", resume=True) as parts:
        assert not parts.finished(0), "made under another mark"
    with PictureParts(path, (0, 3, 5), "mark") as parts, parts.writer(0) as writer:
        for image in images[:3]:
            writer.write(image)
    with PictureParts(path, (0, 3, 5), "mark", resume=True) as parts:
        assert [parts.finished(part) for part in (0, 1)] == [True, False]
        with parts.writer(1) as writer:
            for image in images[3:]:
                writer.write(image)
        parts.assemble()
    assert are_written(path, 5)
    assert sorted(file.name for file in path.parent.iterdir()) == [f"p0{number}.png" for number in range(1, 6)]
    assert all(np.array_equal(frame.image, image) for frame, image in zip(read_frames(path), images))

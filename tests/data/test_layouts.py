"""Which videos a dataset holds: by folder or by list, each with an id of its own that any disk takes."""

import os
from pathlib import Path

import pytest

from w2l.data.layouts import Listing, find_videos, safe_id
from w2l.errors import ConfigError, MediaError


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def ids(listing: Listing) -> dict[str, str]:
    return {source.clip_id: source.split for source in listing.sources}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of empty files."""
    root = tmp_path / "data set"
    make(root, "b.mp4", "s1/a.mkv", "s1/deep/er/c.MOV", "notes.txt", "s1/a.wav", "._b.mp4", ".b.tmp-12.mp4")
    (root / "folder.mp4").mkdir()
    return root


def test_a_folder_of_any_depth(root: Path) -> None:
    listing = find_videos(root)
    assert ids(listing) == {"b": "", "s1/a": "", "s1/deep/er/c": ""}
    assert all(source.path.is_file() for source in listing.sources)
    assert find_videos(root) == listing


def test_lists_name_clips_and_their_split(root: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\ufeffs1/a\n\n  b.mp4  \nnone\n", encoding="utf-8")
    (tmp_path / "mine.txt").write_bytes(b"s1/deep/er/c.MOV NF 7\r\ns1/a.mkv\r\nnotes.txt\r\nfolder.mp4\r\n")
    listing = find_videos(root, [tmp_path / "train.txt", tmp_path / "mine.txt"])
    assert ids(listing) == {"s1/a": "train", "b": "train", "s1/deep/er/c": ""}
    assert listing.missing == ("none", "notes.txt", "folder.mp4")


def test_names_with_blanks_quotes_and_any_script(tmp_path: Path) -> None:
    odd = ['it\'s "me".mp4', "näme 名前.mp4", "a b/c.mp4", "100%.mp4", "a:b.mp4", "-o.mp4", "$(x).mp4", "x.y.z.mp4"]
    make(tmp_path, *odd)
    listing = find_videos(tmp_path)
    assert len(ids(listing)) == len(odd)
    for clip_id in ids(listing):
        assert clip_id.isascii()
        assert not set(clip_id) & set(" '\"$()%:")
    lists = tmp_path / "val.txt"
    lists.write_text("\n".join(odd), encoding="utf-8")
    listed = find_videos(tmp_path, [lists])
    assert set(ids(listed)) == set(ids(listing))
    assert not listed.missing


@pytest.mark.parametrize("names", [
    ("a.mp4", "a.mkv"),
    ("a b.mp4", "a_b.mp4", "a'b.mp4"),
    ("x/a.mp4", "y/a.mp4", "a.mp4"),
    ("a.mp4", "a/b.mp4", "a/tracks/0.mp4", "tracks.mp4", "clip.json.mp4", "faces.npz.mp4", "tracks_.mp4"),
], ids=" ".join)  # fmt: skip
def test_every_clip_has_an_id_of_its_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    make(tmp_path, *names)
    found = ids(find_videos(tmp_path))
    assert len(found) == len(names)
    assert not any({"tracks", "clip.json", "faces.npz"} & set(clip_id.split("/")) for clip_id in found)


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "/etc/x", "a/../../x", "a//b", ".hidden", "x" * 255])
def test_ids_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    path = (tmp_path / "clips" / safe_id(name) / "clip.json").resolve()
    assert path.is_relative_to(tmp_path / "clips")
    assert path.parent != tmp_path / "clips"
    path.parent.mkdir(parents=True)
    assert safe_id(name) == safe_id(name)


def test_lists_may_name_videos_elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "other/d.mp4")
    lists = tmp_path / "list"
    lists.write_text(f"{tmp_path}/other/d.mp4\n../other/d.mp4\n{root}/b.mp4\n")
    monkeypatch.chdir(tmp_path)
    for folder in (root, Path("data set")):
        listing = find_videos(folder, [lists])
        assert {os.path.realpath(source.path) for source in listing.sources} == {
            str(tmp_path / "other" / "d.mp4"), str(root / "b.mp4"),
        }  # fmt: skip
        assert "b" in ids(listing)
        assert not listing.missing


def test_lists_that_are_none(root: Path, tmp_path: Path) -> None:
    lists = tmp_path / "list"
    for content in (b"", b"nothing\nhere\n", b".\n..\n/\n", b"x" * 9000, b"a\0b\n"):
        lists.write_bytes(content)
        with pytest.raises(MediaError, match=r"none of|no video"):
            find_videos(root, [lists])
        with pytest.raises(MediaError, match=r"none of|no video"):
            find_videos(Path(os.path.relpath(root)), [lists])
    lists.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ConfigError, match="cannot be read"):
        find_videos(root, [lists])
    with pytest.raises(ConfigError, match="cannot be read"):
        find_videos(root, [tmp_path / "none.txt"])


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is no folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(MediaError, match=r"no video in .*\.mp4"):
        find_videos(tmp_path)

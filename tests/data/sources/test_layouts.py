"""Which videos a dataset holds: by folder or by list, each with an id of its own that any disk takes."""

import os
from pathlib import Path

import pytest

from w2l.cache.store import safe_id
from w2l.core.errors import ConfigError, MediaError
from w2l.data.sources.listing import Listing, find_videos, sound_beside


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
    with pytest.raises(MediaError, match="is not a folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(MediaError, match=r"no videos in .*\.mp4"):
        find_videos(tmp_path)


MAIN = {"main/6330/00001": "train", "main/6330/00002": "train", "main/5535/00001": "val", "main/5548/00007": "test"}
PRETRAIN = {"pretrain/6330/00001": "pretrain", "pretrain/7000/00003": "pretrain"}
LRS3 = {
    "trainval/0Fi83BHQsMA/00002": "train",
    "pretrain/00j9bKdiOjk/00001": "pretrain",
    "test/0-_f3BHQsMA/00006": "test",
}


class TestLayouts:
    """Every published layout is recognised by its paths, from whatever folder of it a user names."""

    @pytest.fixture
    def lrs2(self, tmp_path: Path) -> Path:
        root = tmp_path / "lrs2"
        for clip in ("6330/00001", "6330/00002", "5535/00001", "5548/00007"):
            make(root, f"main/{clip}.mp4", f"main/{clip}.txt")
        make(root, "pretrain/6330/00001.mp4", "pretrain/7000/00003.mp4")
        lists = {
            "train": "6330/00001\n6330/00002\n", "val": "5535/00001 NF\r\n", "test": "5548/00007 MV\n5548/00008 MV\n",
            "pretrain": "6330/00001\n7000/00003\n",
        }  # fmt: skip
        for split, lines in lists.items():
            (root / f"{split}.txt").write_bytes(lines.encode())
        return root

    @pytest.mark.parametrize("named", [".", "main", "mvlrs_v1", "mvlrs_v1/main", "link"])
    @pytest.mark.parametrize("layout", ["auto", "lrs2"])
    def test_lrs2_is_main_with_the_lists_at_the_root(self, lrs2: Path, named: str, layout: str) -> None:
        if named.startswith("mvlrs_v1"):
            (lrs2 / "mvlrs_v1").mkdir()
            for subset in ("main", "pretrain"):
                (lrs2 / subset).rename(lrs2 / "mvlrs_v1" / subset)
        if named == "link":
            (lrs2 / "link").symlink_to(lrs2 / "main")
            make(lrs2, "elsewhere/x.mp4")
        listing = find_videos(lrs2 / named, (), layout)
        assert listing.layout == "lrs2"
        assert ids(listing) == MAIN
        assert {source.speaker for source in listing.sources} == {"6330", "5535", "5548"}
        assert not listing.missing, "no list was named"

    def test_lrs2_pretrain_when_asked_for(self, lrs2: Path) -> None:
        assert ids(find_videos(lrs2 / "pretrain")) == PRETRAIN
        assert ids(find_videos(lrs2, [lrs2 / "pretrain.txt"])) == PRETRAIN
        both = find_videos(lrs2, [lrs2 / "train.txt", lrs2 / "pretrain.txt", lrs2 / "test.txt"])
        assert ids(both) == {clip: split for clip, split in (MAIN | PRETRAIN).items() if split != "val"}
        assert both.missing == ("5548/00008 MV",)

    def test_lrs2_of_one_programme_or_with_a_list_of_ones_own(self, lrs2: Path, tmp_path: Path) -> None:
        assert ids(find_videos(lrs2 / "main" / "6330")) == {"main/6330/00001": "train", "main/6330/00002": "train"}
        (tmp_path / "few.txt").write_text("5535/00001\n")
        for root in (lrs2, lrs2 / "main"):
            assert ids(find_videos(root, [tmp_path / "few.txt"])) == {"main/5535/00001": "val"}

    def test_lrs2_without_lists_has_no_splits_yet(self, lrs2: Path) -> None:
        for filelist in lrs2.glob("*.txt"):
            filelist.unlink()
        assert ids(find_videos(lrs2)) == dict.fromkeys(MAIN, "")

    def test_lrs2_with_pretrain_alone(self, lrs2: Path) -> None:
        (lrs2 / "main").rename(lrs2.parent / "gone")
        with pytest.raises(ConfigError, match=r"pretrain; choose that folder"):
            find_videos(lrs2)

    def test_lrs3(self, tmp_path: Path) -> None:
        make(tmp_path, *(f"lrs3/v0.4/{clip}.mp4" for clip in LRS3))
        for root in (tmp_path / "lrs3", tmp_path / "lrs3" / "v0.4"):
            listing = find_videos(root)
            assert (ids(listing), listing.layout) == (LRS3, "lrs3")
        assert {source.speaker for source in listing.sources} == {"0Fi83BHQsMA", "00j9bKdiOjk", "0-_f3BHQsMA"}
        assert ids(find_videos(tmp_path / "lrs3/v0.4/test")) == {"test/0-_f3BHQsMA/00006": "test"}
        (tmp_path / "val.txt").write_text("trainval/0Fi83BHQsMA/00002\n")
        assert ids(find_videos(tmp_path / "lrs3", [tmp_path / "val.txt"])) == {"trainval/0Fi83BHQsMA/00002": "val"}

    def test_a_folder_named_test_is_not_lrs3(self, tmp_path: Path) -> None:
        make(tmp_path, "test/11charslong/00001.mp4", "test/11charslonG/00001.mp4")
        listing = find_videos(tmp_path / "test")
        assert listing.layout == "folder"
        assert set(ids(listing).values()) == {""}, "or nothing would be left to train on"
        assert set(ids(find_videos(tmp_path / "test", (), "lrs3")).values()) == {"test"}

    def test_lrw(self, tmp_path: Path) -> None:
        clips = {f"{word}/{split}/{word}_0000{n}": split
                 for word in ("ABOUT", "WOULD") for n, split in enumerate(("train", "val", "test"))}  # fmt: skip
        make(tmp_path, *(f"lipread_mp4/{clip}.mp4" for clip in clips))
        for named in (".", "lipread_mp4"):
            listing = find_videos(tmp_path / named)
            assert (ids(listing), listing.layout) == (clips, "lrw")
            assert {source.speaker for source in listing.sources} == {""}
        assert set(ids(find_videos(tmp_path / "lipread_mp4/ABOUT"))) == {clip for clip in clips if clip[0] == "A"}

    def test_voxceleb2(self, tmp_path: Path) -> None:
        clips = {"dev/mp4/id00012/21Uxsk56VDQ/00001": "train", "test/mp4/id00017/01dfn2spqyE/00001": "test"}
        make(tmp_path, *(f"{clip}.mp4" for clip in clips), "dev/aac/id00012/21Uxsk56VDQ/00001.m4a")
        listing = find_videos(tmp_path)
        assert (ids(listing), listing.layout) == (clips, "voxceleb2")
        assert [source.speaker for source in listing.sources] == ["id00012", "id00017"]
        assert ids(find_videos(tmp_path / "dev" / "mp4")) == {"dev/mp4/id00012/21Uxsk56VDQ/00001": "train"}

    def test_sound_that_lies_in_a_file_of_its_own(self, tmp_path: Path) -> None:
        make(tmp_path, "mp4/dev/mp4/id00012/x/00001.mp4", "mp4/dev/aac/id00012/x/00001.m4a", "a.mp4", "a.wav", "b.mp4")
        found = sound_beside(tmp_path / "mp4/dev/mp4/id00012/x/00001.mp4")
        assert found == tmp_path / "mp4/dev/aac/id00012/x/00001.m4a"
        assert sound_beside(tmp_path / "a.mp4") == tmp_path / "a.wav"
        assert sound_beside(tmp_path / "b.mp4") is None

    def test_a_layout_that_does_not_fit_says_what_was_expected_and_found(self, root: Path) -> None:
        with pytest.raises(ConfigError, match=r"not have the layout lrs2: expected main/<id>/<n>\.mp4, both of digits"):
            find_videos(root, (), "lrs2")
        with pytest.raises(ConfigError, match="unknown layout lrs9; one of auto, lrs2"):
            find_videos(root, (), "lrs9")
        assert find_videos(root, (), "folder").layout == "folder"

    def test_strays_are_left_out_and_said(self, lrs2: Path, caplog: pytest.LogCaptureFixture) -> None:
        make(lrs2, "main/6330/odd name.mp4")
        assert ids(find_videos(lrs2, (), "lrs2")) == MAIN
        assert "skipping 1 videos that do not fit lrs2, such as main/6330/odd name.mp4" in caplog.text


class TestFolders:
    """Plain folders: speakers and splits as far as names tell."""

    def speakers(self, root: Path, *names: str) -> dict[str, tuple[str, str]]:
        make(root, *names)
        return {source.clip_id: (source.speaker, source.split) for source in find_videos(root).sources}

    def test_the_first_of_several_folders_is_the_speaker(self, tmp_path: Path) -> None:
        found = self.speakers(tmp_path, "data/ann/x/1.mp4", "data/bob/2.mp4", "data/3.mp4")
        assert found == {"data/ann/x/1": ("ann", ""), "data/bob/2": ("bob", ""), "data/3": ("", "")}

    def test_one_folder_tells_nothing(self, tmp_path: Path) -> None:
        assert self.speakers(tmp_path, "all/1.mp4", "all/2.mp4") == {"all/1": ("", ""), "all/2": ("", "")}

    def test_folders_named_as_splits(self, tmp_path: Path) -> None:
        found = self.speakers(tmp_path, "train/ann/1.mp4", "val/bob/2.mp4", "test/3.mp4")
        assert found == {"train/ann/1": ("ann", "train"), "val/bob/2": ("bob", "val"), "test/3": ("", "test")}

    def test_lists_at_the_root(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "train.txt").write_text("\ufeffann/1\r\n\r\n./bob/2.mp4\nann/none\n")
        (tmp_path / "test.txt").write_text(f"bob/2 NF\n{tmp_path}/bob/4.mp4\n")
        (tmp_path / "val.txt").write_text("Notes on how to value these clips.\n")
        found = self.speakers(tmp_path, "ann/1.mp4", "bob/2.mp4", "bob/3.mp4", "bob/4.mp4")
        assert {clip: split for clip, (_, split) in found.items()} == {
            "ann/1": "train", "bob/2": "test", "bob/3": "", "bob/4": "test",
        }, "what shall test must not train"  # fmt: skip

    def test_a_clip_on_two_named_lists_keeps_the_first(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        for name in ("train", "test"):
            (root / f"{name}.txt").write_text("b.mp4\n")
        assert ids(find_videos(root, [root / "train.txt", root / "test.txt"])) == {"b": "train"}
        assert "1 clips are also in an earlier list" in caplog.text


class TestRubbish:
    """What lies around on real disks."""

    def test_links_are_followed_once(self, tmp_path: Path) -> None:
        make(tmp_path, "elsewhere/deep/a.mp4", "set/s1/b.mp4", "set/real.mp4")
        root = tmp_path / "set"
        for name, target in {
            "s2": "../elsewhere", "s1/self": ".", "s1/up": "../..", "s0": "s1", "again": "../elsewhere/deep",
            "c.mp4": "real.mp4",
        }.items():  # fmt: skip
            (root / name).symlink_to(target)
        assert set(ids(find_videos(root))) == {"s1/b", "again/a", "real", "c"}, "once each, under the first name"

    def test_what_cannot_be_read_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make(tmp_path, "a.mp4", "shut\n/b.mp4")
        (tmp_path / "lost.mp4").symlink_to("gone")
        scandir = os.scandir

        def refuse(path: str) -> object:
            if "shut" in str(path):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        listing = find_videos(tmp_path)
        assert set(ids(listing)) == {"a"}
        assert listing.unreadable == ("lost.mp4: a dangling link", "shut\\n: Permission denied")

    def test_names_that_are_no_text_or_very_long(self, tmp_path: Path) -> None:
        long = "x" * 251
        for name in (b"caf\xe9.mp4", b"line\nbreak.mp4", b"\"quotes'.mp4", long.encode() + b".mp4"):
            with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
                pass
        found = find_videos(tmp_path)
        assert len(ids(found)) == 4
        assert all(clip_id.isascii() and "\n" not in clip_id and len(clip_id) < 255 for clip_id in ids(found))
        assert all(os.path.exists(source.path) for source in found.sources)
        lists = tmp_path / "mine"
        lists.write_bytes(b"caf\xe9\n" + long.encode() + b"\n\"quotes'\n")
        listed = find_videos(tmp_path, [lists])
        assert len(listed.sources) == 3
        assert set(ids(listed)) < set(ids(found))

    def test_suffixes_in_any_case_and_ids_alike_by_list_and_by_folder(self, tmp_path: Path) -> None:
        make(tmp_path, "a/x.MP4", "a/y.mkv", "a/y.mp4")
        lists = tmp_path / "train.txt"
        lists.write_text("a/x\na/y\n")
        assert set(ids(find_videos(tmp_path, [lists]))) == {"a/x", "a/y.mkv"}
        assert set(ids(find_videos(tmp_path))) == {"a/x", "a/y.mkv", "a/y.mp4"}

    def test_hidden_folders_and_other_files_only(self, tmp_path: Path) -> None:
        make(tmp_path, ".trash/a.mp4", "a.txt", "b.txt", "c.wav")
        with pytest.raises(MediaError, match=r"no videos in .* \(other files: 2 \.txt, 1 \.wav\); known suffix"):
            find_videos(tmp_path)

    def test_utf16_lists_are_refused_by_name(self, root: Path) -> None:
        (root / "mine.txt").write_text("b.mp4\n", encoding="utf-16")
        with pytest.raises(ConfigError, match="UTF-16; save it as UTF-8"):
            find_videos(root, [root / "mine.txt"])

    def test_a_list_looks_into_each_folder_once(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make(root, *(f"many/{n:03d}.mp4" for n in range(200)))
        lists = root / "mine"
        lists.write_text("".join(f"many/{n:03d}\n" for n in range(200)))
        looked: list[str] = []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
        monkeypatch.setattr(os.path, "isfile", lambda path: pytest.fail(f"a look at {path} alone"))
        assert len(find_videos(root, [lists], "folder").sources) == 200
        assert len(looked) < 12

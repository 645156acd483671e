"""What people hand to `score` becomes samples: folders, files, lists, runs, and the real videos they were made from.

Nothing here is decoded: the videos are empty files.
"""

import shutil
import unicodedata
from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.core.errors import CacheError, ConfigError
from w2l.core.files import write_json
from w2l.scoring.inputs.samples import NO_REAL, ScoreInputs, find_inputs
from w2l.scoring.results import REAL, Sample


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache", create=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def make(*names: str) -> list[Path]:
    """Empty files in the working directory."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return [Path(name) for name in names]


def find(cache: Cache, paths: list[str | Path], *references: str | Path) -> ScoreInputs:
    return find_inputs([Path(path) for path in paths], [Path(path) for path in references], cache)


def told(inputs: ScoreInputs) -> dict[tuple[str, str], str | None]:
    """(System, name) -> reference of each output."""
    outputs = [one for one in inputs.samples if one.system != REAL]
    found = {(one.system, one.name): str(one.reference) if one.reference else None for one in outputs}
    assert len(found) == len(outputs), "two outputs share a name"
    return found


def reals(inputs: ScoreInputs) -> dict[str, str]:
    """Name -> path of each real video."""
    found = [one for one in inputs.samples if one.system == REAL]
    assert len({one.path.resolve() for one in found}) == len({one.name for one in found}) == len(found)
    return {one.name: str(one.path) for one in found}


def record(path: Path, output: str, video: str, model: str = "w2l") -> None:
    content = {
        "output": str(Path(output).absolute()),
        "video": str(Path(video).absolute()),
        "model": f"/m/{model}.safetensors",
    }
    write_json(path, content | {"settings": {"model": model}})


# What is scored


def test_one_file_has_no_reference_and_says_so(cache: Cache, here: Path) -> None:
    make("out.mp4")
    found = find(cache, ["out.mp4"])
    assert found.samples == (Sample(Path("out.mp4"), "outputs", "out"),)
    assert found.notes == (NO_REAL,)


def test_one_reference_is_that_of_all_outputs_and_scored_once(cache: Cache, here: Path) -> None:
    make("a.mp4", "b.mp4", "in.mov")
    found = find(cache, ["a.mp4", "b.mp4"], "in.mov")
    assert told(found) == {("outputs", "a"): "in.mov", ("outputs", "b"): "in.mov"}
    assert reals(found) == {"in": "in.mov"}
    assert not found.notes


def test_a_folder_is_a_system_of_all_videos_below_it(cache: Cache, here: Path) -> None:
    make("wav2lip/s1/a.mp4", "wav2lip/s1/b c.MOV", "wav2lip/s2/a.mkv", "wav2lip/.hidden.mp4", "wav2lip/a.w2l.json")
    assert list(told(find(cache, ["wav2lip/"]))) == [("wav2lip", "s1/a"), ("wav2lip", "s1/b c"), ("wav2lip", "s2/a")]


def test_videos_that_differ_in_their_suffix_keep_it(cache: Cache, here: Path) -> None:
    make("x/a.mp4", "x/a.avi", "x/b.mp4", "real/a.avi", "real/a.mp4", "real/b.mkv")
    assert told(find(cache, ["x"], "real")) == {
        ("x", "a.avi"): "real/a.avi", ("x", "a.mp4"): "real/a.mp4", ("x", "b"): "real/b.mkv"
    }  # fmt: skip


def test_folders_of_one_name_are_told_apart(cache: Cache, here: Path) -> None:
    make("ours/out/a.mp4", "theirs/out/a.mp4")
    assert find(cache, ["ours/out", "theirs/out", "ours/out/"]).systems == ("ours/out", "theirs/out")


def test_the_working_directory_has_a_name(cache: Cache, here: Path) -> None:
    make("a.mp4")
    assert find(cache, ["."]).systems == ("here",)


def test_a_folder_called_real_does_not_pose_as_the_real_videos(cache: Cache, here: Path) -> None:
    make("real/a.mp4")
    found = find(cache, ["real"])
    assert found.systems == ("real/",)
    assert any("set --reference for real videos" in note for note in found.notes)


def test_files_of_two_folders_are_systems_where_their_names_meet(cache: Cache, here: Path) -> None:
    files = make("a/x.mp4", "a/y.mp4", "b/x.mp4", "b/y.mp4")
    assert list(told(find(cache, [*files]))) == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert find(cache, [files[0], files[3]]).systems == ("outputs",)


def test_each_file_counts_once(cache: Cache, here: Path) -> None:
    make("x/a.mp4", "x/b.mp4")
    Path("x/link.mp4").symlink_to("a.mp4")
    Path("again").symlink_to("x")
    assert len(find(cache, ["x/a.mp4", "x/../x/a.mp4"]).samples) == 1
    found = find(cache, ["x", "again"])
    assert list(told(found)) == [("x", "a"), ("x", "b")]
    assert any("1 outputs are given twice" in note and "link" in note for note in found.notes)


@pytest.mark.parametrize("reference", [False, True])
def test_a_path_that_does_not_exist_is_an_error_at_once(cache: Cache, here: Path, reference: bool) -> None:
    make("a.mp4")
    with pytest.raises(ConfigError, match="gone does not exist"):
        find(cache, ["a.mp4"], "gone") if reference else find(cache, ["a.mp4", "gone"])


@pytest.mark.parametrize("reference", [False, True])
def test_a_folder_without_videos_says_what_it_holds(cache: Cache, here: Path, reference: bool) -> None:
    make("a.mp4", "frames/1.png", "frames/2.png")
    with pytest.raises(ConfigError, match=r"no videos in frames \(other files: 2 \.png\)"):
        find(cache, ["a.mp4"], "frames") if reference else find(cache, ["frames"])


# Which reference


@pytest.mark.parametrize(
    "output",
    [
        "bbaf2n.mp4", "bbaf2n_out.mp4", "bbaf2n.w2l.mp4", "BBAF2N.MP4", "wav2lip-bbaf2n.mov", "s1_bbaf2n.avi",
        "s1/bbaf2n.mp4", "my results/bbaf2n (1).mkv",
    ],
)  # fmt: skip
def test_outputs_named_like_references_find_them(cache: Cache, here: Path, output: str) -> None:
    make("grid/s1/bbaf2n.mkv", "grid/s1/bbaf2.mkv", "grid/s2/bbaf3n.mpg", f"out/{output}")
    found = find(cache, ["out"], "grid")
    assert list(told(found).values()) == ["grid/s1/bbaf2n.mkv"]
    assert reals(found) == {"s1/bbaf2n": "grid/s1/bbaf2n.mkv"}
    assert any("2 of 3 references belong to no output: s1/bbaf2, s2/bbaf3n" in note for note in found.notes)


def test_accents_are_the_same_however_a_disk_writes_them(cache: Cache, here: Path) -> None:
    make(unicodedata.normalize("NFD", "out/café 1.mp4"), unicodedata.normalize("NFC", "real/café 1.mp4"), "real/b.mp4")
    assert all(told(find(cache, ["out"], "real")).values())


def test_what_matches_nothing_is_noted_and_goes_on(cache: Cache, here: Path) -> None:
    make("out/a.mp4", "out/zz.mp4", "real/a.mp4")
    found = find(cache, ["out"], "real")
    assert told(found) == {("out", "a"): "real/a.mp4", ("out", "zz"): None}
    assert any("1 of 2 outputs match no reference by name: zz" in note for note in found.notes)
    assert any("1 of 2 outputs have no reference: zz" in note for note in found.notes)


def test_what_may_be_several_gets_none(cache: Cache, here: Path) -> None:
    make("out/a_b.mp4", "out/c_d.mp4", "real/a.mp4", "real/b.mp4", "real/c.mp4", "real/d.mp4")
    found = find(cache, ["out"], "real")
    assert set(told(found).values()) == {None}
    assert any("2 of 2 outputs may belong to several references" in note and "a, b" in note for note in found.notes)


def test_references_within_the_folder_of_outputs_are_no_outputs(cache: Cache, here: Path) -> None:
    make("results/a_out.mp4", "results/gt/a.mp4")
    found = find(cache, ["results"], "results/gt")
    assert told(found) == {("results", "a"): "results/gt/a.mp4"}
    shutil.move("results/a_out.mp4", "results/gt/b.mp4")
    with pytest.raises(ConfigError, match="lie in the folder of references"):
        find(cache, ["results"], "results/gt")


def test_the_real_videos_may_be_scored_against_themselves(cache: Cache, here: Path) -> None:
    make("gt/a.mp4")
    assert told(find(cache, ["gt"], "gt")) == {("gt", "a"): "gt/a.mp4"}


@pytest.mark.parametrize("where", ["cache", "beside", "beside the target of a link"])
def test_records_of_sync_tell_the_reference(cache: Cache, here: Path, where: str) -> None:
    make("x/out.mp4", "in.mp4")
    record(cache.runs / "out.json" if where == "cache" else Path("x/out.w2l.json"), "x/out.mp4", "in.mp4")
    path = Path("x/out.mp4")
    if where.endswith("link"):
        path = Path("link.mp4")
        path.symlink_to("x/out.mp4")
    found = find(cache, [path])
    assert list(told(found).values()) == [str(here / "in.mp4")]
    assert not found.notes
    assert list(told(find(cache, [path], "x/out.mp4")).values()) == ["x/out.mp4"], "a named one wins"


def test_records_that_tell_nothing_are_noted(cache: Cache, here: Path) -> None:
    """A video that is gone, a record of another output of the same stem, a damaged one."""
    make("a.mp4", "b.mov", "c.mp4")
    record(Path("a.w2l.json"), "a.mp4", "gone.mp4")
    record(Path("b.w2l.json"), "b.mp4", "a.mp4")
    Path("c.w2l.json").write_text("{")
    found = find(cache, ["a.mp4", "b.mov", "c.mp4"])
    assert set(told(found).values()) == {None}
    assert any("gone.mp4" in note and "--reference" in note for note in found.notes)
    assert any("c.w2l.json" in note for note in found.notes)
    assert not any("b.w2l.json" in note for note in found.notes)


# Several systems


def test_systems_call_the_same_clip_the_same(cache: Cache, here: Path) -> None:
    make("wav2lip/a_wav2lip.mp4", "wav2lip/b_wav2lip.mp4", "ours/a_ours.mp4", "ours/b_ours.mp4", "ours/c_ours.mp4")
    found = find(cache, ["wav2lip", "ours"])
    assert [one.name for one in found.samples] == ["a_wav2lip", "b_wav2lip", "a_wav2lip", "b_wav2lip", "c_ours"]


def test_with_references_clips_are_called_like_them_in_all_systems(cache: Cache, here: Path) -> None:
    make("real/a.mkv", "real/b.mkv", "one/a_x.mp4", "one/b_x.mp4", "two/a.y.mp4", "two/b.y.mp4")
    found = find(cache, ["one", "two"], "real")
    assert list(told(found)) == [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")]
    assert list(reals(found)) == ["a", "b"]


def test_systems_without_a_clip_in_common_are_told(cache: Cache, here: Path) -> None:
    make("one/a.mp4", "two/b.mp4")
    assert any("two does not share clips" in note for note in find(cache, ["one", "two"]).notes)


def test_two_speeches_of_one_video_stay_two_clips(cache: Cache, here: Path) -> None:
    make("real/a.mp4", "out/a_hello.mp4", "out/a_world.mp4")
    found = find(cache, ["out"], "real")
    assert list(told(found)) == [("out", "a_hello"), ("out", "a_world")]
    assert reals(found) == {"a": "real/a.mp4"}


def test_no_two_clips_of_a_system_get_one_name(cache: Cache, here: Path) -> None:
    """Real videos called like other outputs, and an output called like another one's reference."""
    make("a.mp4", "b_1.mp4", "b_2.mp4", "real/x.mp4", "real/a.mp4", "gt/a.mp4", "in/a_v2.mp4", "in/a.mp4")
    Path("l.csv").write_text("output,reference\na.mp4,real/x.mp4\nb_1.mp4,real/a.mp4\nb_2.mp4,real/a.mp4\n")
    assert len(reals(find(cache, ["l.csv"]))) == 2
    Path("l.csv").write_text("output,reference\nin/a.mp4,real/x.mp4\nin/a_v2.mp4,\n")
    assert told(find(cache, ["l.csv"], "gt")) == {("l", "a"): "real/x.mp4", ("l", "a_v2"): "gt/a.mp4"}


# Lists


def test_a_list_names_outputs_and_perhaps_more(cache: Cache, here: Path) -> None:
    make("out/a 1.mp4", "out/b.mp4", "real.mp4", "s.wav")
    Path("mine.txt").write_text("# mine\nout/a 1.mp4\nout/b.mp4 real.mp4 s.wav\n")
    found = find(cache, ["mine.txt"])
    assert told(found) == {("mine", "a 1"): None, ("mine", "b"): "real.mp4"}
    assert [one.speech for one in found.samples if one.name == "b"] == [Path("s.wav"), None][:2]


def test_a_list_with_a_heading_tells_all(cache: Cache, here: Path) -> None:
    make("w/1.mp4", "o/1.mp4", "real/x.mp4")
    Path("l.csv").write_text(
        "system,output,reference,speaker,name\nwav2lip,w/1.mp4,real/x.mp4,Anna,x\nours,o/1,real/x,Anna,x\n"
    )
    found = find(cache, ["l.csv"])
    assert told(found) == {("wav2lip", "x"): "real/x.mp4", ("ours", "x"): "real/x.mp4"}
    assert [one.speaker for one in found.samples if one.system != REAL] == ["Anna", "Anna"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4\ngone.mp4\n", r"l\.txt, line 2: gone.mp4 does not exist"),
        ("a.mp4 a.mp4 a.mp4 a.mp4\n", r"l\.txt, line 1: 4 names"),
        ("name reference\nx a.mp4\n", "does not have a column output"),
    ],
)
def test_a_bad_line_is_named(cache: Cache, here: Path, text: str, message: str) -> None:
    make("a.mp4")
    Path("l.txt").write_text(text)
    with pytest.raises(ConfigError, match=message):
        find(cache, ["l.txt"])


def test_a_list_of_pairs_is_matched_by_the_number_of_its_lines(cache: Cache, here: Path) -> None:
    """As the published tool names outputs; one it skipped, and one whose video is gone."""
    make("data/m/1.mp4", "data/m/2.mp4", "out/0.mp4", "out/2.mp4")
    Path("lrs2.txt").write_text("m/2 m/1\nm/1 m/2\nm/1 m/3\n")
    found = find_inputs([Path("out")], [Path("lrs2.txt")], cache, Path("data"))
    assert told(found) == {("out", "0"): "data/m/1.mp4", ("out", "2"): None}
    assert found.samples[0].speech == Path("data/m/2.mp4")
    assert any("1 references are missing: data/m/3.mp4" in note for note in found.notes)
    assert any("1 of 3 references belong to no output: 1" in note for note in found.notes)


def test_a_list_of_references_is_one_a_line_or_named(cache: Cache, here: Path) -> None:
    make("real/a b.mp4", "real/c.mp4", "out/a b_x.mp4", "out/c_x.mp4", "out/q.mp4")
    Path("real.txt").write_text("real/a b.mp4\nreal/c\n")
    assert list(told(find(cache, ["out"], "real.txt")).values()) == ["real/a b.mp4", "real/c.mp4", None]
    Path("named.tsv").write_text("output\treference\nout/q.mp4\treal/c.mp4\n")
    assert told(find(cache, ["out"], "named.tsv"))[("out", "q")] == "real/c.mp4"


# The cache's runs


def test_without_paths_the_runs_are_scored_model_by_model(cache: Cache, here: Path) -> None:
    make("in.mp4", "a.mp4", "b.mp4", "c.mp4")
    record(cache.runs / "a.json", "a.mp4", "in.mp4")
    record(cache.runs / "b.json", "b.mp4", "in.mp4", str(cache.checkpoints / "mine" / "best.safetensors"))
    record(cache.runs / "gone.json", "gone.mp4", "in.mp4")
    write_json(cache.runs / "score.json", {"clips": 3})
    (cache.runs / "bad.json").write_text("{")
    found = find(cache, [])
    assert told(found) == {("w2l", "a"): str(here / "in.mp4"), ("mine", "a"): str(here / "in.mp4")}
    assert reals(found) == {"a": str(here / "in.mp4")}
    assert any("1 recorded outputs are missing: gone.mp4" in note for note in found.notes)
    assert any("1 records cannot be read" in note and "bad.json" in note for note in found.notes)


def test_without_runs_it_says_so(cache: Cache, here: Path) -> None:
    with pytest.raises(CacheError, match="no runs of w2l sync"):
        find(cache, [])
    record(cache.runs / "gone.json", "gone.mp4", "in.mp4")
    with pytest.raises(CacheError, match="all 1 outputs of its runs are missing"):
        find(cache, [])


# Speakers


def test_speakers_are_the_folders_of_the_real_videos(cache: Cache, here: Path) -> None:
    make("grid/s1/a.mkv", "grid/s2/b.mkv", "out/a.mp4", "out/b.mp4")
    assert [one.speaker for one in find(cache, ["out"], "grid").samples] == ["s1", "s2", "s1", "s2"]
    assert [one.speaker for one in find(cache, ["grid"]).samples] == ["s1", "s2"]
    assert [one.speaker for one in find(cache, ["out"]).samples] == ["", ""]


def test_word_folders_of_lrw_are_no_speakers(cache: Cache, here: Path) -> None:
    make("lrw/ABOUT/test/ABOUT_00001.mp4", "lrw/ABOVE/test/ABOVE_00001.mp4")
    assert {one.speaker for one in find(cache, ["lrw"]).samples} == {""}


def test_real_media_of_the_reference_folder(cache: Cache, here: Path, shared: Path) -> None:
    """GRID's test clips, as outputs that a tool has decorated and put into one folder."""
    names = (shared / "media/grid/test.txt").read_text().split()[:50]
    make(*(f"out/{Path(name).name}_wav2lip.mp4" for name in names))
    found = find(cache, ["out"], shared / "media/grid")
    assert {one.name for one in found.samples if one.system == "out"} == set(names)
    assert len(reals(found)) == len(names)

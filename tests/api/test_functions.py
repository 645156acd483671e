"""The functions of `w2l`: they do what the commands do, report progress, and leave no half file."""

import math
from pathlib import Path
from typing import Any

import pytest

import w2l
from stages import cli
from tests.helpers import made_scores
from tests.helpers.sync_runs import BOX, pictures, same
from w2l.api.given import settings_of
from w2l.errors import CacheError, ConfigError, MediaError, NoFaceError
from w2l.faces.scan import DetectSettings
from w2l.scoring.results import ScoreReport
from w2l.syncing.settings import SyncSettings

Seen = list[tuple[str, int, int | None]]


def make(media: Path, **more: Any) -> Any:
    """`w2l.sync` of the made clip with a small model and a box."""
    quick = {"model": str(media / "aligned.safetensors"), "box": BOX, "device": "cpu", "crf": 0, "preset": "ultrafast"}
    quick |= {"mark": "record"}  # outputs are compared, sample by sample and byte by byte
    return w2l.sync(media / "clip.mp4", media / "speech.wav", **{**quick, **more})


class TestSync:
    def test_it_makes_what_the_command_makes(self, here: Path, media: Path) -> None:
        made = make(media, output="api.mp4", fit="video")
        box = ",".join(f"{side:g}" for side in BOX)
        files = [str(media / "clip.mp4"), str(media / "speech.wav")]
        quick = ["--model", str(media / "aligned.safetensors"), "--box", box, "--device", "cpu", "--crf", "0"]
        cli.main(
            [
                "sync",
                *files,
                *quick,
                "--preset",
                "ultrafast",
                "--fit",
                "video",
                "--mark",
                "record",
                "-o",
                "command.mp4",
                "-q",
            ]
        )
        ours, theirs = pictures(here / "api.mp4"), pictures(here / "command.mp4")
        assert len(ours) == len(theirs) == made.frames == 15
        assert all(same(one, other) for one, other in zip(ours, theirs))
        assert made.output == (here / "api.mp4").resolve()
        assert (here / "api.w2l.json").is_file()

    def test_settings_stand_under_keywords(self, here: Path, media: Path) -> None:
        (here / "w2l.yaml").write_text("sync: {blend: hard, silence: model, batch: 3}\n")
        given = {"blend": "laplacian", "sync.silence": "source", "encoding": {"codec": "hevc"}, "encoding.crf": 7}
        found = settings_of(SyncSettings, "sync", here / "w2l.yaml", given, {"silence": "close", "fps": None})
        assert (found.blend, found.silence, found.batch) == ("laplacian", "close", 3)
        assert (found.encoding.codec, found.encoding.crf) == ("hevc", 7)
        with pytest.raises(ConfigError, match="did you mean silence"):
            make(media, settings={"silense": "close"})
        with pytest.raises(ConfigError, match="mapping such as"):
            make(media, settings=["silence=close"])
        with pytest.raises(ConfigError, match="--as-published sets blend"):
            make(media, as_published=True, blend="soft")

    def test_times_may_be_timecodes(self, here: Path, media: Path) -> None:
        seconds = make(media, output="seconds.mp4", start=0.2, end=0.4, preview=0.1)
        timecodes = make(media, output="timecodes.mp4", start="0:00.2", end="00:00:00.4", preview="0:00.1")
        assert timecodes.settings == seconds.settings
        assert (here / "timecodes.mp4").read_bytes() == (here / "seconds.mp4").read_bytes()
        with pytest.raises(ConfigError, match=r"preview: 'soon' is not a time; write"):
            make(media, preview="soon")

    def test_progress_counts_every_frame(self, here: Path, media: Path) -> None:
        seen: Seen = []
        make(media, output="out.mp4", progress=lambda *event: seen.append(event))
        assert seen == [("sync", done, 25) for done in range(26)]

    def test_a_callback_that_raises_ends_the_work_and_leaves_no_file(self, here: Path, media: Path) -> None:
        def stop(stage: str, done: int, total: int | None) -> None:
            if done == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make(media, output="out.mp4", progress=stop)
        assert {path.name for path in here.iterdir()} == {"cache"}
        assert make(media, output="out.mp4").frames == 25

    def test_errors_are_those_of_w2l(self, here: Path, media: Path) -> None:
        with pytest.raises(MediaError, match=r"junk\.mp4"):
            w2l.sync(media / "junk.mp4", media / "speech.wav", model=str(media / "aligned.safetensors"))
        make(media, output="out.mp4", preview=0.2)
        with pytest.raises(ConfigError, match=r"out\.mp4 exists"):
            make(media, output="out.mp4")


def test_detect_reports_frames_and_finds_no_face_in_waves(here: Path, media: Path) -> None:
    seen: Seen = []
    with pytest.raises(NoFaceError, match="no faces in 15 frames"):
        w2l.detect(media / "clip.mp4", device="cpu", progress=lambda *event: seen.append(event))
    assert seen == [("detect", done, 15) for done in range(16)]
    assert settings_of(DetectSettings, "detect", None, {"stride": 3}).stride == 3


def test_training_and_audit_need_a_cache_and_do_not_make_one(here: Path) -> None:
    for function in (w2l.train, w2l.train_expert, w2l.audit):
        with pytest.raises(CacheError, match="does not exist; run w2l preprocess"):
            function(device="cpu")
    assert not list(here.iterdir())


def test_preprocess_sets_aside_what_shows_no_face(here: Path, media: Path) -> None:
    seen: Seen = []
    (here / "clips").mkdir()
    (here / "clips" / "waves.mp4").symlink_to(media / "clip.mp4")
    found = w2l.preprocess("clips", device="cpu", progress=lambda *event: seen.append(event))
    assert (found.done, found.tracks, list(found.set_aside)) == (1, 0, ["waves"])
    assert seen == [("preprocess", 0, 1), ("preprocess", 1, 1)]
    with pytest.raises(MediaError, match="waves cannot be used"):
        w2l.preprocess("clips", device="cpu", strict=True)


def test_train_expert_counts_steps_and_can_be_ended(here: Path) -> None:
    from tests.helpers.tiny_cache import talking_cache

    talking_cache(here / "cache")
    seen: Seen = []
    small = {"width": 2, "n_clips": 2, "loop.steps": 3, "check": False}
    result = w2l.train_expert(run="mini", device="cpu", settings=small, progress=lambda *event: seen.append(event))
    assert (result.steps, result.model.name) == (3, "expert-best.safetensors")
    assert seen == [("train-expert", done, 3) for done in range(4)]
    again: Seen = []
    w2l.train_expert(
        run="mini", device="cpu", settings={**small, "loop.steps": 5}, progress=lambda *event: again.append(event)
    )
    assert again == [("train-expert", done, 5) for done in (3, 4, 5)]


class TestScores:
    @pytest.fixture
    def scores(self) -> w2l.Scores:
        return w2l.Scores(made_scores.report(), made_scores.COLUMNS, {"judge": "w2l"})

    def test_rows_are_plain(self, scores: w2l.Scores) -> None:
        first, second = scores.rows[0], scores.rows[1]
        assert len(scores) == len(scores.rows) == len(list(scores)) == 16
        assert first["reason"].endswith(made_scores.NO_FACE)
        assert first["lse_c"] is None
        assert (second["system"], second["clip"], second["lse_c"], second["offset"]) == ("ours", "clip1", 7.6, 0.0)
        assert set(map(type, second.values())) <= {str, float, list, type(None)}

    def test_systems_have_means_and_intervals(self, scores: w2l.Scores) -> None:
        ours = scores.systems[0]
        assert (ours["system"], ours["scored"], ours["dropped"], ours["fid"]) == ("ours", 3, 1, 9.25)
        assert ours["lse_c_low"] < ours["lse_c"] < ours["lse_c_high"]
        assert ours["lse_c"] == pytest.approx(7.7)

    def test_what_is_not_a_number_is_none(self) -> None:
        clips = (made_scores.clip("ours", 1, offset=math.nan), made_scores.clip("ours", 2, lse_c=math.inf))
        found = w2l.Scores(ScoreReport("one", clips, ()), made_scores.COLUMNS, {})
        assert [row["offset"] for row in found] == [None, 0.0]
        assert [row["lse_c"] for row in found] == [7.6, None]

    def test_a_notebook_shows_a_table_and_runs_no_markup(self, scores: w2l.Scores) -> None:
        html = scores._repr_html_()
        assert "their&#39;s &lt;b&gt;" in html
        assert "<b>" not in html
        assert html.count("<tr>") == 5
        assert "LSE-C" in str(scores)

    def test_a_table_of_pandas(self, scores: w2l.Scores, monkeypatch: pytest.MonkeyPatch) -> None:
        pandas = type("pandas", (), {"DataFrame": staticmethod(lambda rows: ("table", len(rows)))})
        monkeypatch.setitem(__import__("sys").modules, "pandas", pandas)
        assert scores.to_pandas() == ("table", 16)
        monkeypatch.setitem(__import__("sys").modules, "pandas", None)
        with pytest.raises(ConfigError, match="pip install pandas"):
            scores.to_pandas()

    def test_files_are_written(self, scores: w2l.Scores, tmp_path: Path) -> None:
        scores.write_csv(tmp_path / "scores.csv")
        scores.write_page(tmp_path / "scores.html")
        assert (tmp_path / "scores.csv").read_text().count("\n") == 17
        assert "w2l score" in (tmp_path / "scores.html").read_text()


def test_score_refuses_to_lose_files(here: Path, media: Path) -> None:
    (here / "taken.csv").touch()
    with pytest.raises(ConfigError, match=r"taken\.csv exists"):
        w2l.score(media / "clip.mp4", csv="taken.csv", device="cpu")
    with pytest.raises(ConfigError, match="choose two files"):
        w2l.score(media / "clip.mp4", csv="one.html", report="one.html", device="cpu")
    with pytest.raises(ConfigError, match="measures"):
        w2l.score(media / "clip.mp4", measures=["lsd"], device="cpu")  # type: ignore[list-item]

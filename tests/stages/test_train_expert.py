"""train-expert from the command line and as a function: results, refusals in one line, and SIGKILL without a trace."""

import json
import shutil
from pathlib import Path

import pytest

from stages import cli
from tests.helpers.tiny_cache import noise_clip
from tests.helpers.training_runs import content, kill_at_line, options, refused
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.locks import claim
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import read_card
from w2l.training.expert.run import train_expert
from w2l.training.expert.settings import ExpertSettings

TINY = ["width=2", "n_clips=3", "per_clip=3", "ema=0.5", "check=false", "loop.steps=8", "loop.log_every=1",
        "loop.validate_every=4", "loop.checkpoint_every=3"]  # fmt: skip
FILES = {
    "config.yaml", "log.jsonl", "curves.png", "report.html", "state.pt", "expert-best.safetensors",
    "expert-latest.safetensors",
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = Cache.open(tmp_path_factory.mktemp("prepared") / "cache", create=True)
    for number in range(4):
        noise_clip(cache, f"clip{number}", CropSpec("aligned", 32))
    return cache.root


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> Cache:
    shutil.copytree(prepared, tmp_path / "cache")
    return Cache.open(tmp_path / "cache")


def arguments(cache: Cache, *more: str, settings: list[str] = TINY) -> list[str]:
    return ["train-expert", "--cache", str(cache.root), "--device", "cpu", *options(settings), *more]


@pytest.mark.usefixtures("drawn_curves")
def test_a_run_from_the_command_line(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments(cache))
    out, err = capsys.readouterr()
    folder = cache.run_folder("expert")
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "curves.png").stat().st_size > 1000
    assert out.splitlines()[0] == str(folder / "expert-best.safetensors")
    assert "8 steps; accuracy" in out
    assert "step 8 | sigmoid" in err
    assert load(ExpertSettings, "train-expert", folder / "config.yaml") == load(
        ExpertSettings, "train-expert", None, TINY
    )
    assert read_card(folder / "expert-best.safetensors").data == "3 tracks"

    # Again: nothing to do, and it says so. As JSON.
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    cli.main(arguments(cache, "--json"))
    out, err = capsys.readouterr()
    assert "has finished its 8 steps" in err
    assert set(json.loads(out)) == {"model", "steps", "scores"}
    assert json.loads(out)["steps"] == 8
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")} == before


def test_other_settings_want_another_run(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments(cache))
    capsys.readouterr()
    kept = (cache.run_folder("expert") / "config.yaml").read_text()
    assert "--force" in refused(capsys, arguments(cache, "--set", "lr=0.1"), 2)
    assert (cache.run_folder("expert") / "config.yaml").read_text() == kept
    cli.main(arguments(cache, "--set", "lr=0.1", "--run", "other"))
    cli.main(arguments(cache, "--set", "lr=0.1", "--force"))
    capsys.readouterr()
    assert "lr: 0.1" in (cache.run_folder("expert") / "config.yaml").read_text()
    same = [cache.run_folder(run) / "expert-latest.safetensors" for run in ("expert", "other")]
    assert same[0].read_bytes() == same[1].read_bytes()


def test_force_leaves_a_run_in_work_alone(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cache.run_folder("expert")
    cli.main(arguments(cache))
    capsys.readouterr()
    with claim(folder / ".lock"):
        assert "another process is training" in refused(capsys, arguments(cache, "--force"), 1)
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--set", "widht=2"], 2, "unknown setting train-expert.widht; did you mean width or"),
        (["--set", "loop.step=2"], 2, "did you mean steps?"),
        (["--set", "per_clip=1"], 2, "per_clip at least 2"),
        (["--set", "loss=l2"], 2, "loss"),
        (["--set", "width=two"], 2, "must be a whole number"),
        (["--set", "width"], 2, "write key=value"),
        (["--arch", "judge"], 2, "a judge requires crops made with --set crop.kind=judge"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml cannot be read"),
        (["--set", "gap=20"], 1, "none of 3 tracks has room for 3 windows 20 frames apart"),
    ],
)
def test_bad_settings(
    more: list[str], status: int, said: str, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, arguments(cache, *more), status)


def test_bad_caches(tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(name: str, *crops: CropSpec, n_frames: int = 30) -> list[str]:
        cache = Cache.open(tmp_path / name, create=True)
        for number, crop in enumerate(crops):
            noise_clip(cache, str(number), crop, n_frames)
        return arguments(cache)

    small, judge = CropSpec("aligned", 32), CropSpec("judge", 52)
    missing = ["train-expert", "--cache", str(tmp_path / "nowhere")]
    assert "run w2l preprocess first" in refused(capsys, missing, 1)
    assert "contains no face track" in refused(capsys, made("empty"), 1)
    assert "preprocess two clips or more" in refused(capsys, made("one", small), 1)
    assert "none usable: 1 shorter than two windows" in refused(capsys, made("short", small, small, n_frames=5), 1)
    assert "2 kinds of crops" in refused(capsys, made("mixed", small, judge), 1)
    assert "does not fit the cache's crops (judge)" in refused(capsys, made("judge", judge, judge), 2)
    box = CropSpec("box", 32)
    mouths = [*made("box", box, box), *options(["augment.mouth=0.2"])]
    assert "augment.mouth requires aligned crops" in refused(capsys, mouths, 2)


def test_an_unwritable_run_folder(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    (cache.root / "checkpoints").write_text("in the way")
    assert "cannot be created" in refused(capsys, arguments(cache), 1)


def test_sigkill_leaves_no_trace(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    longer = [*TINY, "loop.steps=24"]
    killed, whole = cache.run_folder("killed"), cache.run_folder("whole")
    kill_at_line(arguments(cache, "--run", "killed", settings=longer), killed / "log.jsonl", 9)
    assert (killed / ".lock").exists()
    cli.main(arguments(cache, "--run", "killed", settings=longer))
    assert "resumes at step" in capsys.readouterr().err
    cli.main(arguments(cache, "--run", "whole", settings=longer))
    assert content(killed) == content(whole)
    for name in ("curves.png", "report.html"):  # the run's name is drawn into them
        assert (killed / name).read_bytes()[:8] == (whole / name).read_bytes()[:8]
    assert "it/s" not in (whole / "log.jsonl").read_text()
    assert "windows/s" not in (whole / "log.jsonl").read_text()


def test_the_function_alone(cache: Cache) -> None:
    settings = load(ExpertSettings, "train-expert", None, [*TINY, "loss=bce", "layout=published", "ema=0"])
    result = train_expert(settings, cache, "papers", "cpu")
    assert result.model.is_file()
    assert result.steps == 8
    assert 0 <= result.scores["accuracy"] <= 1


def test_check_only_looks(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    """Noise can be learnt by heart, so nothing stands in the way."""
    tiny = [*TINY, "lr=1e-2", "width=8"]
    cli.main(arguments(cache, "--check", "-q", settings=tiny))
    out = capsys.readouterr().out
    assert "note: examined all tracks" in out
    assert "note: the network overfits one small batch" in out
    cli.main(arguments(cache, "--check", "--json", settings=tiny))
    found = json.loads(capsys.readouterr().out)
    assert {"severity", "name", "figure", "advice"} == set(found[0])
    assert not cache.run_folder("expert").exists()


def test_a_fresh_run_is_checked_first(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    checked = [*TINY, "check=true", "lr=1e-9", "overfit_steps=3"]
    said = refused(capsys, arguments(cache, settings=checked), 1)
    assert "the network cannot overfit one small batch" in said
    assert "--set check=false" in said
    assert not (cache.run_folder("expert") / "state.pt").exists()
    begun = [*TINY, "lr=1e-9"]
    cli.main(arguments(cache, settings=begun))
    cli.main(arguments(cache, settings=[*begun, "check=true", "overfit_steps=3"]))  # it has begun: no check any more
    assert "8 steps" in capsys.readouterr().out


def test_bootstrap_runs_in_one_process(
    cache: Cache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "train expert-all, audit, train expert" in refused(capsys, arguments(cache, "--bootstrap"), 2)

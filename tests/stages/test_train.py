"""train from the command line: results, what it refuses in one line, and SIGKILL without a trace."""

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import cli
from tests.helpers.tiny_cache import noise_clip
from tests.helpers.training_runs import content, kill_at_line, options, refused
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.errors import ConfigError
from w2l.data.batches.generator import GeneratorSampling
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, load_state, read_card, save_model
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.training.generator.run import _read_words
from w2l.training.generator.settings import GeneratorSettings
from w2l.training.generator.task import GeneratorTask

CROP = CropSpec("aligned", 32)
TINY = ["width=2", "sampling.batch_size=2", "validation_batches=1", "validation_tracks=0", "l1=0.85", "sync=0.1",
        "schedule.sync=[0, 4]", "discriminator.width=2", "loop.steps=6", "loop.log_every=1", "loop.validate_every=3",
        "loop.checkpoint_every=2"]  # fmt: skip
GAN = [*TINY, "adversarial=0.05", "schedule.adversarial=[1, 0]"]


def put_expert(path: Path, crop: CropSpec = CROP) -> Path:
    torch.manual_seed(0)
    network = Expert(ExpertDimensions(crop.size, 5, 2, signed=True))
    save_model(path, network, ModelCard("expert", dimensions_of(network), crop, calibrated=True, scale=3.0))
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = Cache.open(tmp_path_factory.mktemp("prepared") / "cache", create=True)
    for number in range(4):
        noise_clip(cache, f"clip{number}", CROP)
    put_expert(cache.run_folder("expert") / "expert-best.safetensors")
    return cache.root


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> Cache:
    shutil.copytree(prepared, tmp_path / "cache")
    return Cache.open(tmp_path / "cache")


def arguments(cache: Cache, *more: str, settings: list[str] = TINY) -> list[str]:
    return ["train", "--cache", str(cache.root), "--device", "cpu", *options(settings), *more]


@pytest.mark.usefixtures("drawn_curves")
def test_a_run_from_the_command_line(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments(cache, settings=GAN))
    out, err = capsys.readouterr()
    folder = cache.run_folder("generator")
    assert {path.name for path in folder.iterdir()} - {"tensorboard"} == {
        "config.yaml", "log.jsonl", "state.pt", "samples", "generator-best.safetensors", "generator-latest.safetensors",
        "discriminator-best.safetensors", "discriminator-latest.safetensors", "report.html", "curves.png",
    }  # fmt: skip
    assert {path.name for path in (folder / "samples").iterdir()} == {"step000000003.png", "step000000006.png"}
    assert out.splitlines()[0] == str(folder / "generator-best.safetensors")
    assert f"; expert {cache.run_folder('expert') / 'expert-best.safetensors'}" in err
    assert load(GeneratorSettings, "train", folder / "config.yaml") == load(GeneratorSettings, "train", None, GAN)
    card = read_card(folder / "generator-latest.safetensors")
    assert card.schedule == pytest.approx({"l1": 0.85, "sync": 0.1, "adversarial": 0.05})
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-2])
    assert set(last) == {"step", "l1", "sync", "adversarial", "grad_norm", "disc_real", "disc_fake", "disc_grad_norm"}
    cli.main(arguments(cache, settings=GAN))
    assert "has finished its 6 steps" in capsys.readouterr().err


def test_without_sync_no_expert_is_needed(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(cache.run_folder("expert"))
    assert "no expert named 'expert'" in refused(capsys, arguments(cache), 1)
    cli.main(arguments(cache, "--set", "sync=0", "--json"))
    assert set(json.loads(capsys.readouterr().out)["scores"]) == {"l1"}


def test_from_the_weights_of_another_run(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments(cache))
    cli.main(arguments(cache, "--run", "second", "--init", "generator", "--set", "lr=1e-9"))
    capsys.readouterr()
    first, second = (cache.run_folder(run) for run in ("generator", "second"))
    begun = load_model(first / "generator-best.safetensors", "generator").network.state_dict()
    ended = load_model(second / "generator-best.safetensors", "generator").network.state_dict()
    name = "output_block.1.weight"
    torch.testing.assert_close(ended[name], begun[name], atol=1e-6, rtol=0)


def test_a_changed_expert_is_another_run(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments(cache))
    capsys.readouterr()
    path = cache.run_folder("expert") / "expert-best.safetensors"
    model = load_model(path, "expert")
    save_model(path, model.network, ModelCard("expert", model.card.dimensions, CROP, calibrated=True, scale=9.0))
    assert "started with other settings" in refused(capsys, arguments(cache), 2)


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--set", "sinc=1"], 2, "unknown setting train.sinc; did you mean sync, schedule.sync or"),
        (["--set", "sync=-1"], 2, "at least 0"),
        (["--set", "sampling.batch_size=0"], 2, "at least 1"),
        (["--set", "discriminator.frames=2"], 2, "must be 1 or 5"),
        (["--set", "words=nowhere.tsv"], 2, "words nowhere.tsv is not a file"),
        (["--set", "sampling.augment.shifted_voice=1"], 1, "to train on, such as clip"),
        (["--set", "loop.patience=-1"], 2, "patience must be at least 0"),
        (["--expert", "nobody"], 1, "no expert named 'nobody': no such file, and available experts are"),
        (["--init", "nobody"], 1, "no generator named 'nobody'"),
        (["--device", "cuda"], 2, "no CUDA GPU"),
    ],
)
def test_bad_settings(
    more: list[str], status: int, said: str, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert said in refused(capsys, arguments(cache, *more), status)


def test_words_that_name_no_clip_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "words.tsv"
    names, said = ["grid/s1/bbaf", "grid/s2/bbaf"], (0.1, 0.3, "bin")
    for clip, found in (("grid/s1/bbaf", names[:1]), ("s2/bbaf", names[1:]), ("bbaf", names), ("nobody", [])):
        table.write_text(f"clip\tstart_s\tend_s\tword\n{clip}\t0.1\t0.3\tbin\n")
        caplog.clear()
        assert _read_words(GeneratorSettings(words=str(table)), names) == dict.fromkeys(found, (said,))
        assert ("names none of the clips, such as grid/s1/bbaf" in caplog.text) == bool(caplog.records) == (not found)
    with caplog.at_level("INFO"):
        assert _read_words(GeneratorSettings(sampling=GeneratorSampling(bilabials=0.2)), names) is None
    assert "has no effect without words" in caplog.text


def test_bad_experts(cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def trained_by(path: Path, status: int) -> str:
        return refused(capsys, arguments(cache, "--expert", str(path)), status)

    other = put_expert(tmp_path / "other.safetensors", CropSpec("aligned", 64))
    box = put_expert(tmp_path / "box.safetensors", CropSpec("box", 32))
    assert "trained on box crops" in trained_by(box, 2)
    judge = Judge(JudgeDimensions(64, 2))
    save_model(tmp_path / "judge.safetensors", judge, ModelCard("judge", dimensions_of(judge)))
    assert "is of kind judge, not" in trained_by(tmp_path / "judge.safetensors", 1)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(other.read_bytes()[:-100])
    assert "damaged or truncated" in trained_by(cut, 1)
    (tmp_path / "text.pth").write_text("no model\n")
    assert "it was not loaded" in trained_by(tmp_path / "text.pth", 1)


def test_bad_caches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expert = str(put_expert(tmp_path / "expert.safetensors"))
    empty = Cache.open(tmp_path / "empty", create=True)
    assert "contains no face track" in refused(capsys, arguments(empty, "--expert", expert), 1)
    noise_clip(empty, "one", CROP)
    assert "preprocess two clips or more" in refused(capsys, arguments(empty, "--expert", expert), 1)


def test_crops_made_anew_want_another_run(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [*TINY, "sync=0"]
    cli.main(arguments(cache, settings=alone))
    capsys.readouterr()
    for number in range(4):
        noise_clip(cache, f"clip{number}", CropSpec("aligned", 64))
    cache.invalidate_index()
    assert "was started on aligned crops of 32 px" in refused(capsys, arguments(cache, settings=alone), 2)
    cli.main(arguments(cache, "--force", settings=alone))
    assert read_card(cache.run_folder("generator") / "generator-best.safetensors").crop.size == 64


@pytest.mark.slow
def test_sigkill_leaves_no_trace(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    longer = [*GAN, "loop.steps=14", "loop.validate_every=6", "loop.checkpoint_every=4"]
    killed, whole = cache.run_folder("killed"), cache.run_folder("whole")
    kill_at_line(arguments(cache, "--run", "killed", settings=longer), killed / "log.jsonl", 7)
    cli.main(arguments(cache, "--run", "killed", settings=longer))
    assert "resumes at step" in capsys.readouterr().err
    cli.main(arguments(cache, "--run", "whole", settings=longer))
    assert content(killed) == content(whole)


@pytest.mark.parametrize("settings", [["sync=0"], ["sync=0.1"]], ids=["alone", "taught"])
def test_a_loss_that_is_no_number(settings: list[str], cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    """A learning rate that turns all weights into infinities: the first update is made, the second finds no number."""
    ruined = [*TINY, *settings, "lr=1e38", "clip_norm=1e30", "warm_up=0", "loop.checkpoint_every=1"]
    said = refused(capsys, arguments(cache, settings=ruined), 1)
    assert "l1 is nan at step 1, in a batch of clip" in said
    assert f"the state saved at step 1 is kept in {cache.run_folder('generator')}" in said
    assert "reduce the learning rate" in said


def test_a_full_disk_keeps_the_last_checkpoint(
    cache: Cache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses to write more of the state, as it would on a full disk, when half of it is written."""
    cli.main(arguments(cache, "--run", "whole", settings=GAN))
    capsys.readouterr()
    full, whole = cache.run_folder("full"), cache.run_folder("whole")
    models = max(path.stat().st_size for path in whole.glob("*.safetensors"))
    limit = (models + (whole / "state.pt").stat().st_size) // 2
    assert models < limit < (whole / "state.pt").stat().st_size
    step, before = GeneratorTask.step, resource.getrlimit(resource.RLIMIT_FSIZE)

    def until_full(task: GeneratorTask, number: int, batch: Any) -> dict[str, float]:
        if number == 3:  # the checkpoint after the second step is there, the one after the fourth is next
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        return step(task, number, batch)

    monkeypatch.setattr(GeneratorTask, "step", until_full)
    try:
        said = refused(capsys, arguments(cache, "--run", "full", settings=GAN), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.undo()
    assert "state.pt cannot be written" in said
    assert "step 4, the state saved at step 2 is kept in" in said
    assert load_state(full / "state.pt")["step"] == 2
    assert not list(full.rglob(".tmp-*"))
    cli.main(arguments(cache, "--run", "full", settings=GAN))
    assert "resumes at step 2" in capsys.readouterr().err
    assert content(full) == content(whole)


@pytest.mark.parametrize("name", ["", "../elsewhere", "a/b", ".hidden"])
def test_a_run_stays_in_its_cache(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run name"):
        Cache.open(tmp_path, create=True).run_folder(name)

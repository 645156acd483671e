"""train --person: a generator tuned to the face of a clip, from the command line, with seconds of it held out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from stages import cli
from tests.helpers.puppet_clips import make_clip
from tests.helpers.training_runs import content, options, refused
from w2l.cache.store import Cache
from w2l.core.config import load
from w2l.core.errors import ConfigError, MediaError, NoFaceError, TrainingError
from w2l.data.puppets import babble, draw_face, openness
from w2l.features.crop import CropSpec
from w2l.media.audio import write_wav
from w2l.media.output import Output
from w2l.media.writer import VideoWriter
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, read_card, save_model
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.training.generator.person import GAP_FRAMES, HELD_OUT_FRAMES, open_person
from w2l.training.generator.person_settings import PersonSettings, like
from w2l.training.generator.run import tune_to_person
from w2l.training.generator.task import GeneratorTask, check_crops

CROP = CropSpec("aligned", 32, smooth_s=0.0)
CLIP_S = 4.6
TINY = ["sync=0", "sampling.batch_size=2", "validation_batches=1", "validation_tracks=0", "lr=1e-3", "warm_up=0",
        "loop.steps=6", "loop.log_every=1", "loop.validate_every=2", "loop.checkpoint_every=2"]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of a puppet, a generator to begin with, and the clip's crops below `crops`."""
    folder = tmp_path_factory.mktemp("person")
    make_clip(folder / "person.mp4", 0, CLIP_S)
    torch.manual_seed(0)
    network = Generator(GeneratorDimensions(32, 2, 2, "lower"))
    card = ModelCard("generator", dimensions_of(network), CROP, data="puppets", step=7)
    save_model(folder / "init.safetensors", network, card)
    open_person([folder / "person.mp4"], folder / "crops", CROP)
    return folder


def prepared(made: Path, tmp_path: Path, run: str = "person") -> Cache:
    """A cache whose run has the crops already: looking for faces takes longer than all else."""
    cache = Cache.open(tmp_path / "cache", create=True)
    shutil.copytree(made / "crops", cache.run_folder(run) / "person")
    return cache


def arguments(made: Path, cache: Cache, *more: str) -> list[str]:
    given = ["--init", str(made / "init.safetensors"), "--person", str(made / "person.mp4")]
    return ["train", "--cache", str(cache.root), "--device", "cpu", *given, *options(TINY), *more]


class TestSeconds:
    def test_the_end_is_held_out(self, made: Path, caplog: pytest.LogCaptureFixture) -> None:
        footage = open_person([made / "person.mp4"], made / "crops", CROP)
        total = round(CLIP_S * 25)
        assert sum(footage.val.lengths) in range(HELD_OUT_FRAMES, HELD_OUT_FRAMES + 5)
        assert sum(footage.train.lengths) == total - sum(footage.val.lengths) - GAP_FRAMES
        assert "which is little for tuning" in caplog.text

    def test_they_are_cut_once(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = open_person([made / "person.mp4"], made / "crops", CROP)
        monkeypatch.setattr("w2l.training.generator.person.prepare_clip", None)  # not asked for again
        again = open_person([made / "person.mp4", made / "person.mp4"], made / "crops", CROP)
        assert again.mark == first.mark
        assert again.train.lengths.tolist() == first.train.lengths.tolist()

    def test_too_few_are_refused(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "short.mp4", 1, 1.6)
        with pytest.raises(TrainingError, match=r"short\.mp4: only 1\.6 s .* 4 s are required; give a longer clip"):
            open_person([clip], tmp_path / "cache", CROP)

    def test_clips_that_cannot_be_used(self, tmp_path: Path) -> None:
        wall = make_clip(tmp_path / "wall.mp4", 1, 1.0, face=False)
        with pytest.raises(NoFaceError, match=r"wall\.mp4: no face"):
            open_person([wall], tmp_path / "cache", CROP)
        mute = make_clip(tmp_path / "mute.mp4", 1, 1.0, sound=False)
        with pytest.raises(MediaError, match=r"mute\.mp4 has no audio"):
            open_person([mute], tmp_path / "cache", CROP)
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(MediaError, match=r"text\.mp4"):
            open_person([tmp_path / "text.mp4"], tmp_path / "cache", CROP)

    def test_other_voices_are_refused(self, tmp_path: Path) -> None:
        settings = load(PersonSettings, "train", None, ["sampling.augment.shifted_voice=0.5"])
        with pytest.raises(ConfigError, match=r"^sampling\.augment\.shifted_voice does not apply to --person"):
            tune_to_person(settings, [], Cache.open(tmp_path, create=True), device="cpu")

    def test_of_two_faces_at_once_the_one_seen_longest(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The left one is there all the time, the right one for the first half."""
        wave = babble(CLIP_S, 3)
        write_wav(tmp_path / "speech.wav", wave)
        with VideoWriter(Output(tmp_path / "two.mp4", 320, 176, 25, speech=tmp_path / "speech.wav")) as writer:
            opened = openness(wave)
            for number, open_ in enumerate(opened):
                image = np.full((176, 320, 3), 150, np.uint8)
                draw_face(image, 80, 88, 44, float(open_))
                if number < len(opened) // 2:
                    draw_face(image, 240, 88, 44, float(open_))
                writer.write(image)
        footage = open_person([tmp_path / "two.mp4"], tmp_path / "cache", CROP)
        assert "several faces on screen; using the one visible longest, from 0.0 to 4.6 s" in caplog.text
        assert len(footage.train) == len(footage.val) == 1


class TestRuns:
    def test_from_the_command_line(self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cache = prepared(made, tmp_path)
        cli.main(arguments(made, cache))
        out, err = capsys.readouterr()
        folder = cache.run_folder("person")
        assert out.splitlines()[0] == str(folder / "generator-best.safetensors")
        assert "of the person's face" in err
        assert (folder / "report.html").is_file()
        card = read_card(folder / "generator-best.safetensors")
        assert card.crop == CROP
        assert card.dimensions["n_references"] == 2  # as those of `init`, though nobody said so
        assert "puppets; 5 s of one person (person.mp4)" in card.data
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log if "val/l1" in line] == [0, 2, 4, 6]
        cli.main(arguments(made, cache))
        assert "has finished its 6 steps" in capsys.readouterr().err

    def test_what_only_gets_worse_stays_as_it_was(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With a learning rate that ruins everything the run ends early, and its best model is the one it had."""
        cache = prepared(made, tmp_path)
        cli.main(arguments(made, cache, "--set", "lr=10", "--set", "ema=0", "--set", "loop.patience=2"))
        assert "the run ends" in capsys.readouterr().err
        folder = cache.run_folder("person")
        best = load_model(folder / "generator-best.safetensors", "generator")
        begun = load_model(made / "init.safetensors", "generator").network.state_dict()
        assert best.card.step == 0
        assert all(torch.equal(begun[name], value) for name, value in best.network.state_dict().items())
        assert read_card(folder / "generator-latest.safetensors").step == 4

    def test_a_stop_leaves_no_trace(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, stopped = prepared(made, tmp_path, "whole"), prepared(made, tmp_path / "b", "stopped")
        cli.main(arguments(made, whole, "--run", "whole"))
        capsys.readouterr()
        step = GeneratorTask.step

        def stop(task: GeneratorTask, number: int, batch: object) -> dict[str, float]:
            if number == 3:
                raise TrainingError("stopped")
            return step(task, number, batch)  # type: ignore[arg-type]

        monkeypatch.setattr(GeneratorTask, "step", stop)
        assert "stopped" in refused(capsys, arguments(made, stopped, "--run", "stopped"), 1)
        monkeypatch.undo()
        cli.main(arguments(made, stopped, "--run", "stopped"))
        models = "generator-best.safetensors", "generator-latest.safetensors", "log.jsonl", "config.yaml"
        left = [content(cache.run_folder(run)) for cache, run in ((whole, "whole"), (stopped, "stopped"))]
        assert {name: left[0][name] for name in models} == {name: left[1][name] for name in models}

    def test_other_clips_are_another_run(self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cache = prepared(made, tmp_path)
        cli.main(arguments(made, cache))
        capsys.readouterr()
        other = make_clip(tmp_path / "other.mp4", 1, 1.6)
        assert "started with other settings" in refused(capsys, arguments(made, cache, "--person", str(other)), 2)

    def test_a_clip_that_is_not_there(self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cache = prepared(made, tmp_path)
        assert "does not exist; check the path" in refused(capsys, arguments(made, cache, "--person", "gone.mp4"), 1)

    def test_not_with_several_processes(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = prepared(made, tmp_path)
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert "--person trains in one process" in refused(capsys, arguments(made, cache), 2)


class TestSettings:
    def test_the_recipe_says_what_the_defaults_are(self) -> None:
        recipe = Path(cli.__file__).parents[1] / "examples" / "recipes" / "person.yaml"
        assert load(PersonSettings, "train", recipe) == PersonSettings()

    def test_all_terms_count_from_the_first_validation_on(self) -> None:
        settings = PersonSettings()
        assert settings.weights(0) == settings.weights(settings.loop.steps)

    @pytest.mark.parametrize("references", ["still", "same"])
    @pytest.mark.parametrize("rows", ["lower", "full"])
    def test_the_generator_decides_its_shape(self, references: str, rows: str) -> None:
        dimensions = {"size": 32, "width": 3, "n_references": 2, "rows": rows}
        card = ModelCard("generator", dimensions, CROP, references=references)  # type: ignore[arg-type]
        found = like(PersonSettings(scale="base"), card)
        assert (found.channels, found.rows, found.layout, found.mask) == (3, rows, "published", card.mask)
        assert found.sampling.references == {"still": "still", "same": "consecutive"}[references]
        assert (found.sampling.n_references, found.sampling.batch_size) == (2, PersonSettings().sampling.batch_size)

    @pytest.mark.parametrize(("kind", "focus"), [("aligned", PersonSettings().mouth_focus), ("box", 0.0)])
    def test_boxes_have_no_place_to_focus_on(self, kind: str, focus: float) -> None:
        """The public generators see boxes, and are tuned without further settings."""
        crop = CropSpec(kind, 32)  # type: ignore[arg-type]
        found = like(PersonSettings(), ModelCard("generator", {"size": 32, "width": 3, "n_references": 1}, crop))
        assert found.mouth_focus == focus
        check_crops(found, crop)

"""The loop on a network of one layer: steps, log, best model, exact resume after every kind of stop."""

import contextlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from w2l.core.errors import CacheError, CheckpointError, ConfigError, TrainingError, W2LError
from w2l.core.files import write_text
from w2l.core.locks import claim
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import ModelCard, dimensions_of, load_model, load_state, save_state
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.training.loop import Surroundings, fit
from w2l.training.parallel import Ranks
from w2l.training.run_folder import Destination, RunProgress
from w2l.training.settings import LoopSettings, RateSchedule
from w2l.training.task import Validation

SETTINGS = LoopSettings(steps=12, log_every=2, validate_every=4, checkpoint_every=3)
IDENTITY = {"lr": 0.01}
LONG = dict.fromkeys(range(31), 0.0)
"""What a `FakeTask` scores that trains for up to 30 steps."""
QUALITIES = {4: 0.2, 8: 0.9, 12: 0.5}
PATIENT = LoopSettings(steps=12, log_every=2, validate_every=2, checkpoint_every=5, patience=2)
FALLING = {2: 0.2, 4: 0.5, 6: 0.9, 8: 0.8, 10: 0.7, 12: 1.0}
"""Qualities that get no better for twice `validate_every` after step 6, but once more at the end."""


class FakeTask:
    """A linear layer with batch norm that fits noise; its validation scores are given."""

    def __init__(self, qualities: dict[int, float] | None = None, size: int = 64) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.model = Expert(ExpertDimensions(64, 5, 1))
        self.networks: dict[str, nn.Module] = {"net": self.net}
        self.optimisers: dict[str, torch.optim.Optimizer] = {"net": torch.optim.Adam(self.net.parameters())}
        self.learning_rates = {"net": 0.01}
        self.qualities = qualities or QUALITIES
        self.crop = CropSpec("aligned", size)
        self.rates: list[float] = []
        self.done: list[int] = []
        self.before_step: Callable[[int], None] = lambda step: None
        self.value: Callable[[int, float], float] = lambda step, value: value

    def batch(self, step: int) -> torch.Tensor:
        return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))

    def step(self, step: int, batch: torch.Tensor) -> dict[str, float]:
        self.before_step(step)
        assert self.net.training
        self.rates.append(self.optimisers["net"].param_groups[0]["lr"])
        loss = (self.net(batch[:, :3]) - batch[:, 3:]).square().mean()
        self.optimisers["net"].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers["net"].step()
        self.done.append(step)
        return {"loss": self.value(step, float(loss.detach()))}

    def validate(self, step: int, folder: Path) -> Validation:
        assert not self.net.training
        write_text(folder / f"step{step}.txt", "looked")
        return Validation({"quality": self.qualities[step]}, self.qualities[step])

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        with torch.no_grad():
            self.model.face_encoder[0].conv_block[0].bias.fill_(float(self.net[0].weight.sum()))  # type: ignore[union-attr,operator,index]
        card = ModelCard("expert", dimensions_of(self.model), self.crop, step=step, scores=scores)
        return {"expert": (self.model, card)}


def train(task: FakeTask, folder: Path, settings: LoopSettings = SETTINGS, **options: Any) -> RunProgress:
    anew = options.pop("anew", False)
    return fit(task, Destination(folder, IDENTITY, "lr: 0.01\n", anew), settings, **options)


def stating(folder: Path, steps: int, lr: float = 0.01) -> Destination:
    """As the stages state it: the steps are part of what a run is begun with."""
    facts = {"lr": lr, "loop": {"steps": steps}}
    return Destination(folder, facts, yaml.safe_dump({"train": facts}))


def content(folder: Path) -> dict[str, Any]:
    """All files of a run, byte for byte; of the state what is in it: equal strings may be stored once or twice."""
    files: dict[str, Any] = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    if "state.pt" in files:
        files["state.pt"] = frozen(load_state(folder / "state.pt"))
    return files


def frozen(value: Any) -> Any:
    """A training state as something that can be compared with ==, bit for bit."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [frozen(item) for item in value]
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    return value


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run that never stopped leaves."""
    torch.set_num_threads(1)  # as in the tests: this comes before their fixture
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(FakeTask(), folder)
    return content(folder)


class TestOneRun:
    def test_files(self, undisturbed: dict[str, Any]) -> None:
        assert set(undisturbed) == {
            "config.yaml", "log.jsonl", "state.pt", "expert-best.safetensors", "expert-latest.safetensors",
            "samples/step4.txt", "samples/step8.txt", "samples/step12.txt",
        }  # fmt: skip
        assert undisturbed["config.yaml"] == b"lr: 0.01\n"

    def test_log(self, tmp_path: Path) -> None:
        """Steps and losses, validations; no rate and no time, so that runs can be compared."""
        progress = train(FakeTask(), tmp_path)
        log = lines(tmp_path)
        assert [line["step"] for line in log if "loss" in line] == [1, 2, 4, 6, 8, 10, 12]
        assert [(line["step"], line["val/quality"]) for line in log if "loss" not in line] == list(QUALITIES.items())
        assert {key for line in log for key in line} == {"step", "loss", "val/quality"}
        assert (progress.step, progress.best, progress.scores) == (12, 0.9, {"quality": 0.5})

    def test_best_is_kept_beside_latest(self, tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        best, latest = (load_model(tmp_path / f"expert-{tag}.safetensors", "expert").card for tag in ("best", "latest"))
        assert (best.step, best.scores) == (8, {"quality": 0.9})
        assert (latest.step, latest.scores) == (12, {"quality": 0.5})

    def test_every_step_once(self, tmp_path: Path) -> None:
        task = FakeTask()
        train(task, tmp_path)
        assert task.done == list(range(12))

    def test_the_learning_rate_rises_and_falls(self, tmp_path: Path) -> None:
        task = FakeTask({100: 0.0})
        train(task, tmp_path, LoopSettings(100, 50, 100, 100), rates=RateSchedule(warm_up=9))
        assert task.rates[0] == pytest.approx(0.01 / 10, rel=1e-3)
        assert max(task.rates) == task.rates[9]
        assert task.rates[9] == pytest.approx(0.01, rel=0.03)
        assert sorted(task.rates[9:], reverse=True) == task.rates[9:]
        assert 0.05 * 0.01 <= task.rates[-1] < 0.06 * 0.01


class Counter:
    """Something with a state that is neither a network nor an optimiser."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


class TestSurroundings:
    def test_a_rate_that_stays(self, tmp_path: Path) -> None:
        task = FakeTask({12: 0.0})
        train(task, tmp_path, LoopSettings(12, 12, 12, 12), rates=RateSchedule(end=1.0))
        assert task.rates == [0.01] * 12

    def test_speed_is_said_and_not_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        train(FakeTask(), tmp_path, around=Surroundings(windows=8))
        assert "windows/s" in caplog.text
        assert {key for line in lines(tmp_path) for key in line} == {"step", "loss", "val/quality"}

    def test_other_states_are_kept(self, tmp_path: Path) -> None:
        for stop in (7, 99):
            counter, task = Counter(), FakeTask()

            def count(step: int, counter: Counter = counter, stop: int = stop) -> None:
                if step == stop:
                    raise KeyboardInterrupt
                counter.count += 1

            task.before_step = count
            with contextlib.suppress(KeyboardInterrupt):
                train(task, tmp_path, around=Surroundings(others={"counter": counter}))
        assert counter.count == 12

    def test_scores_are_drawn_when_they_are_logged(self, tmp_path: Path) -> None:
        seen: list[int] = []
        around = Surroundings(after_validation=lambda folder: seen.append(len(lines(folder))))
        train(FakeTask(), tmp_path, around=around)
        assert seen == [n + 1 for n, line in enumerate(lines(tmp_path)) if "val/quality" in line]

    def test_only_the_first_process_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Ranks, "agree", lambda *_: None)  # there is no other process here
        drawn: list[Path] = []
        around = Surroundings(ranks=Ranks(1, 2), after_validation=drawn.append)
        progress = train(FakeTask(), tmp_path, around=around)
        assert progress.step == 12
        assert drawn == []
        assert {path.name for path in tmp_path.iterdir()} == {"samples"}  # by the task itself


class TestResume:
    @pytest.mark.parametrize("stop", [1, 3, 5, 8, 11])
    def test_a_stop_leaves_no_trace(self, stop: int, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        """Stopped in the middle of a step, when half of it is done."""
        task = FakeTask()

        def stop_here(step: int) -> None:
            if step == stop:
                with torch.no_grad():
                    task.net[0].weight.add_(1)  # type: ignore[operator]
                raise KeyboardInterrupt

        task.before_step = stop_here
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path)
        again = FakeTask()
        train(again, tmp_path)
        assert again.done[0] == stop // 3 * 3
        assert content(tmp_path) == undisturbed

    def test_killed_at_every_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before and after each rename of a file."""

        class Killed(BaseException):
            pass

        def short(folder: Path) -> None:
            train(FakeTask({2: 0.2, 4: 0.1}), folder, LoopSettings(4, 1, 2, 2))

        short(tmp_path / "undisturbed")
        expected = content(tmp_path / "undisturbed")
        rename = Path.replace
        for kill_at in range(40):
            folder, count = tmp_path / str(kill_at), 0

            def counted(path: Path, target: Path, kill_at: int = kill_at) -> Path:
                nonlocal count
                count += 1
                if count == (kill_at + 1) // 2 and kill_at % 2:
                    raise Killed
                result = rename(path, target)
                if count == (kill_at + 1) // 2:
                    raise Killed
                return result

            monkeypatch.setattr(Path, "replace", counted)
            killed = False
            try:
                short(folder)
            except Killed:
                killed = True
            monkeypatch.setattr(Path, "replace", rename)
            short(folder)
            assert content(folder) == expected, kill_at
            if kill_at > 0 and not killed:
                break
        assert kill_at > 16
        assert not killed  # all writes had their turn

    def test_half_written_files_are_removed(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        write_text(tmp_path / "samples" / ".tmp-1-step4.txt", "half")
        write_text(tmp_path / ".tmp-1-state.pt", "half")
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    def test_lines_that_were_not_saved_are_cut(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        task = FakeTask()
        task.before_step = lambda step: signal.raise_signal(signal.SIGINT) if step == 5 else None
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path)
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write('{"step": 8, "loss": 1.0}\n{"step": 9, "lo')
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    @pytest.mark.parametrize("rubbish", [b"\xff\xfe\n", b"\0\0\0\n", b"[1]\n", b'"step"\n', b'{"loss": 1.0}\n'])
    def test_a_damaged_log_ends_no_run(self, rubbish: bytes, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        task = FakeTask()
        task.before_step = lambda step: signal.raise_signal(signal.SIGINT) if step == 5 else None
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path)
        log = tmp_path / "log.jsonl"
        log.write_bytes(rubbish + log.read_bytes() + rubbish)
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    def test_a_run_that_is_done_does_nothing(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        task = FakeTask()
        assert train(task, tmp_path).step == 12
        assert task.done == []
        assert content(tmp_path) == undisturbed

    def test_looking_more_often_changes_no_step(self, tmp_path: Path) -> None:
        often, seldom = FakeTask(dict.fromkeys(range(13), 0.0)), FakeTask()
        train(often, tmp_path / "often", LoopSettings(12, 1, 1, 1))
        train(seldom, tmp_path / "seldom")
        assert all(torch.equal(a, b) for a, b in zip(often.net.state_dict().values(), seldom.net.state_dict().values()))


class TestPatience:
    def test_the_run_ends_with_its_best_model(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        task = FakeTask(FALLING)
        progress = train(task, tmp_path, PATIENT)
        assert task.done == list(range(10))
        assert (progress.step, progress.best, progress.scores) == (10, 0.9, {"quality": 0.7})
        assert load_model(tmp_path / "expert-best.safetensors", "expert").card.step == 6
        assert load_state(tmp_path / "state.pt")["step"] == 10
        assert "no better model in the last 2 validations" in caplog.text

    def test_once_it_has_ended_it_stays_so(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        train(FakeTask(FALLING), tmp_path, PATIENT)
        before, again = content(tmp_path), FakeTask(FALLING)
        assert train(again, tmp_path, PATIENT).step == 10
        assert again.done == []
        assert content(tmp_path) == before
        assert "ended early, at step 10" in caplog.text

    def test_with_more_patience_it_goes_on(self, tmp_path: Path) -> None:
        train(FakeTask(FALLING), tmp_path, PATIENT)
        again = FakeTask(FALLING)
        assert train(again, tmp_path, replace(PATIENT, patience=3)).best == 1.0
        assert again.done == [10, 11]

    @pytest.mark.parametrize("stop", range(1, 10))
    def test_a_stop_leaves_no_trace(self, stop: int, tmp_path: Path) -> None:
        def stop_here(step: int) -> None:
            if step == stop:
                raise KeyboardInterrupt

        train(FakeTask(FALLING), tmp_path / "whole", PATIENT)
        stopped = FakeTask(FALLING)
        stopped.before_step = stop_here
        with pytest.raises(KeyboardInterrupt):
            train(stopped, tmp_path / "stopped", PATIENT)
        train(FakeTask(FALLING), tmp_path / "stopped", PATIENT)
        assert content(tmp_path / "stopped") == content(tmp_path / "whole")

    def test_equal_is_no_better(self, tmp_path: Path) -> None:
        task = FakeTask(dict.fromkeys(range(13), 0.5))
        assert train(task, tmp_path, PATIENT).step == 6

    def test_states_of_before_have_none(self, tmp_path: Path) -> None:
        train(FakeTask(FALLING), tmp_path, replace(PATIENT, steps=10))
        state = load_state(tmp_path / "state.pt")
        del state["stale"]
        save_state(tmp_path / "state.pt", state)
        assert train(FakeTask(FALLING), tmp_path, PATIENT).step == 12

    def test_less_than_none(self) -> None:
        with pytest.raises(ConfigError, match="patience"):
            LoopSettings(patience=-1)


class TestTheFirstValidation:
    def test_a_model_that_only_gets_worse_is_the_one_it_began_as(self, tmp_path: Path) -> None:
        task = FakeTask({0: 0.9, 4: 0.5, 8: 0.4, 12: 0.3})
        progress = train(task, tmp_path, around=Surroundings(validate_first=True))
        assert progress.best == 0.9
        assert load_model(tmp_path / "expert-best.safetensors", "expert").card.step == 0
        assert lines(tmp_path)[0] == {"step": 0, "val/quality": 0.9}

    def test_it_is_not_made_again_by_a_run_that_goes_on(self, tmp_path: Path) -> None:
        around = Surroundings(validate_first=True)
        qualities = {0: 0.1, **QUALITIES}
        train(FakeTask(qualities), tmp_path / "whole", around=around)
        for stop in (2, 7, 99):  # before anything was saved, and after

            def stop_here(step: int, stop: int = stop) -> None:
                if step == stop:
                    raise KeyboardInterrupt

            task = FakeTask(qualities)
            task.before_step = stop_here
            with contextlib.suppress(KeyboardInterrupt):
                train(task, tmp_path / "stopped", around=around)
        assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_warnings_are_said_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = FakeTask()
    task.validate = lambda step, folder: Validation({}, 0.0, ("it stands still",) if step == 8 else ())  # type: ignore[method-assign]
    train(task, tmp_path)
    assert [line for line in lines(tmp_path) if "warning" in line] == [{"step": 8, "warning": ["it stands still"]}]
    assert [record.message for record in caplog.records] == ["step 8: it stands still"]


class TestInterrupt:
    @pytest.fixture(autouse=True)
    def _ctrl_c_counts(self) -> Iterator[None]:
        """A suite that was started in the background ignores Ctrl-C; here it must not."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_ctrl_c_finishes_the_step_and_saves(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        task = FakeTask()
        task.before_step = lambda step: signal.raise_signal(signal.SIGINT) if step == 6 else None
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path)
        assert task.done == list(range(7))
        assert signal.getsignal(signal.SIGINT) is before
        again = FakeTask()
        train(again, tmp_path)
        assert again.done == list(range(7, 12))
        assert content(tmp_path) == undisturbed

    def test_sigterm_does_the_same_where_it_ends_the_command(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        def end(number: int, frame: object) -> None:
            raise KeyboardInterrupt(number)

        before = signal.signal(signal.SIGTERM, end)
        task = FakeTask()
        task.before_step = lambda step: signal.raise_signal(signal.SIGTERM) if step == 6 else None
        with pytest.raises(KeyboardInterrupt) as raised:
            train(task, tmp_path)
        assert signal.signal(signal.SIGTERM, before) is end
        assert raised.value.args == (signal.SIGTERM,)
        assert task.done == list(range(7))
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    def test_a_second_ctrl_c_does_not_wait(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        task = FakeTask()

        def twice(step: int) -> None:
            for _ in range(2 * (step == 7)):
                signal.raise_signal(signal.SIGINT)

        task.before_step = twice
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path)
        assert task.done == list(range(7))
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    def test_it_trains_in_another_thread_too(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        thread = threading.Thread(target=train, args=(FakeTask(), tmp_path))
        thread.start()
        thread.join()
        assert content(tmp_path) == undisturbed


class TestRefusals:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_loss_that_is_no_number_keeps_what_was_saved(self, value: float, tmp_path: Path) -> None:
        task = FakeTask()
        task.value = lambda step, loss: value if step == 7 else loss
        with pytest.raises(TrainingError, match=rf"loss is {value} at step 7.*reduce the learning rate") as caught:
            train(task, tmp_path)
        assert "\n" not in str(caught.value)
        assert f"the state saved at step 6 is kept in {tmp_path}" in str(caught.value)
        again = FakeTask()
        train(again, tmp_path)
        assert again.done[0] == 6

    def test_the_clips_of_a_batch_that_gives_no_number(self, tmp_path: Path) -> None:
        class Telling(FakeTask):
            def describe(self, batch: torch.Tensor) -> str:
                return f"{len(batch)} windows of clip a, b" + " and so on" * 100

        task = Telling()
        task.value = lambda step, loss: float("nan") if step == 1 else loss
        with pytest.raises(TrainingError, match="at step 1, in a batch of 8 windows of clip a, b and so on") as caught:
            train(task, tmp_path)
        assert "no state was saved" in str(caught.value)
        assert len(str(caught.value)) < 800

    @pytest.mark.parametrize("at", ["step", "batch", "validate"])
    def test_memory_that_is_used_up(self, at: str, tmp_path: Path) -> None:
        task = FakeTask()
        usual = getattr(task, at)

        def greedy(step: int, *more: Any) -> Any:
            return torch.empty(10**15) if step == 4 else usual(step, *more)

        setattr(task, at, greedy)
        with pytest.raises(
            TrainingError, match=r"step [34], the state saved at step 3 is kept .* reduce x or y"
        ) as caught:
            train(task, tmp_path, around=Surroundings(memory_hint="x or y"))
        assert "\n" not in str(caught.value)
        train(FakeTask(), tmp_path)

    def test_other_settings(self, tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        before = content(tmp_path)
        with pytest.raises(ConfigError, match=r"started with other settings: lr 0.01 -> 0.02 .*config\.yaml.*--force"):
            fit(FakeTask(), Destination(tmp_path, {"lr": 0.02}, "lr: 0.02\n"), SETTINGS)
        assert content(tmp_path) == before  # also config.yaml, which the message points at

    def test_a_finished_run_goes_on_with_more_steps_and_says_how(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        rates = RateSchedule(0, 0.05)
        for steps, done in ((12, range(12)), (24, range(12, 24)), (30, range(24, 30))):
            task = FakeTask(LONG)
            assert fit(task, stating(tmp_path, steps), replace(SETTINGS, steps=steps), rates).step == steps
            assert task.done == list(done)
        assert "had finished its 12 steps and continues to 24" in caplog.text
        assert "52 % of their full value from here, falling to 5 %" in caplog.text
        assert [line["step"] for line in lines(tmp_path) if "loss" in line][-1] == 30

    def test_one_that_was_stopped_on_its_way_to_more_steps_goes_on(self, tmp_path: Path) -> None:
        whole, stopped = tmp_path / "whole", tmp_path / "stopped"
        longer = replace(SETTINGS, steps=24)
        for folder in (whole, stopped):
            fit(FakeTask(LONG), stating(folder, 12), SETTINGS)
        fit(FakeTask(LONG), stating(whole, 24), longer)
        task = FakeTask(LONG)
        task.before_step = lambda step: signal.raise_signal(signal.SIGINT) if step == 17 else None
        with pytest.raises(KeyboardInterrupt):
            fit(task, stating(stopped, 24), longer)
        fit(FakeTask(LONG), stating(stopped, 24), longer)
        assert content(stopped) == content(whole)

    def test_a_finished_run_of_an_earlier_version_goes_on_too(self, tmp_path: Path) -> None:
        fit(FakeTask(LONG), stating(tmp_path, 12), SETTINGS)
        state = load_state(tmp_path / "state.pt")
        del state["begun"]
        save_state(tmp_path / "state.pt", state)
        assert fit(FakeTask(LONG), stating(tmp_path, 24), replace(SETTINGS, steps=24)).step == 24

    def test_settings_that_differ_are_named(self, tmp_path: Path) -> None:
        task = FakeTask()
        task.before_step = lambda step: signal.raise_signal(signal.SIGINT) if step == 5 else None
        with pytest.raises(KeyboardInterrupt):
            fit(task, stating(tmp_path, 20), replace(SETTINGS, steps=20))
        for steps, lr, said in ((40, 0.01, "loop.steps 20 -> 40 (see"), (20, 0.5, "lr 0.01 -> 0.5 (see"),
                                (10, 0.5, "loop.steps 20 -> 10, lr 0.01 -> 0.5 (see")):  # fmt: skip
            with pytest.raises(ConfigError, match=f"started with other settings: {re.escape(said)}"):
                fit(FakeTask(), stating(tmp_path, steps, lr), replace(SETTINGS, steps=steps))
        state = load_state(tmp_path / "state.pt")
        del state["begun"]  # as an earlier version saved it: what config.yaml says is compared
        save_state(tmp_path / "state.pt", state)
        with pytest.raises(ConfigError, match=r"other settings: loop\.steps 20 -> 40 \(see"):
            fit(FakeTask(), stating(tmp_path, 40), replace(SETTINGS, steps=40))
        (tmp_path / "config.yaml").write_text("[[[")
        with pytest.raises(ConfigError, match=r"other settings \(see"):
            fit(FakeTask(), stating(tmp_path, 40), replace(SETTINGS, steps=40))

    def test_a_finished_run_does_not_go_back(self, tmp_path: Path) -> None:
        fit(FakeTask(), stating(tmp_path, 12), SETTINGS)
        with pytest.raises(ConfigError, match=r"loop\.steps 12 -> 8"):
            fit(FakeTask(), stating(tmp_path, 8), replace(SETTINGS, steps=8))

    def test_other_crops(self, tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        before = content(tmp_path)
        with pytest.raises(ConfigError, match="was started on aligned crops of 64 px"):
            train(FakeTask(size=96), tmp_path)
        assert content(tmp_path) == before

    def test_anew(self, undisturbed: dict[str, Any], tmp_path: Path) -> None:
        fit(FakeTask({12: 0.1}, 96), Destination(tmp_path, {"lr": 0.02}, "lr: 0.02\n"), LoopSettings(12, 12, 12, 12))
        (tmp_path / "notes.txt").write_text("mine")
        train(FakeTask(), tmp_path, anew=True)
        assert content(tmp_path) == {**undisturbed, "notes.txt": b"mine"}

    @pytest.mark.parametrize("anew", [False, True])
    def test_a_run_that_another_process_trains(self, anew: bool, tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        with claim(tmp_path / ".lock") as mine:
            assert mine
            before = content(tmp_path)
            with pytest.raises(TrainingError, match="another process is training the run"):
                train(FakeTask(), tmp_path, anew=anew)
            assert content(tmp_path) == before

    @pytest.mark.parametrize("below", [False, True])
    def test_a_folder_that_cannot_be_made(self, below: bool, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(CacheError, match="choose another --run"):
            train(FakeTask(), tmp_path / "file" / "run" if below else tmp_path / "file")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(CacheError, match="cannot be written"):
            train(FakeTask(), tmp_path)

    def test_a_full_disk_keeps_what_was_saved(
        self, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task, flush = FakeTask(), os.fsync

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        def fill(step: int) -> None:
            monkeypatch.setattr(os, "fsync", full if step >= 7 else flush)

        task.before_step = fill
        with pytest.raises(CacheError, match="No space left on device; check space"):
            train(task, tmp_path)
        monkeypatch.setattr(os, "fsync", flush)
        assert not list(tmp_path.rglob(".tmp-*"))
        train(FakeTask(), tmp_path)
        assert content(tmp_path) == undisturbed

    def test_a_damaged_state(self, tmp_path: Path) -> None:
        train(FakeTask(), tmp_path)
        state = tmp_path / "state.pt"
        state.write_bytes(state.read_bytes()[:-500])
        with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
            train(FakeTask(), tmp_path)
        train(FakeTask(), tmp_path, anew=True)

    def test_an_error_of_the_loader_arrives(self, tmp_path: Path) -> None:
        task = FakeTask()
        task.batch = lambda step: (_ for _ in ()).throw(CacheError("a track is gone"))  # type: ignore[method-assign]
        with pytest.raises(W2LError, match="a track is gone"):
            train(task, tmp_path)

    @pytest.mark.parametrize("field", ["steps", "log_every", "validate_every", "checkpoint_every"])
    def test_intervals_of_zero(self, field: str) -> None:
        with pytest.raises(ConfigError, match="at least 1"):
            LoopSettings(**{field: 0})

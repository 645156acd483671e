"""The example that compares recipes: rows, means over seeds, and a run with made videos that is then continued."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from examples.research import compare_recipes as script
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError, TrainingError
from w2l.scoring.metrics.columns import Column
from w2l.scoring.metrics.statistics import Interval
from w2l.scoring.results import REAL, SHUFFLED, Sample, ScoreReport, SystemScore
from w2l.scoring.run import Scored
from w2l.syncing.tools import Tools
from w2l.training.generator.run import GeneratorResult
from w2l.training.generator.settings import GeneratorSettings

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
COLUMNS = (Column("lse_d", "LSE-D", "lse", "lower", ""), Column("leak", "leak", "mouth", "zero", ""))


@pytest.mark.parametrize(
    ("text", "name", "changes"),
    [
        ("a/l1.yaml", "l1", ()),
        ("a/l1.yaml lr=1e-3 sync=0", "l1", ("lr=1e-3", "sync=0")),
        ("no swap: a/l1.yaml sampling.swap=0", "no swap", ("sampling.swap=0",)),
        ("a/l1.yaml 'sampling.augment={flip: 0}'", "l1", ("sampling.augment={flip: 0}",)),
        ("x: a/l1.yaml 'sampling.augment={flip: 0}'", "x", ("sampling.augment={flip: 0}",)),
    ],
)
def test_a_row_is_a_file_with_changes_and_a_name(text: str, name: str, changes: tuple[str, ...]) -> None:
    assert script.parse_rows([text]) == [script.Row(name, Path("a/l1.yaml"), changes)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a.yaml", "b/a.yaml"], "two rows are named 'a'"),
        (["x: "], "names no recipe"),
        (["real.yaml"], "cannot be named 'real'"),
        (["a.yaml 'open"], "cannot be read"),
    ],
)
def test_rows_that_cannot_be_told_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        script.parse_rows(texts)


def test_a_rows_own_changes_count_over_those_of_all() -> None:
    row = script.Row("l1", RECIPES / "l1.yaml", ("lr=0.5", "sampling.swap=0.25"))
    settings = row.settings(["lr=0.1", "width=3", "sampling.batch_size=2"], seed=4)
    assert (settings.lr, settings.width, settings.seed) == (0.5, 3, 4)
    assert (settings.sampling.swap, settings.sampling.batch_size) == (0.25, 2)
    assert settings.sync == 0  # the recipe's


def test_every_setting_has_a_run_of_its_own() -> None:
    row = script.Row("no swap / sync", RECIPES / "l1.yaml")
    settings = [row.settings(["loop.steps=3"], 0), row.settings(["loop.steps=3"], 1), row.settings(["loop.steps=4"], 0)]
    names = [script.run_name(row, each) for each in settings]
    assert len(set(names)) == 3
    assert names[0] == script.run_name(row, row.settings(["loop.steps=3"], 0))
    assert "/" not in names[0]
    assert " " not in names[0]


def test_the_four_recipes_differ_in_what_they_are_named_for() -> None:
    rows = [script.Row(name, RECIPES / f"{name}.yaml") for name in ("l1", "lipgan", "wav2lip", "wav2lip-gan")]
    settings = [row.settings([], 0) for row in rows]
    assert [set(each.weights(10**6)) for each in settings] == [
        {"l1"}, {"l1", "contrast"}, {"l1", "sync"}, {"l1", "sync", "adversarial"},
    ]  # fmt: skip
    assert settings[3].weights(10**6) == pytest.approx({"l1": 0.9, "sync": 0.03, "adversarial": 0.07})
    assert {each.channels for each in settings} == {16}


def outcome(row: str, seed: int, lse_d: float, **others: float) -> object:
    scores = {script.OWN: {"lse_d": lse_d, **others}, REAL: {"lse_d": 6.5}, SHUFFLED: {"lse_d": 13.25}}
    return script.Outcome(row, seed, "m", scores, {}, {script.OWN: 12, script.OTHER: 12}, 300)


def test_seeds_become_a_mean_with_their_spread() -> None:
    found = [outcome("a", 0, 7.0), outcome("a", 1, 9.0, leak=0.25)]
    assert script.combined(found, script.OWN, "lse_d") == pytest.approx((8.0, np.sqrt(2)))
    assert script.combined(found, script.OWN, "leak") == (0.25, None)
    assert script.combined(found, script.OTHER, "lse_d") is None


def test_the_table_has_rows_real_and_chance() -> None:
    found = [outcome("b", 0, 7.0), outcome("a", 0, 8.0), outcome("b", 1, 9.0)]
    text = script.as_markdown(found, COLUMNS, ["lr=1"])
    own = [line for line in text.split("### ")[1].splitlines() if line.startswith("|")]
    assert own == [
        "| recipe | seeds | LSE-D |",
        "| --- | --- | --- |",
        "| b | 2 | 8.000 ± 1.414 |",
        "| a | 1 | 8.000 |",
        "| real |  | 6.500 |",
        "| chance |  | 13.250 |",
    ]
    assert "12 clips of models after 300 steps" in text
    assert "`lr=1`" in text


def test_pictures_are_not_compared_where_the_mouths_differ() -> None:
    scores = {key: {"psnr_lower": 30.0, "lse_d": 7.0} for key in (script.OWN, script.OTHER)}
    columns = (*COLUMNS, Column("psnr_lower", "PSNR lower", "quality", "higher", ""))
    own, other = script.as_markdown([script.Outcome("a", 0, "m", scores, {}, {}, 1)], columns).split("### ")[1:]
    assert "PSNR lower" in own
    assert "PSNR lower" not in other


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three videos with a list; training, re-syncing and scoring are replaced by what leaves their files."""
    Cache.open(tmp_path / "cache", create=True)
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in "abc":
        (videos / f"{name}.mp4").write_bytes(b"no video")
    (tmp_path / "test.txt").write_text("a\nb\nc\n")
    (tmp_path / "trained.txt").write_text("")

    def train(settings: GeneratorSettings, cache: Cache, name: str, device: str) -> GeneratorResult:
        folder = cache.run_folder(name)
        if settings.l1 == 5:
            raise TrainingError("l1 is nan at step 3")
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "generator-latest.safetensors").write_text(name)
            with (tmp_path / "trained.txt").open("a") as file:
                file.write(f"{settings.seed} {settings.l1:g}\n")
        return GeneratorResult(folder / "generator-best.safetensors", settings.loop.steps, {}, folder)

    def samples(trials: tuple[object, ...], folder: Path, tools: Tools) -> list[Sample]:
        assert tools.settings.silence == "model"
        names = [str(place) for place in range(len(trials))]
        return [Sample(folder / name, key, name) for name in names for key in (script.OWN, script.OTHER, REAL)]

    def score(inputs: object, *_: object) -> Scored:
        systems = list(dict.fromkeys(sample.system for sample in inputs.samples))  # type: ignore[attr-defined]
        assert systems == [script.OWN, script.OTHER, REAL]
        n_clips = len(inputs.samples) // 3  # type: ignore[attr-defined]
        means = {"lse_d": Interval(7.0, 6.0, 8.0, n_clips)}
        return Scored(ScoreReport("", (), tuple(SystemScore(each, n_clips, 0, means) for each in systems)), COLUMNS)

    monkeypatch.setattr(script, "train_generator", train)
    monkeypatch.setattr(script, "make_samples", samples)
    monkeypatch.setattr(script.scoring, "score", score)
    return tmp_path


def arguments(workplace: Path, *more: str) -> list[str]:
    places = [workplace / "cache", workplace / "videos", workplace / "test.txt", workplace / "out"]
    return [*map(str, places), str(RECIPES / "l1.yaml"), f"half: {RECIPES / 'l1.yaml'} l1=0.5", *more]


def test_more_seeds_train_only_what_is_new(workplace: Path) -> None:
    shown = CliRunner().invoke(script.main, arguments(workplace, "--limit", "2", "--set", "loop.steps=9"))
    assert shown.exit_code == 0, shown.output
    assert (workplace / "trained.txt").read_text().split("\n") == ["0 1", "0 0.5", ""]
    assert "| half | 1 | 7.000 |" in shown.stdout
    more = arguments(workplace, "--limit", "2", "--set", "loop.steps=9", "--seeds", "2")
    shown = CliRunner().invoke(script.main, more)
    assert shown.exit_code == 0, shown.output
    assert (workplace / "trained.txt").read_text().split("\n") == ["0 1", "0 0.5", "1 1", "1 0.5", ""]
    table = json.loads((workplace / "out" / "table.json").read_text())
    assert [(each["row"], each["seed"]) for each in table["outcomes"]] == [
        ("l1", 0),
        ("l1", 1),
        ("half", 0),
        ("half", 1),
    ]
    assert {each["steps"] for each in table["outcomes"]} == {9}
    assert len(table["clips"]) == 2


def test_a_row_that_fails_leaves_the_others(workplace: Path) -> None:
    shown = CliRunner().invoke(script.main, arguments(workplace, f"bad: {RECIPES / 'l1.yaml'} l1=5"))
    assert "1 of 3 models are missing: bad, seed 0: l1 is nan" in str(shown.exception)
    table = (workplace / "out" / "table.md").read_text()
    assert "| l1 |" in table
    assert "| half |" in table
    assert "bad" not in table


def test_a_wrong_setting_is_told_before_any_training(workplace: Path) -> None:
    shown = CliRunner().invoke(script.main, arguments(workplace, f"bad: {RECIPES / 'l1.yaml'} l2=5"))
    assert isinstance(shown.exception, ConfigError)
    assert (workplace / "trained.txt").read_text() == ""

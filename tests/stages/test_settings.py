"""`w2l settings`: complete, described, and a file that gives the same settings back for every stage."""

import importlib
import json
from pathlib import Path

import pytest
import yaml

from stages import cli
from stages.settings import command, settings_class
from tests.stages.test_cli import Run, run  # noqa: F401
from w2l.api.sections import COMMANDS_ALONE
from w2l.core import config
from w2l.core.settings_reference import list_settings

STAGES = list(cli.SECTIONS)


@pytest.mark.parametrize("stage", STAGES)
def test_the_printed_file_loads_unchanged(run: Run, tmp_path: Path, stage: str) -> None:  # noqa: F811
    status, text, err = run("settings", stage, "--yaml")
    assert (status, err) == (0, "")
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    kind = settings_class(stage)
    assert config.load(kind, stage, file, (), cli.SECTIONS) == kind()
    assert yaml.safe_load(text) == yaml.safe_load(config.dump(kind(), stage))  # all keys are there
    assert run("settings", stage, "--yaml", "--config", file)[1] == text


def test_one_file_holds_all_stages_and_person_has_its_own_defaults(run: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "all.yaml"
    file.write_text(run("settings", "--yaml")[1], encoding="utf-8")
    for stage in STAGES:
        kind = settings_class(stage)
        assert config.load(kind, stage, file, (), cli.SECTIONS) == kind()
    text = run("settings", "train", "--person", "--yaml")[1]
    file.write_text(text, encoding="utf-8")
    tuning = settings_class("train", person=True)
    assert config.load(tuning, "train", file) == tuning()
    assert "mouth_focus: 4.0" in text


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_has_a_sentence_and_a_type(stage: str) -> None:
    for row in list_settings(settings_class(stage)()):
        assert row.text.endswith("."), row.key
        assert row.is_group or row.type not in ("", "any value"), row.key


def test_sections_are_those_that_commands_read() -> None:
    assert set(cli.SECTIONS) - {"study"} == set(cli.COMMANDS) - {"settings", "doctor", "verify", "mark", "ui"}
    for stage in set(cli.SECTIONS) - {"study"}:
        name = cli.COMMANDS[stage][0].partition(":")[0]
        place = name if stage in COMMANDS_ALONE else f"w2l.api.{stage.replace('-', '_')}"
        assert settings_class(stage) in vars(importlib.import_module(place)).values(), stage


def test_tables_show_every_key_and_what_was_set(
    run: Run, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    status, text, _ = run("settings", "train")
    assert status == 0
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {line.split()[0] for line in lines if line.strip()}
    assert {row.key for row in list_settings(settings_class("train")()) if not row.is_group} <= shown
    assert "\x1b" not in text
    assert "now 0.5" in run("settings", "train", "--set", "sync=0.5")[1]
    assert "now" not in [word for line in lines for word in line.split()[1:2]]
    rows = json.loads(run("settings", "sync", "--set", "fps=30", "--json")[1])
    assert {key: value for row in rows if row["key"] == "fps" for key, value in row.items() if key != "text"} == {
        "stage": "sync",
        "key": "fps",
        "type": "number or null",
        "default": None,
        "value": 30.0,
    }


@pytest.mark.parametrize(("arguments", "said"), [
    (("snyc",), "'snyc' is not one of"),
    (("--set", "fps=30"), "--set requires a stage"),
    (("sync", "--person"), "w2l settings train --person"),
    (("--person",), "w2l settings train --person"),
    (("sync", "--set", "fps=0"), "fps 0.0 must be between"),
    (("sync", "--config", "none.yaml"), "none.yaml cannot be read"),
    (("train", "--set", "augment=1"), "did you mean sampling.augment.bend, sampling.augment.blur or sampling.augment"),
    (("train", "--set", "learning_rate=1"), "unknown setting train.learning_rate; "),
])  # fmt: skip
def test_wrong_usage_is_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:  # noqa: F811
    status, out, err = run("settings", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_the_command_is_the_one_of_the_table() -> None:
    assert command.name == "settings"

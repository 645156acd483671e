"""The names of `w2l`: found without importing what is heavy, typed, and with the commands' options as keywords."""

import importlib
import inspect
import typing

import click
import pytest

import w2l
from stages.cli import COMMANDS, group

COMMANDS_HERE = {
    "sync": "sync", "detect": "detect", "preprocess": "preprocess", "train_expert": "train-expert", "train": "train",
    "score": "score", "audit": "audit",
}  # fmt: skip
OF_COMMANDS = {
    "dry_run", "pairs", "pairs_order", "root", "jobs", "ray", "check", "undo", "explains", "study", "study_results",
    "clips", "report", "lse", "fid", "quality", "mouth", "identity", "everything", "assignments", "as_json", "verbose",
    "quiet", "debug", "speeches",
}  # fmt: skip
"""Options of commands that are about many jobs or about what is printed, which a function need not have."""


def test_every_public_name_is_there_and_stays_so() -> None:
    assert set(w2l.__all__) == set(w2l.PUBLIC) <= set(dir(w2l))
    for name, module in w2l.PUBLIC.items():
        found = getattr(w2l, name)
        assert found is getattr(importlib.import_module(module), name, importlib.import_module(module))
        importlib.import_module("w2l.syncing.run")  # a package of the library does not take a function's place
        assert getattr(w2l, name) is found
        assert inspect.getdoc(found)
    with pytest.raises(AttributeError, match="no attribute 'synch'"):
        w2l.synch  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    source = inspect.getsource(w2l)
    for name, module in w2l.PUBLIC.items():
        if name != "errors":
            assert f"    from {module} import {name} as {name}\n" in source


@pytest.mark.parametrize(("name", "command"), COMMANDS_HERE.items())
def test_keywords_are_the_options_of_the_command(name: str, command: str) -> None:
    function = getattr(w2l, name)
    keywords = {key for key, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY}
    found = group.get_command(click.Context(group), command)
    assert found is not None
    assert command in COMMANDS
    options = [one for one in found.params if isinstance(one, click.Option)]
    spelled = {text.lstrip("-").replace("-", "_") for one in options for text in (*one.opts, *one.secondary_opts)}
    assert keywords <= spelled | {"progress", "settings", "measures"}
    missing = {one.opts[0] for one in options if not keywords & _spellings(one) and one.name not in OF_COMMANDS}
    assert missing <= {"-o", "--set"}


def _spellings(option: click.Option) -> set[str]:
    return {text.lstrip("-").replace("-", "_") for text in option.opts}


@pytest.mark.parametrize("name", COMMANDS_HERE)
def test_functions_are_typed_and_explain_every_keyword(name: str) -> None:
    function = getattr(w2l, name)
    hints = typing.get_type_hints(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}
    assert "progress" in hints
    said = inspect.getdoc(function) or ""
    parameters = said.partition("Parameters\n")[2].partition("Returns\n")[0]
    assert not [key for key in inspect.signature(function).parameters if key not in parameters]


def test_errors_are_those_that_are_raised() -> None:
    from w2l.core import errors
    from w2l.errors import NoFaceError

    assert NoFaceError is errors.NoFaceError is w2l.errors.NoFaceError
    kinds = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert set(w2l.errors.__all__) == kinds

"""What the pages show is run: Python blocks in a folder with a video and a speech, commands as far as they are read."""

import importlib
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml

from stages.cli import COMMANDS, group
from tests.helpers.puppet_clips import make_clip
from w2l.data.puppets import babble
from w2l.media.audio import write_wav

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRAINS = "w2l.train("
LIVE = "gradio_client"
"""Examples that call a server; tests/ui/test_calls.py runs them against one."""
PLACEHOLDERS = ("SET",)
"""Words of commands that the text below them spells out."""
GIVEN = "import numpy as np\nframes = [np.zeros((120, 160, 3), np.uint8)] * 3\n"
"""What the example in README.md takes from around it."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the name of the page and the text of each block in a language."""
    return [(page.name, text) for page in PAGES for kind, text in BLOCK.findall(page.read_text()) if kind == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: in.mp4, speech.wav and w2l.yaml."""
    made = tmp_path_factory.mktemp("docs")
    make_clip(made / "in.mp4", seconds=0.8)
    write_wav(made / "speech.wav", babble(0.6, 3))
    (made / "w2l.yaml").write_text("sync: {silence: model}\n")
    return made


def quick(text: str) -> str:
    """Return the lines of an example that do not train."""
    return "\n".join(line for line in text.splitlines() if TRAINS not in line)


@pytest.mark.parametrize(
    ("page", "text"), [block for block in blocks("python") if LIVE not in block[1]], ids=lambda value: value[:12]
)
def test_python_examples_run(page: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("W2L_CACHE", raising=False)
    (folder / "out.mp4").unlink(missing_ok=True)
    compile(text, page, "exec")
    faster = quick(text).replace(', "quality"', "").replace('face="left"', 'face="auto"')
    exec(compile(GIVEN + faster, page, "exec"), {"__name__": "__main__"})


def commands() -> list[tuple[str, str]]:
    """Return the page and the text of every `w2l` command in a shell block."""
    found = []
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                words = part.partition("  #")[0].partition(" | ")[0].strip()
                if words.startswith("w2l "):
                    found.append((page, words))
    return found


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: value[:40])
def test_commands_are_understood(page: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("real", "ours", "theirs", "outputs", "clips"):
        (tmp_path / name).mkdir()
    name, *arguments = (word for word in shlex.split(line, comments=True)[1:] if word not in PLACEHOLDERS)
    if name.startswith("-"):
        return
    assert name in COMMANDS, line
    command = group.get_command(click.Context(group), name)
    assert command is not None
    try:
        _parse(command, name, arguments)
    except click.exceptions.Exit:  # of --help
        return


def test_commands_are_found_at_all() -> None:
    assert {line.split()[1] for _, line in commands()} >= {"sync", "score", "preprocess", "train", "settings"}


def test_shell_blocks_are_valid() -> None:
    whole = "\n".join(f": {page}\n{text}" for page, text in blocks("sh"))
    checked = subprocess.run(["bash", "-n"], input=whole, capture_output=True, text=True, check=False)
    assert not checked.returncode, checked.stderr


MODULE = re.compile(r"python -m (examples\.[\w.]+)(.*)")
FILE = re.compile(r"python\S* (?:-m pytest .*?)?((?:examples|tests)/[\w./]+)")


def test_modules_and_files_of_the_repository_are_called_as_they_are() -> None:
    """The commands of `examples` take the arguments shown, and files named to Python or pytest exist."""
    lines = [line for _, text in blocks("sh") for line in text.replace("\\\n", " ").splitlines()]
    called = [match for line in lines if (match := MODULE.search(line))]
    assert called
    for match in called:
        words = [word for word in shlex.split(match[2], comments=True) if word not in PLACEHOLDERS]
        found = vars(importlib.import_module(match[1]))
        commands = [value for value in found.values() if isinstance(value, click.Command)]
        if commands:
            _parse(commands[-1], match[1], words)
        else:  # examples.benchmarks, a module for each of its commands
            assert find_spec(f"{match[1]}.{words[0]}"), match[0]
    files = [match[1] for line in lines if (match := FILE.search(line))]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def _parse(command: click.Command, name: str, words: list[str]) -> None:
    """Let a command read its arguments; files of the reader's may be missing."""
    try:
        command.make_context(name, words)
    except click.BadParameter as error:
        if "does not exist" not in error.format_message():
            raise


def test_every_page_is_in_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = set(re.findall(r"[\w-]+\.md", str(site["nav"])))
    left_out = set(site["exclude_docs"].split())
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == named | left_out

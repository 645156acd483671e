"""The command line: light until a command runs, one line for an error, the status the README promises."""

import importlib.metadata
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

import w2l
from stages import cli
from stages.options import Common
from w2l.core.errors import CacheError

HEAVY = ("torch", "numpy", "cv2", "av", "librosa", "insightface", "onnxruntime", "yaml", "rich", "scenedetect")
ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `w2l` in an empty folder; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return run


@pytest.mark.parametrize("argument", ["--help", "--version", "-h", "nosuch"])
def test_nothing_heavy_is_imported_before_a_command_runs(argument: str) -> None:
    script = "import json, sys\nfrom stages.cli import main\ntry:\n    main(sys.argv[1:])\n"
    script += "finally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script, argument], capture_output=True, text=True, check=False)
    loaded = {name.partition(".")[0] for name in json.loads(ended.stderr.splitlines()[-1])}
    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_python_m_w2l_is_the_command(run: Run) -> None:
    """Help, version and a wrong command end with the same text and status as `w2l`."""
    for argument in ("--help", "--version", "nosuch"):
        command = [sys.executable, "-m", "w2l", argument]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert (ended.returncode, ended.stdout, ended.stderr) == run(argument)


@pytest.mark.parametrize(("encoding", "printed"), [
    ("ascii", b"caf\xc3\xa9 \xff \xe2\x80\xa6\n"), ("utf-8", b"caf\xc3\xa9 \xff \xe2\x80\xa6\n"),
    ("latin-1", b"caf\xe9 \xff \\u2026\n"),
])  # fmt: skip
def test_names_on_stdout_are_the_bytes_of_the_files(
    monkeypatch: pytest.MonkeyPatch, encoding: str, printed: bytes
) -> None:
    """Under LC_ALL=C, too, where a stream may know ASCII alone; a script can open what is printed."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))

    def show(*_: object, **__: object) -> None:
        Common(None, "cpu", None, (), json=False).show(None, "caf\xe9 \udcff \u2026")

    monkeypatch.setattr(cli.group, "main", show)
    cli.main(["doctor"])
    assert written.getvalue() == printed


def test_the_version_is_that_of_the_installed_package(run: Run) -> None:
    assert w2l.__version__ == importlib.metadata.version("w2l")
    assert run("--version")[1].rstrip().endswith(w2l.__version__)
    assert not hasattr(w2l, "nosuch")


def test_a_copy_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(AttributeError, match="not installed; run pip install"):
        _ = w2l.__version__


def test_importing_w2l_loads_nothing() -> None:
    script = "import sys; before = set(sys.modules); import w2l; print(*sorted(set(sys.modules) - before))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.split() == ["w2l"]


def test_help_lists_every_command_and_each_has_one_of_its_own(run: Run) -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert run() == (0, out, "")
    for name, (_, line) in cli.COMMANDS.items():
        assert name in out
        assert line in out
        status, text, err = run(name, "--help")
        assert (status, err) == (0, "")
        few = ("--cache", "--json", "--debug")  # doctor runs where settings and logging cannot be imported
        for option in few if name == "doctor" else (*few, "--device", "--config", "--set", "--verbose", "--quiet"):
            assert option in text


def test_a_file_may_hold_a_section_for_every_command_and_for_studies(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("".join(f"{name}: {{}}\n" for name in cli.SECTIONS if name != "study") + "study: {seed: 3}\n")
    assert run("weights", "--config", file)[0] == 0
    file.write_text("study: {seed: 3}\nweights: {timeout_s: -1}\n")
    assert run("weights", "--config", file)[0::2] == (2, "error: timeout_s -1.0 must be positive\n")
    file.write_text("weight: {timeout_s: 1}\n")
    assert run("weights", "--config", file)[0::2] == (
        2, f"error: unknown section 'weight' in {file}; did you mean weights?\n",
    )  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), [
    (("nosuch",), "No such command 'nosuch'. See w2l --help."),
    (("--nosuch",), "No such option"),
    (("preprocess",), "Missing argument 'FOLDER'"),
    (("preprocess", ".", "--device", "tpu"), "'tpu' is not one of"),
    (("preprocess", ".", "--set", "crop.siz=64"), "unknown setting preprocess.crop.siz; did you mean size?"),
    (("preprocess", ".", "--set", "crop.size"), "write key=value"),
    (("preprocess", ".", "--set", "crop=7"), "preprocess.crop must contain"),
    (("preprocess", ".", "--set", "crop.pads=[1]"), "must be a list of 4 values"),
    (("preprocess", ".", "--set", "gates.min_track_s=0.1"), "at least 0.2"),
    (("preprocess", ".", "--config", "none.yaml"), "none.yaml cannot be read"),
    (("preprocess", ".", "--device", "cuda"), "no CUDA GPU"),
])  # fmt: skip
def test_wrong_usage_is_one_line_and_status_two(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert said in err


@pytest.mark.parametrize(("error", "status", "said"), [
    (CacheError("the cache\nis full"), 1, "error: the cache is full\n"),
    (OSError(28, "No space left on device", "/x/y"), 1, "error: /x/y: No space left on device; check"),
    (KeyboardInterrupt(), 130, "error: interrupted"),
])  # fmt: skip
def test_errors_are_one_line_but_for_debug(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("w2l.api.preprocess.run", fail)
    ended, out, err = run("preprocess", ".", "-q")
    assert (ended, out) == (status, "")
    assert said in err
    assert err.strip().count("\n") == 0
    if isinstance(error, Exception):
        with pytest.raises(type(error)):
            cli.main(["preprocess", ".", "--debug"])


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("w2l.api.preprocess.run", lambda *_: {}["bug"])
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(KeyError):
        cli.main(["preprocess", str(tmp_path), "--cache", str(tmp_path / "cache")])


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "stages.cli", "--help"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert "Traceback" not in ended.stderr
    assert ended.returncode != 0


STOPPED = """
import pathlib, signal, sys, time
from stages import cli
from w2l.core.locks import claim

class Work:
    @staticmethod
    def main(arguments, **how):
        with claim(pathlib.Path("lock")):
            print("works", flush=True)
            time.sleep(60)

cli.group = Work
cli.main(["sync"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_line_and_its_locks_released(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said.startswith("error: interrupted; rerun the same command")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("load", "name", "expected"), [
    ("99.0 9.0 9.0 99/800 123", "", "PASSIVE"),
    ("99.0 9.0 9.0 1/800 123", "", None),
    ("0.5 9.0 9.0 99/800 123", "", None),
    ("99.0 9.0 9.0 99/800 123", cli.WAIT_POLICY, "ACTIVE"),
    ("99.0 9.0 9.0 99/800 123", cli.SPIN_COUNT, None),
    ("unknown", "", None),
])  # fmt: skip
def test_threads_wait_without_a_loop_beside_other_programs(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load: str, name: str, expected: str | None
) -> None:
    """Only where the machine was and is busy, and the user has not chosen how threads wait."""
    for each in (cli.WAIT_POLICY, cli.SPIN_COUNT):
        monkeypatch.setenv(each, "to be restored")
        monkeypatch.delenv(each)
    if name:
        monkeypatch.setenv(name, "ACTIVE")
    (tmp_path / "loadavg").write_text(load)
    monkeypatch.setattr(cli, "LOAD", tmp_path / "loadavg")
    run("--version")
    assert os.environ.get(cli.WAIT_POLICY) == expected


def test_modules_are_not_searched_for_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collection is off while a command of the shell is imported, and on while it runs."""
    done: list[str] = []
    collector = SimpleNamespace(
        disable=lambda: done.append("off"), enable=lambda: done.append("on"), freeze=lambda: done.append("freeze"),
        isenabled=lambda: "off" not in done,
    )  # fmt: skip

    def imported(name: str) -> object:
        done.append(f"import {name}")
        return SimpleNamespace(command=click.Command("doctor", callback=lambda: done.append("run")))

    monkeypatch.setattr(cli, "gc", collector)
    monkeypatch.setattr(cli, "import_module", imported)
    monkeypatch.setattr(cli.atexit, "register", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["w2l", "doctor"])
    cli.main()
    assert done == ["off", "import stages.doctor", "freeze", "on", "run"]
    done.clear()
    cli.main(["doctor"])
    assert done == ["import stages.doctor", "run"]  # a caller's own collection is left alone


def test_a_command_that_is_called_leaves_the_signals_of_its_caller(run: Run) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    run("--version")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_sync_imports_only_what_it_uses() -> None:
    """Of the installed packages, these are for other commands, or are imported when they are first used."""
    unused = {
        "scipy",
        "librosa",
        "numba",
        "matplotlib",
        "jinja2",
        "pandas",
        "sklearn",
        "insightface",
        "scenedetect",
        "ray",
    }
    later = {"onnx", "onnxruntime", "pooch", "requests", "torch._dynamo", "torch._inductor", "tensorboard"}
    packages = "w2l.scoring", "w2l.training", "w2l.ui", "w2l.report"
    script = f"import sys, stages.sync; print(*{unused | later | set(packages)!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_settings_and_the_server_of_the_page_load_no_networks() -> None:
    modules = "w2l.syncing.settings", "w2l.scoring.settings", "w2l.queue.looking", "w2l.ui.server"
    script = f"import sys, {', '.join(modules)}; print(*{{'torch', 'av', 'onnxruntime'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""What the tests of the two training commands share: refusals in one line, kills, and what a run leaves."""

import signal
from pathlib import Path
from typing import Any

import pytest

from stages import cli
from tests.helpers.forked import w2l


def options(settings: list[str]) -> list[str]:
    """``key=value`` settings as arguments."""
    return [part for setting in settings for part in ("--set", setting)]


def refused(capsys: pytest.CaptureFixture[str], given: list[str], status: int) -> str:
    """The one line on stderr with which w2l ends."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*given, "-q"])
    out, err = capsys.readouterr()
    assert ended.value.code == status, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err


def kill_at_line(given: list[str], log: Path, n_lines: int) -> None:
    """Runs w2l in another process and ends it with SIGKILL when `log` has `n_lines`."""
    with w2l(log.parents[3] / "killed", *given, "-q") as process:
        process.until(lambda: log.exists() and log.read_text().count("\n") >= n_lines)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def break_at(task: Any, stop: int) -> None:
    """Make step `stop` of a task end as Ctrl-C does; 0: none."""
    step = task.step

    def breaking(number: int, batch: Any) -> dict[str, float]:
        if stop and number == stop:
            raise KeyboardInterrupt
        found: dict[str, float] = step(number, batch)
        return found

    task.step = breaking


def content(folder: Path) -> dict[str, bytes]:
    """All files of a run that two equal runs share byte for byte.

    Its state may store the same strings once or twice, its page and its curves name the run, and TensorBoard's files
    hold the time.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "tensorboard"]
    odd = ("state.pt", "report.html", "curves.png")
    return {path.name: path.read_bytes() for path in files if path.name not in odd}

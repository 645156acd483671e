"""The command line: a table of commands, each imported when it is first used."""

import atexit
import codecs
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from w2l.api.sections import SECTIONS as API_SECTIONS
from w2l.core.errors import W2LError
from w2l.core.text import one_line

COMMANDS = {
    "preprocess": ("stages.preprocess:command", "Prepare a folder of talking clips for training."),
    "detect": ("stages.detect:command", "Detect the faces of one video."),
    "audit": ("stages.audit:command", "Find and repair tracks whose audio is out of sync."),
    "train-expert": ("stages.train_expert:command", "Train the sync expert."),
    "train": ("stages.train:command", "Train the generator, or tune it to one person."),
    "sync": ("stages.sync:command", "Redraw the mouth of a video to match a speech."),
    "verify": ("stages.verify:command", "Report whether files were made by w2l."),
    "score": ("stages.score:command", "Measure lip sync: LSE-D, LSE-C, offset."),
    "export": ("stages.export:command", "Export a generator as an ONNX file."),
    "weights": ("stages.weights:command", "List, import and download models."),
    "mark": ("stages.mark:command", "Manage the key that signs outputs."),
    "ui": ("stages.ui:command", "Open a page for the browser."),
    "settings": ("stages.settings:command", "List all settings, or write them as a YAML file to edit."),
    "doctor": ("stages.doctor:command", "Check this installation and suggest fixes."),
}
"""Name -> location of the command, and its line in ``w2l --help``."""
SECTIONS = {**API_SECTIONS, "export": "stages.export:ExportSettings", "weights": "stages.weights:FetchSettings"}
"""Sections that a file of settings may hold, and the dataclass of each."""

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command like Ctrl-C: a service manager's, and that of a closing terminal."""
WAIT_POLICY, SPIN_COUNT = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
"""Environment variables of how PyTorch's threads wait for each other, read when PyTorch is imported."""
LOAD = Path("/proc/loadavg")
"""Linux's file of how busy the machine is."""
ESCAPES = "w2l-escapes"
"""Name of the error handler of stdout, see `_encode_escapes`."""


class Commands(click.Group):
    """A command group that imports a command only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a typical workflow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        if not gc.isenabled():  # see `main`
            gc.freeze()
            gc.enable()
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="w2l")
def group() -> None:
    """Lip sync: redraw a speaker's mouth to match any speech; train and evaluate the models.

    \b
    w2l sync in.mp4 speech.wav -o out.mp4     lip-sync a video with the shipped model
    w2l preprocess clips/                     then train-expert, train: train your own model
    w2l score --lse                           measure lip sync

    All commands use one cache (--cache, $W2L_CACHE, else ./w2l-cache) and can be rerun: finished work is skipped,
    interrupted work resumes. Exit status: 0 success, 1 unusable data, 2 wrong usage.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the right status."""
    if is_busy() and not {WAIT_POLICY, SPIN_COUNT} & os.environ.keys():
        # Beside other programs, threads that wait in a loop lose whole turns of a core; alone they save a few percent.
        os.environ[WAIT_POLICY] = "PASSIVE"
    if arguments is None:
        # Modules stay until the end: without searches for cycles among them, PyTorch is imported in 0.2 s less of
        # processor time, and the process ends in 0.1 s instead of 0.4 s.
        gc.disable()
        atexit.register(gc.freeze)
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    _set_up_streams()
    stopped_by: list[int] = []
    try:
        with _ends(stopped_by):
            group.main(arguments, prog_name="w2l", standalone_mode=False)
    except W2LError as error:
        if "--debug" in arguments:
            raise
        sys.exit(_complain(str(error), error.exit_status))
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        message = error.format_message()
        if context:
            message = f"{message.rstrip('.')}. See {context.command_path} --help."
        sys.exit(_complain(message, error.exit_code))
    except (KeyboardInterrupt, click.Abort):
        status = 128 + (stopped_by or [signal.SIGINT])[0]
        sys.exit(_complain("interrupted; rerun the same command to resume (sync: with --resume)", status))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if "--debug" in arguments:
            raise
        sys.exit(_complain(f"{error.filename or 'system'}: {error.strerror or error}; check space and permissions", 1))


def is_busy() -> bool:
    """Return whether other programs use all cores, in the last minute and now; False where the system does not say."""
    try:
        minute, _, _, now, _ = LOAD.read_text().split()
        n_others = int(now.partition("/")[0]) - 1  # one that runs is this process
        return min(float(minute), n_others) >= len(os.sched_getaffinity(0))
    except (OSError, ValueError, AttributeError):
        return False


def _set_up_streams() -> None:
    """Let stdout and stderr take any text: file names may not be UTF-8, and a locale may know ASCII only."""
    codecs.register_error(ESCAPES, _encode_escapes)
    for stream, errors in ((sys.stdout, ESCAPES), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if is_ascii else stream.encoding, errors=errors)


def _encode_escapes(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what an encoding lacks: surrogate escapes as the bytes they stand for, the rest as backslash escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    parts = (
        bytes([ord(char) - 0xDC00]) if "\udc80" <= char <= "\udcff" else char.encode("ascii", "backslashreplace")
        for char in bad
    )
    return b"".join(parts), error.end


@contextmanager
def _ends(stopped_by: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command like Ctrl-C, and record which did; a second one ends it immediately.

    Signals that are already ignored, as under nohup, stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        stopped_by.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ENDS}
    for number in ENDS:
        if before[number] is signal.SIG_DFL:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ENDS:
            if before[number] is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)


def _complain(message: str, status: int) -> int:
    click.echo(f"error: {one_line(message)}", err=True)
    return status


if __name__ == "__main__":
    main()

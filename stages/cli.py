"""The command line: a table of commands, each imported when it is first used."""

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from w2l.api.sections import SECTIONS as API_SECTIONS
from w2l.core.errors import W2LError
from w2l.core.text import one_line

COMMANDS = {
    "preprocess": ("stages.preprocess:command", "Folder of talking clips -> face crops and mels in the cache."),
    "detect": ("stages.detect:command", "Find the faces of one video."),
    "audit": ("stages.audit:command", "Find tracks whose sound is out of step, and repair that."),
    "train-expert": ("stages.train_expert:command", "Train the network that tells sync from off sync."),
    "train": ("stages.train:command", "Train the generator that redraws mouths."),
    "sync": ("stages.sync:command", "Redraw the mouth of a video to fit a speech."),
    "score": ("stages.score:command", "Measure lip sync: LSE-D, LSE-C, offset."),
    "export": ("stages.export:command", "Write a generator as an ONNX file for others."),
    "weights": ("stages.weights:command", "List models by name, import public ones, fetch face detectors."),
    "settings": ("stages.settings:command", "List all settings, or write them as a YAML file to edit."),
    "doctor": ("stages.doctor:command", "Check this machine; say what is missing and what to do."),
}
"""Name -> where the command is, and its line in ``w2l --help``."""
SECTIONS = {**API_SECTIONS, "export": "stages.export:ExportSettings", "weights": "stages.weights:FetchSettings"}
"""Sections that a file of settings may hold, and the dataclass of each."""

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command as Ctrl-C does: a service manager's, and a terminal's that closes."""


class Commands(click.Group):
    """A group that knows its commands by name and help alone until one runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="w2l")
def group() -> None:
    """Lip sync: redraw a speaker's mouth to fit any speech; train and measure the models that do it.

    \b
    w2l sync in.mp4 speech.wav -o out.mp4     the main job, with the shipped model
    w2l preprocess clips/                     then train-expert, train: your own model
    w2l score --lse                           how well mouths and voices agree

    Every command works on one cache (--cache, $W2L_CACHE, else ./w2l-cache) and can be run again: what is done is
    skipped. Exit status: 0 done, 1 data that cannot be used, 2 wrong usage.
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; ends the process with the right status."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
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
        help_line = f" See {context.command_path} --help." if context else ""
        sys.exit(_complain(error.format_message() + help_line, error.exit_code))
    except (KeyboardInterrupt, click.Abort):
        status = 128 + (stopped_by or [signal.SIGINT])[0]
        sys.exit(_complain("interrupted; the same command goes on with what is finished (sync: with --resume)", status))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if "--debug" in arguments:
            raise
        sys.exit(_complain(f"{error.filename or 'system'}: {error.strerror or error}; check space and permissions", 1))


@contextmanager
def _ends(stopped_by: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, and note which did; a second one ends it immediately.

    What is ignored from before, as by nohup, stays so.
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

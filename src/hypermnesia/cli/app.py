"""The application: its commands, what an error looks like, and interrupts.

Which signal a command was interrupted by, whatever became of the exception that it raised.

An interrupt is an exception, raised wherever the program happens to be. In the middle of an import,
code that is not ours may swallow it, or break in other ways later: what is then reported is not
the error but the interrupt.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any

import typer

from hypermnesia import __version__
from hypermnesia.cli.inspection import (
    check_command,
    doctor_command,
    explain_command,
    export_command,
    figures_command,
    list_command,
    report_command,
)
from hypermnesia.cli.training import (
    compare_command,
    reproduce_command,
    resume_command,
    run_command,
    tune_command,
)
from hypermnesia.errors import HypermnesiaError, printable


class Interrupted(KeyboardInterrupt):
    """An interrupt of its own class.

    Where a KeyboardInterrupt as such passes through `exec` of a text, which dataclasses use,
    CPython ends a program that `-m` started by SIGINT, though it was dealt with
    (`run_eval_code_obj`).
    """


@dataclass
class Noted:
    """The exit code that the last signal asks for, 128 + its number; None without any."""

    code: int | None = None


@contextmanager
def noting(noted: Noted) -> Iterator[None]:
    """Note SIGINT and SIGTERM in `noted`, and interrupt; but for a signal that is ignored."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        noted.code = 128 + number
        raise Interrupted

    if threading.current_thread() is not threading.main_thread():  # who may not set handlers
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


app = typer.Typer(
    name="hypermnesia",
    help="""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

    For example:

    hypermnesia doctor

    hypermnesia run split-digits --method hnet,finetune --seeds 0-2
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("resume")(resume_command)
app.command("compare")(compare_command)
app.command("reproduce")(reproduce_command)
app.command("report")(report_command)
app.command("tune")(tune_command)
app.command("figures")(figures_command)
app.command("check")(check_command)
app.command("explain")(explain_command)
app.command("export")(export_command)
app.command("list")(list_command)
app.command("doctor")(doctor_command)

# Newer versions of typer carry their own copy of click: the same class has two homes.
_CommandLineError: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"hypermnesia {__version__}")
    raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options that belong to no command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on stderr and 2.

    Args:
        arguments: what was typed after the program's name; by default `sys.argv[1:]`.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("hypermnesia").setLevel(logging.INFO)
    noted = Noted()
    try:
        with noting(noted):
            code = _main(arguments)
    except (Exception, KeyboardInterrupt):  # a signal may come before typer listens, or after
        if noted.code is None:
            raise
        code = noted.code
    return noted.code if code and noted.code else code


def _main(arguments: Sequence[str] | None) -> int:
    try:
        code = app(arguments, prog_name="hypermnesia", standalone_mode=False)
    except HypermnesiaError as error:
        return _fail(str(error))
    except OSError as error:
        path = f": {error.filename!s:.60}" if error.filename else ""
        rule, cure = "files and folders must be usable", "choose another path"
        return _fail(f"{rule}; got {error.strerror or error}{path}; {cure}")
    except typer.Abort:
        return 130
    except _CommandLineError as error:
        message = error.format_message()  # empty where the help was shown instead
        return _fail(message) if message else 2
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    typer.echo("error: " + printable(" ".join(message.split())), err=True)
    return 2
